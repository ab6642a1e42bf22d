//! Nodes to try things on.
#![expect(clippy::disallowed_methods, reason = "a test waits by the clock")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aryavarth::{KvStore, WriteBatch};
use aryavarth_cluster::{
    META_GROUP, NodeId, NodeState, ReplicationFactor, ShardCount, ShardId, Sharding, Topology,
};
use aryavarth_replication::{Basis, Secret, Timing};
use bytes::Bytes;
use tempfile::TempDir;

use super::ports::free_port;
use crate::cluster::member::Member;
use crate::cluster::reserved::group_of;
use crate::cluster::{
    ClusterNode, ClusterOptions, Home, Host, Later, NodeError, Policy, Seats, Start, Views, runtime,
};
use crate::config::OnDamage;

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(90);
pub const SHARDS: u16 = 3;

/// A server that has no clients.
pub struct FakeHost {
    pub lost_after: Option<Duration>,
    pub ended: Mutex<Option<String>>,
}

impl Host for FakeHost {
    fn renew(&self, _: ShardId) {}

    fn is_quiet(&self, _shard: ShardId) -> bool {
        true
    }

    fn answer(&self, _from: NodeId, requests: Bytes) -> Later<Bytes> {
        Box::pin(std::future::ready(requests))
    }

    fn ask_leader(&self, _shard: ShardId, _request: Vec<u8>) -> Later<Vec<u8>> {
        Box::pin(std::future::ready(b"-CLUSTERDOWN There are no clients here".to_vec()))
    }

    fn policy(&self) -> Policy {
        let (scrub_period, on_damage) = (None, OnDamage::Replace);
        Policy { lost_after: self.lost_after, log_keep: 100, scrub_period, on_damage }
    }

    fn end(&self, why: &str) {
        self.ended.lock().unwrap().get_or_insert_with(|| why.to_owned());
    }
}

/// A node's directory and settings, and the node while it runs.
pub struct Place {
    pub directory: TempDir,
    pub peer: SocketAddr,
    pub client: SocketAddr,
    pub secret: &'static str,
    pub lost_after: Option<Duration>,
    pub running: Option<Running>,
}

pub struct Running {
    pub node: Arc<ClusterNode>,
    pub store: KvStore,
    pub seats: Arc<Seats>,
    pub host: Arc<FakeHost>,
}

/// An address that nobody listens on.
pub fn free() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port("127.0.0.1")))
}

pub fn found() -> Start {
    let shards = Sharding::Fixed(ShardCount::new(SHARDS).unwrap());
    Start::Found { shards, factor: ReplicationFactor::Three }
}

impl Place {
    pub fn new() -> Place {
        Place {
            directory: tempfile::tempdir().unwrap(),
            peer: free(),
            client: free(),
            secret: "open sesame",
            lost_after: None,
            running: None,
        }
    }

    pub fn home(&self) -> Home {
        Home::new(self.directory.path())
    }

    pub fn options(&self) -> ClusterOptions {
        ClusterOptions {
            home: self.home(),
            peer: self.peer,
            client: self.client.to_string().parse().unwrap(),
            zone: None,
            secret: Secret::new(self.secret),
            tls: None,
            timing: Timing { connect: 1_000, ..Timing::quick() },
            #[cfg(feature = "simulated-cluster")]
            simulated: None,
        }
    }

    pub fn start(&mut self, start: Start) -> Result<&Running, NodeError> {
        let store = KvStore::open(self.directory.path()).unwrap();
        self.start_on(store, start)
    }

    /// The same, of a store that is open.
    pub fn start_on(&mut self, store: KvStore, start: Start) -> Result<&Running, NodeError> {
        let (seats, views) = (Arc::<Seats>::default(), Arc::<Views>::default());
        let host = Arc::new(FakeHost { lost_after: self.lost_after, ended: Mutex::default() });
        let parts = (store.clone(), Arc::clone(&seats), views);
        let started = ClusterNode::start(
            runtime().unwrap(),
            self.options(),
            parts,
            Arc::clone(&host) as Arc<dyn Host>,
            start,
        );
        match started {
            Ok(node) => {
                self.running = Some(Running { node, store, seats, host });
                Ok(self.running.as_ref().unwrap())
            }
            Err(error) => {
                store.close().unwrap();
                Err(error)
            }
        }
    }

