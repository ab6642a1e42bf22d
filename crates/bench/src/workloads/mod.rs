//! The work, one file per family, and the loop that times it.

mod compaction;
mod durable;
mod get;
mod load;
mod memory;
mod overwrite;
mod phase;
mod prepare;
mod reopen;
mod ycsb;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::cli::Settings;
use crate::data::Data;
use crate::metrics::Figures;
use crate::rows::{self, Work};
use crate::stores::{self, Durability, Store};
use crate::usage::{Disk, Memory};

/// Which part of a row a child does; only `reopen` has more than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// The part that is measured.
    Measure,
    /// Fill the store, say so, and go on writing until killed.
    WriteUntilKilled,
}

/// What a child is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    pub row: String,
    pub store: String,
    pub dir: PathBuf,
    pub part: Part,
    pub settings: Settings,
}

/// What a child has to say, as soon as it knows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    /// The store is filled and being written to: kill me.
    Ready,
    /// The figures of one run.
    Run { figures: Figures, notes: Vec<String> },
    /// The limits of the machine, by label.
    Machine(Vec<(String, String)>),
    /// The measurement failed.
    Failed(String),
}

/// Where messages go.
pub type Say<'a> = &'a mut dyn FnMut(&Message);

/// A task with what all workloads need of it.
struct Bench<'a> {
    task: &'a Task,
    data: Data,
    keys: u64,
    /// Memory before the store was opened.
    before: Memory,
}

/// Does `task`.
pub fn run(task: &Task, say: Say<'_>) -> Result<()> {
    let row = rows::find(&task.row).ok_or("no such row")?;
    let settings = &task.settings;
    let (key_len, value_len, keys) = match row.work {
        Work::Memory { key_len } => (key_len, 8, settings.memory_keys),
        _ => (16, settings.value, settings.keys),
    };
    let data = Data::new(key_len, value_len);
    let bench = Bench { task, data, keys, before: Memory::now()? };
    match row.work {
        Work::Machine => say(&Message::Machine(crate::machine::limits(&task.dir, settings)?)),
        Work::Load => load::run(&bench, say)?,
        Work::Overwrite => overwrite::run(&bench, say)?,
        Work::Get { pick, threads } => get::run(&bench, pick, threads, say)?,
        Work::Ycsb { reads, threads } => ycsb::run(&bench, reads, threads, say)?,
        Work::Durable { writers } => durable::run(&bench, writers, say)?,
        Work::Reopen if task.part == Part::WriteUntilKilled => reopen::prepare(&bench, say)?,
        Work::Reopen => reopen::measure(&bench, say)?,
        Work::Memory { .. } => memory::run(&bench, say)?,
        Work::Compaction => compaction::run(&bench, say)?,
    }
    Ok(())
}

impl Bench<'_> {
    fn open(&self, durability: Durability) -> Result<Box<dyn Store>> {
        let cache = self.task.settings.cache_mib << 20;
        stores::open(&self.task.store, &self.task.dir, stores::Options { durability, cache })
    }

    fn memory_figures(&self, figures: &mut Figures) -> Result<()> {
        let grown = Memory::now()? - self.before;
        let keys = self.keys as f64;
        figures.insert("rss_per_key".into(), grown.resident as f64 / keys);
        figures.insert("rss_anon_per_key".into(), grown.anonymous as f64 / keys);
        Ok(())
    }

    fn disk_figures(&self, figures: &mut Figures) -> Result<()> {
        let disk = Disk::of(&self.task.dir)?;
        figures.insert("disk_bytes".into(), disk.allocated as f64);
        figures.insert("disk_apparent".into(), disk.apparent as f64);
        figures.insert("space_amplification".into(), disk.allocated as f64 / self.live_bytes());
        Ok(())
    }

    fn gauge_figures(&self, store: &dyn Store, figures: &mut Figures) {
        for (name, value) in store.gauges() {
            match name {
                "index_bytes" => {
                    figures.insert("index_bytes_per_key".into(), value / self.keys as f64)
                }
                _ => figures.insert(name.into(), value),
            };
        }
    }

    fn live_bytes(&self) -> f64 {
        self.keys as f64 * self.data.pair_len() as f64
    }
}
