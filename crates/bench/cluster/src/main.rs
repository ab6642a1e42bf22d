//! One client program for clusters of aryavarth, Redis and etcd, so that they can be compared.
//!
//! ```text
//!  options ─▶ N clients, each: draw a batch ─▶ send it ─▶ wait for all of it ─▶ note the time ─┐
//!                  ▲                                                                           │
//!                  └───────────────────────────────────────────────────────────────────────────┘
//!  when the time is over ─▶ the clients' tallies, added up ─▶ one line of JSON
//! ```
//!
//! The loop is closed: a client has one batch under way, so the number of clients is the concurrency. A
//! batch is tried again until it succeeds or the patience is at its end, and its latency is that of all
//! attempts together: what a user would have waited.
//!
//! Reading order: `options`, `load`; `cluster` (over `resp`) and `etcd` are the two kinds of clients; `tally`
//! and `usage` are what is reported.

mod cluster;
mod data;
mod etcd;
mod load;
mod options;
mod resp;
mod tally;
mod usage;

use std::process::ExitCode;

use clap::Parser;

use options::Options;

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("aryavarth-cluster-bench: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<String, String> {
    options.check()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(options.threads)
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    let report = runtime.block_on(load::run(options))?;
    // Streams that wait for a server that is gone need not be waited for.
    runtime.shutdown_background();
    serde_json::to_string(&report).map_err(|error| error.to_string())
}
