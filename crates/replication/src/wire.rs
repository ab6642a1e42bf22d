//! Messages of the wire to openraft's and back.
//!
//! What comes from a peer is believed only as far as it can be checked: a message that lacks a part, and
//! an entry whose checksum does not fit, is refused, and the stream it came on ends.

use aryavarth::WriteBatch;
use bytes::Bytes;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderError, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};

use crate::entry_log::EntryId;
use crate::proto;
use crate::types::{Effects, Entry, EntryPayload, LogId, TypeConfig, Vote, entry_id, log_id};
use crate::{effects, membership};

/// A message that a peer of this protocol does not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("a message lacks its {0}")]
    Missing(&'static str),
    #[error("the checksum of an entry or chunk does not fit")]
    Checksum,
    #[error(transparent)]
    Effects(#[from] effects::Malformed),
    #[error(transparent)]
    Config(#[from] membership::Malformed),
}

pub(crate) fn vote(vote: &Vote) -> Option<proto::Vote> {
    let leader = vote.leader_id;
    Some(proto::Vote { term: leader.term, node: leader.voted_for, committed: vote.committed })
}

pub(crate) fn to_vote(vote: Option<proto::Vote>) -> Result<Vote, Malformed> {
    let vote = vote.ok_or(Malformed::Missing("vote"))?;
    Ok(if vote.committed {
        Vote::new_committed(vote.term, vote.node)
    } else {
        Vote::new(vote.term, vote.node)
    })
}

pub(crate) fn id(id: EntryId) -> proto::EntryId {
    proto::EntryId { term: id.term.0, index: id.index.0 }
}

pub(crate) fn to_id(id: proto::EntryId) -> EntryId {
    EntryId::new(id.term, id.index)
}

fn some_id(log_id: Option<&LogId>) -> Option<proto::EntryId> {
    log_id.map(|log_id| id(entry_id(log_id)))
}

fn to_log_id(id: Option<proto::EntryId>) -> Option<LogId> {
    id.map(|id| log_id(to_id(id)))
}

pub(crate) fn vote_request(request: &VoteRequest<TypeConfig>) -> proto::VoteRequest {
    proto::VoteRequest {
        vote: vote(&request.vote),
        last: some_id(request.last_log_id.as_ref()),
        transfer: request.leadership_transfer,
    }
}

pub(crate) fn to_vote_request(
    request: proto::VoteRequest,
) -> Result<VoteRequest<TypeConfig>, Malformed> {
    let mut vote_request = VoteRequest::new(to_vote(request.vote)?, to_log_id(request.last));
    vote_request.leadership_transfer = request.transfer;
    Ok(vote_request)
}

pub(crate) fn vote_answer(response: &VoteResponse<TypeConfig>) -> proto::VoteAnswer {
    proto::VoteAnswer {
        vote: vote(&response.vote),
        granted: response.vote_granted,
        last: some_id(response.last_log_id.as_ref()),
    }
}

pub(crate) fn to_vote_answer(
    answer: proto::VoteAnswer,
) -> Result<VoteResponse<TypeConfig>, Malformed> {
    Ok(VoteResponse::new(to_vote(answer.vote)?, to_log_id(answer.last), answer.granted))
}

pub(crate) fn append_request(
    request: &AppendEntriesRequest<TypeConfig>,
) -> Result<proto::AppendRequest, membership::TooLarge> {
    Ok(proto::AppendRequest {
        vote: vote(&request.vote),
        previous: some_id(request.prev_log_id.as_ref()),
        committed: some_id(request.leader_commit.as_ref()),
        entries: request.entries.iter().map(entry).collect::<Result<_, _>>()?,
    })
}

pub(crate) fn to_append_request(
    request: proto::AppendRequest,
) -> Result<AppendEntriesRequest<TypeConfig>, Malformed> {
    Ok(AppendEntriesRequest {
        vote: to_vote(request.vote)?,
        prev_log_id: to_log_id(request.previous),
        entries: request.entries.into_iter().map(to_entry).collect::<Result<_, _>>()?,
        leader_commit: to_log_id(request.committed),
    })
}

fn entry(entry: &Entry) -> Result<proto::Entry, membership::TooLarge> {
    use proto::entry::Payload;
    let payload = match &entry.payload {
        EntryPayload::Blank => None,
        EntryPayload::Normal(made) => Some(Payload::Effects(effects::encode(&made.batch))),
        EntryPayload::Membership(group) => {
            Some(Payload::Config(Bytes::from(membership::encode(group)?)))
        }
    };
    let id = id(entry_id(&entry.log_id));
    let checksum = checksum(&id, payload.as_ref());
    Ok(proto::Entry { id: Some(id), payload, checksum })
}

fn to_entry(entry: proto::Entry) -> Result<Entry, Malformed> {
    use proto::entry::Payload;
    let id = entry.id.ok_or(Malformed::Missing("id"))?;
    if checksum(&id, entry.payload.as_ref()) != entry.checksum {
        return Err(Malformed::Checksum);
    }
    let payload = match entry.payload {
        None => EntryPayload::Blank,
        Some(Payload::Effects(bytes)) => {
            EntryPayload::Normal(Effects::logged(effects::decode(&bytes)?))
        }
        Some(Payload::Config(bytes)) => EntryPayload::Membership(membership::decode(&bytes)?),
    };
    Ok(Entry { log_id: log_id(to_id(id)), payload })
}

fn checksum(id: &proto::EntryId, payload: Option<&proto::entry::Payload>) -> u32 {
    use proto::entry::Payload;
    let (kind, bytes): (u8, &[u8]) = match payload {
        None => (0, &[]),
        Some(Payload::Effects(bytes)) => (1, bytes),
        Some(Payload::Config(bytes)) => (2, bytes),
    };
    let sum = crc32c::crc32c(&id.term.to_le_bytes());
    let sum = crc32c::crc32c_append(sum, &id.index.to_le_bytes());
    let sum = crc32c::crc32c_append(sum, &[kind]);
    crc32c::crc32c_append(sum, bytes)
}

pub(crate) fn append_answer(response: AppendEntriesResponse<TypeConfig>) -> proto::AppendAnswer {
    use proto::append_answer::Outcome;
    let outcome = match response {
        AppendEntriesResponse::Success => Outcome::Accepted(true),
        // A follower of ours takes all or nothing; to say less than it took is safe.
        AppendEntriesResponse::PartialSuccess(_) | AppendEntriesResponse::Conflict => {
            Outcome::Conflict(true)
        }
        AppendEntriesResponse::HigherVote(higher) => {
            Outcome::Higher(vote(&higher).unwrap_or_default())
        }
    };
    proto::AppendAnswer { outcome: Some(outcome) }
}

pub(crate) fn to_append_answer(
    answer: proto::AppendAnswer,
) -> Result<AppendEntriesResponse<TypeConfig>, Malformed> {
    use proto::append_answer::Outcome;
    match answer.outcome {
        Some(Outcome::Accepted(_)) => Ok(AppendEntriesResponse::Success),
        Some(Outcome::Conflict(_)) => Ok(AppendEntriesResponse::Conflict),
        Some(Outcome::Higher(vote)) => Ok(AppendEntriesResponse::HigherVote(to_vote(Some(vote))?)),
        None => Err(Malformed::Missing("outcome")),
    }
}

pub(crate) fn transfer_request(
    request: &TransferLeaderRequest<TypeConfig>,
) -> proto::TransferRequest {
    proto::TransferRequest {
        from: vote(request.from_leader()),
        to: *request.to_node_id(),
        last: some_id(request.last_log_id()),
    }
}

pub(crate) fn to_transfer_request(
    request: proto::TransferRequest,
) -> Result<TransferLeaderRequest<TypeConfig>, Malformed> {
    let from = to_vote(request.from)?;
    Ok(TransferLeaderRequest::new(from, request.to, to_log_id(request.last)))
}

pub(crate) fn transfer_answer(
    response: TransferLeaderResponse<TypeConfig>,
) -> proto::TransferAnswer {
    use proto::transfer_answer::Outcome;
    let outcome = match response {
        Ok(()) => Outcome::Accepted(true),
        Err(TransferLeaderError::VoteChanged { expected, actual }) => {
            let changed = proto::VoteChanged { expected: vote(&expected), actual: vote(&actual) };
            Outcome::VoteChanged(changed)
        }
        Err(TransferLeaderError::LogNotFlushed { expected, actual }) => {
            let expected = some_id(expected.as_ref());
            Outcome::LogBehind(proto::LogBehind { expected, actual: some_id(actual.as_ref()) })
        }
    };
    proto::TransferAnswer { outcome: Some(outcome) }
}

pub(crate) fn to_transfer_answer(
    answer: proto::TransferAnswer,
) -> Result<TransferLeaderResponse<TypeConfig>, Malformed> {
    use proto::transfer_answer::Outcome;
    match answer.outcome {
        Some(Outcome::Accepted(_)) => Ok(Ok(())),
        Some(Outcome::VoteChanged(changed)) => Ok(Err(TransferLeaderError::VoteChanged {
            expected: to_vote(changed.expected)?,
            actual: to_vote(changed.actual)?,
        })),
        Some(Outcome::LogBehind(behind)) => Ok(Err(TransferLeaderError::LogNotFlushed {
            expected: to_log_id(behind.expected),
            actual: to_log_id(behind.actual),
        })),
        None => Err(Malformed::Missing("outcome")),
    }
}

/// Part `number` of a snapshot.
pub(crate) fn chunk(number: u64, records: &WriteBatch) -> proto::SnapshotChunk {
    let effects = effects::encode(records);
    let checksum = chunk_checksum(number, &effects);
    proto::SnapshotChunk { number, effects, checksum }
}

pub(crate) fn to_chunk(chunk: &proto::SnapshotChunk) -> Result<WriteBatch, Malformed> {
    if chunk_checksum(chunk.number, &chunk.effects) != chunk.checksum {
        return Err(Malformed::Checksum);
    }
    Ok(effects::decode(&chunk.effects)?)
}

fn chunk_checksum(number: u64, effects: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&number.to_le_bytes()), effects)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Member, Membership};

    fn request() -> AppendEntriesRequest<TypeConfig> {
        let mut batch = WriteBatch::new();
        batch.set("key", "value").remove("gone");
        let group = Membership::new(
            vec![[1].into()],
            [(1, Member { address: "a:1".into() })]
                .into_iter()
                .collect::<std::collections::BTreeMap<_, _>>(),
        )
        .unwrap();
        let payloads = [
            EntryPayload::Blank,
            EntryPayload::Normal(Effects::logged(batch)),
            EntryPayload::Membership(group),
        ];
        let entries = (4..).zip(payloads);
        AppendEntriesRequest {
            vote: Vote::new_committed(3, 1),
            prev_log_id: Some(log_id(EntryId::new(2, 3))),
            entries: entries
                .map(|(index, payload)| Entry { log_id: log_id(EntryId::new(3, index)), payload })
                .collect(),
            leader_commit: None,
        }
    }

    #[test]
    fn appends_survive_the_wire() {
        let before = request();
        let after = to_append_request(append_request(&before).unwrap()).unwrap();
        assert_eq!(format!("{before:?}"), format!("{after:?}"));
        let EntryPayload::Normal(Effects { batch, .. }) = &after.entries[1].payload else {
            panic!()
        };
        assert_eq!(batch.operation(0).key, b"key");
    }

    #[test]
    fn an_entry_that_was_damaged_or_moved_is_refused() {
        let good = append_request(&request()).unwrap();
        let mut moved = good.clone();
        moved.entries[1].id = Some(proto::EntryId { term: 3, index: 6 });
        assert_eq!(to_append_request(moved).unwrap_err(), Malformed::Checksum);
        let mut damaged = good.clone();
        damaged.entries[1].checksum ^= 1;
        assert_eq!(to_append_request(damaged).unwrap_err(), Malformed::Checksum);
        let mut blank = good;
        blank.entries[1].payload = None;
        assert_eq!(to_append_request(blank).unwrap_err(), Malformed::Checksum);
    }

    #[test]
    fn a_message_without_its_parts_is_refused() {
        assert!(to_append_request(proto::AppendRequest::default()).is_err());
        assert!(to_vote_request(proto::VoteRequest::default()).is_err());
        assert!(to_append_answer(proto::AppendAnswer::default()).is_err());
        assert!(to_transfer_answer(proto::TransferAnswer::default()).is_err());
    }

    #[test]
    fn chunks_are_checked() {
        let mut batch = WriteBatch::new();
        batch.set("key", "value");
        let good = chunk(1, &batch);
        assert_eq!(to_chunk(&good).unwrap().len(), 1);
        let moved = proto::SnapshotChunk { number: 2, ..good };
        assert_eq!(to_chunk(&moved).unwrap_err(), Malformed::Checksum);
    }
}
