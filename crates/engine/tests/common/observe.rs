//! What is found in an image: opened, read in full, verified, written to, and opened again.

use std::path::Path;

use aryavarth::disk::sim::{CrashPlan, SimDisk};
use aryavarth::{Create, Durability, KvStore};

use super::model::{Bytes, Contents, Value};
use super::{STORE, options};

/// The values of `keys`, asked for one by one.
///
/// # Panics
/// If one cannot be read, or the store counts fewer keys, or more than there are.
pub fn values(store: &KvStore, keys: &[Bytes]) -> Contents {
    let mut found = Contents::default();
    for key in keys {
        let entry = store.get_entry(key).expect("every key can be read");
        if let Some(entry) = entry {
            let value = Value { bytes: entry.value, expires_at: entry.expires_at };
            found.0.insert(entry.key, value);
        }
    }
    let counted = found.0.len() as u64..=keys.len() as u64;
    assert!(counted.contains(&store.len()), "expired keys may count too, but no others");
    found
}

/// Reads everything in `store`, both by going over it and by asking for each key.
///
/// # Panics
/// If anything cannot be read, or the two ways differ, or a key shows twice.
pub fn contents(store: &KvStore, keys: &[Bytes]) -> Contents {
    let mut found = Contents::default();
    for entry in store.iter() {
        let entry = entry.expect("every record can be read");
        let value = Value { bytes: entry.value, expires_at: entry.expires_at };
        let twice = found.0.insert(entry.key, value);
        assert_eq!(twice, None, "a key shows twice");
    }
    assert_eq!(found, values(store, keys), "going over the keys finds others than asking");
    found
}

/// Opens the store of an image that a crash left.
///
/// # Panics
/// If it does not open.
pub fn open(image: &SimDisk, durability: Durability) -> KvStore {
    let opened = KvStore::open_with(STORE, options(image, durability));
    opened.unwrap_or_else(|error| panic!("does not open after a crash: {error}"))
}

/// How much is tried with an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// It is opened and read.
    Brief,
    /// It is verified, opened a second time after another power cut, and written, which must last.
    Thorough,
}

/// Opens an image and returns what it holds, after checking what must hold of any image.
///
/// # Panics
/// If any of it does not hold.
pub fn recover(image: &SimDisk, durability: Durability, keys: &[Bytes], depth: Depth) -> Contents {
    let store = open(image, durability);
    if depth == Depth::Brief {
        return values(&store, keys);
    }
    let found = contents(&store, keys);
    let report = store.verify(|_| {}).expect("an open store can be verified");
    assert!(report.is_intact(), "damage after a crash: {:?}", report.damage);
    // What was read once must not be lost by a second crash.
    let again = image.crashed_image(CrashPlan::LoseUnsynced);
    assert_eq!(values(&open(&again, durability), keys), found, "a second opening differs");
    let expected = write_some(&store, keys, found.clone());
    store.sync().expect("a reopened store can be synced");
    assert_eq!(values(&store, keys), expected, "written after the crash");
    let third = image.crashed_image(CrashPlan::LoseUnsynced);
    let store_third = open(&third, durability);
    assert_eq!(values(&store_third, keys), expected, "what was written after the crash");
    store_third.close().expect("a reopened store can be closed");
    store.close().expect("a reopened store can be closed");
    found
}

/// Writes to a store that holds `contents`; returns what it must hold then.
fn write_some(store: &KvStore, keys: &[Bytes], mut contents: Contents) -> Contents {
    for (number, key) in [&keys[0], &keys[keys.len() / 2]].into_iter().enumerate() {
        let value = [b'n', number as u8];
        store.set(key, value).expect("a reopened store can be written");
        contents.put(key, Some(&value));
    }
    store.remove(&keys[1]).expect("a reopened store can be written");
    contents.put(&keys[1], None);
    contents
}

/// What a backup holds; none if it is not whole.
pub fn backup(image: &SimDisk, directory: &str, keys: &[Bytes]) -> Option<Contents> {
    let options = options(image, Durability::Always).create(Create::Never);
    let store = KvStore::open_with(Path::new(directory), options).ok()?;
    assert!(store.verify(|_| {}).expect("it is open").is_intact());
    Some(values(&store, keys))
}

/// A number that tells images apart: the same for the same files with the same bytes.
pub fn fingerprint(image: &SimDisk) -> u128 {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    for (path, length) in image.files() {
        hasher.update(path.as_os_str().as_encoded_bytes());
        hasher.update(&length.to_le_bytes());
        hasher.update(&image.contents(&path));
    }
    hasher.digest128()
}
