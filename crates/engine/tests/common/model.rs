//! What a store must hold after each step of a workload.

use std::collections::BTreeMap;
use std::time::Duration;

use aryavarth::UnixMillis;

/// A key or a value.
pub type Bytes = Vec<u8>;

/// A value and until when it lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Its bytes.
    pub bytes: Bytes,
    /// When it expires, if it does.
    pub expires_at: Option<UnixMillis>,
}

/// All keys with their values, expired ones perhaps among them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Contents(pub BTreeMap<Bytes, Value>);

impl std::fmt::Debug for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let short =
            |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(12)]).into_owned();
        let entries = self.0.iter().map(|(key, value)| {
            let expiry = value.expires_at.map_or(String::new(), |at| format!(" until {}", at.0));
            (short(key), format!("{}({}){expiry}", short(&value.bytes), value.bytes.len()))
        });
        f.debug_map().entries(entries).finish()
    }
}

impl Contents {
    /// What of it can be read at `now`.
    pub fn visible(&self, now: UnixMillis) -> Contents {
        let lasts = |value: &Value| value.expires_at.is_none_or(|at| at > now);
        let entries = self.0.iter().filter(|(_, value)| lasts(value));
        Contents(entries.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    /// Gives a key a value for good, or takes it away.
    pub fn put(&mut self, key: &[u8], bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => {
                let value = Value { bytes: bytes.to_vec(), expires_at: None };
                self.0.insert(key.to_vec(), value);
            }
            None => drop(self.0.remove(key)),
        }
    }

    /// Whether `key` can be read at `now`.
    pub fn has(&self, key: &[u8], now: UnixMillis) -> bool {
        self.0.get(key).is_some_and(|value| value.expires_at.is_none_or(|at| at > now))
    }
}

/// One thing done to a store.
#[derive(Clone, Debug)]
pub enum Step {
    Set(Bytes, Bytes),
    SetExpiring(Bytes, Bytes, Duration),
    SetIfAbsent(Bytes, Bytes),
    SetIfPresent(Bytes, Bytes),
    /// The key, the value it must have, and its new one, if any.
    Swap(Bytes, Bytes, Option<Bytes>),
    Remove(Bytes),
    /// Sets, and removes where there is no value, as one.
    Batch(Vec<(Bytes, Option<Bytes>)>),
    Advance(Duration),
    Sync,
    Compact,
    Checkpoint,
    Backup(&'static str),
    Reopen,
}

impl Step {
    /// Does the step to `contents` at `now`; says whether it wrote anything.
    pub fn apply(&self, contents: &mut Contents, now: UnixMillis) -> bool {
        match self {
            Step::Set(key, value) => contents.put(key, Some(value)),
            Step::SetExpiring(key, bytes, after) => {
                let expires_at = Some(UnixMillis(now.0 + after.as_millis() as u64));
                contents.0.insert(key.clone(), Value { bytes: bytes.clone(), expires_at });
            }
            Step::SetIfAbsent(key, _) if contents.has(key, now) => return false,
            Step::SetIfPresent(key, _) if !contents.has(key, now) => return false,
            Step::SetIfAbsent(key, value) | Step::SetIfPresent(key, value) => {
                contents.put(key, Some(value));
            }
            Step::Swap(key, expected, new) => {
                if !contents.has(key, now) || contents.0[key].bytes != *expected {
                    return false;
                }
                contents.put(key, new.as_deref());
            }
            Step::Remove(key) if !contents.has(key, now) => return false,
            Step::Remove(key) => contents.put(key, None),
            Step::Batch(operations) => {
                for (key, value) in operations {
                    contents.put(key, value.as_deref());
                }
            }
            Step::Advance(_)
            | Step::Sync
            | Step::Compact
            | Step::Checkpoint
            | Step::Backup(_)
            | Step::Reopen => return false,
        }
        true
    }

    /// Whether, once it has succeeded, all before it survives a power cut whatever the durability.
    pub fn syncs(&self) -> bool {
        matches!(
            self,
            Step::Sync | Step::Compact | Step::Checkpoint | Step::Backup(_) | Step::Reopen
        )
    }
}

/// A workload with the contents after each of its steps.
#[derive(Clone, Debug)]
pub struct History {
    /// The steps.
    pub steps: Vec<Step>,
    /// The contents before the first step, after it, after the second, …
    pub after: Vec<Contents>,
}

impl History {
    /// The history of `steps` on a store that held `start`, begun at `now`.
    pub fn new(start: Contents, steps: Vec<Step>, mut now: UnixMillis) -> History {
        let mut contents = start;
        let mut after = vec![contents.clone()];
        for step in &steps {
            step.apply(&mut contents, now);
            if let Step::Advance(by) = step {
                now.0 += by.as_millis() as u64;
            }
            after.push(contents.clone());
        }
        History { steps, after }
    }

    /// Every key that is ever used.
    pub fn keys(&self) -> Vec<Bytes> {
        let mut keys: Vec<Bytes> = self.after.iter().flat_map(|c| c.0.keys().cloned()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}
