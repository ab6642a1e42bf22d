//! What clients ask for and are told, whatever the words of it.

use aryavarth_replication::NodeId;

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// The value.
    Read,
    /// Give it this value.
    Set(u64),
    /// Add to it, none counting as 0, and tell the sum.
    Add(u64),
    /// Remove it, and tell whether it was there.
    Remove,
    /// Give it this value if it has none, and tell whether that was so.
    Claim(u64),
}

/// What a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The value, if there is one.
    Value(Option<u64>),
    /// It is set.
    Done,
    /// The sum.
    Sum(u64),
    /// Whether it was there.
    Removed(bool),
    /// Whether it had no value and was set.
    Claimed(bool),
}

/// Why a client is told nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It did not happen; this node leads.
    Elsewhere(NodeId),
    /// It did not happen.
    NotNow,
    /// It may have happened.
    Unknown,
    /// No server may answer like this.
    Wrong(String),
}
