//! The judge is judged first: what it keeps, what it loses, and that it fails where it is told to.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::*;

const CAPACITY: u64 = 1 << 20;
const FOLDER: &str = "/store";

fn path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

fn new_disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.create_directory(Path::new(FOLDER)).unwrap();
    disk
}

/// A new file, nothing of it synced.
fn create(disk: &SimDisk, name: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.open(&path(name), Access::CreateNew { capacity: CAPACITY }).unwrap();
    file.allocate(bytes.len() as u64).unwrap();
    file.write_at(0, bytes).unwrap();
    file
}

/// A new file, its bytes and its name synced.
fn create_synced(disk: &SimDisk, name: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let file = create(disk, name, bytes);
    file.sync().unwrap();
    disk.sync_directory(Path::new(FOLDER)).unwrap();
    file
}

/// The bytes under a name, if it exists.
fn found(disk: &SimDisk, name: &str) -> Option<Vec<u8>> {
    let exists = disk.files().iter().any(|(found, _)| *found == path(name));
    exists.then(|| disk.contents(&path(name)))
}

/// What each plan leaves under a name.
fn outcomes(disk: &SimDisk, name: &str) -> BTreeSet<Option<Vec<u8>>> {
    disk.plans().into_iter().map(|plan| found(&disk.crashed_image(plan), name)).collect()
}

fn some(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(bytes.to_vec())
}

fn kind<T>(result: io::Result<T>) -> io::ErrorKind {
    result.err().expect("an error").kind()
}

/// A bit of everything, one call after the other; stops at the first that fails.
fn workload(disk: &SimDisk) -> io::Result<()> {
    let folder = Path::new(FOLDER);
    disk.create_directory(folder)?;
    let _lock = disk.lock(&path("lock")).map_err(|error| io::Error::other(format!("{error:?}")))?;
    let file = disk.open(&path("new"), Access::CreateNew { capacity: CAPACITY })?;
    file.allocate(1000)?;
    file.write_at(0, &[1; 600])?;
    file.sync()?;
    disk.rename(&path("new"), &path("file"))?;
    disk.sync_directory(folder)?;
    file.write_at(600, &[2; 300])?;
    file.truncate(900)?;
    disk.hard_link(&path("file"), &path("link"))?;
    file.sync()?;
    file.read(0, 10)?;
    file.read_copy(0, 10)?;
    disk.list(folder)?;
    disk.remove(&path("file"))?;
    disk.sync_directory(folder)
}

#[test]
fn what_was_synced_survives_every_plan() {
    let disk = new_disk();
    create_synced(&disk, "synced", b"bytes");
    assert_eq!(disk.unsynced(), 0);
    create(&disk, "later", &[5; 700]);
    disk.rename(&path("later"), &path("latest")).unwrap();
    assert_eq!(disk.unsynced(), 4);
    assert!(disk.plans().len() > 50, "{}", disk.plans().len());
    assert_eq!(outcomes(&disk, "synced"), BTreeSet::from([some(b"bytes")]));
}

#[test]
fn what_was_not_synced_is_lost_or_kept_as_the_plan_says() {
    let disk = new_disk();
    let file = create_synced(&disk, "file", b"old1 old2");
    file.write_at(0, b"new1").unwrap();
    file.write_at(5, b"new2").unwrap();
    let after = |plan| String::from_utf8(disk.crashed_image(plan).contents(&path("file"))).unwrap();
    assert_eq!(after(CrashPlan::LoseUnsynced), "old1 old2");
    assert_eq!(after(CrashPlan::KeepAll), "new1 new2");
    assert_eq!(after(CrashPlan::KillProcess), "new1 new2");
    assert_eq!(after(CrashPlan::KeepPrefix(1)), "new1 old2");
    assert_eq!(after(CrashPlan::LoseOne(0)), "old1 new2", "the later write survives the earlier");
    assert_eq!(after(CrashPlan::KeepOne(0)), "new1 old2");
    assert_eq!(after(CrashPlan::KeepMask(0b10)), "old1 new2");
    assert_eq!(after(CrashPlan::LoseBytes), "old1 old2");
    assert_eq!(after(CrashPlan::LoseNames), "new1 new2");
    assert_eq!(after(CrashPlan::TearLast(2)), "new1 ned2");
    assert_eq!(disk.contents(&path("file")), b"new1 new2", "the disk itself is not changed");
    let all: BTreeSet<String> = disk.plans().into_iter().map(after).collect();
    for possible in ["old1 old2", "new1 new2", "old1 new2", "new1 old2", "new1 ned2", "new1 new2"] {
        assert!(all.contains(possible), "{possible}");
    }
}

