//! A node that belongs to a cluster: what it knows, and what it asks others.
//!
//! ```text
//!  meta group applied ─┐
//!  news from others ───┼─▶ Known: topology, leaders, sights ─▶ view, for workers and operators
//!  groups of this node ┘        │
//!                               └─▶ who wakes up: replicas, reconciler, pulses
//! ```
//!
//! # Invariants
//! - The topology that is known only ever gets newer.
//! - Of two leaders of a shard, that of the later term is believed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use aryavarth::{KvStore, Term};
use aryavarth_cluster::{
    ClusterId, META_GROUP, NodeId, NodeSight, NodeState, ShardCount, ShardId, Topology,
};
use aryavarth_replication::{Group, Node, Role};
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, watch};

use super::card::Card;
use super::error::NodeError;
use super::heard::Heard;
use super::messages::{self, Answer, News, Question};
use super::options::ClusterOptions;
use super::view::{ClusterView, Views};
use super::{Seats, cache};

/// Between two tries to reach the leader of the meta group.
const AGAIN: Duration = Duration::from_millis(50);

/// What the node needs of the server in front of it.
pub trait Front: Send + Sync + 'static {
    /// Returns once nothing that clients wrote to a shard is in flight on this node. The shard's seat is
    /// closed meanwhile.
    fn settled(&self, shard: ShardId) -> BoxFuture<'static, ()>;

    /// Answers requests of a client that another node passes on.
    fn requests(&self, from: NodeId, requests: bytes::Bytes) -> BoxFuture<'static, bytes::Bytes>;
}

/// Where the server in front puts itself.
pub type Fronts = Arc<OnceLock<Arc<dyn Front>>>;

/// What all parts of a running node share.
pub struct Member {
    pub options: ClusterOptions,
    pub store: KvStore,
    pub seats: Arc<Seats>,
    pub views: Arc<Views>,
    pub front: Fronts,
    pub node: Node,
    pub myself: NodeId,
    pub cluster: ClusterId,
    pub shards: ShardCount,
    /// Tells this process from another one with the same directory.
    pub run: u64,
    pub started: Instant,
    pub card: Mutex<Card>,
    known: Mutex<Known>,
    /// Held while the topology is changed, from reading it to having it logged.
    pub changing: tokio::sync::Mutex<()>,
    /// Held while groups are made or dropped here, and while it is promised to keep one.
    pub keeping: tokio::sync::Mutex<()>,
    pub pulses: AtomicU64,
    leaving: AtomicBool,
    pub pulse_now: Notify,
    pub replicas_now: Notify,
    pub reconcile_now: Notify,
    /// Why the node has to end, once it has to.
    pub ended: watch::Sender<Option<String>>,
    /// Becomes true when the node stops.
    pub stopping: watch::Sender<bool>,
}

/// What a node starts with.
pub struct Parts {
    pub options: ClusterOptions,
    pub store: KvStore,
    pub seats: Arc<Seats>,
    pub views: Arc<Views>,
    pub front: Fronts,
    pub ended: watch::Sender<Option<String>>,
}

/// What is known of the cluster.
#[derive(Default)]
pub struct Known {
    pub topology: Option<Arc<Topology>>,
    pub heard: Heard,
    leaders: BTreeMap<ShardId, (u64, NodeId)>,
    /// What was told by others, and by whom.
    told: BTreeMap<NodeId, NodeSight>,
    /// When a voter of the meta group answered last.
    pub answered: Option<Instant>,
    /// The newest term of the meta group that was heard of.
    pub meta_term: u64,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("node", &self.myself).finish_non_exhaustive()
    }
}

impl Known {
    /// The epoch of the topology; 0 for none.
    pub fn epoch(&self) -> u64 {
        self.topology.as_ref().map_or(0, |topology| topology.epoch().0)
    }

    /// Notes who leads a shard in a term.
    pub fn note_leader(&mut self, shard: ShardId, term: u64, node: NodeId) {
        let leader = self.leaders.entry(shard).or_insert((term, node));
        if leader.0 <= term {
            *leader = (term, node);
        }
        if shard == META_GROUP {
            self.meta_term = self.meta_term.max(term);
        }
    }

    /// Who leads the shards, with the terms.
    pub fn leaders(&self) -> impl Iterator<Item = (ShardId, u64, NodeId)> {
        self.leaders.iter().map(|(shard, (term, node))| (*shard, *term, *node))
    }

    /// Who leads a shard.
    pub fn leader(&self, shard: ShardId) -> Option<NodeId> {
        self.leaders.get(&shard).map(|(_, node)| *node)
    }
}

