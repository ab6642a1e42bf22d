//! When a shard is split: a cluster that grows has a shard for each node that can hold one.
//!
//! ```text
//!  1 node, 2 nodes   ├─────────────────── 1 ───────────────────┤
//!  3 nodes           ├──── 1 ─────┤├──── 22 ─────┤├──── 44 ────┤     of 64
//!  4 nodes           ├──── 1 ─────┤├─ 22 ─┤├─ 33 ─┤├──── 44 ────┤
//! ```
//!
//! Few shards are fast, as more clients share an entry of their logs; a shard for each node has all of them lead.
//! Below as many nodes as there are to be copies everything is on the first one anyway. Nothing is ever joined
//! again.

use crate::node::NodeState;
use crate::reconcile::{Membership, ShardSight, Step, View};
use crate::shards::{META_GROUP, ShardId};
use crate::topology::{Change, Replicas};

impl View<'_> {
    /// Notes what a group has split off.
    pub(super) fn noted_split(&self) -> Option<Step> {
        self.seen().find_map(|(shard, _, sight)| {
            let is_new = |into: &&ShardId| self.topology.replicas(**into).is_none();
            let into = *sight.split_off.iter().find(is_new)?;
            Some(Step::Log(Change::Split { shard, into }))
        })
    }

    /// Splits the shard with the most slots, if there are more nodes than shards and nothing else is going on.
    pub(super) fn new_split(&self) -> Option<Step> {
        let shards = self.topology.shards();
        let active = self.topology.nodes_in(NodeState::Active).len();
        let copies = usize::from(self.topology.replication_factor().get());
        if active < copies || shards.count() >= active || !self.is_at_rest() {
            return None;
        }
        let divisible = self.seen().filter(|(shard, group, sight)| {
            *shard != META_GROUP && group.voters.len() == copies && self.is_whole(group, sight)
        });
        let parts = divisible.filter_map(|(shard, ..)| Some((shard, shards.numbers_of(shard)?)));
        let (shard, mut numbers) =
            parts.max_by_key(|(shard, numbers)| (numbers.len(), std::cmp::Reverse(*shard)))?;
        let (share, all) = (numbers.len(), usize::from(shards.most().get()));
        let pieces = rounded(share * active, all).clamp(2, share.max(2));
        let into = numbers.nth(rounded(share * (pieces / 2), pieces).max(1))?;
        Some(Step::Split { shard, into })
    }

    /// Whether all groups are seen, and nothing moves.
    fn is_at_rest(&self) -> bool {
        self.topology.groups().all(|(shard, group)| {
            let sight = self.observed.shards.get(&shard);
            group.running.is_none()
                && sight.is_some_and(|sight| sight.membership == Membership::Settled)
        })
    }

    /// Whether all its voters are there, have all, and nobody else has a copy: so the new group has as many.
    fn is_whole(&self, group: &Replicas, sight: &ShardSight) -> bool {
        let is_there = |node| self.observed.reaches(node) && sight.caught_up.contains(&node);
        sight.voters == group.voters
            && sight.learners.is_empty()
            && group.voters.iter().all(|&node| is_there(node) && self.stays(node))
    }
}

