//! The set of segments: who is alive, how the index names it, and the manifest that says so on disk.
//!
//! # Invariants
//! - What the manifest names is here and its file exists; the manifest is written only from here.
//! - A [`SegmentSlot`] is given to the next segment only after every reader that may still hold a
//!   location in the old one has left.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use crate::clock::Clock;
use crate::disk::{Access, Disk};
use crate::error::{Error, Result};
use crate::fence::Fence;
use crate::ids::{Location, SegmentId, SegmentSlot, Sequence};
use crate::index::HashSeed;
use crate::limits::MAX_LIVE_SEGMENTS;
use crate::log::segment::{HEADER_LENGTH, Segment, encode_header};
use crate::manifest::{Manifest, Origin, Role, SegmentEntry, State};
use crate::names::Names;
use crate::reclaim::{Guard, Published, defer, pin};
use crate::record::Salt;

const CHUNK: usize = 256;

/// A part of the table.
type Chunk = Box<[Published<Arc<Segment>>]>;

/// From [`SegmentSlot`] to segment, for readers, without a lock. In chunks made when needed, so
/// that a small store does not pay for the largest.
#[derive(Debug)]
struct Table {
    chunks: Box<[OnceLock<Chunk>]>,
}

impl Table {
    fn new() -> Table {
        Table { chunks: (0..MAX_LIVE_SEGMENTS / CHUNK).map(|_| OnceLock::new()).collect() }
    }

    fn get<'g>(&'g self, slot: SegmentSlot, guard: &'g Guard) -> Option<&'g Arc<Segment>> {
        let chunk = self.chunks[usize::from(slot.0) / CHUNK].get()?;
        chunk[usize::from(slot.0) % CHUNK].load(guard)
    }

    fn put(&self, slot: SegmentSlot, segment: Option<Arc<Segment>>) {
        let chunk = self.chunks[usize::from(slot.0) / CHUNK]
            .get_or_init(|| (0..CHUNK).map(|_| Published::empty()).collect());
        chunk[usize::from(slot.0) % CHUNK].replace(segment, &pin());
    }
}

/// Slots that nobody can have a location in.
#[derive(Debug)]
struct FreeSlots {
    returned: Vec<SegmentSlot>,
    never_used: std::ops::Range<u32>,
}

impl FreeSlots {
    fn take(&mut self) -> Option<SegmentSlot> {
        self.returned.pop().or_else(|| self.never_used.next().map(|n| SegmentSlot(n as u16)))
    }
}

/// What the manifest holds beside the segments.
#[derive(Debug)]
struct Registry {
    by_id: BTreeMap<SegmentId, Arc<Segment>>,
    next_segment: SegmentId,
    origin: Origin,
}

/// The segments of one store.
#[derive(Debug)]
pub struct Segments {
    /// The machine.
    pub disk: Arc<dyn Disk>,
    /// The store's files.
    pub names: Names,
    /// Stops all writes after a failure.
    pub fence: Fence,
    /// The time.
    pub clock: Clock,
    /// Tells this store's files from those of another.
    pub store: u64,
    /// Seeds the hash of the keys.
    pub hash_seed: HashSeed,
    table: Arc<Table>,
    free: Arc<Mutex<FreeSlots>>,
    registry: Mutex<Registry>,
    next_sequence: AtomicU64,
    applied: AtomicU64,
    retirements: AtomicU64,
}

impl Segments {
    /// An empty set for the store of `manifest`; its segments are [`adopt`](Segments::adopt)ed.
    pub fn new(disk: Arc<dyn Disk>, names: Names, manifest: &Manifest) -> Segments {
        Segments {
            clock: Clock::new(Arc::clone(&disk), manifest.clock),
            disk,
            names,
            fence: Fence::default(),
            store: manifest.store,
            hash_seed: HashSeed(manifest.hash_seed),
            table: Arc::new(Table::new()),
            free: Arc::new(Mutex::new(FreeSlots {
                returned: Vec::new(),
                never_used: 0..MAX_LIVE_SEGMENTS as u32,
            })),
            registry: Mutex::new(Registry {
                by_id: BTreeMap::new(),
                next_segment: manifest.next_segment,
                origin: manifest.origin,
            }),
            next_sequence: AtomicU64::new(manifest.next_sequence.0),
            applied: AtomicU64::new(0),
            retirements: AtomicU64::new(0),
        }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().expect("no panic while the registry is held")
    }

    /// How often segments were retired. As long as it does not change, every location that was seen
    /// means what it meant then; if the caller is pinned, until it is no longer.
    pub fn retirements(&self) -> u64 {
        self.retirements.load(Ordering::Acquire)
    }

