//! Many operations that take effect together.

use crate::ids::UnixMillis;
use crate::log::{Effect, Operation};

/// Operations that are written as one: after a crash all of them are there, or none.
///
/// Of two operations on the same key, the later wins. At most about 128 MiB of records start in one
/// batch; the last may be as large as a value may be.
#[derive(Clone, Debug, Default)]
pub struct WriteBatch {
    operations: Vec<OwnedOperation>,
    bytes: u64,
}

#[derive(Clone, Debug)]
struct OwnedOperation {
    key: Vec<u8>,
    effect: OwnedEffect,
}

#[derive(Clone, Debug)]
enum OwnedEffect {
    Set { value: Vec<u8>, expires_at: Option<UnixMillis> },
    Remove,
}

impl WriteBatch {
    /// An empty batch.
    pub fn new() -> WriteBatch {
        WriteBatch::default()
    }

    /// Gives `key` a value, for good.
    pub fn set(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> &mut WriteBatch {
        self.push(key.into(), OwnedEffect::Set { value: value.into(), expires_at: None })
    }

    /// Gives `key` a value until `expires_at`.
    pub fn set_expiring(
        &mut self,
        key: impl Into<Vec<u8>>,
        value: impl Into<Vec<u8>>,
        expires_at: UnixMillis,
    ) -> &mut WriteBatch {
        let expires_at = Some(expires_at);
        self.push(key.into(), OwnedEffect::Set { value: value.into(), expires_at })
    }

    /// Takes `key` away, whether or not it has a value.
    pub fn remove(&mut self, key: impl Into<Vec<u8>>) -> &mut WriteBatch {
        self.push(key.into(), OwnedEffect::Remove)
    }

    fn push(&mut self, key: Vec<u8>, effect: OwnedEffect) -> &mut WriteBatch {
        let value = match &effect {
            OwnedEffect::Set { value, .. } => value.len(),
            OwnedEffect::Remove => 0,
        };
        self.bytes += (key.len() + value) as u64;
        self.operations.push(OwnedOperation { key, effect });
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
        self.bytes
    }

    /// Takes all operations out.
    pub fn clear(&mut self) {
        self.operations.clear();
        self.bytes = 0;
    }

    pub(crate) fn operations(&self) -> Vec<Operation<'_>> {
        self.operations.iter().map(OwnedOperation::borrow).collect()
    }
}

impl OwnedOperation {
    fn borrow(&self) -> Operation<'_> {
        let effect = match &self.effect {
            OwnedEffect::Set { value, expires_at } => {
                Effect::Set { value, expires_at: *expires_at }
            }
            OwnedEffect::Remove => Effect::Remove,
        };
        Operation { key: &self.key, effect }
    }
}
