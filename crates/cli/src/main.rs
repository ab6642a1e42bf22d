//! `aryavarth`: the store in a directory or behind a server, from the command line.
//!
//! ```text
//! arguments ─▶ commands/<one each> ─▶ store ─▶ the engine
//!                 │        │            └────▶ remote (a server, over TCP or TLS)
//!              formats   output, progress ─▶ stdout, stderr
//!                 │
//!               files (the user's own, never the store's)
//! ```
//!
//! Invariants:
//! - Standard output carries results alone; errors, warnings and progress bars go to standard
//!   error.
//! - Each way to fail has its own exit code ([`exit::Exit`]), the same whatever the command.
//! - A command that only reads creates nothing, not even a directory.

mod arguments;
mod commands;
mod console;
mod duration;
mod examples;
mod exit;
mod failure;
mod files;
mod formats;
mod output;
mod progress;
mod remote;
mod size;
mod spelling;
mod store;

use std::process::ExitCode;

use crate::arguments::Arguments;
use crate::output::{Output, Style};

fn main() -> ExitCode {
    match Arguments::read() {
        Ok(arguments) => run(arguments),
        Err(error) => failure::misused(&error),
    }
}

fn run(arguments: Arguments) -> ExitCode {
    let style = Style::of(&arguments);
    let mut output = Output::new(style);
    let result = commands::run(arguments, &mut output);
    // What a failed command had found out is printed too, before the failure.
    let flushed = output.flush();
    match result.and(flushed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(style),
    }
}