#[test]
fn a_killed_process_leaves_what_is_unsynced_unsynced() {
    let disk = new_disk();
    create(&disk, "file", b"bytes");
    let killed = disk.crashed_image(CrashPlan::KillProcess);
    assert_eq!(found(&killed, "file"), some(b"bytes"));
    assert_eq!(killed.unsynced(), disk.unsynced());
    assert_eq!(found(&killed.crashed_image(CrashPlan::LoseUnsynced), "file"), None);
    let file = killed.open(&path("file"), Access::ReadOnly).unwrap();
    file.sync().unwrap();
    killed.sync_directory(Path::new(FOLDER)).unwrap();
    assert_eq!(found(&killed.crashed_image(CrashPlan::LoseUnsynced), "file"), some(b"bytes"));
}

#[test]
fn a_power_cut_leaves_nothing_unsynced() {
    let disk = new_disk();
    create(&disk, "file", b"bytes");
    let image = disk.crashed_image(CrashPlan::KeepAll);
    assert_eq!(image.unsynced(), 0);
    assert_eq!(outcomes(&image, "file"), BTreeSet::from([some(b"bytes")]));
}

#[test]
fn synced_bytes_without_a_synced_name_may_be_gone() {
    let disk = new_disk();
    create(&disk, "file", b"bytes").sync().unwrap();
    assert_eq!(outcomes(&disk, "file"), BTreeSet::from([None, some(b"bytes")]));
    disk.sync_directory(Path::new(FOLDER)).unwrap();
    assert_eq!(outcomes(&disk, "file"), BTreeSet::from([some(b"bytes")]));
}

#[test]
fn a_synced_name_without_synced_bytes_may_be_empty_or_zeros() {
    let disk = new_disk();
    create(&disk, "file", b"x");
    disk.sync_directory(Path::new(FOLDER)).unwrap();
    assert_eq!(outcomes(&disk, "file"), BTreeSet::from([some(b""), some(b"\0"), some(b"x")]));
}

#[test]
fn a_rename_without_a_directory_sync_may_come_undone() {
    let disk = new_disk();
    create_synced(&disk, "file", b"old");
    create_synced(&disk, "file.tmp", b"new");
    disk.rename(&path("file.tmp"), &path("file")).unwrap();
    assert_eq!(outcomes(&disk, "file"), BTreeSet::from([some(b"old"), some(b"new")]));
    assert_eq!(outcomes(&disk, "file.tmp"), BTreeSet::from([None, some(b"new")]));
    disk.sync_directory(Path::new(FOLDER)).unwrap();
    assert_eq!(outcomes(&disk, "file"), BTreeSet::from([some(b"new")]));
    assert_eq!(outcomes(&disk, "file.tmp"), BTreeSet::from([None]));
}

#[test]
fn a_rename_may_survive_the_bytes_it_was_meant_for() {
    let disk = new_disk();
    create_synced(&disk, "file", b"old");
    create(&disk, "file.tmp", b"new");
    disk.rename(&path("file.tmp"), &path("file")).unwrap();
    assert!(outcomes(&disk, "file").contains(&some(b"")), "renamed before it was synced");
    assert_eq!(found(&disk.crashed_image(CrashPlan::LoseBytes), "file"), some(b""));
}

#[test]
fn a_rename_between_directories_is_one_change() {
    let disk = new_disk();
    let other = path("other");
    disk.create_directory(&other).unwrap();
    create_synced(&disk, "file", b"bytes");
    disk.rename(&path("file"), &other.join("file")).unwrap();
    let places =
        |disk: &SimDisk| (found(disk, "file").is_some(), found(disk, "other/file").is_some());
    let all = |disk: &SimDisk| -> BTreeSet<_> {
        disk.plans().into_iter().map(|plan| places(&disk.crashed_image(plan))).collect()
    };
    assert_eq!(all(&disk), BTreeSet::from([(true, false), (false, true)]));
    disk.sync_directory(Path::new(FOLDER)).unwrap();
    assert_eq!(all(&disk), BTreeSet::from([(true, false), (false, true)]), "half of it is synced");

    // A newer file of the old name is not undone by the older rename.
    create_synced(&disk, "file", b"newer");
    assert_eq!(all(&disk), BTreeSet::from([(true, false), (true, true)]));
    disk.sync_directory(&other).unwrap();
    assert_eq!(all(&disk), BTreeSet::from([(true, true)]));
    assert_eq!(outcomes(&disk, "file"), BTreeSet::from([some(b"newer")]));
}

