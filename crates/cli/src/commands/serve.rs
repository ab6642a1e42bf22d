//! `serve`: the store behind the Redis protocol.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use aryavarth_cluster::{ReplicationFactor, ShardCount, Sharding};
use aryavarth_server::cluster::{NodeError, Start};
use aryavarth_server::config::{Config, Flag, LogFormat, Sources, flags};
use aryavarth_server::{Error, Running, logging, start_node};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches};

use crate::exit::Exit;
use crate::failure::{Failure, Result, stderr_is_watched, tell};

/// Flags that every command has; here they are settings, and only if they were given.
const SHARED: [&str; 2] = ["dir", "durability"];

/// What is to be done with the settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Task {
    /// Serve.
    #[default]
    Serve,
    /// Ask the server that has them whether it is well.
    CheckHealth,
}

/// Arguments of `serve`: the settings of the server, each a flag.
#[derive(Clone, Debug, Default)]
pub struct Serve {
    file: Option<PathBuf>,
    task: Task,
    flags: Vec<(String, String)>,
    start: Start,
}

fn own_flags() -> impl Iterator<Item = Flag> {
    flags().filter(|flag| !SHARED.contains(&flag.name))
}

impl Args for Serve {
    fn augment_args(command: clap::Command) -> clap::Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("File of settings (TOML); ARYAVARTH_CONFIG may name it too");
        let check = Arg::new("check-health")
            .long("check-health")
            .action(ArgAction::SetTrue)
            .help("Ask the server that runs with these settings whether it is well, and end");
        let command = membership_arguments(command.arg(file).arg(check));
        own_flags().fold(command, |command, flag| {
            let help = format!("{} [default: {}]", flag.help, flag.default);
            if flag.name == "cluster" {
                return command.arg(
                    Arg::new(flag.name)
                        .long(flag.name)
                        .num_args(0..=1)
                        .require_equals(true)
                        .default_missing_value("yes")
                        .value_name("YES")
                        .help(help)
                        .help_heading(CLUSTER),
                );
            }
            command.arg(
                Arg::new(flag.name)
                    .long(flag.name)
                    .value_name("VALUE")
                    .help(help)
                    .help_heading(flag.heading)
                    .allow_hyphen_values(true),
            )
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Serve::augment_args(command)
    }
}

impl FromArgMatches for Serve {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Serve, clap::Error> {
        let mut serve = Serve::default();
        serve.update_from_arg_matches(matches)?;
        Ok(serve)
    }

