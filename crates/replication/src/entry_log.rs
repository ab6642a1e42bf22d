//! What a shard's group asks of the log: the engine's replicated log, as a trait.
//!
//! ```text
//!            purged          applied    committed      last
//!  … gone ─────┤├── readable ───┤├─────────┤├── may yet be truncated ──┤
//!  ids are (term, index); indexes have no holes; the first is 0
//! ```
//!
//! Everything appended is readable at once, and durable once [`EntryLog::sync`] returned; one sync
//! serves all shards of a node.

use std::ops::Range;

use aryavarth::{Result, WriteBatch};

/// The number of a shard, and so of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

impl std::fmt::Display for ShardId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A leader's term of office.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(pub u64);

/// The place of an entry in its shard's log; the first entry has 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryIndex(pub u64);

/// The name of an entry: no two entries of a shard share it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// The term of the leader that made it.
    pub term: Term,
    /// Its place in the log.
    pub index: EntryIndex,
}

impl EntryId {
    /// The entry of `term` at `index`.
    pub fn new(term: u64, index: u64) -> EntryId {
        EntryId { term: Term(term), index: EntryIndex(index) }
    }
}

impl std::fmt::Display for EntryId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.term.0, self.index.0)
    }
}

/// What an entry that is being appended carries.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// Nothing: a new leader's first entry.
    Blank,
    /// What it does to keys.
    Effects(&'a WriteBatch),
    /// Who is in the group; opaque to the log.
    Config(&'a [u8]),
}

/// An entry to append.
#[derive(Clone, Copy, Debug)]
pub struct NewEntry<'a> {
    /// Its name.
    pub id: EntryId,
    /// What it carries.
    pub payload: Payload<'a>,
}

/// What an entry of the log carries.
#[derive(Clone, Debug)]
pub enum LoggedPayload {
    /// Nothing.
    Blank,
    /// What it does to keys.
    Effects(WriteBatch),
    /// Who is in the group.
    Config(Vec<u8>),
}

/// An entry read from the log.
#[derive(Clone, Debug)]
pub struct LoggedEntry {
    /// Its name.
    pub id: EntryId,
    /// What it carries.
    pub payload: LoggedPayload,
}

/// What the log knows of a shard.
#[derive(Clone, Debug, Default)]
pub struct ReplicatedState {
    /// The newest vote, as it was given to [`EntryLog::save_vote`].
    pub vote: Option<Vec<u8>>,
    /// The last entry that was purged.
    pub purged: Option<EntryId>,
    /// The last entry, or `purged` if there is none.
    pub last: Option<EntryId>,
    /// The newest entry that was saved as committed.
    pub committed: Option<EntryId>,
    /// The last entry that the index reflects.
    pub applied: Option<EntryId>,
    /// The newest `Config` among those applied.
    pub config: Option<(EntryId, Vec<u8>)>,
}

/// The log of one shard. A cheap handle: all calls may come from several threads at once.
pub trait EntryLog: Send + Sync + 'static {
    /// What is known.
    fn state(&self) -> ReplicatedState;

    /// Adds entries at the end. Readable at once, durable after [`sync`](EntryLog::sync).
    ///
    /// # Errors
    /// If they do not follow the last one, or the store is fenced or full.
    fn append(&self, entries: &[NewEntry<'_>]) -> Result<()>;

    /// Keeps a vote of at most 64 bytes. Durable after [`sync`](EntryLog::sync).
    ///
    /// # Errors
    /// If the store is fenced or full.
    fn save_vote(&self, vote: &[u8]) -> Result<()>;

    /// Notes that all up to `id` is committed. Not synced by itself.
    ///
    /// # Errors
    /// If the store is fenced or full.
    fn save_committed(&self, id: EntryId) -> Result<()>;

    /// Drops all entries after `last`. Durable after [`sync`](EntryLog::sync).
    ///
    /// # Errors
    /// If the store is fenced or full.
    fn truncate_after(&self, last: Option<EntryId>) -> Result<()>;

    /// Drops all entries up to `up_to`. If the log ends before it, the log is empty then and goes on
    /// after `up_to`.
    ///
    /// # Errors
    /// If the store is fenced or full.
    fn purge(&self, up_to: EntryId) -> Result<()>;

    /// Entries with these indexes, in order, up to about `max_bytes`; at least one if there is one.
    ///
    /// # Errors
    /// If one is damaged.
    fn read(&self, indexes: Range<u64>, max_bytes: u64) -> Result<Vec<LoggedEntry>>;

    /// Lets the index reflect all entries up to `up_to`. The caller promises that they are committed.
    ///
    /// # Errors
    /// If one is damaged.
    fn apply(&self, up_to: EntryIndex) -> Result<()>;

    /// After a snapshot was written: the log is empty, and `base` is applied and purged.
    ///
    /// # Errors
    /// If the store is fenced or full.
    fn reset(&self, base: EntryId, config: &[u8]) -> Result<()>;

    /// The replica is gone from this node.
    ///
    /// # Errors
    /// If the store is fenced or full.
    fn forget(&self) -> Result<()>;

    /// Makes durable all that was written so far, of all shards of the node.
    ///
    /// # Errors
    /// If it fails; the store is fenced then.
    fn sync(&self) -> Result<()>;
}
