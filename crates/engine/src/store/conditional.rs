//! Writes that depend on what is there. Each is decided on the newest state of its key, durable or not
//! yet, which nobody changes in between; a refusal is told only when what it rests on is durable.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::ids::{Sequence, UnixMillis};
use crate::log::Effect;
use crate::reclaim::pin;
use crate::store::KvStore;
use crate::store::core::Core;
use crate::store::write::{Current, Decision};

/// When a [`set_with`](KvStore::set_with) writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Condition {
    #[default]
    Always,
    IfAbsent,
    IfPresent,
}

/// Until when the value lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expiry {
    #[default]
    Never,
    After(Duration),
    At(UnixMillis),
}

/// How a value is set.
///
/// ```
/// # use std::time::Duration;
/// # use aryavarth::{KvStore, SetOptions, SetOutcome};
/// # let directory = tempfile::tempdir().unwrap();
/// # let store = KvStore::open(directory.path())?;
/// let lock = SetOptions::new().only_if_absent().expire_in(Duration::from_secs(30));
/// assert!(matches!(store.set_with("lock", "me", lock)?, SetOutcome::Written(_)));
/// assert_eq!(store.set_with("lock", "you", lock)?, SetOutcome::Declined);
/// # Ok::<(), aryavarth::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SetOptions {
    condition: Condition,
    expiry: Expiry,
}

impl SetOptions {
    /// Unconditionally and for good.
    pub fn new() -> SetOptions {
        SetOptions::default()
    }

    /// Until this much time has passed, to the millisecond. Zero: it has expired at once.
    pub fn expire_in(self, time_to_live: Duration) -> SetOptions {
        SetOptions { expiry: Expiry::After(time_to_live), ..self }
    }

    /// Until this moment.
    pub fn expire_at(self, moment: UnixMillis) -> SetOptions {
        SetOptions { expiry: Expiry::At(moment), ..self }
    }

    /// Only if the key has no value.
    pub fn only_if_absent(self) -> SetOptions {
        SetOptions { condition: Condition::IfAbsent, ..self }
    }

    /// Only if the key has a value.
    pub fn only_if_present(self) -> SetOptions {
        SetOptions { condition: Condition::IfPresent, ..self }
    }
}

/// What became of a [`set_with`](KvStore::set_with).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOutcome {
    /// The value is set, with this version.
    Written(Sequence),
    /// The condition did not hold; nothing was written.
    Declined,
}

/// What a key must have for a swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected<'a> {
    /// No value.
    Absent,
    /// This value.
    Value(&'a [u8]),
    /// A value of this version.
    Version(Sequence),
}

/// What became of a swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// It was done, with this version.
    Swapped(Sequence),
    /// The key has something else; nothing was written.
    Mismatch,
}

impl KvStore {
    /// Gives `key` a value as `options` say.
    ///
    /// # Errors
    /// As [`write`](KvStore::write).
    pub fn set_with(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        options: SetOptions,
    ) -> Result<SetOutcome> {
        let expires_at = self.expires_at(options.expiry);
        let effect = Effect::Set { value: value.as_ref(), expires_at };
        let written = self.core().update(key.as_ref(), |current| {
            let holds = match options.condition {
                Condition::Always => true,
                Condition::IfAbsent => current.is_none(),
                Condition::IfPresent => current.is_some(),
            };
            Ok(if holds { Decision::Write(effect) } else { Decision::Decline })
        })?;
        Ok(written.map_or(SetOutcome::Declined, SetOutcome::Written))
    }

    /// Gives `key` the value `new` (or, if that is none, takes it away) if it has what is expected.
    /// The swapped value has no expiry.
    ///
    /// # Errors
    /// As [`write`](KvStore::write).
    pub fn compare_and_swap(
        &self,
        key: impl AsRef<[u8]>,
        expected: Expected<'_>,
        new: Option<&[u8]>,
    ) -> Result<Swap> {
        let key = key.as_ref();
        let written = self.core().update(key, |current| {
            let holds = match (expected, current) {
                (Expected::Absent, current) => current.is_none(),
                (_, None) => false,
                (Expected::Version(version), Some(current)) => current.sequence == version,
                (Expected::Value(value), Some(current)) => value_is(self.core(), current, value)?,
            };
            Ok(match (holds, new, current) {
                (false, ..) => Decision::Decline,
                (true, Some(value), _) => Decision::Write(Effect::Set { value, expires_at: None }),
                (true, None, _) => Decision::Write(Effect::Remove),
            })
        })?;
        Ok(written.map_or(Swap::Mismatch, Swap::Swapped))
    }

    fn expires_at(&self, expiry: Expiry) -> Option<UnixMillis> {
        match expiry {
            Expiry::Never => None,
            Expiry::At(moment) => Some(moment),
            Expiry::After(time_to_live) => {
                let now = self.core().segments.clock.now();
                let millis = u64::try_from(time_to_live.as_millis()).unwrap_or(u64::MAX);
                Some(UnixMillis(now.0.saturating_add(millis)))
            }
        }
    }
}

fn value_is(core: &Core, current: Current, value: &[u8]) -> Result<bool> {
    let guard = pin();
    let location = current.location;
    let segment = core.segment(location, &guard);
    let same = segment.record(&guard, location.offset(), |_, record| record.value == value)?;
    Ok::<_, Error>(same)
}
