//! What two replicated logs should be after each step of a workload.

use std::collections::BTreeMap;

use aryavarth::{EntryId, EntryIndex, Term};

pub type Map = BTreeMap<String, String>;

/// What an entry does: each key with its value, or none where it is removed.
pub type Effects = Vec<(&'static str, Option<String>)>;

/// What is done to a log or to the store.
#[derive(Clone, Debug)]
pub enum Step {
    /// Appends an entry that sets keys, or removes them where there is no value.
    Append(u16, Effects),
    /// Appends an entry with a configuration.
    Config(u16, &'static str),
    /// Begins a new term: saves a vote.
    Vote(u16),
    /// Notes the entries up to so many before the last as committed, and applies them.
    Commit(u16, u64),
    /// Takes back so many entries.
    Truncate(u16, u64),
    /// Lets go of all applied entries but so many.
    Purge(u16, u64),
    /// Begins anew behind the last entry, which leaves the values.
    Reset(u16),
    Sync,
    Checkpoint,
    Compact,
}

/// One log.
#[derive(Clone, Debug, Default)]
pub struct Log {
    pub term: u64,
    /// All entries from the first, purged or not, and what they do.
    pub entries: Vec<(EntryId, Effects)>,
    pub purged: Option<EntryId>,
    /// How many entries are committed.
    pub committed: usize,
    /// The configurations, each with the index of its entry.
    pub configs: Vec<(u64, &'static str)>,
}

impl Log {
    pub fn last(&self) -> Option<EntryId> {
        self.entries.last().map(|(id, _)| *id)
    }

    /// The values after the first `count` entries.
    pub fn values(&self, count: usize) -> Map {
        let mut map = Map::new();
        for (key, value) in self.entries[..count].iter().flat_map(|(_, effects)| effects) {
            match value {
                Some(value) => drop(map.insert((*key).to_owned(), value.clone())),
                None => drop(map.remove(*key)),
            }
        }
        map
    }

    /// The newest configuration among the first `count` entries.
    pub fn config(&self, count: usize) -> Option<(u64, &'static str)> {
        self.configs.iter().copied().rfind(|(index, _)| *index < count as u64)
    }

    /// Where the kept entries begin.
    pub fn first_kept(&self) -> usize {
        self.purged.map_or(0, |purged| purged.index.0 as usize + 1)
    }
}

/// Both logs.
#[derive(Clone, Debug, Default)]
pub struct Logs(pub BTreeMap<u16, Log>);

impl Logs {
    pub fn apply(&mut self, step: &Step) {
        match step {
            Step::Append(shard, effects) => self.append(*shard, effects.clone()),
            Step::Config(shard, config) => {
                self.append(*shard, Vec::new());
                let log = self.of(*shard);
                log.configs.push((log.entries.len() as u64 - 1, config));
                log.committed = log.entries.len();
            }
            Step::Vote(shard) => self.of(*shard).term += 1,
            Step::Commit(shard, behind) => {
                let log = self.of(*shard);
                log.committed = log.committed.max(log.entries.len() - *behind as usize);
            }
            Step::Truncate(shard, count) => {
                let log = self.of(*shard);
                log.entries.truncate(log.entries.len() - *count as usize);
                assert!(log.committed <= log.entries.len(), "the workload is a possible one");
            }
            Step::Purge(shard, kept) => {
                let log = self.of(*shard);
                log.purged = Some(log.entries[log.committed - 1 - *kept as usize].0);
            }
            Step::Reset(shard) => {
                let log = self.of(*shard);
                log.entries.truncate(log.committed);
                log.purged = log.last();
            }
            Step::Sync | Step::Checkpoint | Step::Compact => {}
        }
    }

    fn append(&mut self, shard: u16, effects: Effects) {
        let log = self.of(shard);
        let index = EntryIndex(log.entries.len() as u64);
        log.entries.push((EntryId { term: Term(log.term), index }, effects));
    }

    pub fn of(&mut self, shard: u16) -> &mut Log {
        self.0.entry(shard).or_default()
    }
}

fn set(shard: u16, key: &'static str, value: impl Into<String>) -> Step {
    Step::Append(shard, vec![(key, Some(value.into()))])
}

/// Two shards, everything that can be done, and enough bytes for several segments.
pub fn workload() -> Vec<Step> {
    let long = |letter: &str| letter.repeat(700);
    let mut steps = vec![
        Step::Vote(1),
        Step::Config(1, "one"),
        Step::Vote(2),
        set(1, "a", "1"),
        set(2, "x", "1"),
        Step::Sync,
        Step::Commit(1, 0),
        Step::Append(1, vec![("a", None), ("b", Some("2".into())), ("c", Some("2".into()))]),
        Step::Commit(2, 0),
        set(2, "y", long("y")),
        set(1, "b", "lost"),
        Step::Append(1, vec![("c", None)]),
        Step::Sync,
        Step::Truncate(1, 2),
        Step::Vote(1),
        Step::Sync,
        set(1, "b", "3"),
        Step::Commit(1, 0),
        Step::Append(2, vec![("x", None)]),
        Step::Checkpoint,
    ];
    for round in 0..4 {
        steps.push(set(1, "f", long("f")));
        steps.push(set(2, "g", long("g")));
        steps.push(set(1, "h", format!("{round}")));
        steps.push(Step::Commit(1, u64::from(round % 2 == 0)));
        steps.push(Step::Sync);
    }
    steps.extend([
        Step::Commit(2, 1),
        Step::Purge(1, 1),
        Step::Purge(2, 0),
        Step::Sync,
        Step::Compact,
        set(2, "z", "9"),
        Step::Checkpoint,
        Step::Commit(2, 0),
        Step::Append(2, vec![("g", None), ("y", None)]),
        Step::Reset(1),
        set(1, "a", "after"),
        Step::Sync,
        Step::Commit(1, 0),
        Step::Commit(2, 0),
        Step::Purge(2, 0),
        set(2, "x", "again"),
        Step::Sync,
        Step::Compact,
        Step::Truncate(2, 1),
        Step::Config(2, "two"),
    ]);
    steps
}
