//! Files and names, as they are and as far as they are durable.
//!
//! # Invariants
//! - `live = durable + all unsynced changes in order`, for every file and name, unless a failed
//!   sync dropped some.
//! - A name's newest change wins: each change carries its place in the order of all changes, and
//!   none is applied over a newer one.
//! - A live write never goes past the end of its file.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fault::storage_full;

/// A file, whatever its names.
pub(super) type FileId = u64;

/// What a fresh machine can hold, in bytes.
const DEFAULT_CAPACITY: u64 = 1 << 40;

#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) capacity: u64,
    pub(super) files: BTreeMap<FileId, Contents>,
    pub(super) names: BTreeMap<PathBuf, FileId>,
    pub(super) durable_names: BTreeMap<PathBuf, DurableName>,
    pub(super) directories: BTreeSet<PathBuf>,
    pub(super) unsynced: Vec<Unsynced>,
    pub(super) locks: BTreeSet<PathBuf>,
    pub(super) next_file: FileId,
    next_order: u64,
}

/// The bytes of one file.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    /// Shared with the readers that borrow from it; a writer then makes a copy of its own.
    pub(super) live: Arc<Vec<u8>>,
    pub(super) durable: Arc<Vec<u8>>,
    /// The ranges the device cannot read.
    pub(super) broken: Vec<Range<u64>>,
    /// How many handles are open.
    pub(super) handles: usize,
}

/// The file a name stands for (`None`: it was removed), and the change that made it so.
#[derive(Clone, Copy, Debug)]
pub(super) struct DurableName {
    pub(super) file: Option<FileId>,
    order: u64,
}

/// A change a power cut may undo.
#[derive(Clone, Debug)]
pub(super) struct Unsynced {
    order: u64,
    pub(super) change: Change,
    pub(super) fate: Fate,
}

#[derive(Clone, Debug)]
pub(super) enum Change {
    Write {
        file: FileId,
        offset: u64,
        bytes: Arc<[u8]>,
    },
    Resize {
        file: FileId,
        length: u64,
    },
    /// Happens as one.
    Names {
        to: Vec<(PathBuf, Option<FileId>)>,
        /// The directories still to be synced before it is durable.
        awaits: BTreeSet<PathBuf>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Durable with the next sync.
    Pending,
    /// A failed sync took it for clean.
    Abandoned,
}

impl Change {
    fn is_of(&self, id: FileId) -> bool {
        matches!(self, Change::Write { file, .. } | Change::Resize { file, .. } if *file == id)
    }

    /// Applies a change of a file to its bytes. Bytes past the end are lost.
    pub(super) fn apply(&self, contents: &mut Vec<u8>) {
        match self {
            Change::Write { offset, bytes, .. } => overwrite(contents, *offset, bytes),
            Change::Resize { length, .. } => contents.resize(*length as usize, 0),
            Change::Names { .. } => {}
        }
    }
}

impl Unsynced {
    /// Applies a change of names.
    pub(super) fn apply_names(&self, names: &mut BTreeMap<PathBuf, DurableName>) {
        let Change::Names { to, .. } = &self.change else { return };
        for (path, file) in to {
            if names.get(path).is_none_or(|name| name.order < self.order) {
                names.insert(path.clone(), DurableName { file: *file, order: self.order });
            }
        }
    }
}

/// Puts `bytes` at `offset`, as far as `contents` reaches.
pub(super) fn overwrite(contents: &mut [u8], offset: u64, bytes: &[u8]) {
    let start = (offset as usize).min(contents.len());
    let end = (start + bytes.len()).min(contents.len());
    contents[start..end].copy_from_slice(&bytes[..end - start]);
}

/// What [`State::open`] found.
pub(super) struct Opened {
    pub(super) file: FileId,
    pub(super) live: Arc<Vec<u8>>,
}

impl Default for State {
    fn default() -> State {
        State {
            capacity: DEFAULT_CAPACITY,
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            // The root, and the working directory.
            directories: BTreeSet::from([PathBuf::from("/"), PathBuf::new()]),
            unsynced: Vec::new(),
            locks: BTreeSet::new(),
            next_file: 1,
            next_order: 1,
        }
    }
}

/// Bytes.
impl State {
    pub(super) fn contents(&self, file: FileId) -> &Contents {
        self.files.get(&file).expect("a file with a name or a handle exists")
    }

