//! Stops the machine at every call of a workload on two replicated logs, and looks what is found.
//!
//! Both stand in one log, so what is found must be what both were after the same number of steps:
//! at least as many as were synced, at most as many as were begun.

use std::collections::{BTreeMap, HashSet};

use aryavarth::disk::Disk;
use aryavarth::disk::sim::{Call, CallKind, CrashPlan, SimDisk};
use aryavarth::{
    Durability, EntryIndex, Error, KvStore, LoggedPayload, NewEntry, Payload, ReplicatedLog,
    ShardId, WriteBatch,
};

use crate::common::{Context, STORE, is_exhaustive, observe, options};
use crate::model::{Logs, Map, Step, workload};

const SHARDS: [u16; 2] = [1, 2];

/// How far a run came.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    synced: usize,
    begun: usize,
}

type Handles = BTreeMap<u16, ReplicatedLog>;

fn open(disk: &SimDisk) -> Result<(KvStore, Handles), Error> {
    let store = KvStore::open_with(STORE, options(disk, Durability::Os))?;
    let mut handles = Handles::new();
    for shard in SHARDS {
        handles.insert(shard, store.replicated(ShardId(shard))?);
    }
    Ok((store, handles))
}

fn perform(
    store: &KvStore,
    handles: &Handles,
    step: &Step,
    before: &Logs,
    after: &Logs,
) -> Result<(), Error> {
    let log = |shard: &u16| &after.0[shard];
    match step {
        Step::Append(shard, effects) => {
            let mut batch = WriteBatch::new();
            for (key, value) in effects {
                match value {
                    Some(value) => batch.set(key, value),
                    None => batch.remove(key),
                };
            }
            let id = log(shard).last().unwrap();
            handles[shard].append(&[NewEntry { id, payload: Payload::Effects(&batch) }])
        }
        Step::Config(shard, config) => {
            let id = log(shard).last().unwrap();
            let payload = Payload::Config(config.as_bytes());
            handles[shard].append(&[NewEntry { id, payload }])?;
            handles[shard].save_committed(id)?;
            handles[shard].apply(id.index)
        }
        Step::Vote(shard) => handles[shard].save_vote(&log(shard).term.to_le_bytes()),
        Step::Commit(shard, _) => {
            let log = log(shard);
            let (id, _) = log.entries[log.committed - 1];
            handles[shard].save_committed(id)?;
            handles[shard].apply(id.index)
        }
        Step::Truncate(shard, _) => {
            handles[shard].truncate_after(log(shard).last().map(|id| id.index))
        }
        Step::Purge(shard, _) => handles[shard].purge(log(shard).purged.unwrap()),
        Step::Reset(shard) => {
            let base = before.0[shard].entries[before.0[shard].committed - 1].0;
            let config = log(shard).config(usize::MAX);
            let config = config
                .map(|(index, config)| (log(shard).entries[index as usize].0, config.as_bytes()));
            handles[shard].reset(base, config)
        }
        Step::Sync => store.sync(),
        Step::Checkpoint => store.checkpoint(),
        Step::Compact => store.compact().map(drop),
    }
}

fn run(disk: &SimDisk, states: &[Logs], steps: &[Step]) -> Progress {
    let mut progress = Progress::default();
    let Some((store, handles)) = unless_crashed(disk, open(disk)) else { return progress };
    for (number, step) in steps.iter().enumerate() {
        progress.begun = number + 1;
        let done = perform(&store, &handles, step, &states[number], &states[number + 1]);
        let Some(()) = unless_crashed(disk, done) else { return progress };
        if matches!(step, Step::Sync | Step::Checkpoint) {
            progress.synced = number + 1;
        }
    }
    progress
}

fn unless_crashed<T>(disk: &SimDisk, outcome: Result<T, Error>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(error) => {
            assert!(disk.is_crashed(), "{error}");
            None
        }
    }
}

/// Whether what is found in the store is what both logs were after as many steps as `states` says.
fn is(store: &KvStore, handles: &Handles, states: &Logs, at_most: &Logs) -> bool {
    let mut expected = vec![Map::new()];
    for shard in SHARDS {
        let (found, log) = (&handles[&shard], states.0.get(&shard).cloned().unwrap_or_default());
        let state = found.state().unwrap();
        let vote = (log.term > 0).then(|| log.term.to_le_bytes().to_vec());
        if state.vote != vote || state.purged != log.purged || state.last != log.last() {
            return false;
        }
        let entries = found.read(EntryIndex(0)..EntryIndex(u64::MAX), u64::MAX).unwrap();
        let kept = &log.entries[log.first_kept()..];
        if entries.len() != kept.len() {
            return false;
        }
        for (entry, (id, effects)) in entries.iter().zip(kept) {
            let same = match &entry.payload {
                LoggedPayload::Effects(batch) => batch.len() == effects.len(),
                LoggedPayload::Config(_) => effects.is_empty(),
                LoggedPayload::Blank => false,
            };
            if entry.id != *id || !same {
                return false;
            }
        }
        // What is known to be committed may lag; what a checkpoint has may be ahead of it.
        let committed = state.committed.map_or(0, |id| id.index.0 as usize + 1);
        let most = at_most.0.get(&shard).map_or(0, |log| log.committed).min(log.entries.len());
        if committed > most || committed < log.first_kept() {
            return false;
        }
        let config = state.config.map(|(id, bytes)| (id.index.0, bytes));
        let known = log.config(committed).map(|(index, text)| (index, text.as_bytes().to_vec()));
        if config != known {
            return false;
        }
        expected = (committed..=most)
            .flat_map(|count| {
                let values = log.values(count);
                expected.iter().map(move |map| {
                    map.iter().chain(&values).map(|(k, v)| (k.clone(), v.clone())).collect()
                })
            })
            .collect();
    }
    expected.contains(&contents(store))
}

