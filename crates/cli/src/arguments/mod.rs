//! What may stand on the command line. The texts here are the help.

mod cluster;
mod console;
mod server;

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use aryavarth::Durability;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::Serve;
use crate::duration::{parse as parse_span, parse_durability};
use crate::examples;
use crate::exit::{self, Exit};
use crate::failure::{Failure, Result};
use crate::files::Place;
use crate::formats::Format;
use crate::size::parse as parse_size;
use crate::spelling::from_base64;

pub use cluster::{
    Add, Chosen, Cluster, ClusterCommand, Drain, Factor, Remove, Start, Status, Transfer,
};
pub use console::{Cli, Repeat};
pub use server::Server;

/// Where the help shows the options that every command has.
const GLOBAL: &str = "Options of all commands";

/// A key-value store in a directory: what is acknowledged is not lost.
#[derive(Debug, Parser)]
#[command(name = "aryavarth", version, after_help = exit::table())]
pub struct Arguments {
    /// Directory of the store; its files are in DIR/logs
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL,
        env = "ARYAVARTH_DIR",
        default_value = ".",
        value_name = "DIR"
    )]
    pub dir: PathBuf,

    /// The server to work with instead of a directory, and how.
    #[command(flatten)]
    pub server: Server,

    /// What an acknowledged write survives: always (power cut), interval:TIME (process death; a
    /// power cut loses at most TIME), os (process death)
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL,
        default_value = "always",
        value_name = "always|interval:TIME|os",
        value_parser = parse_durability
    )]
    pub durability: Durability,

    /// Print results and errors as JSON, one object a line
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub json: bool,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Arguments {
    /// What the command line says.
    ///
    /// # Errors
    /// What is wrong with it, or the help.
    pub fn read() -> std::result::Result<Arguments, clap::Error> {
        let mut command = Arguments::command();
        let matches = command.try_get_matches_from_mut(std::env::args_os())?;
        let mut arguments = Arguments::from_arg_matches(&matches)?;
        let is_typed = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
        match (is_typed("dir"), is_typed("addr")) {
            // It listens there.
            (true, true) if matches!(arguments.command, Command::Serve(_)) => {}
            (true, true) => {
                let message = "--dir and --addr: which of the two?";
                return Err(command.error(ErrorKind::ArgumentConflict, message));
            }
            // What is typed goes before what the environment says.
            (true, false) => arguments.server.addr = None,
            (false, _) => {}
        }
        let has_server = arguments.command.may_have_server() && arguments.server.addr.is_some();
        if is_typed("durability") && has_server {
            let message = "--durability is for directories: a server has its own";
            return Err(command.error(ErrorKind::ArgumentConflict, message));
        }
        Ok(arguments)
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Store a value under a key; prints nothing
    #[command(after_help = examples::SET)]
    Set(Set),
    /// Print the value of a key, and a newline
    #[command(after_help = examples::GET)]
    Get(Get),
    /// Remove keys, all at once; prints nothing
    #[command(visible_alias = "remove", after_help = examples::RM)]
    Rm(Rm),
    /// Print the keys, in no particular order
    #[command(after_help = examples::LIST)]
    List(List),
    /// Print how many keys there are
    #[command(after_help = examples::COUNT)]
    Count(Count),
    /// Print sizes and counters
    #[command(after_help = examples::STATS)]
    Stats,
    /// Check every byte of the store against its checksums, without changing anything
    #[command(after_help = examples::VERIFY)]
    Verify,
    /// Rewrite the log without what is stale
    #[command(after_help = examples::COMPACT)]
    Compact(Compact),
    /// Copy the store to a new directory
    #[command(after_help = examples::BACKUP)]
    Backup(Backup),
    /// Make the store in --dir, which must be new or empty, from a backup
    #[command(after_help = examples::RESTORE)]
    Restore(Restore),
    /// Store the records of a file, or of a Redis server
    #[command(after_help = examples::IMPORT)]
    Import(Import),
    /// Write all records to a file, in the order in which they were stored
    #[command(after_help = examples::EXPORT)]
    Export(Export),
    /// Talk to a server at a prompt, or send it commands
    #[command(after_help = examples::CLI)]
    Cli(Cli),
    /// Print the log, one JSON object a record
    #[command(after_help = examples::LOG)]
    Log(Log),
    /// Serve the store to Redis clients
    Serve(Serve),
    /// Run a cluster on this machine, or look at one and change it
    Cluster(Cluster),
    /// Measure this store and this machine, in a scratch directory inside --dir
    #[command(after_help = examples::BENCH)]
    Bench(Bench),
    /// Print a completion script for a shell
    #[command(after_help = examples::COMPLETIONS)]
    Completions(Completions),
}

impl Command {
    /// Whether it looks at --addr.
    pub fn may_have_server(&self) -> bool {
        !matches!(self, Command::Completions(_) | Command::Serve(_))
    }

    /// How it is called.
    pub fn name(&self) -> &'static str {
        match self {
            Command::Set(_) => "set",
            Command::Get(_) => "get",
            Command::Rm(_) => "rm",
            Command::List(_) => "list",
            Command::Count(_) => "count",
            Command::Stats => "stats",
            Command::Verify => "verify",
            Command::Compact(_) => "compact",
            Command::Backup(_) => "backup",
            Command::Restore(_) => "restore",
            Command::Import(_) => "import",
            Command::Export(_) => "export",
            Command::Cli(_) => "cli",
            Command::Log(_) => "log",
            Command::Serve(_) => "serve",
            Command::Cluster(_) => "cluster",
            Command::Bench(_) => "bench",
            Command::Completions(_) => "completions",
        }
    }
}

