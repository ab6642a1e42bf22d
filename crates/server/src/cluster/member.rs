//! A node as a member of its cluster: its groups, what it knows, and what it answers other nodes.
//!
//! ```text
//!   the meta group's record ─ follow ─▶ ┌─────────┐ ─▶ views: for clients
//!   pulses of others ─────── hear ────▶ │  known  │ ─▶ replicas: groups to make and to drop
//!   leaderships here ─────── watch ───▶ └─────────┘ ─▶ reconciler, on the leader of the meta group
//! ```
//!
//! # Invariants
//! - The topology that is known only becomes newer.
//! - A leader that is known gives way only to one of a later term.
//! - No lock is held while anything is waited for, but the one under which changes are logged.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use aryavarth::{KvStore, WriteBatch};
use aryavarth_cluster::{
    Applied, Change, META_GROUP, NodeId, NodeSight, ShardId, Sharding, Topology,
};
use aryavarth_replication::{
    Basis, EngineStore, EntryIndex, Error, Forwarded, Group, Identity, Incarnation, Node,
    NodeConfig, Roster,
};
use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::card::{Card, Holding, Phase};
use super::clocks::{self, TimeMarks};
use super::error::NodeError;
use super::heard::Heard;
use super::mending::Mending;
use super::messages::{Answer, Led, Question, REQUESTS, decode, encode};
use super::node::{ClusterOptions, Later, Surroundings};
use super::{ClusterView, reserved, saved, splitting};
use crate::tasks::spawn;

/// How long a node may take to answer a question that needs no waiting on its side.
pub(crate) const PROMPT: Duration = Duration::from_secs(1);
/// The same, of one that has to wait for a majority.
pub(super) const PATIENT: Duration = Duration::from_secs(20);

/// How long a leader of the meta group is looked for.
const PERSISTENT: Duration = Duration::from_secs(5);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(50);

/// A member of a cluster.
pub struct Member {
    pub(super) around: Surroundings,
    pub(super) identity: Identity,
    pub(super) node: Node,
    /// The keys of the shards.
    pub(super) data: EngineStore,
    pub(super) card: Mutex<Card>,
    pub(super) known: Mutex<Known>,
    /// Held while groups are made or dropped here, and while it is promised to keep one.
    pub(super) keeping: tokio::sync::Mutex<()>,
    /// Rung when a split has made a replica here.
    pub(super) split: Notify,
    /// The shards for which an order is being carried out.
    pub(super) acting: Mutex<BTreeSet<ShardId>>,
    /// Held while the topology is changed, from the reading to its being applied.
    changing: tokio::sync::Mutex<()>,
    /// The epoch of the topology that is known.
    pub(super) epoch: watch::Sender<u64>,
    /// Rung when the reconciler may have something to do.
    pub(super) bell: Notify,
    /// Becomes true when it is to end.
    pub(super) stopping: watch::Sender<bool>,
    /// Whether it is about to stop.
    pub(super) leaving: AtomicBool,
    /// Pulses that were sent.
    pub(super) pulses: AtomicU64,
    /// Rung when others should hear at once.
    pub(super) pulse_now: Notify,
    /// The time by which keys of the shards led here expire.
    pub(super) clocks: TimeMarks,
    /// The damage that was found here.
    pub(super) mending: Arc<Mending>,
    /// Tells this process from another one with the same directory.
    pub(super) run: u64,
    pub(super) started: Instant,
}