fn rounded(number: usize, by: usize) -> usize {
    (number + by / 2) / by
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::node::{NodeId, NodeSet};
    use crate::reconcile::{Limits, NodeSight, Observed, next_step};
    use crate::shard_map::{ShardMap, Sharding};
    use crate::shards::ShardCount;
    use crate::testing::{active, set};
    use crate::topology::Topology;

    /// Nodes that all have every group, and nothing to do but to split.
    fn growing(nodes: usize, most: u16) -> Topology {
        let mut topology = active(1, 3, &vec![None; nodes]);
        topology.shards = ShardMap::from(Sharding::Growing(ShardCount::new(most).unwrap()));
        for group in topology.groups.values_mut() {
            group.voters = set(&[1, 2, 3][..nodes.min(3)]);
        }
        topology.groups.get_mut(&META_GROUP).unwrap().voters =
            (1..=nodes as u64).map(NodeId).collect();
        topology
    }

    fn sights(topology: &Topology) -> Observed {
        let nodes = topology.nodes().map(|node| (node.id, NodeSight::Reachable)).collect();
        let sight = |group: &Replicas| ShardSight {
            leader: *group.voters.first().unwrap(),
            voters: group.voters.clone(),
            learners: NodeSet::new(),
            caught_up: group.voters.clone(),
            membership: Membership::Settled,
            split_off: BTreeSet::new(),
        };
        let shards = topology.groups().map(|(shard, group)| (shard, sight(group))).collect();
        Observed { nodes, shards }
    }

    fn step(topology: &Topology, observed: &Observed) -> Option<Step> {
        View { topology, observed, limits: Limits::default() }.new_split()
    }

    /// The slots of the shards once nothing is left to be split.
    fn grown(nodes: usize, most: u16) -> Vec<usize> {
        let mut topology = growing(nodes, most);
        while let Some(Step::Split { shard, into }) = step(&topology, &sights(&topology)) {
            topology.apply(&Change::Split { shard, into }).unwrap();
            topology.validate().unwrap();
        }
        let shards = topology.shards();
        shards.shards().map(|shard| shards.numbers_of(shard).unwrap().len()).collect()
    }

    #[test]
    fn there_is_a_shard_for_each_node_and_none_is_much_larger() {
        assert_eq!(grown(2, 64), [64]);
        assert_eq!(grown(3, 64), [21, 22, 21]);
        assert_eq!(grown(4, 64), [16, 16, 16, 16]);
        assert_eq!(grown(5, 64), [13, 13, 13, 13, 12]);
        assert_eq!(grown(3, 2), [1, 1]);
        assert_eq!(grown(3, 1), [1]);
        for nodes in 3..64 {
            let sizes = grown(nodes, 64);
            assert_eq!(sizes.len(), nodes);
            assert!(
                sizes.iter().max() <= sizes.iter().min().map(|least| least + 2).as_ref(),
                "{sizes:?}"
            );
        }
    }

    #[test]
    fn the_largest_is_split_when_a_node_joins() {
        let mut topology = growing(3, 64);
        for into in [22, 44] {
            let Some(Step::Split { shard, into: at }) = step(&topology, &sights(&topology)) else {
                panic!("{topology:?}")
            };
            assert_eq!(at, ShardId(into));
            topology.apply(&Change::Split { shard, into: at }).unwrap();
        }
        assert_eq!(step(&topology, &sights(&topology)), None);
        let mut four = growing(4, 64);
        four.shards = topology.shards;
        four.groups = topology.groups;
        let expected = Step::Split { shard: ShardId(22), into: ShardId(33) };
        // The meta group has yet to get the fourth node; that goes first.
        four.groups.get_mut(&META_GROUP).unwrap().voters = set(&[1, 2, 3]);
        assert_eq!(step(&four, &sights(&four)), Some(expected));
    }

    #[test]
    fn a_group_that_is_not_whole_is_left_as_it_is() {
        let topology = growing(3, 64);
        let whole = sights(&topology);
        assert!(step(&topology, &whole).is_some());
        type Harm = fn(&mut Observed);
        let harms: [Harm; 6] = [
            |o| _ = o.nodes.insert(NodeId(2), NodeSight::Unreachable),
            |o| _ = o.shards.remove(&META_GROUP),
            |o| _ = o.shards.remove(&ShardId(1)),
            |o| _ = o.shards.get_mut(&ShardId(1)).unwrap().caught_up.remove(&NodeId(2)),
            |o| _ = o.shards.get_mut(&ShardId(1)).unwrap().learners.insert(NodeId(9)),
            |o| o.shards.get_mut(&ShardId(1)).unwrap().membership = Membership::Changing,
        ];
        for (number, harm) in harms.into_iter().enumerate() {
            let mut observed = whole.clone();
            harm(&mut observed);
            assert_eq!(step(&topology, &observed), None, "{number}");
        }
    }

    #[test]
    fn what_a_group_has_split_off_is_noted() {
        let mut topology = growing(3, 64);
        let mut observed = sights(&topology);
        observed.shards.get_mut(&ShardId(1)).unwrap().split_off.insert(ShardId(22));
        let change = Change::Split { shard: ShardId(1), into: ShardId(22) };
        let expected = Some(Step::Log(change.clone()));
        assert_eq!(next_step(&topology, &observed, Limits::default()), expected);
        topology.apply(&change).unwrap();
        assert_eq!(topology.replicas(ShardId(22)).unwrap().voters, set(&[1, 2, 3]));
        // Of the new group nothing is seen yet: what is split next waits.
        assert_eq!(step(&topology, &observed), None);
    }
}
