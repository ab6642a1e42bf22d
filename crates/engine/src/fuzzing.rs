//! What fuzzers feed bytes to. No part of the library's interface.
//!
//! ```text
//!  bytes ─▶ a decoder                                   record, manifest, kvs1_line
//!  bytes ─▶ a file of a store on the simulated disk ─▶ open, read all, verify, salvage
//!  bytes ─▶ operations ─▶ store and map                 operations
//! ```
//!
//! Random bytes seldom have the right checksum, so every target that guards its bytes with one has a
//! twin that puts the right one there first: what follows is then as hostile as it can be. Nothing
//! may panic or hang, whatever the bytes; and a store that was damaged may lose values but never
//! show one that was not written under that key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::disk::sim::{CrashPlan, SimDisk};
use crate::ids::SegmentId;
use crate::manifest::Manifest;
use crate::names::Names;
use crate::record::{self, Salt};
use crate::{Create, Durability, Error, Expected, KvStore, Options, Swap, WriteBatch};

const DIRECTORY: &str = "/store";
const CHECKPOINT_HEADER: usize = 32;
const CHECKPOINT_TRAILER: usize = 16;

/// Decodes bytes as a record; true if they are one.
pub fn record(bytes: &[u8]) -> bool {
    record::decode(bytes, Salt::new(1, SegmentId(1)), 64).is_ok()
}

/// Decodes bytes as a manifest; true if they are one.
pub fn manifest(bytes: &[u8]) -> bool {
    Manifest::decode(bytes, Path::new("manifest")).is_ok()
}

/// Parses bytes as a line of a KVS1 log; true if they are one.
pub fn kvs1_line(bytes: &[u8]) -> bool {
    crate::kvs1::parse_line(bytes).is_ok()
}

// --- whole files ---

/// Opens a directory with one KVS1 log of these bytes.
pub fn kvs1_log(bytes: &[u8]) {
    let disk = SimDisk::new();
    disk.put_file(&Path::new(DIRECTORY).join("logs/1.log"), bytes);
    match KvStore::open_with(DIRECTORY, options(&disk)) {
        Ok(store) => assert_eq!(store.iter().count() as u64, store.len()),
        Err(error) => assert!(matches!(error, Error::Kvs1 { .. } | Error::Damaged { .. })),
    }
}

/// Changes places of a store's files (four bytes each: file, offset of two bytes, new byte) and
/// looks at all of it.
pub fn damaged_store(bytes: &[u8]) {
    let disk = sample();
    let files = disk.files();
    for change in bytes.chunks_exact(4) {
        let (path, length) = &files[usize::from(change[0]) % files.len()];
        if *length == 0 {
            continue;
        }
        let offset = u64::from(u16::from_le_bytes([change[1], change[2]])) % length;
        disk.overwrite(path, offset, &change[3..]);
    }
    look_at_all(&disk);
}

/// Puts these bytes behind the good records of the open segment.
pub fn segment_tail(bytes: &[u8]) {
    let disk = sample();
    let path = open_segment(&disk);
    let mut contents = disk.contents(&path);
    contents.truncate(tail(&contents));
    contents.extend_from_slice(bytes);
    disk.put_file(&path, &contents);
    look_at_all(&disk);
}

/// Puts these bytes in place of the manifest, with the right checksum.
pub fn manifest_file(bytes: &[u8]) {
    let disk = sample();
    let path = names().manifest();
    let mut contents = disk.contents(&path);
    change_each(&mut contents, bytes);
    let body = contents.len() - 4;
    let checksum = crc32c::crc32c(&contents[..body]);
    contents[body..].copy_from_slice(&checksum.to_le_bytes());
    disk.put_file(&path, &contents);
    look_at_all(&disk);
}