/// What a member knows of the cluster.
#[derive(Default)]
pub(super) struct Known {
    pub topology: Option<Arc<Topology>>,
    /// Since when each node has been in the topology, as far as this one knows.
    pub noted: BTreeMap<NodeId, Instant>,
    /// Who leads which group, and in which term.
    pub leaders: BTreeMap<ShardId, (u64, NodeId)>,
    pub sights: BTreeMap<NodeId, NodeSight>,
    /// Those that have said nothing lately. Some of them may be shown as reachable for now, as this node has just come.
    pub unheard: BTreeSet<NodeId>,
    pub heard: Heard,
    /// When a voter of the meta group answered last.
    pub answered: Option<Instant>,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// Where other nodes' questions arrive, which is before there is a member to answer them.
#[derive(Default)]
pub(super) struct Desk(OnceLock<Weak<Member>>);

impl Desk {
    pub(super) fn member(&self) -> Option<Arc<Member>> {
        self.0.get()?.upgrade()
    }
}

impl Forwarded for Desk {
    fn answer(&self, from: NodeId, body: Bytes) -> Later<Bytes> {
        let Some(member) = self.member() else { return refuse("the node is starting") };
        if body.first() == Some(&REQUESTS) {
            return member.around.host.answer(from, body.slice(1..));
        }
        Box::pin(async move {
            let answer = match decode(&body) {
                Some(question) => member.answer(from, question).await,
                None => Answer::Refused("this node does not understand: upgrade it".to_owned()),
            };
            encode(&answer)
        })
    }

    fn introduced(&self, incarnation: Incarnation, body: Bytes) -> Later<Bytes> {
        let Some(member) = self.member() else { return refuse("the node is starting") };
        Box::pin(async move {
            let answer = match decode(&body) {
                Some(Question::Join(applicant)) if applicant.incarnation == incarnation.0 => {
                    member.let_in(applicant).await
                }
                _ => Answer::Refused("a stranger may only ask to join".to_owned()),
            };
            encode(&answer)
        })
    }
}

fn refuse(why: &str) -> Later<Bytes> {
    let answer = encode(&Answer::Later(why.to_owned()));
    Box::pin(std::future::ready(answer))
}

impl Member {
    /// Starts what the card says that it is. `told` is the topology, if somebody has just told it.
    pub(super) async fn start(
        around: Surroundings,
        card: Card,
        told: Option<Topology>,
    ) -> Result<Arc<Member>, NodeError> {
        let Phase::Member { cluster, node, shards, replicas } = card.phase else {
            return Err(NodeError::NoCluster);
        };
        if replicas != Holding::Nothing && !around.store.is_replicated() {
            let directory = around.options.home.directory().to_owned();
            return Err(NodeError::LostStore { node, directory });
        }
        let identity = Identity { cluster, node, incarnation: card.incarnation };
        if replicas == Holding::Damaged {
            around.store.note_hidden_keys();
        }
        around.seats.slots().set_sharding(shards);
        Member::assemble(around, card, identity, told).await
    }

