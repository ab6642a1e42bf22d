//! `aryavarth`: the store in a directory, from the command line.
//!
//! ```text
//! arguments ─▶ commands/<one each> ─▶ the engine
//!                 │        │
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
mod duration;
mod examples;
mod exit;
mod failure;
mod files;
mod formats;
mod output;
mod progress;
mod size;
mod spelling;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::Arguments;
use crate::output::{Output, Style};

fn main() -> ExitCode {
    match Arguments::try_parse() {
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
