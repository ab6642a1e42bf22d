//! One file for each command, each with one `run`: open, ask, print, whether the store is in a
//! directory or behind a server.
//!
//! A visit is as short as its command: those that touch a few keys open the store without threads
//! of its own; those that move much data let it maintain itself meanwhile.

mod backup;
mod bench;
mod cli;
mod cluster;
mod compact;
mod completions;
mod copy;
mod count;
mod export;
mod fill;
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

use crate::arguments::{Arguments, Command, Server};
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::output::{Output, Style};
use crate::remote::{
    Address, ClusterIngest, Endpoint, RemoteIngest, RemoteStore, warn_of_password,
};
use crate::store::{Ingest, Store, is_of_cluster};

/// Where the store is.
pub enum Target {
    /// In a directory.
    Directory(PathBuf),
    /// Behind a server.
    Server(Box<Endpoint>),
}

/// What all commands share: where the store is, and how it is opened.
pub struct Context {
    target: Target,
    durability: Durability,
    /// How the command is called.
    command: &'static str,
    /// How servers are reached.
    server: Server,
}

impl Context {
    /// Where the store is.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// How servers are reached, for those that the command itself names.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The directory of the store.
    ///
    /// # Errors
    /// [`Exit::Usage`] if it is behind a server, whose files the command cannot get at.
    pub fn directory(&self) -> Result<&Path> {
        match &self.target {
            Target::Directory(directory) => Ok(directory),
            Target::Server(endpoint) => Err(self.needs_files(&endpoint.address)),
        }
    }

    fn needs_files(&self, address: &Address) -> Failure {
        let command = self.command;
        let message = format!(
            "`{command}` works on the files of a store, which are out of reach behind {address}"
        );
        let hint = match command {
            "backup" => format!(
                "`aryavarth --addr {address} cli BGSAVE TO DIR` makes a backup where the server runs"
            ),
            _ => format!("run `aryavarth --dir DIR {command}` where the files are"),
        };
        Failure::new(Exit::Usage, message).hinted(Exit::Usage, hint)
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
    pub fn visit(&self, create: Create) -> Result<Store> {
        match &self.target {
            Target::Directory(directory) => {
                let store = KvStore::open_with(directory, self.reading().create(create))?;
                self.refuse_to_write_alone(&store)?;
                Ok(Store::Directory(Box::new(store)))
            }
            Target::Server(endpoint) => {
                Ok(Store::Server(Box::new(RemoteStore::new(endpoint.connect()?))))
            }
        }
    }

    /// Keeps what writes from the directory of a cluster's node: the other nodes would not have it.
    fn refuse_to_write_alone(&self, store: &KvStore) -> Result<()> {
        if !matches!(self.command, "set" | "rm" | "import") || !is_of_cluster(store) {
            return Ok(());
        }
        let text = format!(
            "{} belongs to a node of a cluster, whose other nodes would not have what is written: start it \
             (`serve --cluster`) and write with --addr",
            store.directory().display()
        );
        Err(Failure::new(Exit::Refused, text))
    }

    /// Opens the store to be filled; one in a directory maintains itself meanwhile.
    ///
    /// # Errors
    /// As [`visit`](Context::visit).
    pub fn fill(&self) -> Result<Ingest> {
        match &self.target {
            Target::Directory(directory) => {
                let options = self.reading().create(Create::IfMissing);
                let options = options.maintenance(Maintenance::Background);
                let store = KvStore::open_with(directory, options)?;
                self.refuse_to_write_alone(&store)?;
                Ok(Ingest::into_directory(store))
            }
            Target::Server(endpoint) => {
                let mut link = endpoint.connect()?;
                Ok(match ClusterIngest::of(&mut link)? {
                    Some(cluster) => Ingest::Cluster(Box::new(cluster)),
                    None => Ingest::Server(Box::new(RemoteIngest::new(link))),
                })
            }
        }
    }
}

/// Runs the command.
///
/// # Errors
/// Whatever kept it from doing all it was asked.
pub fn run(arguments: Arguments, output: &mut Output) -> Result<()> {
    let directory = arguments.dir.display().to_string();
    let context = Context {
        target: target(&arguments.server, arguments.dir, &arguments.command, output.style())?,
        durability: arguments.durability,
        command: arguments.command.name(),
        server: arguments.server,
    };
    let advice = match arguments.command {
        // Not the store in --dir is missing, but the backup.
        Command::Restore(_) => "name a directory that `aryavarth backup` made".to_owned(),
        _ => format!("`aryavarth --dir {directory} set KEY VALUE` makes one"),
    };
    dispatch(arguments.command, &context, output)
        .map_err(|failure| failure.hinted(Exit::NoStore, advice))
}

fn target(server: &Server, directory: PathBuf, command: &Command, style: Style) -> Result<Target> {
    let address = match (command, server.addr.as_deref().filter(|text| !text.is_empty())) {
        (command, _) if !command.may_have_server() => None,
        (Command::Cli(_), None) => Some(Address::local()),
        (_, text) => text.map(|text| address("--addr", text, style)).transpose()?,
    };
    match address {
        None => Ok(Target::Directory(directory)),
        Some(address) => Ok(Target::Server(Box::new(Endpoint::of(server, address, style)?))),
    }
}

/// The address given as `option`.
///
/// # Errors
/// [`Exit::Usage`] if it is none.
pub fn address(option: &str, text: &str, style: Style) -> Result<Address> {
    let address = Address::parse(text)
        .map_err(|detail| Failure::new(Exit::Usage, format!("{option}: {detail}")))?;
    let is_typed = std::env::args_os().any(|typed| {
        let typed = typed.as_encoded_bytes();
        typed.ends_with(text.as_bytes())
    });
    if address.password.is_some() && is_typed {
        warn_of_password(option, style);
    }
    Ok(address)
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
        Command::Import(arguments) => import::run(arguments, context, output),
        Command::Export(arguments) => export::run(&arguments, context, output),
        Command::Cli(arguments) => cli::run(&arguments, context, output),
        Command::Log(arguments) => log::run(&arguments, context, output),
        Command::Bench(arguments) => bench::run(&arguments, context, output),
        Command::Serve(arguments) => serve::run(arguments),
        Command::Cluster(arguments) => cluster::run(&arguments, context, output),
        Command::Completions(arguments) => completions::run(&arguments, output),
    }
}