    /// Puts it together. Groups that the store has are opened.
    pub(super) async fn assemble(
        around: Surroundings,
        card: Card,
        identity: Identity,
        told: Option<Topology>,
    ) -> Result<Arc<Member>, NodeError> {
        around.seats.slots().most().ok_or(NodeError::NoCluster)?;
        let options = Arc::clone(&around.options);
        let roster = Roster::default();
        let stored = match stored_topology(&around.store) {
            // Others will tell, and replace what is damaged.
            Err(NodeError::Store(error)) if error.is_damage() || error.is_unreadable() => {
                tracing::error!(%error, "the topology cannot be read");
                None
            }
            stored => stored?,
        };
        let known = [told, stored, saved::read(&options.home)];
        let known = known.into_iter().flatten().max_by_key(Topology::epoch);
        if let Some(topology) = &known {
            fill(&roster, topology);
            around.seats.slots().open(topology.shards().shards());
        }
        let config = NodeConfig {
            identity,
            secret: options.secret.clone(),
            listen: options.peer,
            timing: options.timing,
            tls: options.tls.clone(),
            roster,
        };
        let desk = Arc::new(Desk::default());
        let mending = Arc::<Mending>::default();
        let alarm = Arc::clone(&mending);
        let store = EngineStore::new(
            around.store.clone(),
            reserved::owner(Arc::clone(around.seats.slots())),
        )
        .with_alarm(Arc::new(move || alarm.look()));
        let store = match card.phase.sharding() {
            Some(Sharding::Growing(_)) => {
                store.with_splits(splitting::listener(around.seats.slots(), &desk))?
            }
            _ => store,
        };
        // Of what has a replica here it is known at once that it is there.
        around.seats.slots().open(around.store.replicated_shards());
        let forwarded = Some(Arc::clone(&desk) as Arc<dyn Forwarded>);
        let node = start_node(&options, config, &store, forwarded).await?;
        let run = options.home.draw();
        let clocks = TimeMarks::new(around.store.clone(), Arc::clone(&around.seats));
        let member = Arc::new(Member {
            around,
            identity,
            node,
            data: store,
            card: Mutex::new(card),
            known: Mutex::default(),
            keeping: tokio::sync::Mutex::default(),
            split: Notify::new(),
            acting: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            leaving: AtomicBool::new(false),
            pulses: AtomicU64::new(0),
            pulse_now: Notify::new(),
            clocks,
            mending,
            epoch: watch::channel(0).0,
            bell: Notify::new(),
            stopping: watch::channel(false).0,
            run,
            started: Instant::now(),
        });
        let _ = desk.0.set(Arc::downgrade(&member));
        for group in member.node.groups() {
            member.seat(&group);
        }
        if let Some(topology) = known {
            member.note_topology(topology);
        }
        Ok(member)
    }

    /// Begins what goes on as long as it is a member.
    pub(super) fn begin(self: &Arc<Self>) {
        spawn(Arc::clone(self).keep_pulsing());
        spawn(Arc::clone(self).keep_replicas());
        spawn(Arc::clone(self).keep_adopting());
        spawn(Arc::clone(self).keep_purging());
        spawn(Arc::clone(self).keep_clocks());
        spawn(Arc::clone(self).keep_scrubbing());
        spawn(Arc::clone(self).keep_mending());
        spawn(Arc::clone(self).keep_sparing());
        spawn(Arc::clone(self).keep_giving_way());
        spawn(Arc::clone(self).reconcile());
    }

