//! The parent: goes over rows and stores, starts a child for each pair, keeps what they say.

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use serde_json::json;

use crate::Result;
use crate::child::{catch_interrupts, interrupted, supervise};
use crate::cli::{Args, Settings};
use crate::metrics::{Figures, medians, written};
use crate::report::{Cell, Report, Section};
use crate::rows::{self, Row, Work};
use crate::scratch::Scratch;
use crate::stores;
use crate::workloads::{Message, Part, Task};

/// Measures what `args` asks for, and prints it.
pub fn run(args: &Args) -> Result<()> {
    if args.list {
        list();
        return Ok(());
    }
    let rows = rows::select(&args.rows)?;
    let stores = select_stores(&args.stores)?;
    catch_interrupts();
    let mut run = Run {
        args,
        scratch: Scratch::new(args.dir.as_deref())?,
        json: args.json.as_ref().map(File::create).transpose()?,
        report: Report::new(stores.clone()),
    };
    for (place, value) in args.value.iter().enumerate() {
        let wanted = rows.iter().filter(|row| place == 0 || !row.has_own_value());
        for row in wanted {
            run.row(row, &stores, *value)?;
        }
    }
    run.report.print(args)?;
    if interrupted() { Err("interrupted".into()) } else { Ok(()) }
}

fn list() {
    println!("rows:");
    for row in rows::ROWS {
        println!("  {:<16} {}", row.name, row.title);
    }
    println!("stores:");
    for name in stores::names() {
        println!("  {name}");
    }
}

fn select_stores(chosen: &[String]) -> Result<Vec<&'static str>> {
    for name in chosen {
        if !stores::names().any(|known| known == name) {
            return Err(format!("no store is called '{name}' (see --list)").into());
        }
    }
    let is_chosen = |name: &&str| chosen.is_empty() || chosen.iter().any(|wanted| wanted == name);
    Ok(stores::names().filter(is_chosen).collect())
}

struct Run<'a> {
    args: &'a Args,
    scratch: Scratch,
    json: Option<File>,
    report: Report,
}

impl Run<'_> {
    fn row(&mut self, row: &'static Row, stores: &[&'static str], value: usize) -> Result<()> {
        if row.work == Work::Machine {
            return self.machine(row, value);
        }
        let mut cells: Vec<Cell> = stores.iter().map(|_| Cell::default()).collect();
        let runs = row.runs(usize::from(self.args.runs));
        // Runs of one store are spread over the row, so that a change of the machine's mood
        // meets all stores; where the state is kept, one child does all runs.
        let (rounds, in_child) = if row.starts_fresh() { (runs, 1) } else { (1, runs) };
        for _ in 0..rounds {
            for (store, cell) in stores.iter().zip(&mut cells) {
                if interrupted() || !cell.errors.is_empty() {
                    continue;
                }
                let settings = self.args.settings(value, in_child);
                let heard = self.measure(row, store, settings);
                self.keep(row, store, value, heard, cell)?;
            }
        }
        let settings = self.args.settings(value, runs);
        self.report.sections.push(Section { row, title: heading(row, &settings), cells });
        Ok(())
    }

    fn machine(&mut self, row: &'static Row, value: usize) -> Result<()> {
        eprintln!("{}", row.name);
        for message in self.measure(row, stores::OURS, self.args.settings(value, 1))? {
            match message {
                Message::Machine(lines) => self.report.machine = lines,
                Message::Failed(error) => self.report.machine = vec![("failed".into(), error)],
                _ => {}
            }
        }
        let line = json!({ "row": row.name, "limits": self.report.machine });
        self.write_json(&line)
    }

    fn measure(&self, row: &Row, store: &str, settings: Settings) -> Result<Vec<Message>> {
        let limit = self.time_limit(&settings);
        let dir = self.scratch.fresh()?;
        let (row_name, store) = (row.name.to_owned(), store.to_owned());
        let mut task = Task { row: row_name, store, dir, part: Part::WriteUntilKilled, settings };
        if row.work == Work::Reopen {
            let heard = supervise(&task, limit)?;
            if heard.iter().any(|message| matches!(message, Message::Failed(_))) {
                return Ok(heard);
            }
        }
        task.part = Part::Measure;
        supervise(&task, limit)
    }

    /// Generous: it is there for a store that hangs, not for one that is slow.
    fn time_limit(&self, settings: &Settings) -> Duration {
        let keys = settings.keys.max(settings.memory_keys) as f64;
        let timed =
            settings.limit + settings.runs as f64 * (settings.seconds * 4.0 + settings.settle);
        let derived = 120.0 + 2.0 * timed + settings.settle + keys / 10_000.0;
        Duration::from_secs_f64(self.args.child_limit.unwrap_or(derived))
    }

    fn keep(
        &mut self,
        row: &Row,
        store: &str,
        value: usize,
        heard: Result<Vec<Message>>,
        cell: &mut Cell,
    ) -> Result<()> {
        let heard = heard.unwrap_or_else(|error| vec![Message::Failed(error.to_string())]);
        for message in heard {
            match message {
                Message::Run { figures, notes } => {
                    self.tell(row, store, &figures);
                    let run = cell.runs.len() + 1;
                    self.write_json(&json!({
                        "row": row.name, "store": store, "value": value, "keys": self.args.keys,
                        "run": run, "figures": figures, "notes": notes,
                    }))?;
                    cell.runs.push(figures);
                    cell.notes.extend(notes);
                }
                Message::Failed(error) => {
                    eprintln!("{:<16} {store:<10} {error}", row.name);
                    self.write_json(&json!({
                        "row": row.name, "store": store, "value": value, "error": error,
                    }))?;
                    cell.errors.push(error);
                }
                Message::Ready | Message::Machine(_) => {}
            }
        }
        cell.medians = medians(&cell.runs);
        Ok(())
    }

    /// Says on the error output how far the run has come.
    fn tell(&self, row: &Row, store: &str, figures: &Figures) {
        let first = crate::metrics::METRICS.iter().find(|metric| figures.contains_key(metric.name));
        let text = first.map_or_else(String::new, |metric| {
            format!("{} {}", written(figures[metric.name], metric.unit), metric.label)
        });
        eprintln!("{:<16} {store:<10} {text}", row.name);
    }

    fn write_json(&mut self, line: &serde_json::Value) -> Result<()> {
        if let Some(file) = &mut self.json {
            writeln!(file, "{line}")?;
        }
        Ok(())
    }
}

fn heading(row: &Row, settings: &Settings) -> String {
    let keys = match row.work {
        Work::Memory { .. } => settings.memory_keys,
        _ => settings.keys,
    };
    let keys = written(keys as f64, crate::metrics::Unit::Count);
    if row.has_own_value() {
        return format!("{} ({keys} keys)", row.title);
    }
    format!("{} ({keys} keys of 16 B, values of {} B)", row.title, settings.value)
}
