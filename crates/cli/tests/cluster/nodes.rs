//! Nodes as processes of their own.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::client::{Connection, Reply};

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster, whose nodes are numbered from 0.
pub struct Cluster {
    directory: TempDir,
    host: String,
    ports: Vec<(u16, u16)>,
    nodes: Vec<Option<Child>>,
    shards: u16,
    lost_after: &'static str,
}

/// A port of a host that nobody has. Below those that the system gives to outgoing connections: those of
/// nodes leave from the same address, and one could take the port while its node is down.
fn port(host: &str) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 12_000 + 200 * u16::try_from(std::process::id() % 100).unwrap();
    let mut ports = std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::SeqCst));
    ports.find(|port| TcpListener::bind((host, *port)).is_ok()).unwrap()
}

impl Cluster {
    /// So many nodes, once all have their replicas. None is taken for dead.
    pub fn start(count: usize, shards: u16) -> Cluster {
        Cluster::with_losses(count, shards, "0s")
    }

    /// So many nodes, once all have their replicas; who is silent for `lost_after` is dead for good.
    pub fn with_losses(count: usize, shards: u16, lost_after: &'static str) -> Cluster {
        // An address for each cluster: the ports of one cannot be taken by another's connections.
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let host = format!("127.0.{}.{}", 77 + std::process::id() % 100, 10 + number);
        let directory = tempfile::tempdir().unwrap();
        let ports = (0..count).map(|_| (port(&host), port(&host))).collect();
        let nodes = (0..count).map(|_| None).collect();
        let mut cluster = Cluster { directory, host, ports, nodes, shards, lost_after };
        (0..count).for_each(|node| cluster.run(node));
        cluster.await_whole();
        cluster
    }

    /// Starts a node, which founds the cluster if it is the first and joins it otherwise; or goes on.
    pub fn run(&mut self, node: usize) {
        let (client, peer) = self.ports[node];
        let (host, first) = (&self.host, self.ports[0].1);
        let log = File::options().create(true).append(true).open(self.log(node)).unwrap();
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("aryavarth"));
        command
            .args([
                "serve",
                "--cluster",
                "--admin-address",
                "",
                "--node-lost-after",
                self.lost_after,
            ])
            .args(["--raft-log-keep", "2000", "--segment-size", "4194304"])
            .arg("--dir")
            .arg(self.store(node))
            .args(["--addr", &format!("{host}:{client}"), "--peer-addr", &format!("{host}:{peer}")])
            .env_remove("ARYAVARTH_ADDR")
            .env_remove("ARYAVARTH_DIR")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        match node {
            0 => command.args(["--init", "--shards", &self.shards.to_string()]),
            _ => command.args(["--join", &format!("{host}:{first}")]),
        };
        self.nodes[node] = Some(command.spawn().unwrap());
        let begun = Instant::now();
        while Connection::open(&self.address(node)).is_err() {
            let ended = self.nodes[node].as_mut().unwrap().try_wait().unwrap();
            assert_eq!(ended, None, "node {node} ended: {}", self.said(node));
            assert!(begun.elapsed() < PATIENCE, "node {node} does not listen: {}", self.said(node));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts one more node; its number.
    pub fn add(&mut self) -> usize {
        self.ports.push((port(&self.host), port(&self.host)));
        self.nodes.push(None);
        self.run(self.nodes.len() - 1);
        self.nodes.len() - 1
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

    pub fn address(&self, node: usize) -> String {
        format!("{}:{}", self.host, self.ports[node].0)
    }

    pub fn addresses(&self) -> Vec<String> {
        (0..self.nodes.len()).map(|node| self.address(node)).collect()
    }

    pub fn signal(&self, node: usize, signal: &str) {
        let pid = self.nodes[node].as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Ends a node without a word.
    pub fn kill(&mut self, node: usize) {
        let mut child = self.nodes[node].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks a node to end; its exit code.
    pub fn stop(&mut self, node: usize) -> Option<i32> {
        self.signal(node, "-TERM");
        self.await_end(node)
    }

    /// Waits until a node has ended by itself; its exit code.
    pub fn await_end(&mut self, node: usize) -> Option<i32> {
        let mut child = self.nodes[node].take().unwrap();
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
        let reply = Connection::open(&self.address(node)).ok()?.ask(&["CLUSTER", "STATUS"]).ok()?;
        match reply {
            Reply::Bytes(bytes) => serde_json::from_slice(&bytes).ok(),
            _ => None,
        }
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
        let running: Vec<usize> =
            (0..self.nodes.len()).filter(|node| self.nodes[*node].is_some()).collect();
        for node in &running {
            self.await_status(*node, "the cluster does not become whole", |status| {
                let active = status["nodes"].as_array().unwrap().iter();
                let active =
                    active.filter(|node| node["state"] == "active" && node["sight"] == "reachable");
                status["state"] == "ok" && active.count() >= running.len()
            });
        }
    }

    /// Which node leads most shards.
    pub fn chief(&self) -> usize {
        let status = (0..self.nodes.len()).find_map(|node| self.status(node)).unwrap();
        let nodes = status["nodes"].as_array().unwrap();
        let chief = nodes.iter().max_by_key(|node| node["leads"].as_u64()).unwrap();
        let client = chief["client"].as_str().unwrap();
        (0..self.nodes.len()).find(|node| self.address(*node) == client).unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.nodes.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            for node in 0..self.nodes.len() {
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