    fn update_from_arg_matches(
        &mut self,
        matches: &ArgMatches,
    ) -> std::result::Result<(), clap::Error> {
        self.file = matches.get_one("config").cloned();
        if matches.get_flag("check-health") {
            self.task = Task::CheckHealth;
        }
        self.read_membership(matches)?;
        for flag in own_flags() {
            if let Some(value) = matches.get_one::<String>(flag.name) {
                self.flags.push((flag.name.to_owned(), value.clone()));
            }
        }
        if matches.value_source("addr") == Some(ValueSource::CommandLine)
            && let Some(address) = matches.get_one::<String>("addr")
        {
            if let Some(other) = ["bind", "port"].iter().find(|name| matches.contains_id(name)) {
                let text =
                    format!("--addr and --{other} both say where to listen: give one of them\n");
                return Err(clap::Error::raw(clap::error::ErrorKind::ArgumentConflict, text));
            }
            let (host, port) = address.rsplit_once(':').ok_or_else(|| {
                let text = format!("--addr {address}: serve listens there, so give HOST:PORT\n");
                clap::Error::raw(clap::error::ErrorKind::ValueValidation, text)
            })?;
            let host = host.trim_start_matches('[').trim_end_matches(']');
            self.flags.push(("bind".to_owned(), host.to_owned()));
            self.flags.push(("port".to_owned(), port.to_owned()));
        }
        for name in SHARED {
            let given = matches.try_get_raw(name).ok().flatten();
            if matches.value_source(name) == Some(ValueSource::CommandLine)
                && let Some(value) = given.and_then(Iterator::last)
            {
                self.flags.push((name.to_owned(), value.to_string_lossy().into_owned()));
            }
        }
        Ok(())
    }
}

/// Where the help shows what makes a server a node.
const CLUSTER: &str = "A node of a cluster";

fn membership_arguments(command: clap::Command) -> clap::Command {
    let shown = |arg: Arg| arg.help_heading(CLUSTER);
    command
        .arg(shown(
            Arg::new("init")
                .long("init")
                .action(ArgAction::SetTrue)
                .help("Found a cluster with this node, if its directory belongs to none yet"),
        ))
        .arg(shown(
            Arg::new("shards")
                .long("shards")
                .value_name("NUMBER")
                .value_parser(clap::value_parser!(u16).range(1..=1024))
                .requires("init")
                .help("Shards of the cluster that is founded, for ever [default: one, split as nodes join until each has one]"),
        ))
        .arg(shown(
            Arg::new("replication-factor")
                .long("replication-factor")
                .value_name("NUMBER")
                .value_parser(["1", "3", "5"])
                .requires("init")
                .help(
                    "On how many nodes of the cluster that is founded each shard is [default: 3]",
                ),
        ))
        .arg(shown(
            Arg::new("join")
                .long("join")
                .value_name("HOST:PORT")
                .conflicts_with("init")
                .help("Join the cluster of the node that others reach here (its --peer-addr)"),
        ))
        .arg(shown(
            Arg::new("peer-addr")
                .long("peer-addr")
                .value_name("HOST:PORT")
                .conflicts_with("peer-address")
                .help("The same as --peer-address"),
        ))
}

impl Serve {
    fn read_membership(&mut self, matches: &ArgMatches) -> std::result::Result<(), clap::Error> {
        let wrong = |text: String| clap::Error::raw(clap::error::ErrorKind::ValueValidation, text);
        if matches.get_flag("init") {
            let shards = match matches.get_one::<u16>("shards") {
                Some(shards) => {
                    let count = ShardCount::new(*shards);
                    Sharding::Fixed(count.map_err(|error| wrong(error.to_string()))?)
                }
                None => Sharding::DEFAULT,
            };
            let factor = match matches.get_one::<String>("replication-factor").map(String::as_str) {
                Some("1") => ReplicationFactor::One,
                Some("5") => ReplicationFactor::Five,
                _ => ReplicationFactor::Three,
            };
            self.start = Start::Found { shards, factor };
        }
        if let Some(member) = matches.get_one::<String>("join") {
            self.start = Start::Join { member: member.clone() };
        }
        if let Some(address) = matches.get_one::<String>("peer-addr") {
            self.flags.push(("peer-address".to_owned(), address.clone()));
        }
        Ok(())
    }
}

/// Runs the command: until a signal or a client ends it.
///
/// # Errors
/// Whatever keeps the server from starting, or from ending well.
pub fn run(arguments: Serve) -> Result<()> {
    let environment = std::env::vars_os().collect();
    let sources = Sources { file: arguments.file, environment, flags: arguments.flags };
    let config = Config::load(&sources).map_err(Error::from)?;
    if arguments.task == Task::CheckHealth {
        return check_health(&config);
    }
    let format = config.log_format;
    let logging = logging::init(&config);
    let running = start_node(config, &sources, arguments.start)?;
    running.server().heed_level(logging);
    watch_signals(&running).map_err(|error| Failure::new(Exit::Io, error.to_string()))?;
    running.announce();
    if format == LogFormat::Text {
        greet(&running);
    }
    running.wait()?;
    if format == LogFormat::Text && stderr_is_watched() {
        tell("Ended: everything is on the disk.");
    }
    Ok(())
}

fn check_health(config: &Config) -> Result<()> {
    let Some(address) = config.admin_address else {
        let text = "no `admin-address` to ask at".to_owned();
        return Err(Failure::new(Exit::Usage, text));
    };
    let failed = |error| Failure::new(Exit::Io, format!("{address}: {error}"));
    aryavarth_server::ask_health(address).map_err(failed)
}

/// Ends the server at SIGINT and SIGTERM.
fn watch_signals(running: &Running) -> io::Result<()> {
    let server = std::sync::Arc::downgrade(running.server());
    aryavarth_server::signals::watch(move |signal| {
        if let Some(server) = server.upgrade() {
            server.heed(signal);
        }
    })
}

fn greet(running: &Running) {
    let server = running.server();
    let config = server.config.current();
    let addresses = server.addresses().join(", ");
    let version = env!("CARGO_PKG_VERSION");
    let directory = std::path::absolute(&config.dir).unwrap_or_else(|_| config.dir.clone());
    let peers = config.peer_address.filter(|_| server.cluster.is_some());
    let peers = peers.map_or(String::new(), |peers| format!("  other nodes {peers}\n"));
    let admin = running.admin_address().map_or("none".to_owned(), |at| format!("http://{at}"));
    tell(&format!(
        "Aryavarth {version}\n  \
           clients     {addresses}\n\
         {peers}  \
           directory   {}\n  \
           durability  {}\n  \
           operators   {admin}\n  \
           try         {}\n\
         Ctrl-C ends it.",
        directory.display(),
        server.durability_text(),
        try_line(&config),
    ));
}

/// A line that talks to the server.
fn try_line(config: &Config) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "aryavarth".to_owned());
    match (config.port, &config.unixsocket) {
        (0, Some(path)) => format!("redis-cli -s {} set username john", path.display()),
        (0, None) => format!("{program} cli --tls --addr localhost:{}", config.tls_port),
        (port, _) => match reached_at(config, port) {
            usual if usual == SocketAddr::from((Ipv4Addr::LOCALHOST, 6379)) => {
                format!("{program} cli set username john")
            }
            address => format!("{program} --addr {address} cli set username john"),
        },
    }
}

/// Where this machine reaches a server that listens on the addresses of `bind`.
fn reached_at(config: &Config, port: u16) -> SocketAddr {
    let host = match config.bind.first().map(|bind| bind.address) {
        Some(IpAddr::V6(host)) if host.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        Some(host) if !host.is_unspecified() => host,
        _ => Ipv4Addr::LOCALHOST.into(),
    };
    SocketAddr::new(host, port)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match error {
            Error::Store(error) => error.into(),
            Error::Config(_) | Error::NoListener | Error::Users(_) | Error::User { .. } => {
                Failure::new(Exit::Usage, error.to_string())
            }
            Error::Cluster(
                NodeError::Refused(_)
                | NodeError::LostStore { .. }
                | NodeError::OfCluster { .. }
                | NodeError::NotNow { .. },
            ) => Failure::new(Exit::Refused, error.to_string()),
            error => Failure::new(Exit::Io, error.to_string()),
        }
    }
}
