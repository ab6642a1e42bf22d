//! Who follows in the shards that this node leads, and how far: what `ROLE`, `INFO`, `WAIT` ask.
//!
//! ```text
//!  shard 2 (led here): 1 has 40 entries, 3 has 38   ─┐     node 1: 40 + 12
//!  shard 7 (led here): 1 has 12 entries             ─┴─▶   node 3: 38
//! ```
//!
//! In Redis a replica follows a master in everything, and an offset says how far. Here an offset is the sum of
//! the entries that a node has of all shards led here.

use std::collections::BTreeMap;
use std::time::Duration;

use aryavarth_cluster::{Address, META_GROUP, NodeId, NodeSight, ShardId};
use aryavarth_replication::{EntryIndex, GroupStatus};

use crate::cluster::Clustered;

/// The shards led here and who follows in them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Following {
    /// Entries of all of them.
    pub offset: u64,
    /// Who follows in some of them.
    pub followers: Vec<Follower>,
}

/// A node that follows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Follower {
    /// Where clients reach it.
    pub address: Address,
    /// How it is.
    pub sight: NodeSight,
    /// Entries that it has.
    pub offset: u64,
    /// How long ago it was last heard of, at most.
    pub silent_for: Duration,
}

impl Following {
    /// That of a node.
    pub(super) fn of(cluster: &Clustered) -> Following {
        let view = cluster.views.newest();
        let mut all = Following::default();
        let mut found: BTreeMap<NodeId, (u64, Duration)> = BTreeMap::new();
        for status in led(cluster) {
            all.offset += status.last.map_or(0, |last| last.0);
            for member in status.members.iter().filter(|member| Some(member.node) != view.myself) {
                let (offset, silent_for) = found.entry(member.node).or_default();
                *offset += member.matched.map_or(0, |matched| matched.0);
                *silent_for = member.silent_for.unwrap_or_default().max(*silent_for);
            }
        }
        let follower = |(node, (offset, silent_for))| {
            let sight = view.nodes.get(&node).copied().unwrap_or(NodeSight::Reachable);
            let address = view.client_address(node)?.clone();
            Some(Follower { address, sight, offset, silent_for })
        };
        all.followers = found.into_iter().filter_map(follower).collect();
        all
    }
}

/// The groups with data that are led here.
fn led(cluster: &Clustered) -> impl Iterator<Item = GroupStatus> {
    let groups = cluster.seats.led().filter_map(|shard| cluster.seats.seat(shard).group());
    groups.map(|group| group.status())
}

/// Entries up to which followers are waited for, of all shards led at a moment.
#[derive(Debug)]
pub(super) struct Mark(Vec<(ShardId, EntryIndex)>);

impl Mark {
    /// All that was acknowledged until now.
    pub(super) fn now(cluster: &Clustered) -> Mark {
        let marks = led(cluster).filter_map(|status| Some((status.shard, status.applied?.index)));
        Mark(marks.collect())
    }

    /// How many followers have it: in the shard where they are fewest. None if nothing is led here.
    pub(super) fn reached(&self, cluster: &Clustered) -> usize {
        let count = |(shard, index): &(ShardId, EntryIndex)| {
            debug_assert_ne!(*shard, META_GROUP);
            let Some(group) = cluster.seats.seat(*shard).group() else { return 0 };
            let status = group.status();
            let others = status.members.iter().filter(|member| member.node != group.node());
            others.filter(|member| member.matched >= Some(*index)).count()
        };
        self.0.iter().map(count).min().unwrap_or(0)
    }
}
