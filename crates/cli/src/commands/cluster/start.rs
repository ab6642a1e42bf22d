//! `cluster start`: some nodes on this machine, as processes of their own, until Ctrl-C.
//!
//! ```text
//!  this process ─┬─ node 1: serve --cluster --init   127.0.0.1:7001, peers at :17001, DIR/node-1
//!                ├─ node 2: serve --cluster --join   127.0.0.1:7002, peers at :17002, DIR/node-2
//!                └─ …                                what they log goes to DIR/node-N.log
//! ```
//!
//! With the same directory it goes on where it stopped.
#![expect(
    clippy::disallowed_methods,
    reason = "it starts processes, and looks after their files and time"
)]

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aryavarth_server::cluster::status::Condition;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::report::look;
use crate::arguments::Start;
use crate::exit::Exit;
use crate::failure::{Failure, Result, tell};
use crate::remote::{Address, Endpoint, Link};

/// The port for other nodes is this much above that for clients.
const PEERS_ABOVE: u16 = 10_000;
/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(100);
/// How long an answer of a node on this machine may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long nodes get to end by themselves.
const FAREWELL: Duration = Duration::from_secs(20);

/// A node that runs as a process of its own.
struct Process {
    number: u16,
    child: Child,
    /// Whether its end was told.
    told: bool,
}

/// Runs the command: until a signal ends it.
///
/// # Errors
/// If a node cannot be started.
pub(super) fn run(arguments: &Start, directory: &Path) -> Result<()> {
    let asked = Arc::new(AtomicUsize::new(0));
    for signal in [SIGINT, SIGTERM] {
        let asked = Arc::clone(&asked);
        let note = move || _ = asked.fetch_add(1, Ordering::SeqCst);
        // A flag would forget how often it was asked.
        watch(signal, note)?;
    }
    fs::create_dir_all(directory).map_err(|error| io(directory, &error))?;
    check_ports(arguments)?;
    let secret = secret(directory)?;
    let mut nodes = Vec::new();
    for number in 1..=arguments.nodes {
        match start(arguments, directory, &secret, number) {
            Ok(child) => {
                nodes.push(Process { number, child, told: false });
                // One after the other, so that their ids are in the same order.
                await_member(arguments, number, &asked);
            }
            Err(failure) => {
                stop(&mut nodes, &asked);
                return Err(failure);
            }
        }
    }
    let is_up = await_whole(arguments, directory, &mut nodes, &asked);
    if is_up {
        greet(arguments, directory);
    }
    while asked.load(Ordering::SeqCst) == 0 && tell_of_ends(&mut nodes, directory) > 0 {
        std::thread::sleep(INTERVAL);
    }
    let all_died = asked.load(Ordering::SeqCst) == 0;
    stop(&mut nodes, &asked);
    match all_died {
        true => Err(Failure::new(Exit::Io, "no node runs any more; see their logs".to_owned())),
        false => Ok(()),
    }
}

fn watch(signal: i32, note: impl Fn() + Send + 'static) -> Result<()> {
    let failed =
        |error: std::io::Error| Failure::new(Exit::Io, format!("cannot watch signals: {error}"));
    let mut signals = signal_hook::iterator::Signals::new([signal]).map_err(failed)?;
    std::thread::spawn(move || signals.forever().for_each(|_| note()));
    Ok(())
}

fn port(arguments: &Start, number: u16) -> u16 {
    arguments.port + number - 1
}

/// Says which port is taken before any node is started.
fn check_ports(arguments: &Start) -> Result<()> {
    for number in 1..=arguments.nodes {
        let client = port(arguments, number);
        for port in [client, client + PEERS_ABOVE] {
            if let Err(error) = TcpListener::bind(("127.0.0.1", port)) {
                let text = format!(
                    "port {port} of 127.0.0.1 cannot be used ({error}): choose others with --port"
                );
                return Err(Failure::new(Exit::Usage, text));
            }
        }
    }
    Ok(())
}

/// The file with the nodes' secret; drawn when the cluster is made.
fn secret(directory: &Path) -> Result<PathBuf> {
    let path = directory.join("secret");
    if path.exists() {
        return Ok(path);
    }
    let mut bytes = [0; 24];
    File::open("/dev/urandom")
        .and_then(|mut random| std::io::Read::read_exact(&mut random, &mut bytes))
        .map_err(|error| io(Path::new("/dev/urandom"), &error))?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(|error| io(&path, &error))?;
    writeln!(file, "{}", URL_SAFE_NO_PAD.encode(bytes)).map_err(|error| io(&path, &error))?;
    Ok(path)
}

fn start(arguments: &Start, directory: &Path, secret: &Path, number: u16) -> Result<Child> {
    let own = arguments.directory(directory, number);
    fs::create_dir_all(&own).map_err(|error| io(&own, &error))?;
    let program = std::env::current_exe().map_err(|error| io(Path::new("aryavarth"), &error))?;
    let client = port(arguments, number);
    let log_path = log_path(directory, number);
    let log = OpenOptions::new().create(true).append(true).open(&log_path);
    let log = log.map_err(|error| io(&log_path, &error))?;
    let mut command = Command::new(program);
    command
        .args(["serve", "--cluster", "--admin-address", ""])
        .arg("--dir")
        .arg(&own)
        .arg("--addr")
        .arg(format!("127.0.0.1:{client}"))
        .arg("--peer-addr")
        .arg(format!("127.0.0.1:{}", client + PEERS_ABOVE))
        .arg("--cluster-secret-file")
        .arg(secret)
        .env_remove("ARYAVARTH_ADDR")
        .env_remove("ARYAVARTH_DIR")
        // Ctrl-C is for this process, which ends them in its own way.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    match number {
        1 => {
            let shards = arguments.shards.map(|shards| shards.to_string());
            command.arg("--init").args(shards.iter().flat_map(|shards| ["--shards", shards]))
        }
        _ => {
            let first = arguments.port + PEERS_ABOVE;
            command.arg("--join").arg(format!("127.0.0.1:{first}"))
        }
    };
    let mut child = command.spawn().map_err(|error| io(Path::new("aryavarth"), &error))?;
    if let Some(told) = child.stderr.take() {
        std::thread::spawn(move || relay(number, told, log));
    }
    Ok(child)
}