    /// The segment a location is in; none if it is gone.
    pub fn get<'g>(&'g self, location: Location, guard: &'g Guard) -> Option<&'g Arc<Segment>> {
        self.table.get(location.slot(), guard)
    }

    /// The segment with this id.
    pub fn by_id(&self, id: SegmentId) -> Option<Arc<Segment>> {
        self.registry().by_id.get(&id).cloned()
    }

    /// All segments, by id.
    pub fn all(&self) -> Vec<Arc<Segment>> {
        self.registry().by_id.values().cloned().collect()
    }

    /// Notes the sequence of the next write, for the manifest.
    pub fn set_next_sequence(&self, next: Sequence) {
        self.next_sequence.store(next.0, Ordering::Relaxed);
    }

    /// The sequence of the next write, as last noted.
    pub fn next_sequence(&self) -> Sequence {
        Sequence(self.next_sequence.load(Ordering::Relaxed))
    }

    /// Notes that the index reflects all writes up to `sequence`.
    pub fn set_applied(&self, sequence: Sequence) {
        self.applied.fetch_max(sequence.0, Ordering::AcqRel);
    }

    /// Opens the file of a segment the manifest names. Its header is not yet checked.
    ///
    /// # Errors
    /// [`Error::Damaged`] if there is no such file, [`Error::Io`].
    pub fn adopt(&self, entry: &SegmentEntry, segment_size: u64) -> Result<Arc<Segment>> {
        let path = self.names.segment(entry.id);
        let open = |access| {
            self.disk.open(&path, access).map_err(|error| match error.kind() {
                ErrorKind::NotFound => {
                    Error::damaged(&path, 0, "the manifest names this file but it is missing")
                }
                _ => Error::io("open", &path, error),
            })
        };
        let mut file = open(Access::ReadOnly)?;
        let mut capacity = file.length();
        if entry.state == State::Open {
            capacity = capacity.max(segment_size);
            file = open(Access::ReadWrite { capacity })?;
        }
        let slot = self.take_slot()?;
        let salt = Salt::new(self.store, entry.id);
        let segment = Arc::new(Segment::new(entry, slot, salt, path, file, capacity));
        self.table.put(slot, Some(Arc::clone(&segment)));
        let mut registry = self.registry();
        registry.by_id.insert(entry.id, Arc::clone(&segment));
        assert!(registry.next_segment > entry.id, "the manifest is above every id");
        Ok(segment)
    }

    /// Makes a new, empty segment; durable and in the manifest when this returns.
    ///
    /// # Errors
    /// [`Error::DiskFull`], and then nothing has changed; any other raises the fence.
    pub fn create(&self, role: Role, capacity: u64) -> Result<Arc<Segment>> {
        self.fence.check()?;
        let mut registry = self.registry();
        let entry = SegmentEntry {
            id: registry.next_segment,
            synced: HEADER_LENGTH,
            // What compaction finds live is live once all that is applied by now is.
            born: match role {
                Role::Log => self.next_sequence(),
                Role::Survivors => Sequence(self.applied.load(Ordering::Acquire)).next(),
            },
            role,
            state: State::Open,
        };
        let path = self.names.segment(entry.id);
        let slot = self.take_slot()?;
        let made = self.create_file(&entry, capacity).and_then(|file| {
            let salt = Salt::new(self.store, entry.id);
            let segment = Arc::new(Segment::new(&entry, slot, salt, path.clone(), file, capacity));
            registry.by_id.insert(entry.id, Arc::clone(&segment));
            registry.next_segment = entry.id.next();
            self.save(&registry)?;
            Ok(segment)
        });
        match made {
            Ok(segment) => {
                self.table.put(slot, Some(Arc::clone(&segment)));
                Ok(segment)
            }
            Err(error) => {
                registry.by_id.remove(&entry.id);
                registry.next_segment = entry.id;
                self.free.lock().expect("no panic while held").returned.push(slot);
                self.undo_create(&entry, error)
            }
        }
    }

    fn create_file(
        &self,
        entry: &SegmentEntry,
        capacity: u64,
    ) -> Result<Arc<dyn crate::disk::DiskFile>> {
        let path = self.names.segment(entry.id);
        let file = self
            .disk
            .open(&path, Access::CreateNew { capacity })
            .map_err(|e| Error::io("create", &path, e))?;
        let header = encode_header(self.store, entry.id, entry.born, entry.role);
        file.allocate(HEADER_LENGTH).map_err(|e| Error::io("extend", &path, e))?;
        file.write_at(0, &header).map_err(|e| Error::io("write", &path, e))?;
        file.sync().map_err(|e| Error::io("sync", &path, e))?;
        self.sync_directory()?;
        Ok(file)
    }

