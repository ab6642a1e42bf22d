//! Damage done to files behind the store's back. All of it is durable at once and meant for a
//! machine at rest; a handle that is open sees it too.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::state::{FileId, overwrite};
use super::{Machine, SimDisk, normal};

const MISSING: &str = "the file to be damaged exists";

/// All of these panic where a file or a range they name does not exist.
impl SimDisk {
    /// All files by name, with their lengths in bytes.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let machine = self.lock_machine();
        let state = &machine.state;
        let length = |file: &FileId| state.contents(*file).live.len() as u64;
        state.names.iter().map(|(path, file)| (path.clone(), length(file))).collect()
    }

    /// The bytes of a file.
    pub fn contents(&self, path: &Path) -> Vec<u8> {
        let machine = self.lock_machine();
        let file = machine.file(path);
        machine.state.contents(file).live.to_vec()
    }

    /// Puts a file there, in place of what had its name; makes the directories above it.
    pub fn put_file(&self, path: &Path, bytes: &[u8]) {
        let path = normal(path);
        let mut machine = self.lock_machine();
        let directory = path.parent().expect("a file is in a directory");
        machine.state.create_directory(directory).expect("no file is in the way");
        machine.state.put(&path, bytes.to_vec());
    }

    /// Turns over bit `bit` (0 is the lowest) of the byte at `offset`.
    pub fn flip_bit(&self, path: &Path, offset: u64, bit: u8) {
        assert!(bit < 8, "a byte has bits 0 to 7");
        let flipped = self.contents(path)[offset as usize] ^ (1 << bit);
        self.overwrite(path, offset, &[flipped]);
    }

    /// Puts other bytes in place of those at `offset`.
    pub fn overwrite(&self, path: &Path, offset: u64, bytes: &[u8]) {
        let end = offset + bytes.len() as u64;
        let mut machine = self.lock_machine();
        machine.change(path, |contents| {
            assert!(end <= contents.len() as u64, "damage past the end of the file");
            overwrite(contents, offset, bytes);
        });
    }

    /// Exchanges `length` bytes at two places.
    pub fn swap_blocks(
        &self,
        (path_a, offset_a): (&Path, u64),
        (path_b, offset_b): (&Path, u64),
        length: usize,
    ) {
        let a = self.contents(path_a)[offset_a as usize..][..length].to_vec();
        let b = self.contents(path_b)[offset_b as usize..][..length].to_vec();
        self.overwrite(path_a, offset_a, &b);
        self.overwrite(path_b, offset_b, &a);
    }

    /// Exchanges the names of two files.
    pub fn swap_files(&self, path_a: &Path, path_b: &Path) {
        let mut machine = self.lock_machine();
        let (a, b) = (machine.file(path_a), machine.file(path_b));
        machine.state.set_name(&normal(path_a), Some(b));
        machine.state.set_name(&normal(path_b), Some(a));
    }

    /// Cuts a file, or adds zeros to it.
    pub fn truncate_file(&self, path: &Path, length: u64) {
        self.lock_machine().change(path, |contents| contents.resize(length as usize, 0));
    }

    /// Removes a file.
    pub fn delete(&self, path: &Path) {
        let mut machine = self.lock_machine();
        machine.file(path);
        machine.state.set_name(&normal(path), None);
    }

    /// Makes `length` bytes at `offset` unreadable: as a mapping they are zeros and mark the file
    /// as faulted, otherwise reading them is a device error, and so is writing.
    pub fn break_media(&self, path: &Path, offset: u64, length: u64) {
        let mut machine = self.lock_machine();
        let file = machine.file(path);
        machine.state.contents_mut(file).broken.push(offset..offset + length);
    }
}

impl Machine {
    fn file(&self, path: &Path) -> FileId {
        self.state.file_at(&normal(path)).expect(MISSING)
    }

    /// Changes what is live and what is durable alike.
    fn change(&mut self, path: &Path, change: impl Fn(&mut Vec<u8>)) {
        let file = self.file(path);
        self.state.sync(file);
        let contents = self.state.contents_mut(file);
        change(Arc::make_mut(&mut contents.live));
        contents.durable = contents.live.clone();
    }
}
