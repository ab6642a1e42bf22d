//! Pulses: each node tells the voters of the meta group how it is and what it leads, and hears what they
//! know.
//!
//! ```text
//!  node ── run, addresses, epoch, what it leads ──▶ each voter of the meta group
//!       ◀── topology if newer, leaders, sights ────
//! ```
//!
//! So each of the few voters could take over at once, and no two other nodes need talk.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aryavarth::{KvStore, Stats};
use aryavarth_cluster::{META_GROUP, Node, NodeId, NodeSight, NodeState, ShardId, Topology, Zone};
use aryavarth_replication::{Group, Standing, split};
use tokio::time::Instant;

use super::heard::Taken;
use super::member::{Known, Member, PROMPT};
use super::messages::{Answer, Led, News, Pulse, Question};
use super::reserved::{TOPOLOGY, keys_of};
use crate::tasks::{all, spawn};

/// Between two pulses, and while replicas move.
const INTERVAL: Duration = Duration::from_millis(500);
const INTERVAL_MOVING: Duration = Duration::from_millis(100);
/// Silence after which a node counts as unreachable.
pub(super) const SILENCE: Duration = Duration::from_secs(2);
/// Silence of all voters of the meta group after which everybody is asked.
const LONELY: Duration = Duration::from_secs(4);
/// Before a pulse that is sent at once, so that several reasons for it share it.
const GATHERING: Duration = Duration::from_millis(10);
/// How long a goodbye may take to be heard.
const GOODBYE: Duration = Duration::from_millis(300);
/// Entries that a follower may be behind and still count as caught up.
const NEARLY: u64 = 256;
/// Between two looks at what the store holds, which visits all of its index.
const FIGURES: Duration = Duration::from_secs(5);

/// What the store said of itself.
struct Figures {
    taken: Instant,
    stats: Stats,
}

impl Figures {
    fn of(store: &KvStore) -> Figures {
        Figures { taken: Instant::now(), stats: store.stats() }
    }
}

impl Member {
    pub(super) async fn keep_pulsing(self: Arc<Self>) {
        let under_way: Arc<Mutex<BTreeSet<NodeId>>> = Arc::default();
        let mut figures = Figures::of(&self.around.store);
        while !self.is_stopping() {
            if figures.taken.elapsed() > FIGURES {
                figures = Figures::of(&self.around.store);
            }
            let topology = self.topology();
            let pulse = self.pulse(topology.as_deref(), &figures.stats);
            self.hear(self.id(), pulse.clone());
            for node in self.whom_to_tell(topology.as_deref()) {
                // One that does not answer is not asked again meanwhile, and holds up nobody.
                if under_way.lock().unwrap_or_else(PoisonError::into_inner).insert(node) {
                    spawn(Arc::clone(&self).tell(node, pulse.clone(), under_way.clone()));
                }
            }
            tokio::select! {
                biased;
                () = self.rest(interval(topology.as_deref())) => {}
                () = self.pulse_now.notified() => self.rest(GATHERING).await,
            }
        }
    }

    /// Has those who tell whom to lead know that this node is about to stop, or they would have led what it hands over led
    /// by it again. Waits for those that answer.
    pub(super) async fn say_goodbye(self: &Arc<Self>) {
        self.leaving.store(true, Ordering::Release);
        let own = self
            .known()
            .heard
            .pulses()
            .find(|(node, _)| *node == self.id())
            .map(|(_, p)| p.clone());
        let Some(last) = own else { return };
        let number = self.pulses.fetch_add(1, Ordering::Relaxed) + 1;
        let pulse = Pulse { number, leaving: true, ..last };
        self.hear(self.id(), pulse.clone());
        let mut told = Vec::new();
        for node in self.whom_to_tell(self.topology().as_deref()) {
            let (member, question) = (Arc::clone(self), Question::Pulse(Box::new(pulse.clone())));
            told.push(spawn(async move { member.ask(node, &question, GOODBYE).await.map(drop) }));
        }
        all(told).await;
    }