impl Member {
    pub fn new(parts: Parts, node: Node, card: Card, shards: ShardCount, run: u64) -> Member {
        let Parts { options, store, seats, views, front, ended } = parts;
        let identity = node.identity();
        seats.set_shards(shards);
        Member {
            options,
            store,
            seats,
            views,
            front,
            myself: identity.node,
            cluster: identity.cluster,
            shards,
            node,
            run,
            started: Instant::now(),
            card: Mutex::new(card),
            known: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            keeping: tokio::sync::Mutex::default(),
            pulses: AtomicU64::new(0),
            leaving: AtomicBool::new(false),
            pulse_now: Notify::new(),
            replicas_now: Notify::new(),
            reconcile_now: Notify::new(),
            ended,
            stopping: watch::Sender::new(false),
        }
    }

    pub fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest topology that is known here.
    pub fn topology(&self) -> Option<Arc<Topology>> {
        self.known().topology.clone()
    }

    /// Has this be known, if it is newer. Nodes are expected, found and forgotten as it says.
    pub fn adopt(&self, topology: Topology) {
        let mut known = self.known();
        if topology.epoch().0 <= known.epoch() || topology.cluster() != self.cluster {
            return;
        }
        let before = known.topology.take();
        let roster = self.node.roster();
        for node in topology.nodes().filter(|node| node.id != self.myself) {
            roster.expect(node.id, node.incarnation);
            let old = before.as_ref().and_then(|before| before.node(node.id));
            // Else it may have told of a newer address that the topology does not have yet.
            if old.is_none_or(|old| old.peer != node.peer) {
                roster.locate(node.id, node.peer.to_string());
            }
        }
        for node in before.iter().flat_map(|before| before.nodes()) {
            if topology.node(node.id).is_none() {
                roster.forget(node.id);
            }
        }
        known.heard.retain(|node| topology.node(node).is_some());
        known.topology = Some(Arc::new(topology));
        drop(known);
        self.refresh();
        self.replicas_now.notify_one();
        self.reconcile_now.notify_one();
    }

    /// Takes what another node knows.
    pub fn learn(&self, from: NodeId, news: News) {
        if let Some(reason) = news.end {
            self.end(reason);
            return;
        }
        if let Some(bytes) = news.topology {
            match Topology::decode(&bytes) {
                Ok(topology) => self.adopt(topology),
                Err(error) => tracing::warn!(%from, %error, "a topology could not be understood"),
            }
        }
        let mut known = self.known();
        for (shard, term, node) in news.leaders {
            if shard <= self.shards.get() {
                known.note_leader(ShardId(shard), term, NodeId(node));
            }
        }
        if self.votes_in_meta(&known, from) {
            known.answered = Some(Instant::now());
            let leads = known.leader(META_GROUP) == Some(from);
            if leads || known.leader(META_GROUP).is_none() {
                known.told =
                    news.sights.iter().map(|(node, s)| (NodeId(*node), (*s).into())).collect();
            }
        }
        drop(known);
        self.refresh();
    }

    fn votes_in_meta(&self, known: &Known, node: NodeId) -> bool {
        let group = known.topology.as_ref().and_then(|topology| topology.replicas(META_GROUP));
        group.is_some_and(|group| group.voters.contains(&node))
    }

    /// How nodes are, as far as this one can say.
    pub fn sights(&self, known: &Known) -> BTreeMap<NodeId, NodeSight> {
        let Some(topology) = known.topology.as_ref() else { return BTreeMap::new() };
        let (now, gap) = (Instant::now(), self.options.rhythm.reachable);
        let judges = self.votes_in_meta(known, self.myself);
        // Whoever has just come has heard of nobody yet, which is no reason to call them names.
        let fresh = self.started.elapsed() < 2 * gap;
        let sight = |node: &aryavarth_cluster::Node| {
            if node.state == NodeState::Gone {
                return Some(NodeSight::Lost);
            }
            if node.id == self.myself {
                return Some(NodeSight::Reachable);
            }
            if !judges {
                return known.told.get(&node.id).copied();
            }
            let sight = known.heard.sight(node.id, now, gap);
            (sight == NodeSight::Reachable || !fresh).then_some(sight)
        };
        topology.nodes().filter_map(|node| Some((node.id, sight(node)?))).collect()
    }

    /// Publishes what is known, if it is new.
    pub fn refresh(&self) {
        let mut known = self.known();
        for (shard, group) in self.seats.groups() {
            let leadership = group.leadership();
            let leadership = leadership.borrow();
            if let Some(leader) = &leadership.leader {
                known.note_leader(shard, leadership.term.0, leader.node);
            }
        }
        let nodes = self.sights(&known);
        let away =
            |node: NodeId| nodes.get(&node).is_some_and(|sight| *sight != NodeSight::Reachable);
        let leaders = known.leaders().filter(|(_, _, node)| !away(*node));
        let leaders: BTreeMap<_, _> = leaders.map(|(shard, _, node)| (shard, node)).collect();
        let before = self.views.newest();
        let epoch = |topology: &Option<Arc<Topology>>| topology.as_ref().map(|t| t.epoch());
        let same = before.myself == Some(self.myself)
            && epoch(&before.topology) == epoch(&known.topology)
            && before.leaders == leaders
            && before.nodes == nodes;
        if !same {
            let topology = known.topology.clone();
            // Still locked, so that views are published in the order in which they came to be.
            self.views.publish(ClusterView { myself: Some(self.myself), topology, leaders, nodes });
        }
    }