    pub fn join(&mut self, member: &Place) -> &Running {
        let member = member.peer.to_string();
        self.start(Start::Join { member }).unwrap();
        let running = self.running();
        eventually("it is let in", || running.node.member().map(|_| ()));
        running
    }

    pub fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub fn id(&self) -> NodeId {
        self.running().member().id()
    }

    /// Ends it without a word.
    pub fn kill(&mut self) {
        let Running { node, store, .. } = self.running.take().unwrap();
        node.kill();
        store.close().unwrap();
    }

    /// Ends it as a server does.
    pub fn stop(&mut self) {
        let Running { node, store, .. } = self.running.take().unwrap();
        node.hand_over();
        node.stop();
        store.close().unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.kill();
        }
    }
}

impl Running {
    pub fn member(&self) -> &Arc<Member> {
        self.node.member().unwrap()
    }

    pub fn topology(&self) -> Arc<Topology> {
        self.member().topology().unwrap()
    }

    pub fn ended(&self) -> Option<String> {
        self.host.ended.lock().unwrap().clone()
    }

    pub fn leads(&self, shard: ShardId) -> bool {
        self.seats.seat(shard).lease().is_some()
    }

    pub fn value(&self, key: &str) -> Option<String> {
        self.store.get(key).unwrap().map(|value| String::from_utf8(value).unwrap())
    }
}

/// Waits until `found` finds something.
pub fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "in vain it was waited until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Writes a key through whoever leads its shard.
pub fn write(places: &[&Place], key: &str, value: &str) {
    eventually("a write goes through", || {
        let shard = group_of(places[0].running().seats.slots(), key.as_bytes());
        let leader = places.iter().find(|place| place.running().leads(shard))?.running();
        let group = leader.seats.seat(shard).group()?;
        let mut batch = WriteBatch::new();
        batch.set(key, value);
        let proposed = group.propose(Arc::new(batch), Basis::Anything);
        leader.node.handle().block_on(proposed).ok()
    });
}

/// Waits until all nodes agree that nothing is to be done: nothing moves, each group has so many voters and
/// is led, and of two nodes that stay none leads two shards more than the other.
pub fn settled(places: &[&Place], voters: usize, meta: usize) {
    eventually("the cluster comes to rest", || {
        let topology = places[0].running().topology();
        let agreed =
            places.iter().all(|place| place.running().topology().epoch() == topology.epoch());
        let right = |(shard, group): (ShardId, &aryavarth_cluster::Replicas)| {
            let wanted = if shard == META_GROUP { meta } else { voters };
            group.running.is_none()
                && group.voters.len() == wanted
                && places.iter().filter(|place| place.running().leads(shard)).count() == 1
        };
        let here = places.iter().all(|place| {
            let running = place.running();
            let mine: Vec<_> = topology.groups_of(place.id()).collect();
            running.seats.groups().map(|(shard, _)| shard).eq(mine)
        });
        let active: Vec<_> = places
            .iter()
            .filter(|place| {
                topology.node(place.id()).is_some_and(|node| node.state == NodeState::Active)
            })
            .collect();
        let led = active.iter().map(|place| {
            let shards = topology.groups().filter(|(shard, _)| *shard != META_GROUP);
            shards.filter(|(shard, _)| place.running().leads(*shard)).count()
        });
        let (least, most) = led.fold((usize::MAX, 0), |(l, m), n| (l.min(n), m.max(n)));
        (agreed && topology.groups().all(right) && here && most <= least + 1).then_some(())
    });
}

/// Waits until a key is on all nodes that have a replica of its shard.
pub fn replicated(places: &[&Place], key: &str, value: &str) {
    eventually("a key is on all replicas", || {
        let shard = group_of(places[0].running().seats.slots(), key.as_bytes());
        let mut holders = places
            .iter()
            .filter(|place| place.running().seats.seat(shard).group().is_some())
            .peekable();
        holders.peek()?;
        holders.all(|p| p.running().value(key).as_deref() == Some(value)).then_some(())
    });
}