    async fn tell(
        self: Arc<Self>,
        node: NodeId,
        pulse: Pulse,
        under_way: Arc<Mutex<BTreeSet<NodeId>>>,
    ) {
        let answer = self.ask(node, &Question::Pulse(Box::new(pulse)), PROMPT).await;
        under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&node);
        match answer {
            Ok(Answer::News(news)) => self.take_news(node, *news),
            Ok(_) => {}
            Err(error) => tracing::debug!(%node, %error, "a pulse was not answered"),
        }
    }

    /// The voters of the meta group but this node. Everybody, if none of them has answered for a while: they
    /// may have changed while this node was away.
    fn whom_to_tell(&self, topology: Option<&Topology>) -> Vec<NodeId> {
        let Some(topology) = topology else { return Vec::new() };
        let mut nodes: BTreeSet<NodeId> =
            topology.replicas(META_GROUP).into_iter().flat_map(|group| group.holders()).collect();
        let heard_of = self.known().answered.unwrap_or(self.started);
        if heard_of.elapsed() > LONELY {
            let there = topology.nodes().filter(|node| node.state != NodeState::Gone);
            nodes.extend(there.map(|node| node.id));
        }
        nodes.remove(&self.id());
        nodes.into_iter().collect()
    }

    fn pulse(&self, topology: Option<&Topology>, stats: &Stats) -> Pulse {
        let options = &self.around.options;
        Pulse {
            run: self.run,
            number: self.pulses.fetch_add(1, Ordering::Relaxed) + 1,
            leaving: self.leaving.load(Ordering::Acquire),
            client: options.client.to_string(),
            peer: options.peer.to_string(),
            zone: options.zone.as_ref().map(Zone::to_string),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: topology.map_or(0, |topology| topology.epoch().0),
            led: self
                .node
                .groups()
                .iter()
                .filter_map(|group| led(group, &self.around.store))
                .collect(),
            keys: self.keys_of_clients(),
            disk_bytes: stats.log_bytes,
            index_bytes: stats.index_bytes,
        }
    }

    /// How many keys of clients are here.
    fn keys_of_clients(&self) -> u64 {
        let store = &self.around.store;
        // What cannot be read is there.
        let is_here = |key: &[u8]| store.contains(key).unwrap_or(true);
        let own = self.node.groups().into_iter().flat_map(|group| keys_of(group.shard()));
        let own = own.filter(|key| is_here(key)).count() + usize::from(is_here(TOPOLOGY));
        store.len().saturating_sub(own as u64)
    }

    /// Takes what a node says of itself, and answers with what is known here.
    pub(super) fn hear(&self, from: NodeId, pulse: Pulse) -> News {
        let epoch = pulse.epoch;
        let leaders = pulse.led.iter().map(|led| (ShardId(led.shard), led.term, from));
        let leaders: Vec<_> = leaders.collect();
        let peer = pulse.peer.clone();
        let mut known = self.known();
        let noted = known.topology.as_ref().and_then(|topology| topology.node(from)).cloned();
        let mut end = farewell(&known, self.id(), from);
        let taken = match end {
            None => known.heard.take(from, pulse, Instant::now(), SILENCE),
            Some(_) => Taken::Ignored,
        };
        if self.look(&mut known) {
            self.publish(&known);
        }
        drop(known);
        match taken {
            Taken::Newest => {
                self.note_leaders(leaders);
                if from != self.id() && noted.is_some_and(|noted| noted.peer.to_string() != peer) {
                    // It has moved: it is found there before the topology says so.
                    self.node.roster().locate(from, peer);
                }
                self.bell.notify_one();
            }
            Taken::Ignored => {}
            Taken::Impostor => {
                end = Some(format!(
                    "another process runs as node {from}: its directory was copied. A node that is to be \
                     added must join with an empty directory"
                ));
            }
        }
        self.news(epoch, end)
    }

    fn news(&self, epoch: u64, end: Option<String>) -> News {
        let known = self.known();
        let newer = known.topology.as_ref().filter(|topology| topology.epoch().0 > epoch);
        News {
            topology: newer.map(|topology| topology.encode()),
            leaders: known.leaders.iter().map(|(s, (term, node))| (s.0, *term, node.0)).collect(),
            sights: known.sights.iter().map(|(node, sight)| (node.0, (*sight).into())).collect(),
            heard: Vec::new(),
            end,
        }
    }

    /// All that is known of all nodes.
    pub(super) fn overview(&self) -> News {
        let mut news = self.news(0, None);
        let known = self.known();
        news.heard = known.heard.pulses().map(|(node, pulse)| (node.0, pulse.clone())).collect();
        news
    }

    /// Takes what a node knows.
    pub(super) fn take_news(&self, from: NodeId, news: News) {
        if let Some(why) = news.end {
            return self.around.host.end(&why);
        }
        if let Some(topology) = news.topology {
            match Topology::decode(&topology) {
                Ok(topology) => self.note_topology(topology),
                Err(error) => tracing::warn!(%error, "a topology was not understood"),
            }
        }
        let leaders = news.leaders.into_iter();
        self.note_leaders(leaders.map(|(shard, term, node)| (ShardId(shard), term, NodeId(node))));
        let mut known = self.known();
        if votes_in_meta(&known, from) {
            known.answered = Some(Instant::now());
            // A voter sees for itself.
            if !votes_in_meta(&known, self.id()) {
                let sights = news.sights.into_iter();
                let sights = sights.map(|(node, sight)| (NodeId(node), sight.into())).collect();
                if known.sights != sights {
                    known.sights = sights;
                    self.publish(&known);
                }
            }
        }
    }

    /// Looks anew how nodes are, if they tell this one; says whether that changed.
    pub(super) fn look(&self, known: &mut Known) -> bool {
        let Some(topology) = known.topology.clone() else { return false };
        if !votes_in_meta(known, self.id()) {
            return false;
        }
        let now = Instant::now();
        // Whoever has just come has not heard of everybody yet.
        let fresh = self.started.elapsed() < SILENCE;
        let sight = |node: &Node| match (node.state, known.heard.sight(node.id, now, SILENCE)) {
            (NodeState::Gone, _) => NodeSight::Lost,
            (_, NodeSight::Unreachable) if fresh || node.id == self.id() => NodeSight::Reachable,
            (_, sight) => sight,
        };
        let sights = topology.nodes().map(|node| (node.id, sight(node))).collect();
        let heard = |node: &NodeId| known.heard.sight(*node, now, SILENCE) == NodeSight::Reachable;
        let others = topology.nodes().map(|node| node.id).filter(|node| *node != self.id());
        let unheard = others.filter(|node| !heard(node)).collect();
        let changed = known.sights != sights;
        (known.sights, known.unheard) = (sights, unheard);
        changed
    }
}

