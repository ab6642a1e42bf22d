//! Founding a cluster: a directory, empty or a standalone server's, becomes the first node.
//!
//! ```text
//!  card "founding" ─▶ groups 0..=N, this node alone ─▶ each purged ─▶ the topology ─▶ card "member"
//! ```
//!
//! What a standalone server wrote is in no group's log. So each log is purged up to what is applied before
//! anybody can join: whoever learns later is sent a snapshot, which has all of it.
//!
//! Each step can be done again. A crash between any two of them is mended by the next start.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aryavarth::WriteBatch;
use aryavarth_cluster::{
    ClusterId, META_GROUP, NewNode, NodeId, ReplicationFactor, ShardCount, ShardId, Topology,
};
use aryavarth_replication::{Basis, EntryIndex, Error as ReplicationError, Group};
use futures_util::future::try_join_all;

use super::card::{Card, Holding, Phase};
use super::error::NodeError;
use super::member::Member;
use super::reserved;

/// The first node.
pub const FIRST: NodeId = NodeId(1);
/// How long a group of one may take until it has a leader.
const PATIENCE: Duration = Duration::from_secs(30);
const GLANCE: Duration = Duration::from_millis(5);

/// What is founded.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub cluster: ClusterId,
    pub shards: ShardCount,
    pub factor: ReplicationFactor,
}

/// A step that was done. Tests end a founding after any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Some groups have been made.
    Groups,
    /// All groups have a leader.
    Led,
    /// Some logs have been purged.
    SomePurged,
    /// All have.
    Purged,
    /// The topology is there.
    Topology,
}

/// Founds the cluster, or goes on where it was left. `proceed` is asked after each step.
///
/// # Errors
/// Whatever keeps it from being done, and what `proceed` says.
pub async fn found(
    member: &Arc<Member>,
    plan: Plan,
    proceed: impl Fn(Step) -> Result<(), NodeError>,
) -> Result<(), NodeError> {
    let half = plan.shards.get() / 2;
    let (some, rest): (Vec<_>, Vec<_>) = plan.shards.groups().partition(|shard| shard.0 <= half);
    try_join_all(some.iter().map(|shard| make(member, *shard))).await?;
    proceed(Step::Groups)?;
    try_join_all(rest.iter().map(|shard| make(member, *shard))).await?;
    let groups: Vec<Group> = member.node.groups();
    try_join_all(groups.iter().map(led)).await?;
    proceed(Step::Led)?;
    let (some, rest) = groups.split_at(groups.len() / 2);
    try_join_all(some.iter().map(purge)).await?;
    proceed(Step::SomePurged)?;
    try_join_all(rest.iter().map(purge)).await?;
    proceed(Step::Purged)?;
    write_topology(member, plan).await?;
    proceed(Step::Topology)?;
    let card = Card {
        incarnation: member.node.identity().incarnation,
        phase: Phase::Member {
            cluster: plan.cluster,
            node: FIRST,
            shards: plan.shards,
            replicas: Holding::Replicas,
        },
    };
    card.write(&member.options.directory)?;
    *member.card.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = card;
    Ok(())
}

/// Makes a group of this node alone, as far as that was not done.
async fn make(member: &Arc<Member>, shard: ShardId) -> Result<(), NodeError> {
    let group = match member.node.group(shard) {
        Ok(group) => group,
        Err(_) => member.node.create_group(shard).await?,
    };
    if group.status().members.is_empty() {
        let alone = [(FIRST, member.options.peer.to_string())];
        match group.initialize(&alone).await {
            // The log knew what its figures did not show yet.
            Ok(()) | Err(ReplicationError::Change { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    member.seat_group(shard, Some(group));
    Ok(())
}

async fn led(group: &Group) -> Result<(), NodeError> {
    let deadline = Instant::now() + PATIENCE;
    while !group.is_leader() {
        if Instant::now() >= deadline {
            return Err(ReplicationError::Timeout.into());
        }
        tokio::time::sleep(GLANCE).await;
    }
    Ok(())
}

async fn purge(group: &Group) -> Result<(), NodeError> {
    let applied = group.applied().map_or(EntryIndex(0), |applied| applied.index);
    Ok(group.purge(applied).await?)
}

async fn write_topology(member: &Arc<Member>, plan: Plan) -> Result<(), NodeError> {
    if member.record()?.is_none() {
        let options = &member.options;
        let first = NewNode {
            id: FIRST,
            incarnation: member.node.identity().incarnation,
            client: options.client.clone(),
            peer: options.peer.to_string().parse()?,
            zone: options.zone.clone(),
        };
        let topology = Topology::found(plan.cluster, plan.shards, plan.factor, first);
        let mut batch = WriteBatch::new();
        batch.set(reserved::TOPOLOGY, topology.encode());
        let group = member.node.group(META_GROUP)?;
        group.propose(Arc::new(batch), Basis::Anything).await?;
    }
    member.follow();
    Ok(())
}
