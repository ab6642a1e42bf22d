//! The public face: one open store, shared by as many handles as you like.

pub mod background;
pub mod backup;
pub mod batch;
pub mod conditional;
pub mod core;
pub mod export;
pub mod group_commit;
pub mod inspect;
pub mod iterate;
pub mod reader;
pub mod scan;
pub mod scrub;
pub mod spare;
pub mod stats;
pub mod two_step;
pub mod verify;
pub mod walk;
pub mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::checkpoint;
use crate::compaction::{self, Compacted, Progress};
use crate::disk::DiskLock;
use crate::error::{Error, Result};
use crate::ids::{Sequence, UnixMillis};
use crate::kvs1::{self, Command};
use crate::log::{Effect, Operation};
use crate::manifest::Origin;
use crate::names::Names;
use crate::options::{Durability, Maintenance, Options};
use crate::recovery::{self, OnDamage, RecoveryReport, Trust};
use background::Threads;
use batch::WriteBatch;
use core::Core;

/// A key with its value and what the store knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
    /// The version of the value: the place of its write in the order of all writes.
    pub version: Sequence,
    /// When it expires, if it does.
    pub expires_at: Option<UnixMillis>,
}

/// An open store.
///
/// Clone it freely: all clones are the same store, and any number of threads may use it at once. The
/// store is closed when [`close`](KvStore::close) is called or the last clone is dropped.
#[derive(Clone, Debug)]
pub struct KvStore {
    open: Arc<Open>,
}

/// What lives as long as some handle does.
#[derive(Debug)]
struct Open {
    core: Arc<Core>,
    threads: Threads,
    directory: PathBuf,
    report: RecoveryReport,
    damage: Vec<Error>,
    lock: std::sync::Mutex<Option<Box<dyn DiskLock>>>,
}

impl KvStore {
    /// Opens the store in `directory` with [`Options::default`], making it if there is none. A KVS1
    /// store there is converted; its files are kept in `kvs1-originals`.
    ///
    /// # Errors
    /// As [`open_with`](KvStore::open_with).
    pub fn open(directory: impl AsRef<Path>) -> Result<KvStore> {
        KvStore::open_with(directory, Options::default())
    }

    /// Opens the store in `directory`.
    ///
    /// # Errors
    /// [`Error::Locked`] if it is open already, [`Error::NoStore`] if there is none and none is to be
    /// made, [`Error::Damaged`] if what is needed to open it is not intact, [`Error::NewerFormat`],
    /// [`Error::InvalidOption`], [`Error::DiskFull`], [`Error::Io`].
    pub fn open_with(directory: impl AsRef<Path>, options: Options) -> Result<KvStore> {
        KvStore::open_as(directory.as_ref(), options, OnDamage::Refuse)
    }

    /// Opens what is intact of a damaged store, to be read only: nothing on disk is changed. The
    /// damage is told by [`skipped_damage`](KvStore::skipped_damage). A key whose newest record is
    /// damaged may show an older value, or none.
    ///
    /// # Errors
    /// As [`open_with`](KvStore::open_with), but for damage to segments.
    pub fn salvage(directory: impl AsRef<Path>, options: Options) -> Result<KvStore> {
        let options = options.create(crate::Create::Never).maintenance(Maintenance::Manual);
        KvStore::open_as(directory.as_ref(), options, OnDamage::Skip)
    }

