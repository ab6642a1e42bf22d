//! Whether a node can be emptied without a loss of copies.
//!
//! ```text
//!  three nodes, three copies ─▶ one is drained ─▶ two nodes hold one copy each shard, not two
//! ```
//!
//! Nodes that are taken out one after the other may so leave fewer copies than anybody wished for. What is
//! compared is what lives now, and what would be wanted without the node.

use super::wanted_voters;
use crate::error::{Error, Result};
use crate::node::{NodeId, NodeSet, NodeState};
use crate::shards::{META_GROUP, ShardId};
use crate::topology::{Change, Replicas, ReplicationFactor, Topology};

/// Checks that no group would have fewer copies than now, were an active node drained. Nodes in any other
/// state have nothing that counts, or are about to lose it anyway.
///
/// Copies beyond the replication factor may go: they are on their way out. The meta group, which has more
/// than the shards where it can, may go down to three.
///
/// # Errors
/// [`Error::GivesUpCopies`], which tells of the group that would have fewest; [`Error::UnknownNode`].
pub fn check_drain(topology: &Topology, node: NodeId) -> Result<()> {
    let known = topology.node(node).ok_or(Error::UnknownNode { node })?;
    if known.state != NodeState::Active {
        return Ok(());
    }
    let mut without = topology.clone();
    without.apply(&Change::SetNodeState { node, state: NodeState::Draining })?;
    let gone = topology.nodes_in(NodeState::Gone);
    let groups = topology.groups().zip(wanted_voters(&without));
    let losses = groups.filter_map(|((shard, group), wanted)| {
        let (now, left) = (copies(topology, shard, group, &gone), (&wanted - &gone).len());
        (left < now).then_some((left, shard, now))
    });
    // Of groups that lose as much, a shard is the one to tell of.
    match losses.min_by_key(|(left, shard, _)| (*left, *shard == META_GROUP)) {
        Some((left, shard, now)) => Err(Error::GivesUpCopies { node, shard, now, left }),
        None => Ok(()),
    }
}

/// How many copies of a group live that are to stay.
fn copies(topology: &Topology, shard: ShardId, group: &Replicas, gone: &NodeSet) -> usize {
    let factor = topology.replication_factor();
    let enough = match shard {
        META_GROUP => factor.max(ReplicationFactor::Three),
        _ => factor,
    };
    (&group.voters - gone).len().min(usize::from(enough.get()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{active, new_node, place, put};

    /// Active nodes, of which the first few have everything.
    fn holding(factor: u8, nodes: usize, voters: &[u64]) -> Topology {
        let mut topology = active(2, factor, &vec![None; nodes]);
        (0..=2).for_each(|shard| place(&mut topology, shard, voters));
        topology
    }

    /// Which group would lose copies, how many it has, and how many would be left.
    fn loss(topology: &Topology, node: u64) -> Option<(u16, usize, usize)> {
        match check_drain(topology, NodeId(node)) {
            Ok(()) => None,
            Err(Error::GivesUpCopies { node: of, shard, now, left }) if of == NodeId(node) => {
                Some((shard.0, now, left))
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn one_of_three_can_not_be_spared() {
        let topology = holding(3, 3, &[1, 2, 3]);
        assert_eq!(loss(&topology, 3), Some((1, 3, 1)));
        let text = check_drain(&topology, NodeId(3)).unwrap_err().to_string();
        assert!(text.contains("1 copy instead of 3"), "{text}");
        assert!(text.contains("CLUSTER REPLICATION-FACTOR") && text.contains("FORCE"), "{text}");
    }

    #[test]
    fn one_of_four_can_if_the_fourth_is_at_work() {
        let mut topology = holding(3, 3, &[1, 2, 3]);
        topology.apply(&Change::AddNode(new_node(4, None))).unwrap();
        assert_eq!(loss(&topology, 3), Some((1, 3, 1)), "who is joining may never be there");
        put(&mut topology, 4, NodeState::Active);
        assert_eq!(loss(&topology, 3), None);
        // The first of them is not empty yet, and nobody could take what the second has.
        put(&mut topology, 3, NodeState::Draining);
        assert_eq!(loss(&topology, 2), Some((1, 3, 1)));
        assert_eq!(loss(&topology, 3), None, "it is being drained already");
    }

    #[test]
    fn copies_beyond_the_factor_may_go() {
        // It has just been lowered from five to three, and nothing has been taken away yet.
        let topology = holding(3, 5, &[1, 2, 3, 4, 5]);
        assert_eq!(loss(&topology, 5), None);
        assert_eq!(loss(&holding(5, 5, &[1, 2, 3, 4, 5]), 5), Some((1, 5, 3)));
        assert_eq!(loss(&holding(5, 6, &[1, 2, 3, 4, 5]), 5), None);
    }

    #[test]
    fn the_meta_group_keeps_three_whatever_the_factor() {
        let mut topology = holding(1, 3, &[1]);
        assert_eq!(loss(&topology, 3), None);
        place(&mut topology, 0, &[1, 2, 3]);
        assert_eq!(loss(&topology, 3), Some((0, 3, 1)));
        let text = check_drain(&topology, NodeId(3)).unwrap_err().to_string();
        assert!(text.contains("the meta group would have 1 copy instead of 3"), "{text}");
        assert!(!text.contains("factor"), "{text}");
    }

    #[test]
    fn what_was_never_there_is_not_lost() {
        // One copy each: two nodes would not have more, and three have not got more yet.
        assert_eq!(loss(&holding(3, 2, &[1]), 2), None);
        assert_eq!(loss(&holding(3, 3, &[1]), 2), None);
        // The last node keeps what it has.
        assert_eq!(loss(&holding(3, 1, &[1]), 1), None);
    }

    #[test]
    fn the_dead_have_no_copies_and_are_no_loss() {
        let mut topology = holding(3, 3, &[1, 2, 3]);
        put(&mut topology, 3, NodeState::Gone);
        assert_eq!(loss(&topology, 3), None);
        assert_eq!(loss(&topology, 2), Some((1, 2, 1)));
        // Three places would be kept, of which two are those of dead nodes.
        let mut topology = holding(5, 5, &[1, 2, 3, 4, 5]);
        put(&mut topology, 4, NodeState::Gone);
        put(&mut topology, 5, NodeState::Gone);
        assert_eq!(loss(&topology, 3), Some((1, 3, 2)));
    }

    #[test]
    fn there_must_be_such_a_node() {
        let error = check_drain(&holding(3, 3, &[1]), NodeId(9)).unwrap_err();
        assert_eq!(error, Error::UnknownNode { node: NodeId(9) });
    }
}