#[test]
fn a_directory_is_renamed_with_all_in_it_or_not_at_all() {
    let disk = new_disk();
    let (old, aside) = (path("old"), path("aside"));
    disk.create_directory(&old.join("inner")).unwrap();
    disk.create_directory(&aside).unwrap();
    for name in ["old/a", "old/inner/b"] {
        create_synced(&disk, name, name.as_bytes());
    }
    disk.sync_directory(&old).unwrap();
    disk.sync_directory(&old.join("inner")).unwrap();
    disk.rename(&old, &aside.join("new")).unwrap();
    assert_eq!(disk.list(&old).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(disk.list(&aside.join("new")).unwrap(), ["a", "inner"]);
    let places = |disk: &SimDisk| {
        let there = |name: &str| found(disk, name).is_some();
        ["old/a", "old/inner/b", "aside/new/a", "aside/new/inner/b"].map(there)
    };
    let all = |disk: &SimDisk| -> BTreeSet<_> {
        disk.plans().into_iter().map(|plan| places(&disk.crashed_image(plan))).collect()
    };
    let (undone, kept) = ([true, true, false, false], [false, false, true, true]);
    assert_eq!(all(&disk), BTreeSet::from([undone, kept]));
    // Whoever finds it undone can do it again.
    let image = disk.crashed_image(CrashPlan::LoseUnsynced);
    image.rename(&old, &aside.join("new")).unwrap();
    assert_eq!(places(&image), kept);
    disk.sync_directory(&aside).unwrap();
    assert_eq!(all(&disk), BTreeSet::from([undone, kept]), "half of it is synced");
    disk.sync_directory(Path::new(FOLDER)).unwrap();
    assert_eq!(all(&disk), BTreeSet::from([kept]));
    // A directory of the old name is another one.
    disk.create_directory(&old).unwrap();
    let error = disk.rename(&old, &aside.join("new")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::DirectoryNotEmpty);
}

#[test]
fn a_removal_without_a_directory_sync_may_come_undone() {
    let disk = new_disk();
    create_synced(&disk, "file", b"bytes");
    disk.remove(&path("file")).unwrap();
    assert_eq!(outcomes(&disk, "file"), BTreeSet::from([None, some(b"bytes")]));
    disk.sync_directory(Path::new(FOLDER)).unwrap();
    assert_eq!(outcomes(&disk, "file"), BTreeSet::from([None]));
}

#[test]
fn hard_links_share_their_bytes() {
    let disk = new_disk();
    let file = create_synced(&disk, "file", b"one");
    disk.hard_link(&path("file"), &path("link")).unwrap();
    file.write_at(0, b"two").unwrap();
    assert_eq!(found(&disk, "link"), some(b"two"));
    let link = disk.open(&path("link"), Access::ReadOnly).unwrap();
    link.sync().unwrap();
    assert_eq!(outcomes(&disk, "file"), BTreeSet::from([some(b"two")]), "synced by its other name");
    assert_eq!(outcomes(&disk, "link"), BTreeSet::from([None, some(b"two")]));
    disk.sync_directory(Path::new(FOLDER)).unwrap();
    let image = disk.crashed_image(CrashPlan::LoseUnsynced);
    image.flip_bit(&path("link"), 0, 0);
    assert_eq!(found(&image, "file"), some(b"uwo"));
    disk.rename(&path("link"), &path("file")).unwrap();
    assert_eq!(found(&disk, "link"), some(b"two"), "a rename onto the same file does nothing");
}

#[test]
fn a_write_past_the_length_that_survives_is_invisible() {
    let disk = new_disk();
    let file = create_synced(&disk, "file", b"ab");
    file.allocate(6).unwrap();
    file.write_at(1, b"xyz").unwrap();
    assert_eq!(found(&disk.crashed_image(CrashPlan::LoseOne(0)), "file"), some(b"ax"));
    assert_eq!(found(&disk.crashed_image(CrashPlan::KeepPrefix(1)), "file"), some(b"ab\0\0\0\0"));
}

#[test]
fn a_cut_without_a_sync_may_come_undone() {
    let disk = new_disk();
    let file = create_synced(&disk, "file", b"abcdef");
    file.truncate(2).unwrap();
    assert_eq!(outcomes(&disk, "file"), BTreeSet::from([some(b"ab"), some(b"abcdef")]));
    file.allocate(4).unwrap();
    assert_eq!(*file.read(0, 4).unwrap(), *b"ab\0\0");
    file.sync().unwrap();
    assert_eq!(outcomes(&disk, "file"), BTreeSet::from([some(b"ab\0\0")]));
}

#[test]
fn the_last_write_is_torn_at_every_byte() {
    let disk = new_disk();
    let file = create_synced(&disk, "file", &[0; 100]);
    file.write_at(10, &[1; 50]).unwrap();
    let outcomes = outcomes(&disk, "file");
    for torn in 0..=50 {
        let mut expected = vec![0; 100];
        expected[10..10 + torn].fill(1);
        assert!(outcomes.contains(&Some(expected)), "torn at {torn}");
    }
}

#[test]
fn a_long_write_is_torn_around_its_sectors() {
    let disk = new_disk();
    let file = create_synced(&disk, "file", &[0; 4096]);
    file.write_at(100, &[1; 2000]).unwrap();
    let lengths: BTreeSet<usize> = disk
        .plans()
        .into_iter()
        .filter(|plan| matches!(plan, CrashPlan::TearLast(_)))
        .map(|plan| {
            disk.crashed_image(plan).contents(&path("file")).iter().filter(|b| **b == 1).count()
        })
        .collect();
    for boundary in [512, 1024, 1536, 2048] {
        for around in [boundary - 1, boundary, boundary + 1] {
            assert!(lengths.contains(&(around - 100)), "torn before byte {around}");
        }
    }
}

#[test]
fn torn_sectors_are_old_or_new_as_a_whole() {
    let disk = new_disk();
    let file = create_synced(&disk, "file", &[7; 4096]);
    file.write_at(100, &[1; 3000]).unwrap();
    let mut mixed = 0;
    for seed in 0..20 {
        let bytes = disk.crashed_image(CrashPlan::TearSectors(seed)).contents(&path("file"));
        assert!(bytes[..100].iter().chain(&bytes[3100..]).all(|byte| *byte == 7));
        let written: Vec<&[u8]> = bytes.chunks(512).collect();
        let sectors = [&written[0][100..], written[1], written[5], &written[6][..28]];
        for sector in sectors {
            assert!(sector.iter().all(|byte| *byte == sector[0]) && [1, 7].contains(&sector[0]));
        }
        let new = bytes.iter().filter(|byte| **byte == 1).count();
        mixed += usize::from((1..3000).contains(&new));
    }
    assert!(mixed > 10, "{mixed}");
}

#[test]
fn few_changes_survive_in_every_combination() {
    let disk = new_disk();
    let file = create_synced(&disk, "file", &[0; 6]);
    for place in 0..6 {
        file.write_at(place, &[1]).unwrap();
    }
    assert_eq!(outcomes(&disk, "file").len(), 1 << 6);
}

#[test]
fn many_changes_are_each_lost_once_and_kept_up_to_each() {
    let disk = new_disk();
    let file = create_synced(&disk, "file", &[0; 20]);
    for place in 0..20 {
        file.write_at(place, &[1]).unwrap();
    }
    let outcomes = outcomes(&disk, "file");
    for place in 0..20 {
        let mut lost = vec![1; 20];
        lost[place] = 0;
        assert!(outcomes.contains(&Some(lost)));
        let mut prefix = vec![0; 20];
        prefix[..place].fill(1);
        assert!(outcomes.contains(&Some(prefix)));
    }
    for place in 0..300 {
        file.write_at(place % 20, &[2]).unwrap();
    }
    let plans = disk.plans();
    assert!(
        plans.contains(&CrashPlan::KeepPrefix(319)) && plans.contains(&CrashPlan::LoseOne(319))
    );
    assert!(plans.len() < 300, "{}", plans.len());
}

#[test]
fn a_crash_stops_exactly_the_numbered_call_and_all_later_ones() {
    let whole = SimDisk::new();
    workload(&whole).unwrap();
    let kinds: BTreeSet<CallKind> = whole.trace().iter().map(|call| call.kind).collect();
    assert_eq!(kinds.len(), 14, "every kind of call: {kinds:?}");
    for call in 1..=whole.calls() {
        let disk = SimDisk::new();
        disk.crash_at(call);
        assert!(!disk.is_crashed());
        workload(&disk).unwrap_err();
        assert!(disk.is_crashed());
        assert_eq!(disk.trace(), whole.trace()[..call as usize]);
        assert!(disk.list(Path::new(FOLDER)).is_err());
        assert!(disk.open(&path("any"), Access::CreateNew { capacity: 1 }).is_err());
    }
    let disk = SimDisk::new();
    disk.crash_at(whole.calls() + 1);
    workload(&disk).unwrap();
    assert!(!disk.is_crashed());
}

#[test]
fn a_failure_hits_exactly_the_numbered_call() {
    let whole = SimDisk::new();
    workload(&whole).unwrap();
    for call in 1..=whole.calls() {
        let disk = SimDisk::new();
        disk.fail_at(call, Fault::DeviceError);
        let error = workload(&disk).unwrap_err();
        assert!(error.raw_os_error() == Some(libc::EIO) || error.to_string().contains("code: 5"));
        assert_eq!(disk.calls(), call);
        assert!(!disk.is_crashed());
        disk.list(Path::new("/")).expect("the next call works");
    }
}

#[test]
fn a_call_that_failed_did_nothing() {
    let disk = new_disk();
    create_synced(&disk, "file", b"bytes");
    let before = disk.files();
    let error = Fault::Error(io::ErrorKind::CrossesDevices);
    disk.fail_next(CallKind::HardLink, error);
    disk.fail_next(CallKind::Rename, error);
    disk.fail_next(CallKind::Remove, error);
    disk.fail_next(CallKind::Open, error);
    let created = disk.open(&path("new"), Access::CreateNew { capacity: 1 });
    assert_eq!(kind(created), io::ErrorKind::CrossesDevices);
    let linked = disk.hard_link(&path("file"), &path("link"));
    assert_eq!(kind(linked), io::ErrorKind::CrossesDevices);
    assert_eq!(kind(disk.rename(&path("file"), &path("b"))), io::ErrorKind::CrossesDevices);
    assert_eq!(kind(disk.remove(&path("file"))), io::ErrorKind::CrossesDevices);
    assert_eq!(disk.files(), before);
    assert_eq!(disk.unsynced(), 0);
    disk.remove(&path("file")).expect("each failure is used once");
}

#[test]
fn a_short_write_does_its_first_bytes() {
    let disk = new_disk();
    let file = create_synced(&disk, "file", b"......");
    disk.fail_next(CallKind::Write, Fault::ShortWrite(2));
    file.write_at(1, b"abcd").unwrap_err();
    assert_eq!(found(&disk, "file"), some(b".ab..."));
    disk.fail_next(CallKind::Write, Fault::Error(io::ErrorKind::Other));
    file.write_at(1, b"XYZ").unwrap_err();
    assert_eq!(found(&disk, "file"), some(b".ab..."));
}

#[test]
fn a_crash_during_a_write_leaves_its_first_bytes() {
    let disk = new_disk();
    let file = create_synced(&disk, "file", b"......");
    disk.crash_during_write(disk.calls() + 1, 3);
    file.write_at(0, b"abcdef").unwrap_err();
    assert!(disk.is_crashed());
    assert_eq!(found(&disk.crashed_image(CrashPlan::KeepAll), "file"), some(b"abc..."));
    assert_eq!(found(&disk.crashed_image(CrashPlan::LoseUnsynced), "file"), some(b"......"));
}

#[test]
fn a_failed_sync_that_dropped_the_changes_is_not_mended_by_the_next() {
    let disk = new_disk();
    let file = create_synced(&disk, "file", b"old");
    file.write_at(0, b"new").unwrap();
    disk.fail_next(CallKind::Sync, Fault::SyncFails(FailedSync::Dropped));
    file.sync().unwrap_err();
    assert_eq!(*file.read(0, 3).unwrap(), *b"new", "still seen");
    assert!(outcomes(&disk, "file").is_superset(&BTreeSet::from([some(b"old"), some(b"new")])));
    file.sync().expect("says that all is well");
    let lost = disk.crashed_image(CrashPlan::KeepAll);
    assert_eq!(found(&lost, "file"), some(b"old"));
    file.write_at(1, b"E").unwrap();
    file.sync().unwrap();
    assert_eq!(outcomes(&disk, "file"), BTreeSet::from([some(b"oEd"), some(b"nEw")]));
}

#[test]
fn a_failed_sync_that_kept_the_changes_is_mended_by_the_next() {
    let disk = new_disk();
    let file = create_synced(&disk, "file", b"old");
    file.write_at(0, b"new").unwrap();
    disk.fail_next(CallKind::Sync, Fault::SyncFails(FailedSync::Kept));
    file.sync().unwrap_err();
    assert!(outcomes(&disk, "file").contains(&some(b"old")));
    file.sync().unwrap();
    assert_eq!(outcomes(&disk, "file"), BTreeSet::from([some(b"new")]));
}

#[test]
fn a_failed_directory_sync_may_drop_names() {
    let disk = new_disk();
    let folder = Path::new(FOLDER);
    create(&disk, "kept", b"k").sync().unwrap();
    disk.fail_next(CallKind::SyncDirectory, Fault::SyncFails(FailedSync::Kept));
    disk.sync_directory(folder).unwrap_err();
    disk.sync_directory(folder).unwrap();
    create(&disk, "dropped", b"d").sync().unwrap();
    disk.fail_next(CallKind::SyncDirectory, Fault::SyncFails(FailedSync::Dropped));
    disk.sync_directory(folder).unwrap_err();
    disk.sync_directory(folder).unwrap();
    let image = disk.crashed_image(CrashPlan::KeepAll);
    assert_eq!((found(&image, "kept"), found(&image, "dropped")), (some(b"k"), None));
}

#[test]
fn space_is_limited_and_comes_back() {
    let disk = new_disk();
    disk.set_capacity(1000);
    let file = create(&disk, "file", &[1; 600]);
    assert_eq!(disk.free_space(Path::new("/")).unwrap(), 400);
    let other = disk.open(&path("other"), Access::CreateNew { capacity: CAPACITY }).unwrap();
    assert_eq!(kind(other.allocate(401)), io::ErrorKind::StorageFull);
    assert_eq!(other.length(), 0);
    other.allocate(400).unwrap();
    assert_eq!(kind(file.allocate(601)), io::ErrorKind::StorageFull);
    file.write_at(0, &[2; 600]).expect("allocated space is there");
    disk.remove(&path("other")).unwrap();
    assert_eq!(kind(file.allocate(601)), io::ErrorKind::StorageFull, "removed, but still open");
    drop(other);
    file.allocate(700).unwrap();
    file.truncate(100).unwrap();
    assert_eq!(disk.free_space(Path::new("/")).unwrap(), 900);
    disk.set_capacity(50);
    assert_eq!(disk.free_space(Path::new("/")).unwrap(), 0);
    disk.set_capacity(2000);
    file.allocate(2000).unwrap();
    disk.fail_next(CallKind::Allocate, Fault::StorageFull);
    assert_eq!(kind(file.allocate(2000)), io::ErrorKind::StorageFull);
}

#[test]
fn two_identical_runs_give_identical_traces_numbers_and_images() {
    let run = || {
        let disk = SimDisk::with_seed(7);
        workload(&disk).unwrap();
        let file = create(&disk, "tail", &[3; 2000]);
        file.write_at(0, &[4; 1000]).unwrap();
        let images: Vec<_> = disk
            .plans()
            .into_iter()
            .map(|plan| {
                let image = disk.crashed_image(plan);
                let files = image.files();
                let bytes: Vec<_> = files.iter().map(|(path, _)| image.contents(path)).collect();
                (plan, files, bytes)
            })
            .collect();
        (disk.trace(), disk.random(), images)
    };
    assert_eq!(run(), run());
    assert_ne!(SimDisk::with_seed(1).random(), SimDisk::with_seed(2).random());
}

#[test]
fn locks_are_held_by_one_and_end_with_the_process() {
    let disk = new_disk();
    let lock = disk.lock(&path("lock")).unwrap();
    assert!(matches!(disk.lock(&path("lock")), Err(LockError::Held(Some(PROCESS)))));
    for plan in [CrashPlan::KillProcess, CrashPlan::LoseUnsynced] {
        disk.crashed_image(plan).lock(&path("lock")).unwrap();
    }
    drop(lock);
    disk.lock(&path("lock")).unwrap();
    assert_eq!(disk.unsynced(), 0);
    assert!(matches!(disk.lock(Path::new("/missing/lock")), Err(LockError::Io(_))));
}

#[test]
fn calls_fail_as_on_the_real_machine() {
    use io::ErrorKind::{
        AlreadyExists, InvalidInput, IsADirectory, NotADirectory, NotFound, PermissionDenied,
        UnexpectedEof,
    };

    let disk = new_disk();
    let folder = Path::new(FOLDER);
    let file = create(&disk, "file", b"0123456789");
    let new = Access::CreateNew { capacity: 10 };
    assert_eq!(kind(disk.open(&path("none"), Access::ReadOnly)), NotFound);
    assert_eq!(kind(disk.open(&path("none/file"), new)), NotFound);
    assert_eq!(kind(disk.open(&path("file"), new)), AlreadyExists);
    assert_eq!(kind(disk.open(&path("file"), Access::ReadWrite { capacity: 9 })), InvalidInput);
    assert_eq!(kind(disk.open(folder, Access::ReadOnly)), IsADirectory);
    assert_eq!(kind(disk.rename(&path("none"), &path("b"))), NotFound);
    assert_eq!(kind(disk.rename(&path("file"), &path("none/b"))), NotFound);
    assert_eq!(kind(disk.rename(&path("file"), folder)), IsADirectory);
    assert_eq!(kind(disk.remove(&path("none"))), NotFound);
    assert_eq!(kind(disk.hard_link(&path("file"), &path("file"))), AlreadyExists);
    assert_eq!(kind(disk.create_directory(&path("file/below"))), NotADirectory);
    assert_eq!(kind(disk.list(&path("none"))), NotFound);
    assert_eq!(kind(disk.sync_directory(&path("none"))), NotFound);
    for (offset, length) in [(10, 1), (u64::MAX, 2)] {
        assert_eq!(kind(file.read(offset, length)), UnexpectedEof);
        assert_eq!(kind(file.read_copy(offset, length)), UnexpectedEof);
        assert_eq!(kind(file.write_at(offset, &vec![0; length])), InvalidInput);
    }
    assert_eq!(kind(file.allocate(CAPACITY + 1)), InvalidInput);
    assert_eq!(kind(file.truncate(11)), InvalidInput);
    let reader = disk.open(&path("file"), Access::ReadOnly).unwrap();
    for refused in [reader.write_at(0, b"x"), reader.allocate(20), reader.truncate(0)] {
        assert_eq!(kind(refused), PermissionDenied);
    }
    file.allocate(5).expect("never shrinks");
    assert_eq!((file.length(), reader.length()), (10, 10));
    file.allocate(20).unwrap();
    assert_eq!((file.length(), reader.length()), (20, 10), "a reader keeps the length it found");
}

#[test]
fn names_are_listed_in_order_with_directories() {
    let disk = SimDisk::new();
    disk.create_directory(Path::new("/a/b/")).unwrap();
    disk.put_file(Path::new("/a/z"), b"");
    disk.put_file(Path::new("/a/./c"), b"");
    disk.put_file(Path::new("/a/b/deep"), b"");
    assert_eq!(disk.list(Path::new("/a")).unwrap(), ["b", "c", "z"]);
    assert_eq!(disk.list(Path::new("/")).unwrap(), ["a"]);
    disk.put_file(Path::new("relative/file"), b"x");
    assert_eq!(disk.list(Path::new("relative")).unwrap(), ["file"]);
}

#[test]
fn reads_are_borrowed_until_the_file_changes_or_copies_are_asked_for() {
    let disk = new_disk();
    let writer = create(&disk, "file", b"one");
    let reader = disk.open(&path("file"), Access::ReadOnly).unwrap();
    assert!(matches!(reader.read(0, 3).unwrap(), Cow::Borrowed(b"one")));
    disk.set_reads(Reads::Copied);
    assert!(matches!(reader.read(0, 3).unwrap(), Cow::Owned(_)));
    disk.set_reads(Reads::Borrowed);
    let kept = reader.read(0, 3).unwrap();
    writer.write_at(0, b"two").unwrap();
    assert_eq!(*reader.read(0, 3).unwrap(), *b"two", "no stale bytes");
    drop(kept);
}

#[test]
fn a_reader_of_a_file_that_was_cut_sees_zeros_and_a_mark() {
    let disk = new_disk();
    create_synced(&disk, "file", b"0123456789");
    let reader = disk.open(&path("file"), Access::ReadOnly).unwrap();
    disk.truncate_file(&path("file"), 4);
    assert_eq!(*reader.read(0, 4).unwrap(), *b"0123");
    assert!(!reader.has_faulted());
    assert_eq!(*reader.read(2, 4).unwrap(), *b"23\0\0");
    assert!(reader.has_faulted());
    assert_eq!(kind(reader.read_copy(2, 4)), io::ErrorKind::UnexpectedEof);
}

#[test]
fn broken_media_read_as_zeros_with_a_mark_and_as_an_error_when_copied() {
    let disk = new_disk();
    create_synced(&disk, "file", b"0123456789");
    disk.break_media(&path("file"), 4, 2);
    for image in [disk.crashed_image(CrashPlan::LoseUnsynced), disk.clone()] {
        let file = image.open(&path("file"), Access::ReadWrite { capacity: 100 }).unwrap();
        assert_eq!(*file.read(0, 4).unwrap(), *b"0123");
        assert!(!file.has_faulted());
        assert_eq!(*file.read(3, 4).unwrap(), *b"3\0\x006");
        assert!(file.has_faulted());
        let error = file.read_copy(3, 4).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EIO));
        assert_eq!(file.read_copy(6, 4).unwrap(), b"6789");
        assert_eq!(*file.read(6, 4).unwrap(), *b"6789");
        file.write_at(0, b"x").unwrap_err();
    }
}