fn contents(store: &KvStore) -> Map {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    store.iter().map(|entry| entry.unwrap()).map(|e| (text(e.key), text(e.value))).collect()
}

fn check(image: &SimDisk, states: &[Logs], progress: Progress) {
    let disk = image.crashed_image(CrashPlan::KillProcess);
    let (store, handles) = open(&disk).unwrap();
    let allowed = progress.synced..=progress.begun;
    let found = allowed
        .clone()
        .find(|steps| is(&store, &handles, &states[*steps], &states[progress.begun]));
    let Some(steps) = found else {
        let state = |shard| handles[&shard].state().unwrap();
        panic!(
            "found neither of {allowed:?}: {:?}\n1: {:?}\n2: {:?}\n{:?}\nexpected {:?}",
            contents(&store),
            state(1),
            state(2),
            states[progress.synced]
                .0
                .values()
                .map(|l| (l.term, l.purged, l.last(), l.committed))
                .collect::<Vec<_>>(),
            states[progress.begun]
                .0
                .values()
                .map(|l| (l.term, l.purged, l.last(), l.committed))
                .collect::<Vec<_>>()
        );
    };
    // It goes on from there: all that is committed by now is applied, to the same end.
    let mut expected = Map::new();
    for shard in SHARDS {
        let log = states[steps].0.get(&shard).cloned().unwrap_or_default();
        if let Some(count) = log.committed.checked_sub(1) {
            handles[&shard].apply(EntryIndex(count as u64)).unwrap();
        }
        expected.extend(log.values(log.committed));
    }
    let overtaken = is_overtaken(&states[steps], &states[progress.begun]);
    if !overtaken {
        assert_eq!(contents(&store), expected, "after {steps} steps");
    }
    store.sync().unwrap();
    store.compact().unwrap();
    drop(handles);
    let before = contents(&store);
    store.close().unwrap();
    let (store, handles) = open(&disk).unwrap();
    if !overtaken {
        assert_eq!(contents(&store), before, "after compaction");
    }
    for shard in SHARDS {
        let log = states[steps].0.get(&shard).cloned().unwrap_or_default();
        assert_eq!(handles[&shard].state().unwrap().last, log.last());
    }
}

/// Whether more is committed by the later state than by the one that was found: the index may be ahead.
fn is_overtaken(found: &Logs, later: &Logs) -> bool {
    let committed = |logs: &Logs| SHARDS.map(|shard| logs.0.get(&shard).map_or(0, |l| l.committed));
    committed(found) != committed(later)
}

#[test]
fn every_crash_leaves_a_prefix_of_what_was_done() {
    let steps = workload();
    let mut states = vec![Logs::default()];
    for step in &steps {
        let mut next = states[states.len() - 1].clone();
        next.apply(step);
        states.push(next);
    }
    let disk = SimDisk::with_seed(1);
    assert_eq!(run(&disk, &states, &steps).begun, steps.len());
    let trace = disk.trace();
    let changes =
        |call: &&Call| !matches!(call.kind, CallKind::Read | CallKind::ReadCopy | CallKind::List);
    let (mut images, mut seen) = (0u64, HashSet::new());
    for call in trace.iter().filter(changes) {
        let disk = SimDisk::with_seed(1);
        disk.crash_at(call.number);
        let progress = run(&disk, &states, &steps);
        assert!(disk.is_crashed());
        let plans = disk.plans();
        let tears = |plan: &CrashPlan| matches!(plan, CrashPlan::TearLast(_));
        let every = if is_exhaustive() { 1 } else { 24 };
        let chosen = plans.iter().enumerate().filter(|(n, plan)| !tears(plan) || n % every == 0);
        for (_, plan) in chosen {
            let image = disk.crashed_image(*plan);
            images += 1;
            let fingerprint = (observe::fingerprint(&image), progress.synced, progress.begun);
            if seen.insert(fingerprint) {
                let _context = Context(|| format!("crash at {call:?}, {plan:?}, {progress:?}"));
                check(&image, &states, progress);
            }
        }
    }
    assert!(images > 1000, "there was something to lose: {images}");
    eprintln!("{} calls, {images} images, {} distinct", trace.len(), seen.len());
    assert!(disk.wall_clock().0 > 0);
}
