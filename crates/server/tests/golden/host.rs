//! The server that a script talks to, in this process.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aryavarth_cluster::{META_GROUP, ReplicationFactor, ShardCount, Sharding};
use aryavarth_server::Running;
use aryavarth_server::cluster::Start;
use aryavarth_server::config::{Config, Sources};
use tempfile::TempDir;

use super::ports::free_port;

/// A directory and, once something is asked of it, a server on it.
pub struct Host {
    directory: TempDir,
    settings: Vec<(String, String)>,
    start: Start,
    running: Option<Running>,
}

/// How long a node may take to lead the shards of a cluster that it founds.
const ELECTED_WITHIN: Duration = Duration::from_secs(20);

impl Host {
    /// Nothing yet.
    pub fn new() -> Host {
        let directory = TempDir::new().unwrap();
        Host { directory, settings: Vec::new(), start: Start::Resume, running: None }
    }

    /// Changes a setting of the server to be started.
    pub fn set(&mut self, name: &str, value: &str) {
        assert!(self.running.is_none(), "!config {name} comes after the first command");
        let value = value.replace("{dir}", &self.path().display().to_string());
        self.settings.push((name.to_owned(), value));
    }

    /// Has the server be a node; with a number of shards, one that founds a cluster.
    pub fn cluster(&mut self, shards: Option<u16>) {
        self.set("cluster", "yes");
        self.set("peer-address", &format!("127.0.0.1:{}", free_port("127.0.0.1")));
        self.set("announce-address", "node-1.example:7001");
        if let Some(shards) = shards {
            let shards = ShardCount::new(shards).unwrap();
            let shards = Sharding::Fixed(shards);
            self.start = Start::Found { shards, factor: ReplicationFactor::Three };
        }
    }

    /// The server's directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where the server listens. It is started if it is not running.
    pub fn socket(&mut self) -> PathBuf {
        let socket = self.path().join("socket");
        if self.running.is_none() {
            let sources = self.sources(&socket);
            let config = Config::load(&sources).unwrap_or_else(|error| panic!("{error}"));
            let running = aryavarth_server::start_node(config, &sources, self.start.clone());
            let running = running.unwrap_or_else(|error| panic!("{error}"));
            if matches!(self.start, Start::Found { .. }) {
                await_leaders(&running);
            }
            self.running = Some(running);
        }
        socket
    }

    fn sources(&self, socket: &Path) -> Sources {
        let flag = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut flags = vec![
            flag("port", "0"),
            flag("unixsocket", &socket.display().to_string()),
            flag("dir", &self.path().display().to_string()),
            flag("durability", "os"),
            flag("admin-address", ""),
        ];
        flags.extend(self.settings.iter().cloned());
        Sources { flags, ..Sources::default() }
    }

    /// Ends the server as an operator would.
    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.server().end();
            running.wait().unwrap_or_else(|error| panic!("{error}"));
        }
    }
}

/// Waits until a node that is alone in its cluster leads all shards, and knows it.
fn await_leaders(running: &Running) {
    let cluster = running.server().cluster.as_ref().unwrap();
    let since = Instant::now();
    let leads_all = || {
        let shards = cluster.seats.slots().map().map_or(usize::MAX, |shards| shards.count());
        let view = cluster.views.newest();
        let known = view.leaders.keys().filter(|shard| **shard != META_GROUP).count();
        cluster.seats.led().count() == shards && known == shards
    };
    while !leads_all() {
        assert!(since.elapsed() < ELECTED_WITHIN, "not all shards have a leader");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}