    /// The term in which this node leads the meta group and may speak for it.
    pub fn leads_meta(&self) -> Option<Term> {
        let group = self.seats.seat(META_GROUP).group()?;
        let leadership = group.leadership();
        let leadership = leadership.borrow();
        (leadership.role == Role::Leader && leadership.ready).then_some(leadership.term)
    }

    /// Where a node is.
    ///
    /// # Errors
    /// [`NodeError::Topology`] if it is not known.
    pub fn address(&self, node: NodeId) -> Result<String, NodeError> {
        let known = self.known();
        let found = known.topology.as_ref().and_then(|topology| topology.node(node));
        let found = found.ok_or(aryavarth_cluster::Error::UnknownNode { node })?;
        Ok(found.peer.to_string())
    }

    /// Asks a node, be it this one.
    ///
    /// # Errors
    /// [`NodeError::Replication`] if it cannot be reached in time; then it may have heard the question.
    pub async fn ask(
        self: &Arc<Self>,
        node: NodeId,
        question: Question,
        within: Duration,
    ) -> Result<Answer, NodeError> {
        if node == self.myself {
            let answering = Arc::clone(self).answer(node, question);
            let answer = tokio::time::timeout(within, answering).await;
            return Ok(answer.unwrap_or_else(|_| Answer::Later("no answer in time".into())));
        }
        let address = self.address(node)?;
        let bytes = self.node.forward(node, &address, messages::encode(&question), within).await?;
        let answer = messages::decode(&bytes);
        Ok(answer.unwrap_or_else(|| Answer::Refused("its answer is not understood".into())))
    }

    /// Asks the leader of the meta group, whoever that is, until there is an answer.
    ///
    /// # Errors
    /// [`NodeError::Refused`]; [`NodeError::NoLeader`] if there is none in time, after which what was asked
    /// may be done nevertheless.
    pub async fn ask_meta(
        self: &Arc<Self>,
        question: Question,
        within: Duration,
    ) -> Result<Answer, NodeError> {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(NodeError::NoLeader);
            }
            self.refresh();
            let leader = self.known().leader(META_GROUP);
            if let Some(leader) = leader {
                match self.ask(leader, question.clone(), left).await {
                    Ok(Answer::Refused(why)) => return Err(NodeError::Refused(why)),
                    Ok(Answer::Later(_)) | Err(_) => {}
                    Ok(answer) => return Ok(answer),
                }
            }
            self.pulse_now.notify_one();
            tokio::time::sleep(AGAIN.min(left)).await;
        }
    }

    /// A group of this node from now on, or none.
    pub fn seat_group(self: &Arc<Self>, shard: ShardId, group: Option<Group>) {
        if let Some(group) = &group {
            let mut leadership = group.leadership();
            let member = Arc::downgrade(self);
            tokio::spawn(async move {
                loop {
                    let Some(member) = member.upgrade() else { return };
                    let stopped = leadership.borrow_and_update().role == Role::Stopped;
                    member.refresh();
                    member.pulse_now.notify_one();
                    if shard == META_GROUP {
                        member.reconcile_now.notify_one();
                    }
                    if stopped {
                        member.replicas_now.notify_one();
                        return;
                    }
                    drop(member);
                    if leadership.changed().await.is_err() {
                        return;
                    }
                }
            });
        }
        self.seats.seat(shard).set_group(group);
        self.refresh();
    }

    /// Whether it is about to stop.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Tells others that it is about to stop.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
        self.pulse_now.notify_one();
    }

    /// The node has to end.
    pub fn end(&self, reason: String) {
        let first = self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            ended.get_or_insert_with(|| reason.clone());
            first
        });
        if first {
            tracing::error!(node = %self.myself, reason, "this node has to end");
        }
    }

    /// Keeps the topology for the next start.
    pub fn save_topology(&self) {
        let Some(topology) = self.topology() else { return };
        if let Err(error) = cache::write(&self.options.directory, &topology) {
            tracing::warn!(%error, "the topology could not be kept for the next start");
        }
    }

    /// Waits until the node stops.
    pub async fn stopped(&self) {
        let mut stopping = self.stopping.subscribe();
        // An error means that the node is gone.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }
}
