//! `completions`: prints a completion script for a shell.

use clap::CommandFactory;

use crate::arguments::{Arguments, Completions};
use crate::failure::Result;
use crate::output::Output;

/// Runs the command.
///
/// # Errors
/// If the output cannot be written.
pub fn run(arguments: &Completions, output: &mut Output) -> Result<()> {
    let mut script = Vec::new();
    let mut command = Arguments::command();
    clap_complete::generate(arguments.shell, &mut command, "aryavarth", &mut script);
    output.bytes(&script)
}
