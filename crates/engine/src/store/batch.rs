//! Many operations that take effect together.

use crate::ids::UnixMillis;
use crate::log::{Effect, Operation};

/// Operations that are written as one: after a crash all of them are there, or none.
///
/// Of two operations on the same key, the later wins. At most about 128 MiB of records start in one
/// batch; the last may be as large as a value may be.
///
/// ```text
///  bytes:      key value key value key …      one allocation for all, kept by `clear`
///  operations:  │   │     where each begins, how long, until when
/// ```
#[derive(Clone, Debug, Default)]
pub struct WriteBatch {
    bytes: Vec<u8>,
    operations: Vec<Stored>,
}

/// An operation whose key and value stand in the batch's bytes, one after the other.
#[derive(Clone, Copy, Debug)]
struct Stored {
    start: usize,
    key_length: usize,
    effect: StoredEffect,
}

#[derive(Clone, Copy, Debug)]
enum StoredEffect {
    Set { value_length: usize, expires_at: Option<UnixMillis> },
    Remove,
}

impl WriteBatch {
    /// An empty batch.
    pub fn new() -> WriteBatch {
        WriteBatch::default()
    }

    /// Gives `key` a value, for good.
    pub fn set(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut WriteBatch {
        self.push(key.as_ref(), Effect::Set { value: value.as_ref(), expires_at: None })
    }

    /// Gives `key` a value until `expires_at`.
    pub fn set_expiring(
        &mut self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        expires_at: UnixMillis,
    ) -> &mut WriteBatch {
        let expires_at = Some(expires_at);
        self.push(key.as_ref(), Effect::Set { value: value.as_ref(), expires_at })
    }

    /// Takes `key` away, whether or not it has a value.
    pub fn remove(&mut self, key: impl AsRef<[u8]>) -> &mut WriteBatch {
        self.push(key.as_ref(), Effect::Remove)
    }

    /// Adds an operation.
    #[inline]
    pub fn push(&mut self, key: &[u8], effect: Effect<'_>) -> &mut WriteBatch {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let effect = match effect {
            Effect::Set { value, expires_at } => {
                self.bytes.extend_from_slice(value);
                StoredEffect::Set { value_length: value.len(), expires_at }
            }
            Effect::Remove => StoredEffect::Remove,
        };
        self.operations.push(Stored { start, key_length: key.len(), effect });
        self
    }

    /// The number of operations.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Bytes of keys and values.
    pub fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Takes all operations out. Keeps the memory for the next ones.
    pub fn clear(&mut self) {
        self.operations.clear();
        self.bytes.clear();
    }

    /// Operation `number`, from 0.
    ///
    /// # Panics
    /// If there are fewer.
    #[inline]
    pub fn operation(&self, number: usize) -> Operation<'_> {
        let stored = &self.operations[number];
        let (key, rest) = self.bytes[stored.start..].split_at(stored.key_length);
        let effect = match stored.effect {
            StoredEffect::Set { value_length, expires_at } => {
                Effect::Set { value: &rest[..value_length], expires_at }
            }
            StoredEffect::Remove => Effect::Remove,
        };
        Operation { key, effect }
    }

    pub(crate) fn operations(&self) -> Vec<Operation<'_>> {
        (0..self.len()).map(|number| self.operation(number)).collect()
    }
}
