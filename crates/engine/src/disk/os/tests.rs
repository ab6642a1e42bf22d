//! The real machine, in a temporary directory.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::thread;

use super::*;

const CAPACITY: u64 = 1 << 20;
/// A multiple of the bytes of a page, on any machine.
const PAGE: u64 = 64 << 10;

struct Folder {
    directory: tempfile::TempDir,
}

impl Folder {
    fn new() -> Folder {
        Folder { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A new file of `length` bytes that differ from page to page and from zero.
    fn create(&self, name: &str, length: u64) -> Arc<dyn DiskFile> {
        let file = open(&self.path(name), Access::CreateNew { capacity: CAPACITY }).unwrap();
        file.allocate(length).unwrap();
        file.write_at(0, &pattern(length)).unwrap();
        file
    }
}

fn open(path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
    OsDisk::new().open(path, access)
}

fn pattern(length: u64) -> Vec<u8> {
    (0..length).map(|place| (place / PAGE % 16 + place % 7) as u8 + 1).collect()
}

fn kind<T>(result: io::Result<T>) -> io::ErrorKind {
    result.err().expect("an error").kind()
}

fn cut_from_outside(path: &Path, length: u64) {
    File::options().write(true).open(path).unwrap().set_len(length).unwrap();
}

#[test]
fn a_file_is_written_read_cut_and_found_again() {
    let folder = Folder::new();
    let path = folder.path("file");
    let file = folder.create("file", 3 * PAGE);
    assert_eq!(file.length(), 3 * PAGE);
    assert!(matches!(file.read(5, 9).unwrap(), Cow::Borrowed(_)));
    assert_eq!(*file.read(0, 3 * PAGE as usize).unwrap(), *pattern(3 * PAGE));
    assert_eq!(file.read_copy(PAGE, 10).unwrap(), file.read(PAGE, 10).unwrap().into_owned());
    file.truncate(PAGE).unwrap();
    file.sync().unwrap();
    assert_eq!(fs::read(&path).unwrap(), pattern(PAGE));

    file.allocate(2 * PAGE).unwrap();
    assert_eq!(*file.read(PAGE, PAGE as usize).unwrap(), [0; PAGE as usize], "new bytes are zeros");
    drop(file);
    let again = open(&path, Access::ReadWrite { capacity: CAPACITY }).unwrap();
    assert_eq!(again.length(), 2 * PAGE);
    again.write_at(2 * PAGE - 1, &[9]).unwrap();
    let reader = open(&path, Access::ReadOnly).unwrap();
    assert_eq!(*reader.read(2 * PAGE - 1, 1).unwrap(), [9]);
    reader.sync().unwrap();
}

#[test]
fn space_is_really_reserved() {
    use std::os::unix::fs::MetadataExt;

    let folder = Folder::new();
    let file = open(&folder.path("file"), Access::CreateNew { capacity: CAPACITY }).unwrap();
    file.allocate(CAPACITY).unwrap();
    let reserved = fs::metadata(folder.path("file")).unwrap().blocks() * 512;
    assert!(reserved >= CAPACITY, "{reserved}");
    file.truncate(PAGE).unwrap();
    let reserved = fs::metadata(folder.path("file")).unwrap().blocks() * 512;
    assert!(reserved < CAPACITY / 2, "{reserved}");
}

#[test]
fn opening_says_what_is_wrong() {
    let folder = Folder::new();
    let path = folder.path("file");
    assert_eq!(kind(open(&path, Access::ReadOnly)), io::ErrorKind::NotFound);
    assert_eq!(kind(open(&path, Access::ReadWrite { capacity: 1 })), io::ErrorKind::NotFound);
    folder.create("file", PAGE);
    assert_eq!(
        kind(open(&path, Access::CreateNew { capacity: CAPACITY })),
        io::ErrorKind::AlreadyExists
    );
    let short = Access::ReadWrite { capacity: PAGE - 1 };
    assert_eq!(kind(open(&path, short)), io::ErrorKind::InvalidInput);
    assert!(open(folder.directory.path(), Access::ReadOnly).is_err());
}

#[test]
fn nothing_is_done_outside_the_bounds() {
    let folder = Folder::new();
    let file = folder.create("file", 100);
    for (offset, length) in [(100, 1), (0, 101), (u64::MAX, 2), (99, usize::MAX)] {
        assert_eq!(kind(file.read(offset, length)), io::ErrorKind::UnexpectedEof);
        assert_eq!(kind(file.read_copy(offset, length)), io::ErrorKind::UnexpectedEof);
    }
    assert_eq!(kind(file.write_at(99, b"ab")), io::ErrorKind::InvalidInput);
    assert_eq!(kind(file.write_at(u64::MAX, b"ab")), io::ErrorKind::InvalidInput);
    assert_eq!(kind(file.allocate(CAPACITY + 1)), io::ErrorKind::InvalidInput);
    assert_eq!(kind(file.truncate(101)), io::ErrorKind::InvalidInput);
    file.allocate(10).unwrap();
    assert_eq!(file.length(), 100, "allocate never shrinks");
    assert_eq!(fs::read(folder.path("file")).unwrap(), pattern(100));
    assert!(file.read(100, 0).unwrap().is_empty());
}

#[test]
fn a_read_only_file_is_not_written() {
    let folder = Folder::new();
    folder.create("file", 100);
    let file = open(&folder.path("file"), Access::ReadOnly).unwrap();
    for refused in [file.write_at(0, b"x"), file.allocate(200), file.truncate(0)] {
        assert_eq!(kind(refused), io::ErrorKind::PermissionDenied);
    }
    assert_eq!(fs::read(folder.path("file")).unwrap(), pattern(100));
}

#[test]
fn an_empty_file_can_be_opened() {
    let folder = Folder::new();
    folder.create("file", 0);
    let file = open(&folder.path("file"), Access::ReadOnly).unwrap();
    assert!(file.read(0, 0).unwrap().is_empty());
    assert_eq!(kind(file.read(0, 1)), io::ErrorKind::UnexpectedEof);
}

#[cfg(target_os = "linux")]
#[test]
fn a_read_only_file_keeps_no_descriptor() {
    let folder = Folder::new();
    let path = folder.path("file");
    let descriptors = || {
        let open = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
        open.filter(|descriptor| fs::read_link(descriptor).is_ok_and(|to| to == path)).count()
    };
    let writer = folder.create("file", PAGE);
    assert_eq!(descriptors(), 1);
    let readers: Vec<_> = (0..50).map(|_| open(&path, Access::ReadOnly).unwrap()).collect();
    for reader in &readers {
        assert_eq!(*reader.read(0, 8).unwrap(), *pattern(8));
        assert_eq!(reader.read_copy(0, 8).unwrap(), pattern(8));
    }
    assert_eq!(descriptors(), 1);
    drop(writer);
    assert_eq!(descriptors(), 0);
}

#[test]
fn a_file_too_large_to_map_is_read_and_written_all_the_same() {
    let folder = Folder::new();
    let path = folder.path("file");
    let file = open(&path, Access::CreateNew { capacity: 1 << 60 }).unwrap();
    file.allocate(PAGE).unwrap();
    file.write_at(10, b"unmapped").unwrap();
    assert!(matches!(file.read(10, 8).unwrap(), Cow::Owned(bytes) if bytes == b"unmapped"));
    file.sync().unwrap();
    assert!(!file.has_faulted());
    assert_eq!(kind(file.write_at(PAGE - 1, b"ab")), io::ErrorKind::InvalidInput);
}

#[test]
fn an_allocation_that_cannot_be_had_leaves_the_file_as_it_was() {
    let folder = Folder::new();
    let path = folder.path("file");
    let file = open(&path, Access::CreateNew { capacity: 1 << 60 }).unwrap();
    file.allocate(100).unwrap();
    let kind = kind(file.allocate(1 << 60));
    assert!(matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::FileTooLarge), "{kind:?}");
    assert_eq!(file.length(), 100);
    assert_eq!(fs::metadata(&path).unwrap().len(), 100);
    file.allocate(200).unwrap();
    file.write_at(150, b"fine").unwrap();
}

#[test]
fn a_reader_outlives_a_file_cut_from_outside() {
    let folder = Folder::new();
    let path = folder.path("file");
    folder.create("file", 4 * PAGE);
    let file = open(&path, Access::ReadOnly).unwrap();
    assert!(!file.has_faulted());
    let kept = file.read(3 * PAGE, 16).unwrap();
    cut_from_outside(&path, PAGE);
    assert_eq!(*kept, [0; 16], "zeros in place of what is gone");
    assert!(file.has_faulted());
    assert_eq!(kind(file.read_copy(3 * PAGE, 16)), io::ErrorKind::UnexpectedEof);
    assert_eq!(kind(file.read(3 * PAGE, 16)), io::ErrorKind::UnexpectedEof, "from now on");
    assert_eq!(*file.read(0, 64).unwrap(), *pattern(64), "the rest is still there");
    assert_eq!(file.read_copy(0, 64).unwrap(), pattern(64));
}

#[test]
fn a_write_to_a_file_cut_from_outside_is_an_error() {
    let small = b"from the first page to the second".to_vec();
    let large = pattern(2 * PAGE);
    // The first writes after a sync are done in another way than later ones, and large ones always are.
    for (earlier, bytes) in [(0, &small), (0, &large), (20, &small), (20, &large)] {
        let folder = Folder::new();
        let path = folder.path("file");
        let file = folder.create("file", 4 * PAGE);
        for _ in 0..earlier {
            file.write_at(0, b"fine").unwrap();
        }
        cut_from_outside(&path, PAGE);
        file.write_at(0, b"fine").unwrap();
        assert!(!file.has_faulted());
        assert!(file.write_at(PAGE - 2, bytes).is_err());
        assert!(file.has_faulted());
        assert!(file.write_at(0, b"no").is_err(), "and so is every later one");
        assert_eq!(fs::metadata(&path).unwrap().len(), PAGE);
    }
}

#[test]
fn a_name_that_went_to_another_file_is_not_read() {
    let folder = Folder::new();
    let path = folder.path("file");
    folder.create("file", 64);
    let file = open(&path, Access::ReadOnly).unwrap();
    folder.create("other", 64).write_at(0, &[0; 64]).unwrap();
    OsDisk::new().rename(&folder.path("other"), &path).unwrap();
    assert_eq!(*file.read(0, 64).unwrap(), *pattern(64), "the mapping is still the old file");
    assert_eq!(kind(file.read_copy(0, 64)), io::ErrorKind::NotFound);
    OsDisk::new().remove(&path).unwrap();
    assert_eq!(*file.read(0, 64).unwrap(), *pattern(64));
    assert_eq!(kind(file.read_copy(0, 64)), io::ErrorKind::NotFound);
}

#[test]
fn threads_write_and_read_different_bytes_of_one_file() {
    let folder = Folder::new();
    let file = folder.create("file", CAPACITY);
    let each = CAPACITY / 8;
    thread::scope(|scope| {
        for thread in 0..8 {
            let file = &file;
            scope.spawn(move || {
                for offset in (thread * each..(thread + 1) * each).step_by(100) {
                    let bytes = offset.to_le_bytes();
                    file.write_at(offset, &bytes).unwrap();
                    assert_eq!(*file.read(offset, 8).unwrap(), bytes);
                }
            });
        }
    });
    file.sync().unwrap();
    let bytes = fs::read(folder.path("file")).unwrap();
    for offset in (0..8).flat_map(|thread| (thread * each..(thread + 1) * each).step_by(100)) {
        assert_eq!(bytes[offset as usize..][..8], offset.to_le_bytes());
    }
}

#[test]
fn a_lock_is_held_by_one_until_it_is_let_go() {
    let folder = Folder::new();
    let path = folder.path("lock");
    fs::write(&path, "4000000000 left by a process of long ago").unwrap();
    let lock = OsDisk::new().lock(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", process::id()));
    let refused = OsDisk::new().lock(&path);
    assert!(matches!(refused, Err(LockError::Held(Some(pid))) if pid == process::id()));
    drop(lock);
    assert!(path.exists(), "the file stays");
    drop(OsDisk::new().lock(&path).unwrap());
    let nowhere = OsDisk::new().lock(&folder.path("missing/lock"));
    assert!(
        matches!(nowhere, Err(LockError::Io(error)) if error.kind() == io::ErrorKind::NotFound)
    );
}

#[test]
fn a_lock_file_without_a_pid_is_held_by_nobody_known() {
    let folder = Folder::new();
    let path = folder.path("lock");
    let _lock = OsDisk::new().lock(&path).unwrap();
    fs::write(&path, "no number").unwrap();
    assert!(matches!(OsDisk::new().lock(&path), Err(LockError::Held(None))));
}

#[test]
fn names_are_changed_and_listed_in_order() {
    let folder = Folder::new();
    let disk = OsDisk::new();
    folder.create("b", 10);
    disk.hard_link(&folder.path("b"), &folder.path("c")).unwrap();
    disk.rename(&folder.path("b"), &folder.path("a")).unwrap();
    disk.create_directory(&folder.path("d")).unwrap();
    fs::write(folder.directory.path().join(OsStr::from_bytes(b"\xff")), "not UTF-8").unwrap();
    assert_eq!(disk.list(folder.directory.path()).unwrap(), ["a", "c", "d"]);
    disk.sync_directory(folder.directory.path()).unwrap();
    disk.remove(&folder.path("a")).unwrap();
    assert_eq!(fs::read(folder.path("c")).unwrap(), pattern(10));
    assert_eq!(kind(disk.remove(&folder.path("a"))), io::ErrorKind::NotFound);
    assert_eq!(kind(disk.list(&folder.path("missing"))), io::ErrorKind::NotFound);
    assert_eq!(kind(disk.sync_directory(&folder.path("missing"))), io::ErrorKind::NotFound);
    let linked = disk.hard_link(&folder.path("c"), &folder.path("d"));
    assert_eq!(kind(linked), io::ErrorKind::AlreadyExists);
}

#[test]
fn directories_are_made_with_those_above_them() {
    let folder = Folder::new();
    let disk = OsDisk::new();
    let path = folder.path("x/y/z");
    disk.create_directory(&path).unwrap();
    disk.create_directory(&path).unwrap();
    assert!(path.is_dir());
    folder.create("file", 1);
    assert!(disk.create_directory(&folder.path("file")).is_err());
    assert!(disk.create_directory(&folder.path("file/below")).is_err());
}

#[test]
fn the_machine_has_space_clocks_and_chance() {
    let disk = OsDisk::new();
    assert!(disk.free_space(Path::new("/")).unwrap() > 0);
    assert!(disk.free_space(Path::new("/missing")).is_err());
    let in_2024 = UnixMillis(1_704_067_200_000);
    assert!(disk.wall_clock() > in_2024);
    let before = disk.monotonic();
    thread::sleep(Duration::from_millis(2));
    assert!(disk.monotonic() >= before + Duration::from_millis(2));
    let mut numbers: Vec<u64> = (0..100).map(|_| disk.random()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 100);
}