    /// Who it is.
    pub fn id(&self) -> NodeId {
        self.identity.node
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What failed, if its store takes no more writes.
    #[cfg(feature = "simulated-cluster")]
    pub(crate) fn failure(&self) -> Option<aryavarth::Error> {
        self.node.failure()
    }

    /// The topology, if it is known.
    pub fn topology(&self) -> Option<Arc<Topology>> {
        self.known().topology.clone()
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Whether it is about to stop, and has begun to hand over.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Waits, but not beyond the end.
    pub(super) async fn rest(&self, span: Duration) {
        let mut stopping = self.stopping.subscribe();
        let _ = tokio::time::timeout(span, stopping.wait_for(|stopping| *stopping)).await;
    }

    // --- groups ---

    /// Gives a group its seat, and follows who leads it.
    pub(super) fn seat(self: &Arc<Self>, group: &Group) {
        let shard = group.shard();
        self.around.seats.seat(shard).set_group(Some(group.clone()));
        spawn(Arc::clone(self).watch_leader(group.clone()));
        if shard == META_GROUP {
            spawn(Arc::clone(self).follow_topology(group.clone()));
        }
    }

    async fn watch_leader(self: Arc<Self>, group: Group) {
        let mut leadership = group.leadership();
        loop {
            let (term, leader, ready) = {
                let now = leadership.borrow_and_update();
                (now.term.0, now.leader.as_ref().map(|leader| leader.node), now.ready)
            };
            if ready {
                let taken_over = self.clocks.take_over(&group, term).await;
                if let Err(error) = taken_over {
                    tracing::error!(shard = %group.shard(), %error, "cannot lead the shard");
                }
                let (member, group) = (Arc::clone(&self), group.clone());
                spawn(async move { member.finish_change(&group).await });
            }
            if let Some(leader) = leader {
                self.note_leaders([(group.shard(), term, leader)]);
            }
            self.bell.notify_one();
            self.pulse_now.notify_one();
            if leadership.changed().await.is_err() {
                if !self.is_stopping()
                    && let Some(error) = self.node.failure()
                {
                    let shard = group.shard();
                    tracing::error!(%shard, %error, "the replica has stopped: mend the disk and restart");
                }
                return;
            }
        }
    }

    async fn keep_clocks(self: Arc<Self>) {
        while !self.is_stopping() {
            self.rest(clocks::INTERVAL).await;
            self.clocks.keep().await;
        }
    }

    /// Notes in the card that there are replicas, once there is one on the disk.
    pub(super) fn note_replicas(&self) -> Result<(), NodeError> {
        let mut card = self.card.lock().unwrap_or_else(PoisonError::into_inner);
        let Phase::Member { replicas: Holding::Nothing, cluster, node, shards } = card.phase else {
            return Ok(());
        };
        let phase = Phase::Member { cluster, node, shards, replicas: Holding::Replicas };
        let noted = Card { phase, ..*card };
        noted.write(&self.around.options.home)?;
        *card = noted;
        Ok(())
    }

    // --- what is known ---

    /// Reads the record of the topology whenever the meta group has applied something.
    async fn follow_topology(self: Arc<Self>, group: Group) {
        loop {
            let applied = group.applied().map_or(0, |id| id.index.0 + 1);
            match stored_topology(&self.around.store) {
                Ok(Some(topology)) => self.note_topology(topology),
                Ok(None) => {}
                Err(error) => tracing::error!(%error, "the topology cannot be read"),
            }
            match group.wait_applied(EntryIndex(applied), PATIENT).await {
                Ok(()) | Err(Error::Timeout) => {}
                Err(_) => return,
            }
        }
    }

    /// Notes a topology, if it is newer than what is known.
    pub(super) fn note_topology(&self, topology: Topology) {
        let topology = Arc::new(topology);
        {
            let mut known = self.known();
            if known.topology.as_ref().is_some_and(|known| known.epoch() >= topology.epoch()) {
                return;
            }
            let gone = known.topology.iter().flat_map(|old| old.nodes()).map(|node| node.id);
            let gone: Vec<NodeId> = gone.filter(|id| topology.node(*id).is_none()).collect();
            gone.into_iter().for_each(|id| self.node.roster().forget(id));
            known.heard.retain(|node| topology.node(node).is_some());
            match &known.topology {
                // A node may have told of a newer address that the topology does not have yet.
                Some(old) => refill(self.node.roster(), old, &topology),
                None => fill(self.node.roster(), &topology),
            }
            known.noted.retain(|node, _| topology.node(*node).is_some());
            for node in topology.nodes() {
                known.noted.entry(node.id).or_insert_with(Instant::now);
            }
            self.around.seats.slots().open(topology.shards().shards());
            known.topology = Some(Arc::clone(&topology));
            self.publish(&known);
            // Under the lock, so that the newest is written last.
            saved::write(&self.around.options.home, &topology);
        }
        self.epoch.send_replace(topology.epoch().0);
        self.bell.notify_one();
        if topology.node(self.id()).is_none() && topology.next_node() > self.id() {
            self.around
                .host
                .end("this node was removed from the cluster; its directory is of no use any more");
        }
    }

    /// Notes who leads, unless somebody of a later term is known.
    pub(super) fn note_leaders(&self, leaders: impl IntoIterator<Item = (ShardId, u64, NodeId)>) {
        let mut known = self.known();
        let mut changed = false;
        for (shard, term, leader) in leaders {
            let newer = known
                .leaders
                .get(&shard)
                .is_none_or(|(old, node)| *old < term || (*old == term && *node != leader));
            if newer {
                known.leaders.insert(shard, (term, leader));
                changed = true;
            }
        }
        if changed {
            self.publish(&known);
        }
    }

    /// Shows clients what is known.
    pub(super) fn publish(&self, known: &Known) {
        self.around.views.publish(ClusterView {
            myself: Some(self.id()),
            topology: known.topology.clone(),
            leaders: known.leaders.iter().map(|(shard, (_, node))| (*shard, *node)).collect(),
            nodes: known.sights.clone(),
        });
    }

    /// Who leads a group, as far as is known.
    pub fn leader_of(&self, shard: ShardId) -> Option<NodeId> {
        self.known().leaders.get(&shard).map(|(_, node)| *node)
    }

    // --- changing the topology ---

    /// Logs a change, as the leader of the meta group; returns when it is applied here.
    pub(super) async fn log(&self, change: &Change) -> Result<(), NodeError> {
        self.change(|_| Ok(change.clone())).await.map(drop)
    }

    /// Changes the topology as `decide` says, who is shown the newest one. One at a time, and bound to the
    /// term in which it was read: so no change is ever written over another.
    pub(super) async fn change(
        &self,
        decide: impl FnOnce(&Topology) -> Result<Change, NodeError>,
    ) -> Result<Topology, NodeError> {
        let _changing = self.changing.lock().await;
        let group = self.around.seats.seat(META_GROUP).group().ok_or(NodeError::NoLeader)?;
        let lease = group.lease().ok_or(NodeError::NoLeader)?;
        // A leader with a lease has applied all that was acknowledged.
        let mut topology = stored_topology(&self.around.store)?.ok_or(NodeError::NoCluster)?;
        let change = decide(&topology)?;
        if topology.apply(&change)? == Applied::Changed {
            let mut batch = WriteBatch::new();
            batch.set(reserved::TOPOLOGY, topology.encode());
            group.propose(Arc::new(batch), Basis::Term(lease.term)).await?;
            tracing::info!(epoch = topology.epoch().0, ?change, "the topology changed");
            self.note_topology(topology.clone());
        }
        Ok(topology)
    }

    /// Whether this node leads the meta group.
    pub(super) fn leads_meta(&self) -> bool {
        self.around.seats.seat(META_GROUP).lease().is_some()
    }

    // --- asking others ---

    /// Asks a node something.
    /// From nobody but other nodes: what is asked of this one is done here.
    pub(super) async fn ask(
        &self,
        node: NodeId,
        question: &Question,
        within: Duration,
    ) -> Result<Answer, NodeError> {
        let body = self.pass_on(node, encode(question), within).await?;
        decode(&body).ok_or_else(|| NodeError::Refused("an answer was not understood".to_owned()))
    }

    /// Sends bytes to a node, and waits for its answer.
    ///
    /// # Errors
    /// As [`Node::forward`].
    pub async fn pass_on(
        &self,
        node: NodeId,
        body: Bytes,
        within: Duration,
    ) -> Result<Bytes, NodeError> {
        let topology = self.topology().ok_or(NodeError::NoCluster)?;
        let unknown = aryavarth_cluster::Error::UnknownNode { node };
        let address = topology.node(node).ok_or(unknown)?.peer.to_string();
        Ok(self.node.forward(node, &address, body, within).await?)
    }

    /// Has the leader of the meta group answer, wherever it is, and whoever comes to be it.
    pub(super) async fn ask_meta(self: &Arc<Self>, question: Question) -> Answer {
        let deadline = Instant::now() + PERSISTENT;
        loop {
            let answer = self.ask_meta_once(&question).await;
            if !matches!(answer, Answer::Later(_)) || Instant::now() >= deadline {
                return answer;
            }
            self.pulse_now.notify_one();
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn ask_meta_once(self: &Arc<Self>, question: &Question) -> Answer {
        if self.leads_meta() {
            return Box::pin(self.answer(self.id(), question.clone())).await;
        }
        match self.leader_of(META_GROUP) {
            Some(leader) if leader != self.id() => {
                let answer = self.ask(leader, question, PATIENT).await;
                answer.unwrap_or_else(|error| Answer::Later(reason(&error)))
            }
            _ => Answer::Later(reason(&NodeError::NoLeader)),
        }
    }

    // --- answering ---

    pub(super) async fn answer(self: &Arc<Self>, from: NodeId, question: Question) -> Answer {
        let answer = match question {
            Question::Pulse(pulse) => return Answer::News(Box::new(self.hear(from, *pulse))),
            Question::Overview => return Answer::News(Box::new(self.overview())),
            Question::Prepare { shard, epoch } => return self.prepare(ShardId(shard), epoch).await,
            Question::Members(shard) => self.led(ShardId(shard)).map(Answer::Members),
            Question::Join(applicant) => self.admit(&applicant).await.map(Answer::Welcome),
            Question::Act(order) => self.obey(order).await.map(|()| Answer::Done),
            Question::Wish(wish) => self.grant(wish).await.map(|()| Answer::Done),
            Question::MayGo => self.let_go(from).await.map(|()| Answer::Done),
            Question::Stays => self.keep(from).await.map(|()| Answer::Done),
            Question::ReadIndex(shard) => self.read_index(ShardId(shard)).await.map(Answer::Index),
        };
        answer.unwrap_or_else(|error| decline(&error))
    }

    async fn read_index(&self, shard: ShardId) -> Result<u64, NodeError> {
        Ok(self.node.group(shard)?.read_index().await?.0)
    }

    /// A group that this node leads.
    pub(super) fn led(&self, shard: ShardId) -> Result<Led, NodeError> {
        let group = self.node.group(shard)?;
        super::pulse::led(&group, &self.around.store)
            .ok_or(Error::NotLeader { leader: None }.into())
    }

    /// Ends its groups.
    pub(super) async fn stop(&self) {
        self.stopping.send_replace(true);
        self.node.shutdown().await;
    }
}

/// Starts the groups of a node, and its talk with others.
async fn start_node(
    options: &ClusterOptions,
    config: NodeConfig,
    store: &EngineStore,
    forwarded: Option<Arc<dyn Forwarded>>,
) -> Result<Node, NodeError> {
    #[cfg(feature = "simulated-cluster")]
    if let Some(simulated) = &options.simulated {
        return simulated.start(config, store, forwarded).await;
    }
    let _ = options;
    Ok(Node::start(config, Arc::new(store.clone()), forwarded).await?)
}

/// What is answered if something was not done: whether asking again may help.
fn decline(error: &NodeError) -> Answer {
    match error {
        NodeError::Refused(_) | NodeError::Topology(_) | NodeError::NotNow { .. } => {
            Answer::Refused(error.to_string())
        }
        error => Answer::Later(reason(error)),
    }
}

/// Why something was not done. That asking again may help is in the kind of the answer, and is said to people by
/// whoever is answered: not once by each node on the way.
fn reason(error: &NodeError) -> String {
    let text = error.to_string();
    text.strip_suffix("; try again").map(str::to_owned).unwrap_or(text)
}

/// Lets the nodes of a topology speak, and be found.
fn fill(roster: &Roster, topology: &Topology) {
    for node in topology.nodes() {
        roster.expect(node.id, node.incarnation);
        roster.locate(node.id, node.peer.to_string());
    }
}

/// The same, of nodes that are new or have moved since.
fn refill(roster: &Roster, old: &Topology, new: &Topology) {
    for node in new.nodes() {
        roster.expect(node.id, node.incarnation);
        if old.node(node.id).is_none_or(|old| old.peer != node.peer) {
            roster.locate(node.id, node.peer.to_string());
        }
    }
}

/// The topology that the store has.
pub(super) fn stored_topology(store: &KvStore) -> Result<Option<Topology>, NodeError> {
    let record = store.get(reserved::TOPOLOGY)?;
    Ok(record.map(|bytes| Topology::decode(&bytes)).transpose()?)
}