/// Changes the checkpoint, puts the right checksums there and looks at the store.
pub fn checkpoint_file(bytes: &[u8]) {
    let disk = sample();
    let path = names().checkpoint();
    let mut contents = disk.contents(&path);
    change_each(&mut contents, bytes);
    mend_checkpoint(&mut contents);
    disk.put_file(&path, &contents);
    // What it says is believed then: the keys may be wrong, but there is no reason to fall over.
    let Ok(store) = KvStore::open_with(DIRECTORY, options(&disk)) else { return };
    check_values(&store);
}

/// Three bytes a change: offset of two bytes, new byte.
fn change_each(contents: &mut [u8], bytes: &[u8]) {
    for change in bytes.chunks_exact(3) {
        let offset = usize::from(u16::from_le_bytes([change[0], change[1]])) % contents.len();
        contents[offset] = change[2];
    }
}

/// Puts the right checksums into a checkpoint, as far as its structure is still to be seen.
fn mend_checkpoint(contents: &mut [u8]) {
    let u32_at = |contents: &[u8], at: usize| {
        contents
            .get(at..at + 4)
            .map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    };
    let trailer = contents.len() - CHECKPOINT_TRAILER;
    let mut at = CHECKPOINT_HEADER;
    let tables = u32_at(contents, 12).unwrap_or(0);
    for table in 0..tables {
        let Some(count) = u32_at(contents, at) else { break };
        let end = at.saturating_add(4 + count as usize * 8);
        if end + 4 > trailer {
            break;
        }
        let checksum = crc32c::crc32c_append(table, &contents[at..end]);
        contents[end..end + 4].copy_from_slice(&checksum.to_le_bytes());
        at = end + 4;
    }
    let start = contents.get(trailer..trailer + 8).map_or(0, |bytes| {
        bytes.iter().rev().fold(0usize, |number, byte| number << 8 | usize::from(*byte))
    });
    let header = crc32c::crc32c(&contents[..CHECKPOINT_HEADER]);
    if let Some(block) = contents.get(start..trailer + 12) {
        let checksum = crc32c::crc32c_append(header, block);
        contents[trailer + 12..].copy_from_slice(&checksum.to_le_bytes());
    }
}

// --- the store that is damaged ---

fn names() -> Names {
    Names::new(Path::new(DIRECTORY))
}

fn options(disk: &SimDisk) -> Options {
    Options::tiny().durability(Durability::Os).disk(Arc::new(disk.clone()))
}

/// A machine with a store that has one of everything, as a killed process left it.
fn sample() -> SimDisk {
    static SAMPLE: OnceLock<SimDisk> = OnceLock::new();
    let disk = SAMPLE.get_or_init(|| {
        let disk = SimDisk::with_seed(5);
        fill(&disk).expect("nothing fails on a machine without faults");
        disk.crashed_image(CrashPlan::KeepAll)
    });
    disk.crashed_image(CrashPlan::KeepAll)
}

fn fill(disk: &SimDisk) -> crate::Result<()> {
    let store = KvStore::open_with(DIRECTORY, options(disk))?;
    for round in 0..3 {
        for number in 0..40 {
            let key = format!("key {number}");
            store.set(&key, value(&key, round))?;
        }
        store.remove("key 7")?;
        if round == 0 {
            store.compact()?;
            store.checkpoint()?;
        }
    }
    let mut batch = WriteBatch::new();
    batch.set("key 1", value("key 1", 9)).remove("key 2").set("key 3", value("key 3", 9));
    store.write(&batch).map(|_| ())
}

/// A value that names its key.
fn value(key: &str, round: u32) -> String {
    format!("{key}: round {round}, {}", "v".repeat(40 * round as usize))
}

fn open_segment(disk: &SimDisk) -> PathBuf {
    let logs = disk.files().into_iter().map(|(path, _)| path);
    let newest = logs.filter(|path| path.extension().is_some_and(|e| e == "log")).max();
    newest.expect("the sample has segments")
}

/// Where the zeros at the end begin, at a place for a record.
fn tail(contents: &[u8]) -> usize {
    let used = contents.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    used.next_multiple_of(8)
}

