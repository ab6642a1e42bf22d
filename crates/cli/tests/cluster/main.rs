//! Clusters of real processes on this machine, under load, while nodes are killed, paused, stopped and
//! added; and what their clients saw, checked.
//!
//! ```text
//!  clients ── SET GET INCR DEL, each reply noted ──▶ nodes on 127.0.0.x, killed and paused meanwhile
//!     └──▶ history ─▶ linear? counters exact? replicas equal?
//! ```
//!
//! A request that was sent and got no answer may have been done or not, at any time: its outcome stays
//! unknown.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![allow(clippy::disallowed_methods, reason = "the tests look at files and clocks from outside")]

mod client;
mod commands;
mod disks;
mod faults;
mod libraries;
mod lines;
mod load;
mod network;
mod nodes;
mod partitions;
#[path = "../../../server/tests/support/ports.rs"]
mod ports;
mod random;
mod rot;
mod shape;
mod strangers;
mod weather;

use std::io::Write;

/// What a test needs and this machine does not give.
enum Missing {
    Namespaces,
    Mounts,
    Strace,
}

/// Says that a test is skipped.
fn skipped(missing: Missing) {
    let what = match missing {
        Missing::Namespaces => "root and ip",
        Missing::Mounts => "root and mount",
        Missing::Strace => "root and strace",
    };
    let test = std::thread::current();
    let test = test.name().unwrap_or("a test");
    tell(&format!("{test} needs {what}: skipped"));
}

/// Says something; not as `eprintln`, which is not shown of a test that passes.
fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
