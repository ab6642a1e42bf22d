//! The names of files: what each call on them does to the live ones, and when it is durable.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::state::{Change, Contents, Fate, FileId, Opened, State};
use crate::disk::Access;

impl State {
    pub(super) fn open(&mut self, path: &Path, access: Access) -> io::Result<Opened> {
        let file = match access {
            Access::ReadOnly | Access::ReadWrite { .. } => self.file_at(path)?,
            Access::CreateNew { .. } => {
                self.check_vacant(path)?;
                let file = self.new_file();
                self.change_names([(path, Some(file))]);
                file
            }
        };
        let contents = self.contents_mut(file);
        if let Access::ReadWrite { capacity } = access
            && contents.live.len() as u64 > capacity
        {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        contents.handles += 1;
        Ok(Opened { file, live: contents.live.clone() })
    }

    pub(super) fn close(&mut self, file: FileId) {
        self.contents_mut(file).handles -= 1;
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        if self.directories.contains(from) {
            return self.rename_directory(from, to);
        }
        let file = self.file_at(from)?;
        self.check_parent(to)?;
        if self.directories.contains(to) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // Two names of one file: a rename does nothing, as POSIX has it.
        if self.names.get(to) != Some(&file) {
            self.change_names([(from, None), (to, Some(file))]);
        }
        Ok(())
    }

    /// All names below it change as one. A crash that undoes that leaves directories without files, so those do not
    /// count as something in `to`.
    fn rename_directory(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.check_parent(to)?;
        if to.starts_with(from) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if self.names.contains_key(to) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        if self.names.keys().any(|path| path.starts_with(to)) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let moved = |path: &Path| path.strip_prefix(from).ok().map(|rest| below(to, rest));
        let names = self.names.iter().filter_map(|(path, file)| {
            moved(path).map(|there| [(path.clone(), None), (there, Some(*file))])
        });
        let names: Vec<_> = names.flatten().collect();
        let directories = std::mem::take(&mut self.directories).into_iter();
        self.directories = directories.map(|path| moved(&path).unwrap_or(path)).collect();
        self.record(names, [directory_of(from), directory_of(to)]);
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.file_at(path)?;
        self.change_names([(path, None)]);
        Ok(())
    }

    pub(super) fn hard_link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let file = self.file_at(from)?;
        self.check_vacant(to)?;
        self.change_names([(to, Some(file))]);
        Ok(())
    }

    pub(super) fn create_directory(&mut self, path: &Path) -> io::Result<()> {
        if path.ancestors().any(|ancestor| self.names.contains_key(ancestor)) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        self.directories.extend(path.ancestors().map(Path::to_owned));
        Ok(())
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.check_directory(path)?;
        let children = self.names.keys().chain(&self.directories);
        let mut names: Vec<String> = children
            .filter(|child| child.parent() == Some(path))
            .filter_map(|child| child.file_name()?.to_str().map(str::to_owned))
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    pub(super) fn sync_directory(&mut self, path: &Path) -> io::Result<()> {
        self.check_directory(path)?;
        for unsynced in &mut self.unsynced {
            let Change::Names { awaits, .. } = &mut unsynced.change else { continue };
            awaits.remove(path);
            if awaits.is_empty() && unsynced.fate == Fate::Pending {
                unsynced.apply_names(&mut self.durable_names);
            }
        }
        self.unsynced.retain(|unsynced| match &unsynced.change {
            Change::Names { awaits, .. } => !awaits.is_empty(),
            Change::Write { .. } | Change::Resize { .. } => true,
        });
        self.forget_unreachable();
        Ok(())
    }

    /// A sync of the directory failed, and its changes are no longer to be synced.
    pub(super) fn abandon_names(&mut self, directory: &Path) {
        for unsynced in &mut self.unsynced {
            if let Change::Names { awaits, .. } = &unsynced.change
                && awaits.contains(directory)
            {
                unsynced.fate = Fate::Abandoned;
            }
        }
    }

    /// Takes the lock, if nobody has it. Its file is durable at once: nothing depends on it.
    pub(super) fn lock(&mut self, path: &Path) -> io::Result<bool> {
        if self.locks.contains(path) {
            return Ok(false);
        }
        if !self.names.contains_key(path) {
            self.check_vacant(path)?;
            self.put(path, format!("{}\n", super::PROCESS).into_bytes());
        }
        self.locks.insert(path.to_owned());
        Ok(true)
    }

    pub(super) fn unlock(&mut self, path: &Path) {
        self.locks.remove(path);
    }

    /// Gives a name to a file of these bytes, durable at once.
    pub(super) fn put(&mut self, path: &Path, bytes: Vec<u8>) {
        let file = self.new_file();
        let bytes = Arc::new(bytes);
        *self.contents_mut(file) =
            Contents { live: bytes.clone(), durable: bytes, ..Contents::default() };
        self.set_name(path, Some(file));
    }

    /// Sets a name, durable at once.
    pub(super) fn set_name(&mut self, path: &Path, file: Option<FileId>) {
        self.change_names([(path, file)]);
        let change = self.unsynced.pop().expect("the change just made");
        change.apply_names(&mut self.durable_names);
    }

    pub(super) fn file_at(&self, path: &Path) -> io::Result<FileId> {
        if self.directories.contains(path) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn new_file(&mut self) -> FileId {
        let file = self.next_file;
        self.next_file += 1;
        self.files.insert(file, Contents::default());
        file
    }

    fn change_names<const N: usize>(&mut self, to: [(&Path, Option<FileId>); N]) {
        let awaits = to.map(|(path, _)| directory_of(path));
        self.record(to.map(|(path, file)| (path.to_owned(), file)).to_vec(), awaits);
    }

    /// Changes names as one, durable once these directories were synced.
    fn record<const N: usize>(&mut self, to: Vec<(PathBuf, Option<FileId>)>, awaits: [&Path; N]) {
        for (path, file) in &to {
            match file {
                Some(file) => self.names.insert(path.clone(), *file),
                None => self.names.remove(path),
            };
        }
        let awaits = awaits.map(Path::to_owned).into();
        self.push(Change::Names { to, awaits });
    }

    fn check_vacant(&self, path: &Path) -> io::Result<()> {
        if self.names.contains_key(path) || self.directories.contains(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.check_parent(path)
    }

    fn check_parent(&self, path: &Path) -> io::Result<()> {
        self.check_directory(directory_of(path))
    }

    fn check_directory(&self, path: &Path) -> io::Result<()> {
        if self.directories.contains(path) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    /// Drops files that no name, no handle and no crash can bring back.
    pub(super) fn forget_unreachable(&mut self) {
        let mut reachable: BTreeSet<FileId> = self.names.values().copied().collect();
        reachable.extend(self.durable_names.values().filter_map(|name| name.file));
        for unsynced in &self.unsynced {
            if let Change::Names { to, .. } = &unsynced.change {
                reachable.extend(to.iter().filter_map(|(_, file)| *file));
            }
        }
        self.files.retain(|file, contents| contents.handles > 0 || reachable.contains(file));
        let files = &self.files;
        self.unsynced.retain(|unsynced| match &unsynced.change {
            Change::Write { file, .. } | Change::Resize { file, .. } => files.contains_key(file),
            Change::Names { .. } => true,
        });
    }
}

fn below(directory: &Path, rest: &Path) -> PathBuf {
    // Joined with nothing, a path would end with a slash.
    if rest == Path::new("") { directory.to_owned() } else { directory.join(rest) }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}