    /// Keeps everybody from opening the store in `directory` until what is returned is dropped; none if there is
    /// no store.
    ///
    /// # Errors
    /// [`Error::Locked`] if it is open, [`Error::Io`].
    pub fn keep_shut(
        directory: impl AsRef<Path>,
        options: &Options,
    ) -> Result<Option<Box<dyn DiskLock>>> {
        let (directory, options) = (directory.as_ref(), options.clone());
        let options = options.create(crate::Create::Never);
        match recovery::lock(&options, directory, &Names::new(directory)) {
            Ok(lock) => Ok(Some(lock)),
            Err(Error::NoStore { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn open_as(directory: &Path, options: Options, on_damage: OnDamage) -> Result<KvStore> {
        options.validate()?;
        let names = Names::new(directory);
        let lock = recovery::lock(&options, directory, &names)?;
        let trust = match on_damage {
            OnDamage::Refuse => Trust::Checkpoint,
            OnDamage::Skip => Trust::RecordsOnly,
        };
        let found = recovery::recover(&options, &names, on_damage, trust)?;
        let core = Core::new(options, found.segments, found.index, found.active, found.replicas);
        core.appender().filled = found.filled;
        let core = Arc::new(core);
        if on_damage == OnDamage::Skip {
            let cause = Error::damaged(directory, 0, "the store was opened to salvage it");
            core.segments.fence.raise(&cause);
        } else if let Some(logs) = found.conversion {
            convert(&core, &logs)?;
        }
        let threads = match core.options.maintenance {
            Maintenance::Background => Threads::start(&core)
                .map_err(|error| Error::io("start a thread for", directory, error))?,
            Maintenance::Manual => Threads::default(),
        };
        let open = Open {
            core,
            threads,
            directory: directory.to_owned(),
            report: found.report,
            damage: found.damage,
            lock: std::sync::Mutex::new(Some(lock)),
        };
        Ok(KvStore { open: Arc::new(open) })
    }

    pub(crate) fn core(&self) -> &Core {
        &self.open.core
    }

    /// The directory it is in.
    pub fn directory(&self) -> &Path {
        &self.open.directory
    }

    /// What opening it took.
    pub fn recovery_report(&self) -> RecoveryReport {
        self.open.report
    }

    /// The damage that [`salvage`](KvStore::salvage) passed over.
    pub fn skipped_damage(&self) -> &[Error] {
        &self.open.damage
    }

    /// The value of `key`; none if it has none.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::Io`] if its record cannot be read, [`Error::Closed`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        self.core().read(key.as_ref(), |record| record.value.to_vec())
    }

    /// The value of `key` with its version and expiry.
    ///
    /// # Errors
    /// As [`get`](KvStore::get).
    pub fn get_entry(&self, key: impl AsRef<[u8]>) -> Result<Option<Entry>> {
        self.core().read(key.as_ref(), Entry::of)
    }

    /// Whether `key` has a value.
    ///
    /// # Errors
    /// As [`get`](KvStore::get).
    pub fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.core().read(key.as_ref(), |_| ())?.is_some())
    }

    /// Gives `key` a value, for good.
    ///
    /// # Errors
    /// As [`write`](KvStore::write).
    pub fn set(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        let effect = Effect::Set { value: value.as_ref(), expires_at: None };
        self.core().write(&[Operation { key: key.as_ref(), effect }]).map(|_| ())
    }

    /// Takes `key` away; says whether it had a value.
    ///
    /// # Errors
    /// As [`write`](KvStore::write).
    pub fn remove(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        let written = self.core().update(key.as_ref(), |current| {
            Ok(match current {
                Some(_) => write::Decision::Write(Effect::Remove),
                None => write::Decision::Decline,
            })
        })?;
        Ok(written.is_some())
    }

    /// Writes a batch: all of it or nothing, in one step for readers of single keys and for recovery.
    /// Returns the version of its last operation.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::DiskFull`], [`Error::Io`], [`Error::Damaged`] (the record a key
    /// has now cannot be read): nothing was written. [`Error::OutcomeUnknown`]: it may be found when
    /// the store is opened anew. [`Error::Fenced`], [`Error::Closed`].
    pub fn write(&self, batch: &WriteBatch) -> Result<Sequence> {
        if batch.is_empty() {
            return Ok(Sequence(self.core().segments.next_sequence().0 - 1));
        }
        self.core().write(&batch.operations())
    }

    /// Writes a batch without waiting: `done` is called when it is as durable as the store was asked
    /// to make writes, and applied, or has failed. It runs on a thread of the store (or on this one,
    /// where there is nothing to wait for) and must not block. Batches of one thread take effect in
    /// the order of their submission.
    pub fn submit(&self, batch: &WriteBatch, done: impl FnOnce(Result<Sequence>) + Send + 'static) {
        if batch.is_empty() {
            return done(Ok(Sequence(self.core().segments.next_sequence().0 - 1)));
        }
        self.core().submit(&batch.operations(), Box::new(done));
    }

    /// The number of keys. An expired key counts until the store has noticed; see
    /// [`sweep_expired`](KvStore::sweep_expired).
    pub fn len(&self) -> u64 {
        self.core().index.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops every key that has expired now, so that [`len`](KvStore::len) counts none; returns how
    /// many they were. The store does it by itself, but in its own time.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn sweep_expired(&self) -> Result<u64> {
        self.core().check_open()?;
        Ok(crate::expiry::sweep_all(self.core()))
    }

    /// Makes all writes acknowledged so far survive a power cut.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`], [`Error::Fenced`], [`Error::Closed`].
    pub fn sync(&self) -> Result<()> {
        self.core().check_open()?;
        self.core().sync()
    }

    /// Rewrites every segment that holds something stale, within the budget of the options.
    ///
    /// # Errors
    /// [`Error::DiskFull`], [`Error::Io`], [`Error::Fenced`], [`Error::Closed`].
    pub fn compact(&self) -> Result<Compacted> {
        self.compact_with(|_| {})
    }

    /// As [`compact`](KvStore::compact), and tells how far it is.
    ///
    /// # Errors
    /// As [`compact`](KvStore::compact).
    pub fn compact_with(&self, mut progress: impl FnMut(Progress)) -> Result<Compacted> {
        self.core().check_open()?;
        crate::expiry::sweep_all(self.core());
        compaction::run_full(self.core(), &mut progress)
    }

    /// Writes a checkpoint of the index now, so that the next opening has little to replay.
    ///
    /// # Errors
    /// [`Error::DiskFull`], [`Error::Io`], [`Error::Fenced`], [`Error::Closed`].
    pub fn checkpoint(&self) -> Result<()> {
        self.core().check_open()?;
        #[cfg(feature = "simulation")]
        assert!(
            !crate::planted::is_planted(crate::planted::Planted::CheckpointPanics),
            "a panic was planted"
        );
        checkpoint::write(self.core())
    }

    /// Closes the store for all handles: waits for what is under way, syncs, and notes a clean end.
    /// Does nothing if it is closed already.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] or [`Error::Io`] if the last writes may not be durable. The store is
    /// closed all the same.
    pub fn close(self) -> Result<()> {
        self.open.close()
    }
}

impl Entry {
    fn of(record: &crate::record::Record<'_>) -> Entry {
        Entry {
            key: record.key.to_vec(),
            value: record.value.to_vec(),
            version: record.sequence,
            expires_at: record.expires_at,
        }
    }
}

impl Open {
    fn close(&self) -> Result<()> {
        if !self.core.mark_closed() {
            return Ok(());
        }
        self.threads.stop(&self.core);
        self.core.save_states();
        let ended = self.core.end();
        // Whatever is still under way finds all its writes synced, and may make no more.
        self.core.segments.fence.raise(&Error::Closed);
        // The files are free for the next process once the lock is.
        *self.lock.lock().expect("no panic while held") = None;
        ended
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // Whoever wants to know whether it went well calls `close`.
        let _ = self.close();
    }
}

/// Brings the commands of a KVS1 store into this one, which is empty; then puts its files aside.
fn convert(core: &Core, logs: &[kvs1::Kvs1Log]) -> Result<()> {
    const BATCH: usize = 1000;
    let mut batch = WriteBatch::new();
    let write = |batch: &mut WriteBatch| {
        core.convert_batch(&batch.operations())?;
        batch.clear();
        Ok::<_, Error>(())
    };
    for log in logs {
        log.commands(&*core.segments.disk, |command| {
            match command {
                Command::Set { key, value } => batch.set(key, value),
                Command::Remove { key } => batch.remove(key),
            };
            if batch.len() >= BATCH || batch.bytes() >= 1 << 20 {
                write(&mut batch)
            } else {
                Ok(())
            }
        })?;
    }
    if !batch.is_empty() {
        write(&mut batch)?;
    }
    core.seal_filled()?;
    core.sync()?;
    core.segments.set_origin(Origin::Kvs1Converted)?;
    kvs1::put_aside(&*core.segments.disk, &core.segments.names, logs)
}

impl Core {
    /// Brings everything to rest: nobody else uses the store any more.
    fn end(&self) -> Result<()> {
        if self.segments.fence.check().is_err() {
            return Ok(());
        }
        if self.options.maintenance == Maintenance::Background && checkpoint::is_worthwhile(self) {
            checkpoint::write(self)?;
        }
        let pledged = self.segments.clock.withdraw_pledge();
        let mut survivors = self.maintenance.lock().expect("no panic during maintenance");
        survivors.seal(self)?;
        self.seal_filled()?;
        let prepared = self.appender().take_prepared();
        if let Some(prepared) = prepared {
            self.segments.retire(&[prepared])?;
        }
        let active = self.appender().active().cloned();
        let Some(active) = active else {
            return if pledged { self.segments.save_manifest() } else { Ok(()) };
        };
        if !pledged && active.synced() >= active.end() && active.file().length() == active.end() {
            return Ok(());
        }
        if self.options.durability != Durability::Always || active.synced() < active.end() {
            self.sync()?;
        }
        let file = active.file();
        file.truncate(active.end()).map_err(|e| Error::io("truncate", &active.path, e))?;
        file.sync().map_err(|e| Error::io("sync", &active.path, e))?;
        self.segments.save_manifest()
    }
}
