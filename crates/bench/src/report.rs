//! Tables, as text and as Markdown: a section for each row, a column for each store, and how this
//! store compares with the best of its peers.

use std::fmt::Write as _;

use crate::Result;
use crate::cli::Args;
use crate::metrics::{Better, Figures, METRICS, Metric, written};
use crate::rows::{Row, Work};
use crate::stores::{OURS, survives_power_cut};
use crate::targets::goals;

/// What one store did in one row.
#[derive(Default)]
pub struct Cell {
    pub runs: Vec<Figures>,
    pub medians: Figures,
    pub notes: Vec<String>,
    pub errors: Vec<String>,
}

/// One row over all stores.
pub struct Section {
    pub row: &'static Row,
    pub title: String,
    pub cells: Vec<Cell>,
}

/// Everything that was measured.
pub struct Report {
    pub stores: Vec<&'static str>,
    pub machine: Vec<(String, String)>,
    pub sections: Vec<Section>,
}

/// A title, a table, and remarks under it.
struct Block {
    title: String,
    header: Vec<String>,
    lines: Vec<Vec<String>>,
    remarks: Vec<String>,
}

impl Report {
    /// An empty report on `stores`.
    pub fn new(stores: Vec<&'static str>) -> Self {
        Self { stores, machine: Vec::new(), sections: Vec::new() }
    }

    /// Prints the report, and writes it where `args` says.
    pub fn print(&self, args: &Args) -> Result<()> {
        let blocks = self.blocks();
        let summary = self.summary();
        print!("{}", blocks.iter().map(Block::text).collect::<String>());
        println!("{summary}");
        if let Some(path) = &args.markdown {
            let tables: String = blocks.iter().map(Block::markdown).collect();
            std::fs::write(path, format!("{tables}{summary}\n"))?;
        }
        Ok(())
    }

    fn blocks(&self) -> Vec<Block> {
        let machine = (!self.machine.is_empty()).then(|| Block {
            title: "machine: limits of this machine".into(),
            header: vec!["limit".into(), "value".into()],
            lines: self.machine.iter().map(|(a, b)| vec![a.clone(), b.clone()]).collect(),
            remarks: Vec::new(),
        });
        machine.into_iter().chain(self.sections.iter().map(|each| self.block(each))).collect()
    }

    fn block(&self, section: &Section) -> Block {
        let mut header = vec!["median".to_owned()];
        header.extend(self.stores.iter().map(|store| (*store).to_owned()));
        header.extend(["× best peer".to_owned(), "target".to_owned()]);
        let lines = METRICS.iter().filter_map(|metric| self.line(section, metric)).collect();
        let title = format!("{}: {}", section.row.name, section.title);
        Block { title, header, lines, remarks: self.remarks(section) }
    }

    fn line(&self, section: &Section, metric: &Metric) -> Option<Vec<String>> {
        let values = section.values(metric);
        if values.iter().all(Option::is_none) {
            return None;
        }
        let mut line = vec![metric.label.to_owned()];
        line.extend(values.iter().zip(&section.cells).map(|(value, cell)| match value {
            Some(value) => written(*value, metric.unit),
            None if cell.errors.is_empty() => "–".into(),
            None if cell.errors.iter().all(|error| error.starts_with("n/a")) => "n/a".into(),
            None => "error".into(),
        }));
        let times = self.times_best(section, metric);
        line.push(times.map_or_else(String::new, |times| format!("{times:.2}×")));
        line.push(self.verdicts(section, metric).join(", "));
        Some(line)
    }

    fn ours(&self, section: &Section, metric: &Metric) -> Option<f64> {
        let place = self.stores.iter().position(|store| *store == OURS)?;
        section.values(metric)[place]
    }

    /// How many times as good as the best peer this store is; above one is better.
    fn times_best(&self, section: &Section, metric: &Metric) -> Option<f64> {
        let ours = self.ours(section, metric)?;
        let values = section.values(metric);
        let is_peer = |place: usize| is_compared(section.row, self.stores[place]);
        let peers = (0..values.len()).filter(|place| is_peer(*place)).filter_map(|i| values[i]);
        let (times, valid) = match metric.better {
            Better::Neither => return None,
            Better::More => {
                let best = peers.max_by(f64::total_cmp)?;
                (ours / best, best > 0.0)
            }
            Better::Less => {
                let best = peers.min_by(f64::total_cmp)?;
                (best / ours, best > 0.0 && ours > 0.0)
            }
        };
        valid.then_some(times)
    }

