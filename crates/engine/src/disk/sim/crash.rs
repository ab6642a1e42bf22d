//! What is left after a crash.

use std::sync::Arc;

use super::random::Random;
use super::state::{Change, FileId, State, Unsynced};

/// Bytes the device writes as one.
const SECTOR: u64 = 512;
/// Up to this many unsynced changes, every combination of them is tried.
const EXHAUSTIVE: usize = 6;
/// Up to this many, every prefix and every single loss is tried; of more, a spread.
const SPREAD: usize = 64;
/// Up to this many bytes, the last write is torn at every one; beyond, at every eighth.
const TORN_EACH_BYTE: usize = 256;
/// Random combinations tried of each sort.
const SEEDS: u64 = 8;

/// Which unsynced changes survive a crash. They are counted from 0 in the order they were made; see
/// [`SimDisk::unsynced`](super::SimDisk::unsynced).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CrashPlan {
    /// The process was killed, the machine runs on: nothing is lost, and nothing more is synced
    /// than was.
    KillProcess,
    /// The power was cut (as in all below) and nothing unsynced survived.
    LoseUnsynced,
    /// Everything survived.
    KeepAll,
    /// The first so many survived.
    KeepPrefix(usize),
    /// All but this one survived.
    LoseOne(usize),
    /// Only this one survived.
    KeepOne(usize),
    /// Those survived whose bit is set, of the first 64.
    KeepMask(u64),
    /// Those survived on whose toss the coin, seeded with this, showed heads.
    KeepSubset(u64),
    /// The names survived and the bytes did not.
    LoseBytes,
    /// The bytes survived and the names did not.
    LoseNames,
    /// Everything survived, but of the last write only so many bytes.
    TearLast(usize),
    /// Everything survived, but each write only up to some byte, chosen with this seed.
    TearEach(u64),
    /// Everything survived, but each write only in some of its 512-byte sectors, chosen with this
    /// seed.
    TearSectors(u64),
}

/// What survives of one change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Survival {
    Whole,
    Gone,
    /// Of a write, the first so many bytes.
    Prefix(usize),
    /// Of a write, a random choice of sectors.
    Sectors(u64),
}

impl State {
    /// The state after a crash.
    pub(super) fn after(&self, plan: CrashPlan) -> State {
        if plan == CrashPlan::KillProcess {
            return self.without_process();
        }
        let mut names = self.durable_names.clone();
        let mut files = self.files.clone();
        for (unsynced, survival) in self.unsynced().iter().zip(survivals(plan, self.unsynced())) {
            if survival == Survival::Gone {
                continue;
            }
            unsynced.apply_names(&mut names);
            for (file, change) in surviving(&unsynced.change, survival) {
                if let Some(contents) = files.get_mut(&file) {
                    change.apply(Arc::make_mut(&mut contents.durable));
                }
            }
        }
        self.rebooted(names, files)
    }
}

/// The crashes worth trying with these changes unsynced.
pub(super) fn plans(unsynced: &[Unsynced]) -> Vec<CrashPlan> {
    let mut plans = vec![CrashPlan::KillProcess, CrashPlan::LoseUnsynced];
    if unsynced.is_empty() {
        return plans;
    }
    let count = unsynced.len();
    plans.extend([CrashPlan::KeepAll, CrashPlan::LoseBytes, CrashPlan::LoseNames]);
    if count <= EXHAUSTIVE {
        plans.extend((1..(1 << count) - 1).map(CrashPlan::KeepMask));
    } else {
        plans.extend(spread(1, count).map(CrashPlan::KeepPrefix));
        plans.extend(spread(0, count).map(CrashPlan::LoseOne));
        plans.extend(spread(0, count).map(CrashPlan::KeepOne));
        plans.extend((0..SEEDS).map(CrashPlan::KeepSubset));
    }
    if let Some((offset, length)) = last_write(unsynced) {
        plans.extend(tears(offset, length).map(CrashPlan::TearLast));
        plans.extend((0..SEEDS).map(CrashPlan::TearEach));
        plans.extend((0..SEEDS).map(CrashPlan::TearSectors));
    }
    plans
}

/// The numbers from `first` to before `end`: all of them, or a spread that has the first and the
/// last.
fn spread(first: usize, end: usize) -> impl Iterator<Item = usize> {
    let count = end - first;
    let taken = count.min(SPREAD);
    (0..taken).map(move |index| first + index * (count - 1) / (taken - 1).max(1))
}