    fn undo_create<T>(&self, entry: &SegmentEntry, error: Error) -> Result<T> {
        if !matches!(error, Error::DiskFull { .. }) {
            self.fence.raise(&error);
            return Err(error);
        }
        let path = self.names.segment(entry.id);
        match self.disk.remove(&path) {
            Err(remove) if remove.kind() != ErrorKind::NotFound => {
                self.fence.raise(&Error::io("remove", &path, remove));
            }
            _ => {}
        }
        Err(error)
    }

    fn sync_directory(&self) -> Result<()> {
        let logs = self.names.logs();
        self.disk.sync_directory(logs).map_err(|e| Error::io("sync", logs, e))
    }

    fn take_slot(&self) -> Result<SegmentSlot> {
        let slot = self.free.lock().expect("no panic while held").take();
        slot.ok_or_else(|| Error::DiskFull { path: self.names.logs().to_owned() })
    }

    /// Seals segments whose records are all synced: gives back the space behind their end and
    /// reads them through a read-only mapping from now on.
    ///
    /// # Errors
    /// As [`save_manifest`](Segments::save_manifest).
    pub fn seal(&self, segments: &[Arc<Segment>]) -> Result<()> {
        if segments.is_empty() {
            return Ok(());
        }
        for segment in segments {
            segment.set_sealed();
        }
        match self.save_manifest() {
            // The manifest then still says "open, synced up to an earlier place": true as well.
            Ok(()) | Err(Error::DiskFull { .. }) => {}
            Err(error) => return Err(error),
        }
        for segment in segments {
            let path = &segment.path;
            // Trailing zeros do no harm: not worth failing a write that is durable.
            let _ = segment.file().truncate(segment.end());
            if let Ok(file) = self.disk.open(path, Access::ReadOnly) {
                segment.set_file(file);
            }
        }
        Ok(())
    }

    /// Strikes `victims` from the manifest and removes their files. Readers that hold a location
    /// in them can still read it.
    ///
    /// # Errors
    /// As [`save_manifest`](Segments::save_manifest).
    pub fn retire(&self, victims: &[Arc<Segment>]) -> Result<()> {
        self.retirements.fetch_add(1, Ordering::AcqRel);
        {
            let mut registry = self.registry();
            for victim in victims {
                registry.by_id.remove(&victim.id);
            }
            if let Err(error) = self.save_or_fence(&registry) {
                registry.by_id.extend(victims.iter().map(|v| (v.id, Arc::clone(v))));
                return Err(error);
            }
        }
        for victim in victims {
            // An orphan is removed when the store is next opened.
            let _ = self.disk.remove(&victim.path);
            let (table, free) = (Arc::clone(&self.table), Arc::clone(&self.free));
            let slot = victim.slot;
            defer(&pin(), move || {
                table.put(slot, None);
                free.lock().expect("no panic while held").returned.push(slot);
            });
        }
        Ok(())
    }

    /// Notes where the data came from.
    ///
    /// # Errors
    /// As [`save_manifest`](Segments::save_manifest).
    pub fn set_origin(&self, origin: Origin) -> Result<()> {
        let mut registry = self.registry();
        registry.origin = origin;
        self.save_or_fence(&registry)
    }

    /// Writes the manifest: what is synced and sealed by now.
    ///
    /// # Errors
    /// [`Error::Fenced`], or the machine's own, which raises the fence unless the disk is full.
    pub fn save_manifest(&self) -> Result<()> {
        self.save_or_fence(&self.registry())
    }

    fn save_or_fence(&self, registry: &Registry) -> Result<()> {
        self.fence.check()?;
        self.save(registry).inspect_err(|error| {
            // A full disk shows before the old manifest is touched; after any other failure it is
            // not known which of the two is there.
            if !matches!(error, Error::DiskFull { .. }) {
                self.fence.raise(error);
            }
        })
    }

    fn save(&self, registry: &Registry) -> Result<()> {
        self.manifest_of(registry).save(&*self.disk, &self.names)
    }

    fn manifest_of(&self, registry: &Registry) -> Manifest {
        Manifest {
            store: self.store,
            hash_seed: self.hash_seed.0,
            next_segment: registry.next_segment,
            next_sequence: self.next_sequence(),
            origin: registry.origin,
            clock: self.clock.to_record(),
            segments: registry.by_id.values().map(|segment| segment.entry()).collect(),
        }
    }

    /// The manifest as it would be written now.
    pub fn manifest(&self) -> Manifest {
        self.manifest_of(&self.registry())
    }
}
