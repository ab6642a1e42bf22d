//! Measures aryavarth and its peers on the same work, in one run.
//!
//! The binary has two faces. As the *parent* it walks over rows (what is measured) and stores
//! (who is measured), and starts itself once for every pair; as the *child* it opens one store,
//! does one piece of work and prints what it measured. A process per measurement keeps memory,
//! CPU time and caches of one store out of the figures of the next.
//!
//! | module | holds |
//! |---|---|
//! | [`cli`] | the command line |
//! | [`rows`] | the catalogue of rows |
//! | [`stores`] | one adapter per store, and what each durability setting survives |
//! | [`workloads`] | the work itself, one file per family |
//! | [`machine`] | what the machine can do at best |
//! | [`child`], [`runner`] | the protocol between parent and child, and the parent's loop |
//! | [`metrics`], [`targets`], [`report`] | what the numbers mean, what they should be, tables |

mod child;
mod cli;
mod data;
mod latency;
mod machine;
mod metrics;
mod random;
mod report;
mod rows;
mod runner;
mod scratch;
mod stores;
mod targets;
mod usage;
mod workloads;

use std::process::ExitCode;

/// One error type for a tool whose only answer to an error is to print it.
pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    if let Some(task) = child::task_from_args() {
        return child::run(&task);
    }
    match runner::run(&cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("aryavarth-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