#[test]
fn damage_is_done_to_live_and_durable_bytes() {
    let disk = new_disk();
    create_synced(&disk, "a", b"aaaa");
    create_synced(&disk, "b", b"bbbb");
    disk.flip_bit(&path("a"), 0, 1);
    disk.overwrite(&path("a"), 2, b"xy");
    assert_eq!(outcomes(&disk, "a"), BTreeSet::from([some(b"caxy")]));
    disk.swap_blocks((&path("a"), 0), (&path("b"), 2), 2);
    assert_eq!((found(&disk, "a"), found(&disk, "b")), (some(b"bbxy"), some(b"bbca")));
    disk.swap_files(&path("a"), &path("b"));
    assert_eq!(outcomes(&disk, "a"), BTreeSet::from([some(b"bbca")]));
    disk.truncate_file(&path("a"), 1);
    assert_eq!(outcomes(&disk, "a"), BTreeSet::from([some(b"b")]));
    disk.delete(&path("a"));
    assert_eq!(outcomes(&disk, "a"), BTreeSet::from([None]));
    disk.put_file(&path("b"), b"put");
    assert_eq!(outcomes(&disk, "b"), BTreeSet::from([some(b"put")]));
    assert_eq!(disk.files(), [(path("b"), 3)]);
}

#[test]
fn clocks_move_when_told_to() {
    let disk = SimDisk::new();
    let (wall, monotonic) = (disk.wall_clock(), disk.monotonic());
    disk.advance(Duration::from_millis(1500));
    assert_eq!(disk.wall_clock(), UnixMillis(wall.0 + 1500));
    assert_eq!(disk.monotonic(), monotonic + Duration::from_millis(1500));
    disk.set_wall_clock(UnixMillis(5));
    assert_eq!(disk.wall_clock(), UnixMillis(5));
    assert_eq!(disk.monotonic(), monotonic + Duration::from_millis(1500));
    assert_eq!(disk.crashed_image(CrashPlan::LoseUnsynced).wall_clock(), UnixMillis(5));
    assert_eq!(disk.calls(), 0, "clocks are not calls");
}

#[test]
fn removed_files_are_forgotten_once_nothing_can_bring_them_back() {
    let disk = new_disk();
    for _ in 0..10 {
        let file = create_synced(&disk, "file", &[1; 100]);
        file.write_at(0, b"unsynced").unwrap();
        disk.remove(&path("file")).unwrap();
        assert_eq!(*file.read(0, 8).unwrap(), *b"unsynced", "as long as it is open");
        disk.sync_directory(Path::new(FOLDER)).unwrap();
        drop(file);
    }
    disk.sync_directory(Path::new(FOLDER)).unwrap();
    assert!(disk.lock_machine().state.files.is_empty());
    assert_eq!(disk.unsynced(), 0);
}
