//! Which groups this node has: those for which the topology names it, and no others.
//!
//! ```text
//!  topology names it, no group here ─▶ a group that waits to be a learner
//!  a group here, not named ─▶ ask the shard's leader: a member? ── no, and settled ─▶ drop it, and its keys
//!  a group that stopped as the disk was full ─▶ room again? ─▶ open it anew
//! ```
//!
//! # Invariants
//! - A group is dropped only when its leader, confirmed by a majority, says that this node is no member and
//!   that no change is under way. So no vote is forgotten that may still count.
//! - The card says that there are replicas before the first one is made.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use aryavarth::{KvStore, ScanPosition, WriteBatch};
use aryavarth_cluster::{NodeId, ShardCount, ShardId, Topology};
use aryavarth_replication::Role;

use super::card::{Holding, Phase};
use super::error::NodeError;
use super::member::Member;
use super::messages::{Answer, Question};
use super::reserved;

/// How long a leader may take to say who is a member.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks if nothing happens.
const GLANCE: Duration = Duration::from_secs(1);
/// Before a stopped group is opened anew.
const REOPENING: Duration = Duration::from_secs(1);
/// Room that the disk must have for that, in bytes.
const ROOM: u64 = 32 << 20;
/// Keys looked at, and removed, in one go.
const AT_ONCE: usize = 512;

/// Keeps the replicas as they should be, for ever.
pub async fn run(member: Arc<Member>) {
    let mut saved = 0;
    let mut reopened = Instant::now();
    loop {
        if let Some(topology) = member.topology() {
            if topology.epoch().0 != saved {
                saved = topology.epoch().0;
                let keeper = Arc::clone(&member);
                // It only fails if the runtime ends.
                let _ = tokio::task::spawn_blocking(move || keeper.save_topology()).await;
            }
            if let Err(error) = member.make_missing(&topology).await {
                tracing::error!(%error, "a replica could not be made");
            }
            if reopened.elapsed() >= REOPENING {
                reopened = Instant::now();
                member.reopen_stopped().await;
            }
            let surplus: Vec<_> = member.surplus(&topology);
            for shard in surplus {
                if let Err(error) = member.drop_if_free(shard).await {
                    tracing::debug!(%shard, %error, "a replica is kept for now");
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(GLANCE.max(member.options.rhythm.look)) => {}
            () = member.replicas_now.notified() => {}
        }
    }
}

fn names(topology: &Topology, shard: ShardId, node: NodeId) -> bool {
    let group = topology.replicas(shard);
    group.is_some_and(|group| group.holders().any(|holder| holder == node))
}

impl Member {
    /// Makes the groups for which the topology names this node.
    async fn make_missing(self: &Arc<Self>, topology: &Topology) -> Result<(), NodeError> {
        let missing: Vec<_> = topology
            .groups_of(self.myself)
            .filter(|shard| self.seats.seat(*shard).group().is_none())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let _keeping = self.keeping.lock().await;
        self.note_replicas()?;
        for shard in missing {
            let newest = self.topology();
            if !newest.is_some_and(|newest| names(&newest, shard, self.myself)) {
                continue;
            }
            let group = match self.node.group(shard) {
                Ok(group) => group,
                Err(_) => self.node.create_group(shard).await?,
            };
            tracing::info!(%shard, "this node has a replica now");
            self.seat_group(shard, Some(group));
        }
        Ok(())
    }

    fn note_replicas(&self) -> Result<(), NodeError> {
        let mut card = self.card.lock().unwrap_or_else(PoisonError::into_inner);
        if let Phase::Member { replicas: replicas @ Holding::Nothing, .. } = &mut card.phase {
            *replicas = Holding::Replicas;
            card.write(&self.options.directory)?;
        }
        Ok(())
    }

    /// Groups that are here and for which the topology does not name this node.
    fn surplus(&self, topology: &Topology) -> Vec<ShardId> {
        let groups = self.seats.groups().map(|(shard, _)| shard);
        groups.filter(|shard| !names(topology, *shard, self.myself)).collect()
    }

    /// Drops a group if it is no member any more.
    async fn drop_if_free(self: &Arc<Self>, shard: ShardId) -> Result<(), NodeError> {
        let leader = self.known().leader(shard).filter(|leader| *leader != self.myself);
        let leader = leader.ok_or(NodeError::NoLeader)?;
        // From before the question on nobody is promised that it will be kept.
        let _keeping = self.keeping.lock().await;
        let led = match self.ask(leader, Question::Members(shard.0), PATIENCE).await? {
            Answer::Members(led) => led,
            Answer::Later(why) | Answer::Refused(why) => return Err(NodeError::Refused(why)),
            _ => return Err(NodeError::Refused("its answer makes no sense".into())),
        };
        let me = self.myself.0;
        let member = led.voters.contains(&me) || led.learners.contains(&me);
        let named = self.topology().is_none_or(|topology| names(&topology, shard, self.myself));
        if member || led.changing || named {
            return Err(NodeError::Refused("it is a member still".into()));
        }
        self.seat_group(shard, None);
        self.node.remove_group(shard).await?;
        tracing::info!(%shard, "this node has no replica any more");
        let (store, shards) = (self.store.clone(), self.shards);
        let cleared = tokio::task::spawn_blocking(move || clear(&store, shards, shard)).await;
        match cleared {
            Ok(cleared) => cleared.map_err(NodeError::from),
            Err(error) => {
                Err(NodeError::System { operation: "remove keys", detail: error.to_string() })
            }
        }
    }

    /// Opens groups anew that stopped, if that may help.
    async fn reopen_stopped(self: &Arc<Self>) {
        // After a failed sync nothing is durable here until the store is opened anew.
        if self.node.failure().is_some() || self.is_leaving() || !self.has_room() {
            return;
        }
        for (shard, group) in self.seats.groups() {
            if group.leadership().borrow().role != Role::Stopped {
                continue;
            }
            let _keeping = self.keeping.lock().await;
            match self.node.reopen_group(shard).await {
                Ok(group) => {
                    tracing::warn!(%shard, "the group had stopped and was opened anew");
                    self.seat_group(shard, Some(group));
                }
                Err(error) => tracing::warn!(%shard, %error, "the group cannot be opened anew"),
            }
        }
    }

    fn has_room(&self) -> bool {
        let disk = rustix::fs::statvfs(&self.options.directory);
        disk.is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= ROOM)
    }
}

/// Removes the keys of a shard of which there is no replica.
fn clear(store: &KvStore, shards: ShardCount, shard: ShardId) -> aryavarth::Result<()> {
    let mut position = Some(ScanPosition::START);
    let mut batch = WriteBatch::new();
    while let Some(at) = position {
        position = store.scan(at, AT_ONCE, |entry| {
            if reserved::group_of(shards, entry.key) == shard {
                batch.remove(entry.key);
            }
        })?;
        if batch.len() >= AT_ONCE || (position.is_none() && !batch.is_empty()) {
            store.write_unsynced(&batch)?;
            batch.clear();
        }
    }
    Ok(())
}
