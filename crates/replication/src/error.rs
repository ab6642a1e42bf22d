//! The one error of replication. Each variant tells the caller's next move.

use openraft::errors::{
    ClientWriteError, Fatal, ForwardReason, ForwardToLeader, InitializeError,
    LinearizableReadError, RaftError,
};

use crate::entry_log::ShardId;
use crate::identity::{NodeId, Refusal};
use crate::types::TypeConfig;

/// What the methods of nodes and groups return.
pub type Result<T> = std::result::Result<T, Error>;

/// A node that probably leads, and where its peers reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// The node.
    pub node: NodeId,
    /// Its address, if this node knows it.
    pub address: Option<String>,
}

/// Why a group or node did not do what it was asked.
///
/// Unless [`is_outcome_unknown`](Error::is_outcome_unknown), a proposal that returned an error did not
/// happen and never will.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing was proposed. Ask the leader, or wait until there is one.
    #[error("this node does not lead the shard")]
    NotLeader {
        /// Who probably does.
        leader: Option<Leader>,
    },
    /// Nothing was proposed: this node leads, but has not heard from a majority for a while. Wait, or
    /// ask another node.
    #[error("the shard's leader does not hear a majority of its voters")]
    QuorumLost,
    /// The entry may be committed or may never be. Read before doing it again.
    #[error("outcome unknown: {cause}")]
    Unknown {
        /// What happened.
        cause: &'static str,
    },
    /// The read could not be confirmed in time. Ask again.
    #[error("no majority confirmed within the time given that this node leads")]
    Timeout,
    /// The group of this shard has stopped on this node because its store failed. Mend the disk and
    /// start the node anew.
    #[error("the shard's group has stopped: {cause}")]
    Fenced {
        /// What failed.
        cause: String,
    },
    /// The group was stopped, or the node is shutting down.
    #[error("the shard's group was stopped")]
    Stopped,
    /// This node has no replica of the shard.
    #[error("shard {shard} is not on this node")]
    NoSuchShard {
        /// The shard.
        shard: ShardId,
    },
    /// This node has a replica of the shard already.
    #[error("shard {shard} is on this node already")]
    ShardExists {
        /// The shard.
        shard: ShardId,
    },
    /// The group's members cannot be changed like this, or not now. Look at them again.
    #[error("the group cannot be changed: {cause}")]
    Change {
        /// Why.
        cause: String,
    },
    /// A peer does not take this node for a member of its cluster.
    #[error("the peer refused: {0}")]
    Refused(#[from] Refusal),
    /// There is no connection to a peer: nothing was sent. Try again.
    #[error("peer {address} cannot be reached: {cause}")]
    Unreachable {
        /// Where.
        address: String,
        /// What happened.
        cause: String,
    },
    /// A peer did not answer what it may have been sent, and may have done. Find out before doing it again.
    #[error("peer {address} did not answer: {cause}")]
    Unanswered {
        /// Where.
        address: String,
        /// What happened.
        cause: String,
    },
    /// An address of this node cannot be used.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// Which.
        address: String,
        /// What the machine said.
        cause: String,
    },
    /// A certificate or key cannot be used.
    #[error("the certificates for peers cannot be used: {0}")]
    Tls(String),
    /// The times contradict each other.
    #[error("the timing is not sound: {0}")]
    Timing(String),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] aryavarth::Error),
}

impl Error {
    /// Whether what was asked may have happened.
    pub fn is_outcome_unknown(&self) -> bool {
        match self {
            Error::Unknown { .. } => true,
            Error::Store(error) => error.is_outcome_unknown(),
            _ => false,
        }
    }
}

impl From<ForwardToLeader<TypeConfig>> for Error {
    fn from(forward: ForwardToLeader<TypeConfig>) -> Error {
        if forward.reason == ForwardReason::LeaseExpired {
            return Error::QuorumLost;
        }
        let address = forward.leader_node.map(|member| member.address);
        Error::NotLeader {
            leader: forward.leader_id.map(|node| Leader { node: NodeId(node), address }),
        }
    }
}

impl From<Fatal<TypeConfig>> for Error {
    fn from(fatal: Fatal<TypeConfig>) -> Error {
        match fatal {
            Fatal::Stopped => Error::Stopped,
            Fatal::StorageError(error) => Error::Fenced { cause: error.to_string() },
            Fatal::Panicked => Error::Fenced { cause: "it panicked".into() },
        }
    }
}

impl From<ClientWriteError<TypeConfig>> for Error {
    fn from(error: ClientWriteError<TypeConfig>) -> Error {
        match error {
            ClientWriteError::ForwardToLeader(forward) => forward.into(),
            ClientWriteError::LogEntryDiscarded(_) => {
                Error::Unknown { cause: "leadership changed before a majority had it" }
            }
            other => Error::Change { cause: other.to_string() },
        }
    }
}

impl From<RaftError<TypeConfig, ClientWriteError<TypeConfig>>> for Error {
    fn from(error: RaftError<TypeConfig, ClientWriteError<TypeConfig>>) -> Error {
        match error {
            RaftError::APIError(error) => error.into(),
            RaftError::Fatal(fatal) => fatal.into(),
        }
    }
}

impl From<RaftError<TypeConfig, LinearizableReadError<TypeConfig>>> for Error {
    fn from(error: RaftError<TypeConfig, LinearizableReadError<TypeConfig>>) -> Error {
        match error {
            RaftError::APIError(LinearizableReadError::ForwardToLeader(forward)) => forward.into(),
            RaftError::APIError(LinearizableReadError::QuorumNotEnough(_)) => Error::Timeout,
            RaftError::Fatal(fatal) => fatal.into(),
        }
    }
}

impl From<RaftError<TypeConfig, InitializeError<TypeConfig>>> for Error {
    fn from(error: RaftError<TypeConfig, InitializeError<TypeConfig>>) -> Error {
        match error {
            RaftError::APIError(error) => Error::Change { cause: error.to_string() },
            RaftError::Fatal(fatal) => fatal.into(),
        }
    }
}
