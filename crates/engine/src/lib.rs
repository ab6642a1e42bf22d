//! An embedded key-value store: *the log is the database; the index is only a cache of it.*
//!
//! ```text
//!  set ─▶ append ─▶ sync, shared by all who wait ─▶ apply ─▶ acknowledged
//!            │                                        │
//!            ▼                                        ▼
//!   logs/0000000007.log  ◀──── location ────  index: 8 bytes a slot, no keys
//!            ▲                                        ▲
//!            └──────────── read, proven by its checksum ◀──── get
//! ```
//!
//! Every value is written once, to the end of the log. The index holds for each key where its
//! newest record stands, in some ten bytes whatever the key's length; every hit is confirmed against
//! the record. Reads take no lock. In the background, stale records are compacted away and the index is
//! checkpointed, so that opening reads little. What a write survives is a choice with a name,
//! [`Durability`], and the default is everything short of losing the disk.
//!
//! ```
//! use aryavarth::{KvStore, WriteBatch};
//!
//! # let directory = tempfile::tempdir().unwrap();
//! # let directory = directory.path();
//! let store = KvStore::open(directory)?;
//! store.set("username", "john")?;
//! assert_eq!(store.get("username")?.as_deref(), Some(&b"john"[..]));
//!
//! let mut batch = WriteBatch::new();
//! batch.set("a", "1").set("b", "2").remove("username");
//! store.write(&batch)?; // all of it or nothing, whatever happens
//!
//! assert_eq!(store.len(), 2);
//! store.close()?;
//! # Ok::<(), aryavarth::Error>(())
//! ```
//!
//! Reading order for the curious: [`record`](mod@self) bytes are drawn in `record.rs`; then `log`,
//! `index`, `recovery`, `checkpoint`, `compaction`, and `store`, the public face.

#[cfg(not(all(unix, target_pointer_width = "64")))]
compile_error!("Aryavarth maps its files: it needs a 64-bit Unix system");

pub mod disk;
pub mod kvs1;
pub mod limits;

mod checkpoint;
mod clock;
mod compaction;
mod error;
mod expiry;
mod fence;
mod ids;
mod index;
mod log;
mod manifest;
mod names;
mod options;
mod reclaim;
mod record;
mod recovery;
mod replicated;
mod store;

pub use compaction::{Compacted, Progress};
pub use error::{Error, Result, SharedIoError};
pub use ids::{EntryId, EntryIndex, Position, SegmentId, Sequence, ShardId, Term, UnixMillis};
pub use log::{Effect, Operation};
pub use names::LOGS;
pub use options::{Create, Durability, Maintenance, Options};
pub use recovery::{OnDamage, RecoveryReport};
pub use replicated::{
    LoggedEntry, LoggedPayload, NewEntry, Payload, Pledge, ReplicatedLog, ReplicatedState,
};
pub use store::backup::{BackupReport, restore};
pub use store::batch::WriteBatch;
pub use store::conditional::{Expected, SetOptions, SetOutcome, Swap};
pub use store::export::Export;
pub use store::inspect::{BatchPlace, LogOperation, LogRecord, read_log};
pub use store::iterate::Iter;
pub use store::reader::{EntryRef, Reader};
pub use store::scan::ScanPosition;
pub use store::scrub::{Condition, Lives, Restored, Rotten, Scrub};
pub use store::spare::Spared;
pub use store::stats::Stats;
pub use store::two_step::Appended;
pub use store::verify::{VerifyReport, verify_directory};
pub use store::walk::{Walk, Walked};
pub use store::{Entry, KvStore};

#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod planted;