/// Opens, salvages, verifies and lists.
fn look_at_all(disk: &SimDisk) {
    let image = || disk.crashed_image(CrashPlan::KeepAll);
    if let Ok(store) = KvStore::open_with(DIRECTORY, options(&image())) {
        check_values(&store);
        let _ = store.compact();
        check_values(&store);
    }
    if let Ok(store) = KvStore::salvage(DIRECTORY, options(&image())) {
        check_values(&store);
    }
    let options = options(&image()).create(Create::Never);
    let _ = crate::verify_directory(DIRECTORY, &options, |_| {});
    let _ = crate::read_log(DIRECTORY, &options, |_| std::ops::ControlFlow::Continue(()));
}

/// Whatever is there was written, under this key.
fn check_values(store: &KvStore) {
    for entry in store.iter().flatten() {
        let prefix = [&entry.key[..], b": round "].concat();
        assert!(entry.value.starts_with(&prefix), "a value that was never written: {entry:?}");
    }
}

// --- operations ---

/// Does to a store and to a map what bytes say, and compares. Three bytes an operation: what, which
/// key, what value.
pub fn operations(bytes: &[u8]) {
    let mut disk = SimDisk::with_seed(3);
    let mut map = BTreeMap::new();
    let mut store = KvStore::open_with(DIRECTORY, options(&disk)).expect("an empty machine");
    for step in bytes.chunks_exact(3).take(400) {
        let (key, value) = (vec![step[1] % 16; 1 + usize::from(step[1] / 16)], step[2]);
        let value = vec![value; usize::from(value) * usize::from(step[1] % 8)];
        let done = match step[0] % 16 {
            0..=5 => store.set(&key, &value).map(|()| _ = map.insert(key, value)),
            6..=8 => store.remove(&key).map(|was| assert_eq!(was, map.remove(&key).is_some())),
            9 => {
                let old: Option<&Vec<u8>> = map.get(&key);
                let expected = old.map_or(Expected::Absent, |old| Expected::Value(old));
                store.compare_and_swap(&key, expected, Some(&value)).map(|swap| {
                    assert!(matches!(swap, Swap::Swapped(_)));
                    map.insert(key, value);
                })
            }
            10 => {
                let mut batch = WriteBatch::new();
                batch.set(key.clone(), value.clone()).remove([0]);
                store.write(&batch).map(|_| {
                    map.insert(key, value);
                    map.remove(&[0][..]);
                })
            }
            11 => store.checkpoint(),
            12 => store.compact().map(|_| ()),
            13 => store.get(&key).map(|found| assert_eq!(found.as_ref(), map.get(&key))),
            14 => {
                disk = disk.crashed_image(CrashPlan::KillProcess);
                KvStore::open_with(DIRECTORY, options(&disk)).map(|opened| store = opened)
            }
            _ => store.clone().close().and_then(|()| {
                KvStore::open_with(DIRECTORY, options(&disk)).map(|opened| store = opened)
            }),
        };
        done.expect("nothing fails on a machine without faults");
    }
    let found: BTreeMap<_, _> =
        store.iter().flatten().map(|entry| (entry.key, entry.value)).collect();
    assert_eq!(found, map);
}

// --- random bytes, where no fuzzer is at hand ---

/// A generator small enough to be seen through: xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.next() as usize % (most + 1);
        (0..length).map(|_| (self.next() >> 32) as u8).collect()
    }
}

/// Feeds a target up to `most` bytes, so many times; `ARYAVARTH_EXHAUSTIVE=1` does it fifty times as
/// often. The bytes come from fixed seeds, so that a failure is there again the next time.
///
/// # Panics
/// With the seed of what the target could not stand.
pub fn feed(times: u64, most: usize, target: impl Fn(&[u8])) {
    let factor = if std::env::var_os("ARYAVARTH_EXHAUSTIVE").is_some() { 50 } else { 1 };
    for seed in 1..=times * factor {
        let bytes = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)).bytes(most);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| target(&bytes)));
        assert!(outcome.is_ok(), "seed {seed}: {} bytes {}", bytes.len(), bytes.escape_ascii());
    }
}