/// Keeps what a node says in its log, and shows what matters.
fn relay(number: u16, told: std::process::ChildStderr, mut log: File) {
    for line in BufReader::new(told).lines().map_while(std::result::Result::ok) {
        // A log that cannot be written is no reason to stop a node.
        let _ = writeln!(log, "{line}");
        if line.contains(" ERROR ") || line.starts_with("error") {
            tell(&format!("node-{number} | {line}"));
        }
    }
}

fn log_path(directory: &Path, number: u16) -> PathBuf {
    directory.join(format!("node-{number}.log"))
}

/// Waits until a node is in, but not for long: another one may have to be there first.
fn await_member(arguments: &Start, number: u16, asked: &AtomicUsize) {
    let since = Instant::now();
    while asked.load(Ordering::SeqCst) == 0 && since.elapsed() < PATIENCE {
        let status = Link::open(&endpoint(arguments.port)).and_then(|mut link| look(&mut link));
        if status.is_ok_and(|status| status.nodes.len() >= usize::from(number)) {
            return;
        }
        std::thread::sleep(INTERVAL);
    }
}

/// Waits until all nodes are in and have their replicas; says whether they are.
fn await_whole(
    arguments: &Start,
    directory: &Path,
    nodes: &mut [Process],
    asked: &AtomicUsize,
) -> bool {
    let mut said = String::new();
    while asked.load(Ordering::SeqCst) == 0 {
        if tell_of_ends(nodes, directory) < nodes.len() {
            return false;
        }
        let text = match Link::open(&endpoint(arguments.port)).and_then(|mut link| look(&mut link))
        {
            Ok(status) => {
                let active = status.nodes.iter().filter(|node| node.state == "active").count();
                if active == usize::from(arguments.nodes) && status.state == Condition::Ok {
                    return true;
                }
                let wanted = status.shards.iter().map(|shard| shard.voters.len()).sum::<usize>();
                format!("{active} of {} nodes are in; {wanted} replicas vote", arguments.nodes)
            }
            Err(_) => "starting the first node".to_owned(),
        };
        if text != said {
            tell(&text);
            said = text;
        }
        std::thread::sleep(2 * INTERVAL);
    }
    false
}

fn endpoint(port: u16) -> Endpoint {
    let mut address = Address::local();
    "127.0.0.1".clone_into(&mut address.host);
    address.port = port;
    Endpoint { address, login: None, tls: None, patience: PATIENCE }
}

fn greet(arguments: &Start, directory: &Path) {
    let mut text = format!("\nA cluster of {} runs:\n", arguments.nodes);
    for number in 1..=arguments.nodes {
        text.push_str(&format!(
            "  node {number}   127.0.0.1:{}   {}\n",
            port(arguments, number),
            log_path(directory, number).display()
        ));
    }
    let first = arguments.port;
    text.push_str(&format!(
        "Try:\n  redis-cli -c -p {first} set user:1 alice\n  aryavarth cluster status --addr \
         127.0.0.1:{first}\nCtrl-C ends it; the same command goes on with what is in {}.",
        directory.display()
    ));
    tell(&text);
}

/// Says which nodes have ended by themselves; returns how many run.
fn tell_of_ends(nodes: &mut [Process], directory: &Path) -> usize {
    let mut running = 0;
    for node in nodes {
        match node.child.try_wait() {
            Ok(Some(status)) if !node.told => {
                node.told = true;
                let how = match (status.code(), status.signal()) {
                    (Some(code), _) => format!("with code {code}"),
                    (None, Some(signal)) => format!("by signal {signal}"),
                    (None, None) => "somehow".to_owned(),
                };
                let log = log_path(directory, node.number);
                tell(&format!("node-{} ended {how}; see {}", node.number, log.display()));
            }
            Ok(Some(_)) => {}
            _ => running += 1,
        }
    }
    running
}

/// Ends the nodes: in peace, or at once if that takes long or was asked for again.
fn stop(nodes: &mut [Process], asked: &AtomicUsize) {
    let since = Instant::now();
    for node in &mut *nodes {
        if matches!(node.child.try_wait(), Ok(None)) {
            // It may have ended just now.
            let _ = ask_to_end(&node.child);
        }
    }
    while nodes.iter_mut().any(|node| matches!(node.child.try_wait(), Ok(None))) {
        if asked.load(Ordering::SeqCst) > 1 || since.elapsed() > FAREWELL {
            nodes.iter_mut().for_each(|node| _ = node.child.kill());
        }
        std::thread::sleep(INTERVAL);
    }
    tell("All nodes have ended.");
}

/// Asks a node to end.
fn ask_to_end(child: &Child) -> std::io::Result<()> {
    let pid = rustix::process::Pid::from_child(child);
    Ok(rustix::process::kill_process(pid, rustix::process::Signal::TERM)?)
}

fn io(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Io, format!("{}: {error}", path.display()))
}
