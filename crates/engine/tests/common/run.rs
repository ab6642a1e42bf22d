//! Runs a workload on a simulated disk until it ends or the machine stops.

use std::path::Path;
use std::time::Duration;

use aryavarth::disk::Disk;
use aryavarth::disk::sim::SimDisk;
use aryavarth::{
    Durability, Expected, KvStore, Options, Result, SetOptions, SetOutcome, Swap, WriteBatch,
};

use super::model::{History, Step};
use super::{STORE, options};

/// How far a run came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Progress {
    /// Steps acknowledged.
    pub acknowledged: usize,
    /// Steps that must survive a power cut.
    pub durable: usize,
    /// Whether the step after the acknowledged ones was begun.
    pub in_flight: bool,
    /// Backups that were completed: where, and after how many steps.
    pub backups: Vec<(&'static str, usize)>,
}

impl Progress {
    /// How many steps may be found in effect after a power cut.
    pub fn after_power_cut(&self) -> std::ops::RangeInclusive<usize> {
        self.durable..=self.acknowledged + usize::from(self.in_flight)
    }

    /// How many after the process was killed.
    pub fn after_kill(&self) -> std::ops::RangeInclusive<usize> {
        self.acknowledged..=self.acknowledged + usize::from(self.in_flight)
    }
}

/// Opens the store and does the steps, until all are done or the machine has stopped. Hands back
/// the store if it is open at the end.
///
/// # Panics
/// If a step fails although the machine runs, or does something else than the model says.
pub fn run(
    history: &History,
    disk: &SimDisk,
    durability: Durability,
) -> (Progress, Option<KvStore>) {
    let options = options(disk, durability);
    let mut progress = Progress::default();
    let Some(mut store) = unless_crashed(disk, "open", KvStore::open_with(STORE, options.clone()))
    else {
        return (progress, None);
    };
    let mut rested = Duration::ZERO;
    for (index, step) in history.steps.iter().enumerate() {
        progress.in_flight = true;
        let (contents, now) = (&history.after[index], disk.wall_clock());
        let writes = step.apply(&mut contents.clone(), now);
        let segments = store.stats().segments;
        if let Step::Reopen = step {
            let what = format!("step {index}, close");
            if unless_crashed(disk, &what, store.close()).is_none() {
                return (progress, None);
            }
            progress.durable = index + 1;
            let reopened = KvStore::open_with(STORE, options.clone());
            match unless_crashed(disk, "reopen", reopened) {
                Some(reopened) => store = reopened,
                None => return (progress, None),
            }
        } else {
            let what = format!("step {index}, {step:?}");
            match unless_crashed(disk, &what, perform(&store, disk, step)) {
                Some(wrote) => assert_eq!(wrote, writes, "{what}: decided otherwise"),
                None => return (progress, Some(store)),
            }
        }
        progress.acknowledged = index + 1;
        progress.in_flight = false;
        if durability == Durability::Always {
            progress.durable = index + 1;
        }
        if disk.is_crashed() {
            return (progress, Some(store));
        }
        if let Step::Advance(by) = step {
            rested += *by;
        }
        let interval_ended = writes && matches!(durability, Durability::Interval(i) if rested >= i);
        if interval_ended {
            rested = Duration::ZERO;
        }
        // A segment was ended and, as the store has no threads, sealed in the same step.
        if writes && store.stats().segments > segments {
            progress.durable = progress.durable.max(index);
        }
        if step.syncs() || interval_ended {
            progress.durable = index + 1;
        }
        if let Step::Backup(directory) = step {
            progress.backups.push((directory, index + 1));
        }
    }
    (progress, Some(store))
}

/// Does one step; says whether it wrote.
///
/// # Errors
/// The store's.
pub fn perform(store: &KvStore, disk: &SimDisk, step: &Step) -> Result<bool> {
    let with = |key, value, options: SetOptions| {
        store.set_with(key, value, options).map(|outcome| outcome != SetOutcome::Declined)
    };
    match step {
        Step::Set(key, value) => store.set(key, value).map(|()| true),
        Step::SetExpiring(key, value, after) => {
            with(key, value, SetOptions::new().expire_in(*after))
        }
        Step::SetIfAbsent(key, value) => with(key, value, SetOptions::new().only_if_absent()),
        Step::SetIfPresent(key, value) => with(key, value, SetOptions::new().only_if_present()),
        Step::Swap(key, expected, new) => store
            .compare_and_swap(key, Expected::Value(expected), new.as_deref())
            .map(|outcome| outcome != Swap::Mismatch),
        Step::Remove(key) => store.remove(key),
        Step::Batch(operations) => {
            let mut batch = WriteBatch::new();
            for (key, value) in operations {
                match value {
                    Some(value) => batch.set(key.clone(), value.clone()),
                    None => batch.remove(key.clone()),
                };
            }
            store.write(&batch).map(|_| true)
        }
        Step::Advance(by) => {
            disk.advance(*by);
            Ok(false)
        }
        Step::Sync => store.sync().map(|()| false),
        Step::Compact => store.compact().map(|_| false),
        Step::Checkpoint => store.checkpoint().map(|()| false),
        Step::Backup(directory) => store.backup(Path::new(directory)).map(|_| false),
        Step::Reopen => unreachable!("needs the store itself"),
    }
}

fn unless_crashed<T>(disk: &SimDisk, what: &str, outcome: Result<T>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(_) if disk.is_crashed() => None,
        Err(error) => panic!("{what}: {error}"),
    }
}

/// Opens the store.
///
/// # Errors
/// The store's.
pub fn reopen(disk: &SimDisk, durability: Durability) -> Result<KvStore> {
    let options: Options = options(disk, durability);
    KvStore::open_with(STORE, options)
}