/// Where to tear a write of `length` bytes at `offset`: at every byte of a short one; of a long
/// one at every eighth, and on both sides of each sector's start.
fn tears(offset: u64, length: usize) -> impl Iterator<Item = usize> {
    (1..length).filter(move |bytes| {
        let place = offset + *bytes as u64;
        let in_sector = place % SECTOR;
        length <= TORN_EACH_BYTE
            || place.is_multiple_of(8)
            || in_sector == 1
            || in_sector == SECTOR - 1
    })
}

fn last_write(unsynced: &[Unsynced]) -> Option<(u64, usize)> {
    unsynced.iter().rev().find_map(|unsynced| match &unsynced.change {
        Change::Write { offset, bytes, .. } => Some((*offset, bytes.len())),
        Change::Resize { .. } | Change::Names { .. } => None,
    })
}

/// What survives of each change.
fn survivals(plan: CrashPlan, unsynced: &[Unsynced]) -> Vec<Survival> {
    let last_write = unsynced.iter().rposition(|unsynced| is_write(&unsynced.change));
    let mut random = Random::new(match plan {
        CrashPlan::KeepSubset(seed) | CrashPlan::TearEach(seed) | CrashPlan::TearSectors(seed) => {
            seed
        }
        _ => 0,
    });
    let survival = |(index, unsynced): (usize, &Unsynced)| {
        let is_name = matches!(unsynced.change, Change::Names { .. });
        match plan {
            CrashPlan::KillProcess | CrashPlan::KeepAll => Survival::Whole,
            CrashPlan::LoseUnsynced => Survival::Gone,
            CrashPlan::KeepPrefix(count) => keep(index < count),
            CrashPlan::LoseOne(lost) => keep(index != lost),
            CrashPlan::KeepOne(kept) => keep(index == kept),
            CrashPlan::KeepMask(mask) => keep(index < 64 && mask >> index & 1 == 1),
            CrashPlan::KeepSubset(_) => keep(random.coin()),
            CrashPlan::LoseBytes => keep(is_name),
            CrashPlan::LoseNames => keep(!is_name),
            CrashPlan::TearLast(bytes) if last_write == Some(index) => Survival::Prefix(bytes),
            CrashPlan::TearLast(_) => Survival::Whole,
            CrashPlan::TearEach(_) => Survival::Prefix(random.up_to(length(&unsynced.change))),
            CrashPlan::TearSectors(_) => Survival::Sectors(random.next()),
        }
    };
    unsynced.iter().enumerate().map(survival).collect()
}

fn keep(kept: bool) -> Survival {
    if kept { Survival::Whole } else { Survival::Gone }
}

fn is_write(change: &Change) -> bool {
    matches!(change, Change::Write { .. })
}

fn length(change: &Change) -> usize {
    match change {
        Change::Write { bytes, .. } => bytes.len(),
        Change::Resize { .. } | Change::Names { .. } => 0,
    }
}

/// The parts of a change of a file that survive, each as a change. Only a write has parts.
fn surviving(change: &Change, survival: Survival) -> Vec<(FileId, Change)> {
    match (change, survival) {
        (Change::Names { .. }, _) | (_, Survival::Gone) => Vec::new(),
        (Change::Resize { file, .. }, _) => vec![(*file, change.clone())],
        (Change::Write { file, .. }, Survival::Whole) => vec![(*file, change.clone())],
        (Change::Write { file, offset, bytes }, Survival::Prefix(count)) => {
            vec![part(*file, *offset, &bytes[..count.min(bytes.len())])]
        }
        (Change::Write { file, offset, bytes }, Survival::Sectors(seed)) => {
            let mut random = Random::new(seed);
            let mut parts = sectors(*offset, bytes);
            parts.retain(|_| random.coin());
            parts.into_iter().map(|(offset, bytes)| part(*file, offset, bytes)).collect()
        }
    }
}

fn part(file: FileId, offset: u64, bytes: &[u8]) -> (FileId, Change) {
    (file, Change::Write { file, offset, bytes: bytes.into() })
}

/// Cuts a write where sectors begin.
fn sectors(mut offset: u64, mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut sectors = Vec::new();
    while !bytes.is_empty() {
        let room = (SECTOR - offset % SECTOR) as usize;
        let (sector, rest) = bytes.split_at(room.min(bytes.len()));
        sectors.push((offset, sector));
        offset += sector.len() as u64;
        bytes = rest;
    }
    sectors
}