    fn verdicts(&self, section: &Section, metric: &Metric) -> Vec<String> {
        let Some(ours) = self.ours(section, metric) else { return Vec::new() };
        let times = self.times_best(section, metric);
        goals(section.row.name, metric.name)
            .map(|goal| match goal.is_met(ours, times) {
                Some(true) => format!("{goal} ✓"),
                Some(false) => format!("{goal} ✗ MISSED"),
                None => format!("{goal} ?"),
            })
            .collect()
    }

    fn remarks(&self, section: &Section) -> Vec<String> {
        let mut remarks = Vec::new();
        for (store, cell) in self.stores.iter().zip(&section.cells) {
            if *store != OURS && !is_compared(section.row, store) {
                remarks.push(format!("{store}: not compared with, it does not flush the disk"));
            }
            let texts = cell.errors.iter().chain(&cell.notes);
            remarks.extend(texts.map(|text| format!("{store}: {text}")));
        }
        remarks
    }

    fn summary(&self) -> String {
        let verdicts = self
            .sections
            .iter()
            .flat_map(|section| METRICS.iter().flat_map(|metric| self.verdicts(section, metric)));
        let (mut met, mut missed) = (0, 0);
        for verdict in verdicts {
            met += usize::from(verdict.ends_with('✓'));
            missed += usize::from(verdict.ends_with("MISSED"));
        }
        format!(
            "Targets: {met} met, {missed} missed. × best peer: above 1 this store is better than \
             the best of its peers, whichever way better lies."
        )
    }
}

/// Whether a store is a peer in `row`: one that breaks the row's promise is shown only.
fn is_compared(row: &Row, store: &str) -> bool {
    let durable = matches!(row.work, Work::Durable { .. });
    store != OURS && (!durable || survives_power_cut(store))
}

impl Section {
    fn values(&self, metric: &Metric) -> Vec<Option<f64>> {
        self.cells.iter().map(|cell| cell.medians.get(metric.name).copied()).collect()
    }
}

impl Block {
    fn text(&self) -> String {
        let width = |column: usize| {
            let cells = std::iter::once(&self.header).chain(&self.lines);
            cells.map(|line| line[column].chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..self.header.len()).map(width).collect();
        let mut text = format!("{}\n", self.title);
        for line in std::iter::once(&self.header).chain(&self.lines) {
            for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
                let pad = " ".repeat(width - cell.chars().count());
                let is_text = column == 0 || column + 1 == line.len();
                text += &if is_text { format!("  {cell}{pad}") } else { format!("  {pad}{cell}") };
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        for remark in &self.remarks {
            let _ = writeln!(text, "  ! {remark}");
        }
        text + "\n"
    }

    fn markdown(&self) -> String {
        let mut text = format!("### {}\n\n| {} |\n|", self.title, self.header.join(" | "));
        let last = self.header.len() - 1;
        for column in 0..=last {
            text += if column == 0 || column == last { "---|" } else { "---:|" };
        }
        text.push('\n');
        for line in &self.lines {
            let _ = writeln!(text, "| {} |", line.join(" | ").replace('\n', " "));
        }
        text.push('\n');
        for remark in &self.remarks {
            let _ = writeln!(text, "* {}", remark.replace('\n', " "));
        }
        if self.remarks.is_empty() { text } else { text + "\n" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(values: [f64; 3]) -> Section {
        let cell = |value| Cell {
            medians: Figures::from([("ops_per_s".to_owned(), value)]),
            ..Cell::default()
        };
        let row = crate::rows::find("load").unwrap();
        Section { row, title: "load".into(), cells: values.map(cell).into() }
    }

    #[test]
    fn we_are_compared_with_the_best_peer() {
        let report = Report::new(vec![OURS, "rocksdb", "lmdb"]);
        let section = section([300.0, 100.0, 150.0]);
        assert_eq!(report.times_best(&section, &METRICS[0]), Some(2.0));
        assert_eq!(report.verdicts(&section, &METRICS[0]), ["≥ 1.00× best ✓"]);
        let text = report.block(&section).text();
        assert!(text.contains("300") && text.contains("2.00×"), "{text}");
        assert!(report.block(&section).markdown().contains("| ops/s | 300 | 100 | 150 | 2.00× |"));
    }

    #[test]
    fn errors_are_shown_where_the_figure_would_be() {
        let report = Report::new(vec!["rocksdb", "lmdb", "redb"]);
        let mut section = section([1.0, 2.0, 3.0]);
        section.cells[1] = Cell { errors: vec!["disk full".into()], ..Cell::default() };
        let text = report.block(&section).text();
        assert!(text.contains("error") && text.contains("! lmdb: disk full"), "{text}");
    }
}
