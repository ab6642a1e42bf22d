//! One file for each command, each with one `run`: open, ask, print.
//!
//! A visit is as short as its command: those that touch a few keys open the store without threads
//! of its own; those that move much data let it maintain itself meanwhile.

mod backup;
mod bench;
mod compact;
mod completions;
mod count;
mod export;
mod get;
mod import;
mod list;
mod log;
mod rm;
mod serve;
mod set;
mod stats;
mod verify;

pub use serve::Serve;
use std::path::{Path, PathBuf};

use aryavarth::{Create, Durability, KvStore, Maintenance, Options};

use crate::arguments::{Arguments, Command};
use crate::exit::Exit;
use crate::failure::Result;
use crate::output::Output;

/// What all commands share: where the store is, and how it is opened.
pub struct Context {
    directory: PathBuf,
    durability: Durability,
}

impl Context {
    /// The directory of the store.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// How the store is opened for a visit that changes nothing by itself.
    pub fn reading(&self) -> Options {
        Options::default()
            .durability(self.durability)
            .create(Create::Never)
            .maintenance(Maintenance::Manual)
    }

    /// Opens the store for a short visit.
    ///
    /// # Errors
    /// As [`KvStore::open_with`]; `create` says what happens if there is no store.
    pub fn visit(&self, create: Create) -> Result<KvStore> {
        Ok(KvStore::open_with(&self.directory, self.reading().create(create))?)
    }

    /// Opens the store for long work, during which it maintains itself.
    ///
    /// # Errors
    /// As [`visit`](Context::visit).
    pub fn work(&self, create: Create) -> Result<KvStore> {
        let options = self.reading().create(create).maintenance(Maintenance::Background);
        Ok(KvStore::open_with(&self.directory, options)?)
    }
}

/// Runs the command.
///
/// # Errors
/// Whatever kept it from doing all it was asked.
pub fn run(arguments: Arguments, output: &mut Output) -> Result<()> {
    let context = Context { directory: arguments.dir, durability: arguments.durability };
    let advice = match arguments.command {
        // Not the store in --dir is missing, but the backup.
        Command::Restore(_) => "name a directory that `aryavarth backup` made".to_owned(),
        _ => format!("`aryavarth --dir {} set KEY VALUE` makes one", context.directory.display()),
    };
    dispatch(arguments.command, &context, output)
        .map_err(|failure| failure.hinted(Exit::NoStore, advice))
}

fn dispatch(command: Command, context: &Context, output: &mut Output) -> Result<()> {
    match command {
        Command::Set(arguments) => set::run(arguments, context),
        Command::Get(arguments) => get::run(&arguments, context, output),
        Command::Rm(arguments) => rm::run(&arguments, context),
        Command::List(arguments) => list::run(&arguments, context, output),
        Command::Count(arguments) => count::run(&arguments, context, output),
        Command::Stats => stats::run(context, output),
        Command::Verify => verify::run(context, output),
        Command::Compact(arguments) => compact::run(&arguments, context, output),
        Command::Backup(arguments) => backup::run(&arguments, context, output),
        Command::Restore(arguments) => backup::run_restore(&arguments, context, output),
        Command::Import(arguments) => import::run(&arguments, context, output),
        Command::Export(arguments) => export::run(&arguments, context, output),
        Command::Log(arguments) => log::run(&arguments, context, output),
        Command::Bench(arguments) => bench::run(&arguments, context, output),
        Command::Serve(arguments) => serve::run(arguments),
        Command::Completions(arguments) => completions::run(&arguments, output),
    }
}
