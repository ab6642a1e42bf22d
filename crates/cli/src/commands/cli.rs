//! `cli`: a prompt for a server, or one command, or those on standard input.

use super::{Context, Target};
use crate::arguments::Cli;
use crate::console;
use crate::failure::Result;
use crate::output::Output;

/// Runs the command.
///
/// # Errors
/// [`Exit::NotFound`](crate::exit::Exit::NotFound) if a reply was an error, outside the prompt; if
/// the server cannot be reached.
pub fn run(arguments: &Cli, context: &Context, output: &mut Output) -> Result<()> {
    match context.target() {
        Target::Server(endpoint) => console::run(arguments, endpoint, output),
        // Without an address, this command has the local one.
        Target::Directory(_) => context.directory().map(drop),
    }
}
