//! Openraft, told our types; and its ids to ours and back.
//!
//! None of these types reaches the disk or the wire: there are our own forms for that, in
//! [`membership`](crate::membership), [`vote`](crate::vote), [`effects`](crate::effects) and
//! [`wire`](crate::wire).

use std::fmt;
use std::sync::Arc;

use aryavarth::WriteBatch;
use openraft::vote::leader_id_std;

use crate::answer::Answer;
use crate::entry_log::EntryId;
use crate::runtime::Runtime;
use crate::ticket::Ticket;

/// What an entry does to keys. Only effects are logged, never commands.
#[derive(Clone)]
pub(crate) struct Effects {
    /// The effects.
    pub batch: Arc<WriteBatch>,
    /// On the leader that proposed them.
    ticket: Option<Arc<Ticket>>,
}

impl Effects {
    /// Those of an entry that exists.
    pub fn logged(batch: WriteBatch) -> Effects {
        Effects { batch: Arc::new(batch), ticket: None }
    }

    /// Those that are proposed here.
    pub fn proposed(batch: Arc<WriteBatch>, ticket: Arc<Ticket>) -> Effects {
        Effects { batch, ticket: Some(ticket) }
    }

    /// Tells whoever proposed them that they stand in the log.
    pub fn note_logged(&self) {
        if let Some(ticket) = &self.ticket {
            ticket.logged();
        }
    }
}

impl fmt::Display for Effects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} effects", self.batch.len())
    }
}

impl fmt::Debug for Effects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A member of a group, as its configuration has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Where its peers reach it, as `host:port`.
    pub address: String,
}

/// Openraft's choices, made. Leaders are named by their term alone, so that (term, index) names an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TypeConfig;

impl openraft::RaftTypeConfig for TypeConfig {
    type D = Effects;
    type R = ();
    type NodeId = u64;
    type Node = Member;
    type Term = u64;
    type LeaderId = leader_id_std::LeaderId<u64, u64>;
    type Vote = openraft::impls::Vote<Self::LeaderId>;
    type Payload = openraft::EntryPayload<Effects, u64, Member>;
    type Entry = openraft::Entry<leader_id_std::CommittedLeaderId<u64>, Self::Payload>;
    type AsyncRuntime = Runtime;
    type Responder<T>
        = Answer<T>
    where
        T: Send + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: Send + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

pub(crate) type LogId = openraft::type_config::alias::LogIdOf<TypeConfig>;
pub(crate) type Entry = openraft::type_config::alias::EntryOf<TypeConfig>;
pub(crate) type EntryPayload = openraft::type_config::alias::PayloadOf<TypeConfig>;
pub(crate) type Vote = openraft::type_config::alias::VoteOf<TypeConfig>;
pub(crate) type Membership = openraft::Membership<u64, Member>;
pub(crate) type StoredMembership = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;
pub(crate) type ShardRaft = openraft::Raft<TypeConfig, crate::state_machine::ShardMachine>;

/// Our id as openraft's.
pub(crate) fn log_id(id: EntryId) -> LogId {
    LogId::new(leader_id_std::CommittedLeaderId::new(id.term.0), id.index.0)
}

/// Openraft's id as ours.
pub(crate) fn entry_id(id: &LogId) -> EntryId {
    EntryId::new(id.committed_leader_id().term, id.index())
}