/// A number of bytes that the store takes as a budget.
fn parse_budget(text: &str) -> std::result::Result<u64, String> {
    const LEAST: u64 = 64 << 10;
    let bytes = parse_size(text)?;
    if bytes < LEAST { Err("at least 64KiB".to_owned()) } else { Ok(bytes) }
}

/// How keys are given on the command line.
#[derive(Clone, Copy, Debug, Args)]
pub struct KeySpelling {
    /// Keys are given in base64, for bytes that are hard to type
    #[arg(long)]
    key_base64: bool,
}

impl KeySpelling {
    /// The bytes of a key given as `text`.
    ///
    /// # Errors
    /// If it should be base64 and is not.
    pub fn bytes(self, text: &OsStr) -> Result<Vec<u8>> {
        let bytes = text.as_encoded_bytes();
        if !self.key_base64 {
            return Ok(bytes.to_vec());
        }
        from_base64(bytes).map_err(|detail| {
            Failure::new(Exit::Usage, format!("key {} is {detail}", text.display()))
        })
    }
}

/// Arguments of `set`.
#[derive(Debug, Args)]
pub struct Set {
    /// The key
    #[arg(allow_negative_numbers = true)]
    pub key: OsString,
    /// The value; - takes all of standard input, byte for byte
    #[arg(allow_negative_numbers = true, required_unless_present = "file")]
    pub value: Option<OsString>,
    /// Take the value from a file, byte for byte
    #[arg(long, value_name = "PATH", conflicts_with = "value")]
    pub file: Option<PathBuf>,
    /// Let the key go after this time, such as 500ms, 10s, 5m, 1h, 2d
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    pub ttl: Option<Duration>,
    /// Only if the key is not there yet; exit code 1 if it is
    #[arg(long, conflicts_with = "if_present")]
    pub if_absent: bool,
    /// Only if the key is there already; exit code 1 if it is not
    #[arg(long)]
    pub if_present: bool,
    /// How the key is given.
    #[command(flatten)]
    pub spelling: KeySpelling,
}

/// Arguments of `get`.
#[derive(Debug, Args)]
pub struct Get {
    /// The key
    #[arg(allow_negative_numbers = true)]
    pub key: OsString,
    /// Print exactly the bytes of the value, without a newline after it
    #[arg(long, conflicts_with_all = ["output", "json"])]
    pub raw: bool,
    /// Write exactly the bytes of the value to a file
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// How the key is given.
    #[command(flatten)]
    pub spelling: KeySpelling,
}

/// Arguments of `rm`.
#[derive(Debug, Args)]
pub struct Rm {
    /// The keys; those that are there are removed even if others are not
    #[arg(required = true, allow_negative_numbers = true)]
    pub keys: Vec<OsString>,
    /// How the keys are given.
    #[command(flatten)]
    pub spelling: KeySpelling,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only keys that begin with this
    #[arg(long)]
    pub prefix: Option<OsString>,
    /// At most this many
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Print key, tab and value; both escaped as in the format tsv
    #[arg(long)]
    pub values: bool,
    /// How the prefix is given.
    #[command(flatten)]
    pub spelling: KeySpelling,
}

