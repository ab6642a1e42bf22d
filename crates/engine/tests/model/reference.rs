//! The map that the store must agree with.

use std::collections::BTreeMap;

use aryavarth::{Entry, Sequence, UnixMillis};

/// What a store has to answer.
#[derive(Clone, Debug, Default)]
pub struct Reference {
    /// Every key with its newest value, expired or not.
    entries: BTreeMap<Vec<u8>, Entry>,
    /// The version of the newest write.
    newest: u64,
    /// Whether any write so far had an expiry.
    expiry_was_used: bool,
}

impl Reference {
    /// The version of the newest write.
    pub fn newest(&self) -> Sequence {
        Sequence(self.newest)
    }

    /// Sets a key; returns the version.
    pub fn set(
        &mut self,
        key: Vec<u8>,
        value: Vec<u8>,
        expires_at: Option<UnixMillis>,
    ) -> Sequence {
        self.newest += 1;
        self.expiry_was_used |= expires_at.is_some();
        let version = self.newest();
        self.entries.insert(key.clone(), Entry { key, value, version, expires_at });
        version
    }

    /// Removes a key, whether or not it is there; returns the version of the removal.
    pub fn remove(&mut self, key: &[u8]) -> Sequence {
        self.newest += 1;
        self.entries.remove(key);
        self.newest()
    }

    /// The entry of a key at a moment.
    pub fn get(&self, key: &[u8], now: UnixMillis) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| is_live(entry, now))
    }

    /// All entries of a moment, by key.
    pub fn live(&self, now: UnixMillis) -> Vec<Entry> {
        self.entries.values().filter(|entry| is_live(entry, now)).cloned().collect()
    }

    /// All entries of a moment, in order of writing.
    pub fn by_version(&self, now: UnixMillis) -> Vec<Entry> {
        let mut entries = self.live(now);
        entries.sort_by_key(|entry| entry.version);
        entries
    }

    /// The number of keys, those that have expired included.
    pub fn most_keys(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The bytes of the records of all keys, if it can be known: not once something may have expired.
    pub fn record_bytes(&self) -> Option<u64> {
        let length = |entry: &Entry| (28 + entry.key.len() + entry.value.len()).next_multiple_of(8);
        let all = self.entries.values().map(|entry| length(entry) as u64);
        (!self.expiry_was_used).then(|| all.sum())
    }
}

fn is_live(entry: &Entry, now: UnixMillis) -> bool {
    entry.expires_at.is_none_or(|at| at > now)
}