fn votes_in_meta(known: &Known, node: NodeId) -> bool {
    let group = known.topology.as_ref().and_then(|topology| topology.replicas(META_GROUP));
    group.is_some_and(|group| group.voters.contains(&node))
}

/// Why a node has no place in the cluster any more. One that was given up and is back goes on as long as any of its
/// groups needs what it has.
pub(super) fn farewell(known: &Known, myself: NodeId, node: NodeId) -> Option<String> {
    let topology = known.topology.as_ref()?;
    // Others are only told how nodes are, by whoever may not have heard of all of them yet.
    let is_spared = || votes_in_meta(known, myself) && known.is_whole_without(topology, node);
    match topology.node(node) {
        None if node < topology.next_node() => Some(format!(
            "node {node} was removed from the cluster: empty the directory and let it join anew"
        )),
        Some(noted) if noted.state == NodeState::Gone && is_spared() => Some(format!(
            "node {node} was given up, and its replicas are made anew elsewhere: empty the directory and \
             let it join anew"
        )),
        _ => None,
    }
}

fn interval(topology: Option<&Topology>) -> Duration {
    let moving = |topology: &Topology| topology.groups().any(|(_, group)| group.running.is_some());
    if topology.is_some_and(moving) { INTERVAL_MOVING } else { INTERVAL }
}

/// A group as this node sees it, if it leads it.
pub(super) fn led(group: &Group, store: &KvStore) -> Option<Led> {
    group.lease()?;
    let status = group.status();
    let last = status.last.map_or(0, |last| last.0 + 1);
    let mut led = Led {
        shard: group.shard().0,
        term: status.leadership.term.0,
        changing: status.changing,
        config: status.config.map(|id| id.index.0),
        last: status.last.map(|last| last.0),
        committed: status.committed.map(|id| id.index.0),
        applied: status.applied.map(|id| id.index.0),
        held: status.held(),
        // What cannot be read is told with the next pulse, if it can be by then.
        split_off: split::split_off(store, group.shard())
            .map(|shards| shards.iter().map(|shard| shard.0).collect())
            .unwrap_or_default(),
        ..Led::default()
    };
    for member in &status.members {
        let node = member.node.0;
        match member.standing {
            Standing::Voter => led.voters.insert(node),
            Standing::Learner => led.learners.insert(node),
        };
        if member.node == group.node() {
            led.caught_up.insert(node);
            continue;
        }
        let behind = last - member.matched.map_or(0, |matched| (matched.0 + 1).min(last));
        led.lag.insert(node, behind);
        if member.matched.is_some() && behind <= NEARLY {
            led.caught_up.insert(node);
        }
        if let Some(bytes) = member.snapshot_bytes {
            led.snapshots.insert(node, bytes);
        }
    }
    Some(led)
}