/// Arguments of `count`.
#[derive(Debug, Args)]
pub struct Count {
    /// Only keys that begin with this
    #[arg(long)]
    pub prefix: Option<OsString>,
    /// How the prefix is given.
    #[command(flatten)]
    pub spelling: KeySpelling,
}

/// Arguments of `compact`.
#[derive(Debug, Args)]
pub struct Compact {
    /// Read and write at most this many bytes a second, such as 64MiB; at least 64KiB [default: no
    /// bound]
    #[arg(long, value_name = "SIZE", value_parser = parse_budget)]
    pub budget: Option<u64>,
}

/// Arguments of `backup`.
#[derive(Debug, Args)]
pub struct Backup {
    /// Where the copy goes: a new or empty directory
    #[arg(value_name = "DIR")]
    pub to: PathBuf,
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub struct Restore {
    /// A directory that `backup` made
    pub backup: PathBuf,
}

/// Arguments of `import`.
#[derive(Debug, Args)]
pub struct Import {
    /// The file; - for standard input
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    pub file: Option<Place>,
    /// Copy the strings of a Redis server, and when they expire: redis://[USER:PASSWORD@]HOST[:PORT],
    /// or rediss:// (with TLS)
    #[arg(long, value_name = "URL", conflicts_with_all = ["format", "acknowledge"])]
    pub from: Option<String>,
    /// With --from: only keys that match a glob pattern
    #[arg(long = "match", value_name = "PATTERN", conflicts_with = "file")]
    pub pattern: Option<OsString>,
    /// With --from: the number of the database there
    #[arg(long, value_name = "N", conflicts_with = "file")]
    pub db: Option<u64>,
    /// With --from: exit code 9 if there were keys that cannot be copied
    #[arg(long, conflicts_with = "file")]
    pub strict: bool,
    /// Format of the file [default: by its name: .jsonl .ndjson .json, .tsv, otherwise lines; jsonl
    /// for -]
    #[arg(long)]
    pub format: Option<Format>,
    /// Records stored at once: all of them or, after a crash, none; 4 MiB end a batch too
    #[arg(long, value_name = "N", default_value = "1000")]
    pub batch: NonZeroUsize,
    /// Print how many records are stored, after each batch
    #[arg(long)]
    pub acknowledge: bool,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct Export {
    /// The file; - for standard output
    pub file: Place,
    /// Format of the file [default: by its name: .jsonl .ndjson .json, .tsv, otherwise lines; jsonl
    /// for -]
    #[arg(long)]
    pub format: Option<Format>,
    /// Leave out what is damaged, with a warning each; exit code 3 if anything was
    #[arg(long)]
    pub skip_damaged: bool,
}

/// Arguments of `log`.
#[derive(Debug, Args)]
pub struct Log {
    /// Print where each record is, and its bytes
    #[arg(long)]
    pub physical: bool,
    /// At most this many
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// Keys to store
    #[arg(long, value_name = "N", default_value = "100000")]
    pub keys: NonZeroUsize,
    /// Bytes of each value
    #[arg(long, value_name = "BYTES", default_value = "128")]
    pub value: usize,
    /// Threads that read and write
    #[arg(long, value_name = "N", default_value = "4")]
    pub threads: NonZeroUsize,
    /// How long each rate is measured, but the load
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_span)]
    pub time: Duration,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    /// The one would be taken for the other, which clap itself notices only when it is asked for.
    #[test]
    fn no_command_names_an_option_like_one_that_all_have() {
        fn check(command: &clap::Command, all: &[&clap::Arg]) {
            for option in command.get_subcommands().flat_map(clap::Command::get_arguments) {
                let long = option.get_long();
                let same = |other: &&clap::Arg| {
                    other.get_id() == option.get_id()
                        || (long.is_some() && other.get_long() == long)
                };
                assert!(!all.iter().any(same), "{} {}", command.get_name(), option.get_id());
            }
            command.get_subcommands().for_each(|command| check(command, all));
        }
        let command = Arguments::command();
        let all: Vec<_> = command.get_arguments().filter(|option| option.is_global_set()).collect();
        assert!(!all.is_empty());
        check(&command, &all);
    }
}
