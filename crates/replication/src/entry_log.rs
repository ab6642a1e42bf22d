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

use aryavarth::Result;
pub use aryavarth::{
    EntryId, EntryIndex, LoggedEntry, LoggedPayload, NewEntry, Payload, Pledge, ReplicatedState,
    ShardId, Term,
};

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

    /// Whether the entry `id` is in the log, neither purged nor another one in its place.
    fn holds(&self, id: EntryId) -> bool;

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

    /// Whether entries may be damaged for this node alone, and as long as it is not replaced: a damaged place may be
    /// what has their keys.
    fn hides_keys(&self) -> bool;

    /// After a snapshot was written: the log is empty, and `base` is applied and purged.
    ///
    /// # Errors
    /// If the store is fenced or full.
    fn reset(&self, base: EntryId, config: &[u8]) -> Result<()>;

    /// The replica is gone from this node. What it gave its word for binds the next one, see [`Pledge`].
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
