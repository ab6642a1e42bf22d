//! What the tests of the promises share: a workload with its model, and a look at what is found.
//!
//! ```text
//!  workload ─ run on ─▶ simulated disk ─ crash, fault or damage ─▶ image ─ reopen ─▶ observed
//!      └──── model: the contents after each step ───── what is allowed ──── compare ────┘
//! ```
//!
//! # Invariants
//! - The same workload makes the same disk calls in the same order, so that a call has a number.
//! - The model never asks the store: what it allows follows from the steps alone.

#![allow(dead_code, reason = "each test uses a part of it")]

pub mod model;
pub mod observe;
pub mod run;
pub mod workloads;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aryavarth::disk::sim::SimDisk;
use aryavarth::{Durability, Options};

/// The directory of the store on the simulated disk.
pub const STORE: &str = "/db";

/// The folder of its files.
pub fn logs() -> PathBuf {
    Path::new(STORE).join("logs")
}

/// The options of all tests: small segments, no threads.
pub fn options(disk: &SimDisk, durability: Durability) -> Options {
    Options::tiny().durability(durability).disk(Arc::new(disk.clone()))
}

/// Whether the long version of the tests was asked for.
pub fn is_exhaustive() -> bool {
    std::env::var_os("ARYAVARTH_EXHAUSTIVE").is_some_and(|value| value == "1")
}

/// Says what was being tried if the test panics while this lives.
pub struct Context<F: Fn() -> String>(pub F);

impl<F: Fn() -> String> Drop for Context<F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("while testing: {}", (self.0)());
        }
    }
}
