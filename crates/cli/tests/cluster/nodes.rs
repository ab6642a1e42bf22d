//! Nodes as processes of their own.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Signal, set_parent_process_death_signal};
use tempfile::TempDir;

use crate::client::{Connection, Reply};
use crate::network::Network;
use crate::ports::free_port;

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The ports of nodes that have a machine of their own.
pub const CLIENT_PORT: u16 = 6379;
pub const PEER_PORT: u16 = 16379;

/// Where a node is, and its process while it runs.
struct Site {
    client: String,
    peer: String,
    process: Option<Child>,
}

/// A cluster, whose nodes are numbered from 0.
pub struct Cluster {
    sites: Vec<Site>,
    /// From the beginning; none if it is to grow.
    shards: Option<u16>,
    lost_after: &'static str,
    settings: &'static [&'static str],
    host: String,
    network: Option<Network>,
    directory: TempDir,
}

impl Cluster {
    /// So many nodes on this machine, once all have their replicas. None is taken for dead.
    pub fn start(count: usize, shards: impl Into<Option<u16>>) -> Cluster {
        Cluster::plan(count, shards).begun()
    }

    /// The same, before any of them has started.
    pub fn plan(count: usize, shards: impl Into<Option<u16>>) -> Cluster {
        // An address for each cluster: the ports of one cannot be taken by another's connections.
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let host = format!("127.0.{}.{}", 77 + std::process::id() % 100, 10 + number);
        let mut cluster = Cluster {
            sites: Vec::new(),
            shards: shards.into(),
            lost_after: "0s",
            settings: &[],
            host,
            network: None,
            directory: tempfile::tempdir().unwrap(),
        };
        (0..count).for_each(|_| cluster.settle());
        cluster
    }

    /// Who is silent for so long is dead for good.
    pub fn losing_after(mut self, lost_after: &'static str) -> Cluster {
        self.lost_after = lost_after;
        self
    }

