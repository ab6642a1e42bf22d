//! What a replica's predecessor on the same node gave its word for.
//!
//! ```text
//!  node 3:  voter: votes in term 5, has entries up to 90 ─▶ removed, forgets its log ─▶ learner again, empty
//!  node 2:  cut off, still takes node 3 for a voter and has entries up to 80 ─ votes? ─▶ refused: 80 < 90
//! ```
//!
//! A replica that was removed and comes back has nothing of what it once acknowledged. For a candidate that has not
//! heard of the removal it is the voter that it was: with its vote, that candidate would be the majority of a membership
//! of the past, and undo what was committed. So it votes as its predecessor would have.

use aryavarth::Pledge;

use crate::entry_log::EntryLog;
use crate::types::{TypeConfig, entry_id};
use crate::vote;

type VoteRequest = openraft::raft::VoteRequest<TypeConfig>;

/// Whether the predecessor would have refused its vote.
pub(crate) fn forbids(pledge: &Pledge, request: &VoteRequest) -> bool {
    let given = vote::decode(&pledge.vote);
    let candidate = &request.vote.leader_id;
    let voted = given.is_some_and(|given| {
        let given = given.leader_id;
        candidate.term < given.term
            || (candidate.term == given.term && candidate.voted_for != given.voted_for)
    });
    voted || request.last_log_id.as_ref().map(entry_id) < pledge.last
}

/// Has the newest vote that was ever given here bind the next replica, too, before this one goes.
pub(crate) fn renew(log: &dyn EntryLog) -> aryavarth::Result<()> {
    let state = log.state();
    let own = state.vote.as_deref().and_then(vote::decode);
    let earlier = state.pledge.and_then(|pledge| vote::decode(&pledge.vote));
    match earlier {
        Some(earlier) if own.is_none_or(|own| own.leader_id.term < earlier.leader_id.term) => {
            log.save_vote(&vote::encode(&earlier))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use aryavarth::EntryId;

    use super::*;
    use crate::types::{Vote, log_id};

    fn request(term: u64, node: u64, last: Option<(u64, u64)>) -> VoteRequest {
        let last = last.map(|(term, index)| log_id(EntryId::new(term, index)));
        VoteRequest::new(Vote::new(term, node), last)
    }

    #[test]
    fn it_votes_as_its_predecessor_would_have() {
        let vote = vote::encode(&Vote::new_committed(5, 1)).to_vec();
        let pledge = Pledge { vote, last: Some(EntryId::new(5, 90)) };
        let forbidden = |request| forbids(&pledge, &request);
        assert!(forbidden(request(6, 2, Some((5, 89)))), "it has less");
        assert!(forbidden(request(6, 2, None)), "it has nothing");
        assert!(forbidden(request(4, 1, Some((5, 90)))), "the term is over");
        assert!(forbidden(request(5, 2, Some((5, 90)))), "another one was voted for");
        assert!(!forbidden(request(5, 1, Some((5, 90)))));
        assert!(!forbidden(request(6, 2, Some((5, 90)))));
        assert!(!forbidden(request(6, 2, Some((6, 3)))), "what it has is of a later leader");
        assert!(!forbids(&Pledge::default(), &request(1, 2, None)));
    }
}
