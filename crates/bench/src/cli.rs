//! The command line.

use std::path::PathBuf;

use clap::Parser;
use serde::{Deserialize, Serialize};

use crate::data::MIN_VALUE;

/// Measure aryavarth and its peers on the same work, one process per measurement.
#[derive(Parser)]
#[command(name = "aryavarth-bench", version)]
pub struct Args {
    /// Rows to measure, or beginnings of their names (`get`, `durable-8w`); all by default.
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    pub rows: Vec<String>,
    /// Stores to measure; all by default.
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    pub stores: Vec<String>,
    /// Number of keys.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1000..))]
    pub keys: u64,
    /// Number of keys in the memory rows [default: as --keys].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1000..))]
    pub memory_keys: Option<u64>,
    /// Bytes of a value; several sizes are measured one after the other.
    #[arg(long, value_delimiter = ',', default_values_t = [100], value_name = "N",
          value_parser = parse_value_len)]
    pub value: Vec<usize>,
    /// Runs of each measurement; the median is reported.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    pub runs: u16,
    /// Length of a timed phase of gets, mixes and durable sets.
    #[arg(long, default_value_t = 4.0)]
    pub seconds: f64,
    /// Longest timed phase of loads and overwrites; what is missing is then added untimed.
    #[arg(long, default_value_t = 20.0, value_name = "SECONDS")]
    pub limit: f64,
    /// Longest wait for the disk to come to rest.
    #[arg(long, default_value_t = 15.0, value_name = "SECONDS")]
    pub settle: f64,
    /// Size of each store's own cache, if it has one.
    #[arg(long, default_value_t = 256, value_name = "N")]
    pub cache_mib: usize,
    /// Drop the files from the page cache before the `reopen` row opens them.
    #[arg(long)]
    pub cold: bool,
    /// Longest life of one child process [default: from the number of keys].
    #[arg(long, value_name = "SECONDS")]
    pub child_limit: Option<f64>,
    /// Where to keep the stores while they are measured [default: beside the binary].
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Write the tables as Markdown, too.
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Write every run as one line of JSON, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Check that everything works: 20,000 keys, one run, one second.
    #[arg(long)]
    pub quick: bool,
    /// List rows and stores, and measure nothing.
    #[arg(long)]
    pub list: bool,
}

/// What a child has to know of the command line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    pub keys: u64,
    pub memory_keys: u64,
    pub value: usize,
    pub runs: usize,
    pub seconds: f64,
    pub limit: f64,
    pub settle: f64,
    pub cache_mib: usize,
    pub cold: bool,
}

fn parse_value_len(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(len) if len >= MIN_VALUE => Ok(len),
        _ => Err(format!("a value has at least {MIN_VALUE} bytes")),
    }
}

/// Reads the command line; ends the process if it makes no sense.
pub fn parse() -> Args {
    let mut args = Args::parse();
    if args.quick {
        (args.keys, args.runs, args.seconds, args.settle) = (20_000, 1, 1.0, 3.0);
        args.memory_keys = Some(20_000);
    }
    args
}

impl Args {
    /// The settings of a measurement with values of `value` bytes.
    pub fn settings(&self, value: usize, runs: usize) -> Settings {
        Settings {
            keys: self.keys,
            memory_keys: self.memory_keys.unwrap_or(self.keys),
            value,
            runs,
            seconds: self.seconds,
            limit: self.limit,
            settle: self.settle,
            cache_mib: self.cache_mib,
            cold: self.cold,
        }
    }
}
