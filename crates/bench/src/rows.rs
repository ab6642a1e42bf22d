//! The catalogue of rows: what is measured, by name.

/// How keys are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// Each present key alike.
    Uniform,
    /// YCSB's scrambled Zipfian, constant 0.99.
    Zipf,
    /// Keys that were never set.
    Missing,
}

/// The work of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// The limits of the machine; no store.
    Machine,
    /// Set each key once.
    Load,
    /// Set each key three more times, in random order.
    Overwrite,
    /// Get keys.
    Get { pick: Pick, threads: usize },
    /// Get and set keys, Zipfian; `reads` in a hundred are gets.
    Ycsb { reads: u64, threads: usize },
    /// Set keys, each synced before it is acknowledged.
    Durable { writers: usize },
    /// Open after a kill in the middle of writing.
    Reopen,
    /// Memory a key, for keys of this length and values of eight bytes.
    Memory { key_len: usize },
    /// Gets and sets with and without a compaction beside them.
    Compaction,
}

/// One row.
pub struct Row {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it says above its table.
    pub title: &'static str,
    /// What is done.
    pub work: Work,
}

const fn row(name: &'static str, title: &'static str, work: Work) -> Row {
    Row { name, title, work }
}

const fn get(name: &'static str, title: &'static str, pick: Pick, threads: usize) -> Row {
    row(name, title, Work::Get { pick, threads })
}

/// All rows, in the order they are run.
pub const ROWS: &[Row] = &[
    row("machine", "limits of this machine", Work::Machine),
    row("load", "load: each key set once, 1 thread, buffered", Work::Load),
    row(
        "overwrite",
        "overwrite ×3 in random order, 1 thread, buffered; then at rest",
        Work::Overwrite,
    ),
    get("get-uniform-1t", "get, uniform, 1 thread", Pick::Uniform, 1),
    get("get-uniform-2t", "get, uniform, 2 threads", Pick::Uniform, 2),
    get("get-zipf-1t", "get, Zipf 0.99, 1 thread", Pick::Zipf, 1),
    get("get-zipf-2t", "get, Zipf 0.99, 2 threads", Pick::Zipf, 2),
    get("get-missing-1t", "get of a missing key, 1 thread", Pick::Missing, 1),
    row(
        "ycsb-a-1t",
        "YCSB A: 50 % get, 50 % set, Zipf, 1 thread",
        Work::Ycsb { reads: 50, threads: 1 },
    ),
    row(
        "ycsb-a-2t",
        "YCSB A: 50 % get, 50 % set, Zipf, 2 threads",
        Work::Ycsb { reads: 50, threads: 2 },
    ),
    row(
        "ycsb-b-1t",
        "YCSB B: 95 % get, 5 % set, Zipf, 1 thread",
        Work::Ycsb { reads: 95, threads: 1 },
    ),
    row(
        "ycsb-b-2t",
        "YCSB B: 95 % get, 5 % set, Zipf, 2 threads",
        Work::Ycsb { reads: 95, threads: 2 },
    ),
    row("durable-1w", "durable set, 1 writer", Work::Durable { writers: 1 }),
    row("durable-8w", "durable set, 8 writers", Work::Durable { writers: 8 }),
    row("durable-32w", "durable set, 32 writers", Work::Durable { writers: 32 }),
    row("reopen", "open + one get after a kill in the middle of writing", Work::Reopen),
    row("memory-16", "memory a key, 16 B keys, 8 B values", Work::Memory { key_len: 16 }),
    row("memory-64", "memory a key, 64 B keys, 8 B values", Work::Memory { key_len: 64 }),
    row("memory-256", "memory a key, 256 B keys, 8 B values", Work::Memory { key_len: 256 }),
    row(
        "compaction",
        "1 reader + 1 writer, with and without a compaction beside them",
        Work::Compaction,
    ),
];

impl Row {
    /// Whether each run starts a child and an empty directory of its own, because it changes the
    /// amount of data, or because the disk's mood changes: runs of all stores then take turns. The
    /// others repeat the timed part in place.
    pub fn starts_fresh(&self) -> bool {
        matches!(self.work, Work::Load | Work::Overwrite | Work::Reopen | Work::Durable { .. })
    }

    /// Whether the size of values is given by the row itself.
    pub fn has_own_value(&self) -> bool {
        matches!(self.work, Work::Memory { .. } | Work::Machine)
    }

    /// How often it is worth running, if `runs` were asked for.
    pub fn runs(&self, runs: usize) -> usize {
        if matches!(self.work, Work::Memory { .. } | Work::Machine) { 1 } else { runs }
    }
}

/// The row called `name`.
pub fn find(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

/// The rows chosen by names or beginnings of names; all if there are none.
pub fn select(chosen: &[String]) -> crate::Result<Vec<&'static Row>> {
    for name in chosen {
        if !ROWS.iter().any(|row| row.name.starts_with(name.as_str())) {
            return Err(format!("no row begins with '{name}' (see --list)").into());
        }
    }
    let is_chosen = |row: &&Row| chosen.iter().any(|name| row.name.starts_with(name.as_str()));
    Ok(ROWS.iter().filter(|row| chosen.is_empty() || is_chosen(row)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_select_families() {
        let names = |chosen: &str| select(&[chosen.to_owned()]).unwrap().len();
        assert_eq!(names("get"), 5);
        assert_eq!(names("memory-64"), 1);
        assert_eq!(select(&[]).unwrap().len(), ROWS.len());
        assert!(select(&["nonsense".to_owned()]).is_err());
    }
}