    /// Nodes have these arguments, too.
    pub fn with(mut self, settings: &'static [&'static str]) -> Cluster {
        self.settings = settings;
        self
    }

    /// Each node is on a machine of its own, while this thread is outside of them.
    pub fn on(mut self, network: Network) -> Cluster {
        for (node, site) in self.sites.iter_mut().enumerate() {
            let host = network.address(node);
            site.client = format!("{host}:{CLIENT_PORT}");
            site.peer = format!("{host}:{PEER_PORT}");
        }
        self.network = Some(network);
        self
    }

    /// All of its nodes have started and have their replicas.
    pub fn begun(mut self) -> Cluster {
        (0..self.sites.len()).for_each(|node| self.run(node));
        self.await_whole();
        self
    }

    pub fn network(&self) -> &Network {
        self.network.as_ref().unwrap()
    }

    /// Runs something where clients are.
    pub fn spawn(&self, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
        let outside = self.network.as_ref().map(Network::outside);
        std::thread::spawn(move || {
            if let Some(outside) = outside {
                outside.enter();
            }
            work();
        })
    }

    /// A place for one more node.
    fn settle(&mut self) {
        let address = || format!("{}:{}", self.host, free_port(&self.host));
        let (client, peer) = (address(), address());
        self.sites.push(Site { client, peer, process: None });
    }

    /// What starts a node in a directory, at these addresses of clients and of other nodes.
    pub fn serve(&self, store: &Path, client: &str, peer: &str) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("aryavarth"));
        command
            .args(["serve", "--cluster", "--admin-address", ""])
            .args(["--node-lost-after", self.lost_after])
            .args(["--raft-log-keep", "2000", "--segment-size", "4194304"])
            .args(self.settings)
            .arg("--dir")
            .arg(store)
            .args(["--addr", client, "--peer-addr", peer])
            .env_remove("ARYAVARTH_ADDR")
            .env_remove("ARYAVARTH_DIR")
            // What is ours to read is no setting of theirs.
            .env_remove("ARYAVARTH_FAULTS")
            .env_remove("ARYAVARTH_EXHAUSTIVE")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if self.network.is_some() {
            command.args(["--protected-mode", "no"]);
        }
        let die_with_test = || Ok(set_parent_process_death_signal(Some(Signal::KILL))?);
        // SAFETY: between fork and exec there is one system call, and nothing is allocated.
        unsafe { command.pre_exec(die_with_test) };
        command
    }

    /// Starts a node, which founds the cluster if it is the first and joins it otherwise; or goes on.
    pub fn run(&mut self, node: usize) {
        let site = &self.sites[node];
        let mut command = self.serve(&self.store(node), &site.client, &site.peer);
        command.stderr(File::options().create(true).append(true).open(self.log(node)).unwrap());
        match node {
            0 => {
                let shards = self.shards.map(|shards| ["--shards".to_owned(), shards.to_string()]);
                command.arg("--init").args(shards.iter().flatten())
            }
            _ => command.args(["--join", &self.sites[0].peer]),
        };
        let process = match &self.network {
            None => command.spawn(),
            Some(network) => network.inside(&network.host(node), || command.spawn()),
        };
        self.sites[node].process = Some(process.unwrap());
        let begun = Instant::now();
        while Connection::open(self.address(node)).is_err() {
            let ended = self.sites[node].process.as_mut().unwrap().try_wait().unwrap();
            assert_eq!(ended, None, "node {node} ended: {}", self.said(node));
            assert!(begun.elapsed() < PATIENCE, "node {node} does not listen: {}", self.said(node));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts one more node on this machine; its number.
    pub fn add(&mut self) -> usize {
        self.settle();
        self.run(self.sites.len() - 1);
        self.sites.len() - 1
    }

    pub fn store(&self, node: usize) -> PathBuf {
        self.directory.path().join(format!("node-{node}"))
    }

    fn log(&self, node: usize) -> PathBuf {
        self.directory.path().join(format!("node-{node}.log"))
    }

    /// What a node has logged.
    pub fn said(&self, node: usize) -> String {
        std::fs::read_to_string(self.log(node)).unwrap_or_default()
    }

    /// How often a node has logged this.
    pub fn has_said(&self, node: usize, what: &str) -> usize {
        self.said(node).matches(what).count()
    }

    pub fn address(&self, node: usize) -> &str {
        &self.sites[node].client
    }

    pub fn peer(&self, node: usize) -> &str {
        &self.sites[node].peer
    }

    pub fn addresses(&self) -> Vec<String> {
        self.sites.iter().map(|site| site.client.clone()).collect()
    }

    fn live(&self) -> impl Iterator<Item = usize> {
        (0..self.sites.len()).filter(|node| self.sites[*node].process.is_some())
    }

    /// Where clients reach the nodes that run.
    pub fn running(&self) -> Vec<String> {
        self.live().map(|node| self.address(node).to_owned()).collect()
    }

    /// The number of a node's process.
    pub fn process(&self, node: usize) -> String {
        self.sites[node].process.as_ref().unwrap().id().to_string()
    }

    pub fn signal(&self, node: usize, signal: &str) {
        let process = self.process(node);
        assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
    }

    /// Ends a node without a word.
    pub fn kill(&mut self, node: usize) {
        let mut child = self.sites[node].process.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks a node to end; its exit code.
    pub fn stop(&mut self, node: usize) -> Option<i32> {
        self.signal(node, "-TERM");
        self.await_end(node)
    }

    /// Whether a node that was started has ended by itself.
    pub fn has_ended(&mut self, node: usize) -> bool {
        let process = self.sites[node].process.as_mut();
        process.is_some_and(|process| process.try_wait().unwrap().is_some())
    }

    /// Waits until a node has ended by itself; its exit code.
    pub fn await_end(&mut self, node: usize) -> Option<i32> {
        let mut child = self.sites[node].process.take().unwrap();
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "node {node} does not end: {}", self.said(node));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The status, as a node tells it.
    pub fn status(&self, node: usize) -> Option<serde_json::Value> {
        let reply = Connection::open(self.address(node)).ok()?.ask(&["CLUSTER", "STATUS"]).ok()?;
        match reply {
            Reply::Bytes(bytes) => serde_json::from_slice(&bytes).ok(),
            _ => None,
        }
    }

    /// A node's id.
    pub fn id(&self, node: usize) -> u64 {
        let status = self.status(node).unwrap();
        let nodes = status["nodes"].as_array().unwrap();
        nodes.iter().find(|node| node["myself"] == true).unwrap()["id"].as_u64().unwrap()
    }

    /// `aryavarth …` with the address of a node.
    pub fn command(&self, node: usize, words: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("aryavarth"));
        command
            .args(["--addr", self.address(node)])
            .args(words)
            .env_remove("ARYAVARTH_ADDR")
            .env_remove("ARYAVARTH_DIR")
            .stdin(Stdio::null());
        command
    }

    /// Runs `aryavarth cluster …` as an operator, by way of a node: its exit code, and what it said.
    pub fn operate(&self, node: usize, words: &[&str]) -> (Option<i32>, String) {
        let output = self.command(node, &[&["cluster"], words].concat()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }

    /// Waits until a node's status is as it should be.
    pub fn await_status(&self, node: usize, what: &str, is: impl Fn(&serde_json::Value) -> bool) {
        let begun = Instant::now();
        loop {
            let status = self.status(node);
            if status.as_ref().is_some_and(&is) {
                return;
            }
            let said = || self.said(node);
            assert!(begun.elapsed() < PATIENCE, "{what}: {status:?}\n{}", said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until every node that runs is in and every shard has all its replicas.
    pub fn await_whole(&self) {
        let running: Vec<usize> = self.live().collect();
        for node in &running {
            self.await_status(*node, "the cluster does not become whole", |status| {
                let active = status["nodes"].as_array().unwrap().iter();
                let active =
                    active.filter(|node| node["state"] == "active" && node["sight"] == "reachable");
                status["state"] == "ok" && active.count() >= running.len()
            });
        }
    }

    /// Waits until all shards are led, and of two nodes none leads two more than the other. Clients that know the leaders need not learn
    /// of new ones then.
    pub fn await_spread(&self) {
        self.await_status(0, "the leaders are not spread", |status| {
            let shards = status["shards"].as_array().unwrap().iter();
            let shards: Vec<_> = shards.filter(|shard| !shard["slots"].is_null()).collect();
            let nodes = status["nodes"].as_array().unwrap().iter();
            let led = nodes.map(|node| {
                let is_led = |shard: &&&serde_json::Value| shard["leader"] == node["id"];
                shards.iter().filter(is_led).count()
            });
            let led: Vec<usize> = led.collect();
            let is_even = led.iter().max() <= led.iter().min().map(|least| least + 1).as_ref();
            is_even && led.iter().sum::<usize>() == shards.len()
        });
    }

    /// Which node leads most shards.
    pub fn chief(&self) -> usize {
        let status = self.live().find_map(|node| self.status(node)).unwrap();
        let nodes = status["nodes"].as_array().unwrap();
        let chief = nodes.iter().max_by_key(|node| node["leads"].as_u64()).unwrap();
        let client = chief["client"].as_str().unwrap();
        (0..self.sites.len()).find(|node| self.address(*node) == client).unwrap()
    }
}

impl Cluster {
    /// Which node leads each shard, in which term, as a node knows it.
    fn leaders(&self, node: usize) -> String {
        let status = self.status(node).unwrap_or_default();
        let shards = status["shards"].as_array().cloned().unwrap_or_default();
        let leader = |shard: &serde_json::Value| {
            format!("{}: {} in term {}", shard["shard"], shard["leader"], shard["term"])
        };
        shards.iter().map(leader).collect::<Vec<_>>().join(", ")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for node in self.live() {
                eprintln!("--- the leaders, as node {node} knows them: {}", self.leaders(node));
            }
        }
        for child in self.sites.iter_mut().filter_map(|site| site.process.as_mut()) {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            for node in 0..self.sites.len() {
                let said = self.said(node);
                let last: Vec<&str> = said.lines().rev().take(15).collect();
                eprintln!(
                    "--- node {node}, the end of its log, last line first:\n{}",
                    last.join("\n")
                );
            }
        }
    }
}