    pub(super) fn contents_mut(&mut self, file: FileId) -> &mut Contents {
        self.files.get_mut(&file).expect("a file with a name or a handle exists")
    }

    pub(super) fn write(&mut self, file: FileId, offset: u64, bytes: &[u8]) {
        self.change_bytes(file, Change::Write { file, offset, bytes: bytes.into() });
    }

    /// Grows the file. Fails if there is no room.
    pub(super) fn allocate(&mut self, file: FileId, length: u64) -> io::Result<()> {
        let current = self.contents(file).live.len() as u64;
        if length <= current {
            return Ok(());
        }
        if length - current > self.free_space() {
            return Err(storage_full());
        }
        self.change_bytes(file, Change::Resize { file, length });
        Ok(())
    }

    pub(super) fn truncate(&mut self, file: FileId, length: u64) {
        self.change_bytes(file, Change::Resize { file, length });
    }

    pub(super) fn sync(&mut self, file: FileId) {
        let (synced, rest) =
            self.unsynced.drain(..).partition(|unsynced| unsynced.change.is_of(file));
        self.unsynced = rest;
        let synced: Vec<Unsynced> = synced;
        let durable = Arc::make_mut(&mut self.contents_mut(file).durable);
        for unsynced in synced.iter().filter(|unsynced| unsynced.fate == Fate::Pending) {
            unsynced.change.apply(durable);
        }
    }

    /// A sync of the file failed, and its changes are no longer to be synced.
    pub(super) fn abandon_bytes(&mut self, file: FileId) {
        for unsynced in self.unsynced.iter_mut().filter(|unsynced| unsynced.change.is_of(file)) {
            unsynced.fate = Fate::Abandoned;
        }
    }

    pub(super) fn free_space(&self) -> u64 {
        let named: BTreeSet<FileId> = self.names.values().copied().collect();
        let used = self.files.iter().filter(|(id, file)| file.handles > 0 || named.contains(id));
        let used: u64 = used.map(|(_, file)| file.live.len() as u64).sum();
        self.capacity.saturating_sub(used)
    }

    pub(super) fn unsynced(&self) -> &[Unsynced] {
        &self.unsynced
    }

    fn change_bytes(&mut self, file: FileId, change: Change) {
        change.apply(Arc::make_mut(&mut self.contents_mut(file).live));
        self.push(change);
    }

    pub(super) fn push(&mut self, change: Change) {
        self.unsynced.push(Unsynced { order: self.next_order, change, fate: Fate::Pending });
        self.next_order += 1;
    }
}

/// Crashes.
impl State {
    /// A process was killed: the machine goes on without its handles and locks.
    pub(super) fn without_process(&self) -> State {
        let mut state = self.clone();
        state.locks.clear();
        state.files.values_mut().for_each(|file| file.handles = 0);
        state.forget_unreachable();
        state
    }

    /// The power was cut: what was live is `names` and the bytes in `files`, and all of it is
    /// durable.
    pub(super) fn rebooted(
        &self,
        names: BTreeMap<PathBuf, DurableName>,
        mut files: BTreeMap<FileId, Contents>,
    ) -> State {
        let live: BTreeMap<PathBuf, FileId> =
            names.iter().filter_map(|(path, name)| Some((path.clone(), name.file?))).collect();
        let reachable: BTreeSet<FileId> = live.values().copied().collect();
        files.retain(|file, _| reachable.contains(file));
        for contents in files.values_mut() {
            contents.live = contents.durable.clone();
            contents.handles = 0;
        }
        // One that was renamed may have its old name again.
        let holding = live.keys().flat_map(|path| path.ancestors().skip(1)).map(Path::to_owned);
        let directories = self.directories.iter().cloned().chain(holding).collect();
        State {
            files,
            names: live,
            durable_names: names,
            unsynced: Vec::new(),
            locks: BTreeSet::new(),
            directories,
            ..*self
        }
    }
}
