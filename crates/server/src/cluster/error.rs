//! Why a node could not do what it was to do in its cluster. Each variant tells the operator's next move.

use std::path::PathBuf;

use aryavarth_cluster::NodeId;

/// Why a node could not do what it was to do in its cluster.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The file that says who the node is could not be read, understood or written.
    #[error("{path}: {detail}")]
    Card {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// A setting is missing or does not fit. Mend it.
    #[error("`{setting}`: {detail}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// The store has lost what the node had. It must not go on under its id.
    #[error(
        "node {node} had replicas, and the store in {directory} has none: its log was lost. Remove the \
         node from its cluster (`aryavarth cluster remove {node} --lost`), empty the directory and let it \
         join anew"
    )]
    LostStore {
        /// The node.
        node: NodeId,
        /// The directory.
        directory: PathBuf,
    },
    /// The directory belongs to a node of a cluster.
    #[error(
        "{directory} belongs to a node of a cluster: start it with `serve --cluster`, or talk to the node \
         that runs (--addr)"
    )]
    OfCluster {
        /// The directory.
        directory: PathBuf,
    },
    /// The directory cannot found a cluster or join one any more.
    #[error("{directory}: {detail}")]
    NotNow {
        /// The directory.
        directory: PathBuf,
        /// Why.
        detail: &'static str,
    },
    /// A member of the cluster refused. The text says why, and what to do.
    #[error("{0}")]
    Refused(String),
    /// It cannot be done now. Try again.
    #[error("{0}; try again")]
    Later(String),
    /// The topology does not allow it. See its own text.
    #[error(transparent)]
    Topology(#[from] aryavarth_cluster::Error),
    /// Replication failed. See its own text.
    #[error(transparent)]
    Replication(#[from] aryavarth_replication::Error),
    /// The store failed. See its own text.
    #[error(transparent)]
    Store(#[from] aryavarth::Error),
    /// No leader of the meta group can be reached. Try again.
    #[error(
        "nobody leads the cluster for now: less than a majority of its first nodes can be reached; try again"
    )]
    NoLeader,
    /// The node belongs to no cluster yet. Let it join one.
    #[error("this node belongs to no cluster yet: let it join one")]
    NoCluster,
    /// A thread or the like could not be had.
    #[error("cannot {operation}: {detail}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        detail: String,
    },
}
