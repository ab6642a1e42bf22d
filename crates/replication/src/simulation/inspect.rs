//! What the bytes in a log mean, for whoever watches from outside.

use std::collections::BTreeSet;

use crate::entry_log::Term;
use crate::identity::NodeId;
use crate::{membership, vote};

/// A vote as it stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeenVote {
    /// The term.
    pub term: Term,
    /// For whom.
    pub node: NodeId,
    /// Whether that node is known to have won.
    pub won: bool,
}

/// Reads a vote.
pub fn read_vote(bytes: &[u8]) -> Option<SeenVote> {
    let vote = vote::decode(bytes)?;
    let (term, node) = (Term(vote.leader_id.term), NodeId(vote.leader_id.voted_for));
    Some(SeenVote { term, node, won: vote.committed })
}

/// Reads the voters of a configuration: one set, or two while they change.
pub fn read_voters(config: &[u8]) -> Option<Vec<BTreeSet<NodeId>>> {
    let group = membership::decode(config).ok()?;
    let sets = group.get_joint_config().iter();
    Some(sets.map(|voters| voters.iter().map(|node| NodeId(*node)).collect()).collect())
}
