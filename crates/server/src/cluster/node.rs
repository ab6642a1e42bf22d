//! The node itself: how it comes to its cluster, goes on, and stops.
//!
//! ```text
//!                 card says          otherwise
//!  --init  ─▶ founding ─▶ member    member, as before
//!  --join  ─▶ joining ──▶ member    member, as before
//!  neither ─▶ what it says; nothing ─▶ waits to be met
//! ```

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aryavarth::KvStore;
use aryavarth_cluster::{ClusterId, NodeId, ReplicationFactor, ShardCount, ShardId};
use aryavarth_replication::{
    EngineStore, Identity, Introduction, Node, NodeConfig, Roster, introduce,
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::answers::Ears;
use super::card::{self, Card, Holding, Phase};
use super::error::NodeError;
use super::founding::{self, Plan};
use super::member::{Front, Fronts, Member, Parts};
use super::messages::{self, Answer, Question, Wish};
use super::options::ClusterOptions;
use super::status::ClusterStatus;
use super::view::{ClusterView, Views};
use super::{Clustered, Seats, Start, cache, joining, meta, pulse, purge, reconciler, replicas};

/// Threads of a node, apart from those of its store and its clients.
const THREADS: usize = 2;
/// How long what an operator wants may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long handing all leaderships over may take.
const HANDING_ALL_OVER: Duration = Duration::from_secs(120);
/// How long one may take to say that it is there.
const ASKING: Duration = Duration::from_millis(500);

/// What is to come of something that is asked of a node. To be awaited on its runtime, or with
/// [`ClusterNode::wait`].
pub type Pending<T> = BoxFuture<'static, Result<T, NodeError>>;

/// Whether a node that is removed can say goodbye.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// It works: it is emptied first.
    Drained,
    /// It will not come back.
    Lost,
}

/// A node of a cluster.
pub struct ClusterNode {
    shared: Arc<Shared>,
    runtime: Mutex<Option<Runtime>>,
}

struct Shared {
    options: ClusterOptions,
    store: KvStore,
    seats: Arc<Seats>,
    views: Arc<Views>,
    front: Fronts,
    member: OnceLock<Arc<Member>>,
    /// Held while it joins, so that it does so once.
    joining: tokio::sync::Mutex<()>,
    ended: watch::Sender<Option<String>>,
    runtime: tokio::runtime::Handle,
}

impl fmt::Debug for ClusterNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterNode")
            .field("member", &self.shared.member.get())
            .finish_non_exhaustive()
    }
}

impl ClusterNode {
    /// Starts a node on an open store, in whose directory its card is. Returns once it is a member, or waits
    /// to be met. Not to be called on a runtime.
    ///
    /// # Errors
    /// Whatever keeps it from being what it is to be, by name.
    pub fn start(
        options: ClusterOptions,
        start: Start,
        store: KvStore,
        seats: Arc<Seats>,
    ) -> Result<Arc<ClusterNode>, NodeError> {
        ClusterNode::start_until(options, start, store, seats, |_| Ok(()))
    }

    /// The same, but a founding asks after each step whether to go on.
    pub(super) fn start_until(
        options: ClusterOptions,
        start: Start,
        store: KvStore,
        seats: Arc<Seats>,
        proceed: impl Fn(founding::Step) -> Result<(), NodeError>,
    ) -> Result<Arc<ClusterNode>, NodeError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("aryavarth-cluster")
            .enable_all()
            .build()
            .map_err(|error| NodeError::System {
                operation: "start the threads of the cluster",
                detail: error.to_string(),
            })?;
        let shared = Arc::new(Shared {
            options,
            store,
            seats,
            views: Arc::default(),
            front: Fronts::default(),
            member: OnceLock::new(),
            joining: tokio::sync::Mutex::default(),
            ended: watch::Sender::new(None),
            runtime: runtime.handle().clone(),
        });
        let node = ClusterNode { shared, runtime: Mutex::new(Some(runtime)) };
        node.wait(node.shared.begin(start, proceed))?;
        Ok(Arc::new(node))
    }

    /// Waits for something on the node's runtime. Not to be called on a runtime.
    pub fn wait<T>(&self, pending: impl Future<Output = T>) -> T {
        self.shared.runtime.block_on(pending)
    }

    /// What commands need of it.
    pub fn clustered(&self) -> Clustered {
        Clustered {
            seats: Arc::clone(&self.shared.seats),
            views: Arc::clone(&self.shared.views),
            runtime: self.shared.runtime.clone(),
        }
    }

    /// Puts the server in front of it. Once; later ones are not heeded.
    pub fn attach(&self, front: Arc<dyn Front>) {
        let _ = self.shared.front.set(front);
    }

    /// The cluster as this node sees it.
    pub fn view(&self) -> Arc<ClusterView> {
        self.shared.views.newest()
    }

    /// Its id; none while it waits to be met.
    pub fn myself(&self) -> Option<NodeId> {
        self.shared.member.get().map(|member| member.myself)
    }

    /// Where its work is done.
    pub fn runtime(&self) -> &tokio::runtime::Handle {
        &self.shared.runtime
    }

    /// Its Raft groups; none while it waits to be met.
    pub fn node(&self) -> Option<&Node> {
        self.shared.member.get().map(|member| &member.node)
    }

    /// Becomes some text once the node has to end: it was removed, or another process has its identity.
    pub fn ended(&self) -> watch::Receiver<Option<String>> {
        self.shared.ended.subscribe()
    }

    /// Moves all replicas of a node elsewhere. Answered when that is logged, as all of these.
    pub fn drain(&self, node: NodeId) -> Pending<()> {
        self.wish(Wish::Drain(node.0))
    }

    /// Lets a drained node have replicas again.
    pub fn undrain(&self, node: NodeId) -> Pending<()> {
        self.wish(Wish::Undrain(node.0))
    }

    /// Removes a node: one that works is emptied first, one that is lost is replaced.
    pub fn remove(&self, node: NodeId, certainty: Certainty) -> Pending<()> {
        self.wish(match certainty {
            Certainty::Drained => Wish::Remove(node.0),
            Certainty::Lost => Wish::RemoveLost(node.0),
        })
    }

    /// Has a node lead a shard, or all of which it has a replica, until [`ClusterNode::rebalance`].
    /// Answered when it does.
    pub fn transfer(&self, shard: Option<ShardId>, to: NodeId) -> Pending<()> {
        self.wish(Wish::Transfer { shard: shard.map(|shard| shard.0), to: to.0 })
    }

    /// Lets the balance decide again who leads what.
    pub fn rebalance(&self) -> Pending<()> {
        self.wish(Wish::Rebalance)
    }

    /// Has each shard on so many nodes.
    pub fn set_replication_factor(&self, factor: ReplicationFactor) -> Pending<()> {
        self.wish(Wish::ReplicationFactor(factor.get()))
    }

    fn wish(&self, wish: Wish) -> Pending<()> {
        let member = self.shared.member.get().cloned();
        Box::pin(async move {
            let member = member.ok_or(NodeError::NoCluster)?;
            let patience = match wish {
                Wish::Transfer { .. } => HANDING_ALL_OVER,
                _ => PATIENCE,
            };
            member.ask_meta(Question::Wish(wish), patience).await.map(drop)
        })
    }

    /// Joins a cluster by way of a member's peer address. Only for a node that waits to be met.
    pub fn meet(&self, member: String) -> Pending<()> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { shared.join(&member).await })
    }

    /// The whole cluster for its operator; none while this node belongs to none.
    pub fn status(&self) -> BoxFuture<'static, Option<ClusterStatus>> {
        let member = self.shared.member.get().cloned();
        Box::pin(async move { member?.report().await })
    }

    /// Up to which entry a shard has acknowledged what it acknowledged before the call, says its leader.
    pub fn read_index(&self, shard: ShardId, within: Duration) -> Pending<aryavarth::EntryIndex> {
        let member = self.shared.member.get().cloned();
        Box::pin(async move {
            let member = member.ok_or(NodeError::NoCluster)?;
            let leader = member.known().leader(shard).ok_or(NodeError::NoLeader)?;
            match member.ask(leader, Question::ReadIndex(shard.0), within).await? {
                Answer::Index(index) => Ok(aryavarth::EntryIndex(index)),
                Answer::Later(why) | Answer::Refused(why) => Err(NodeError::Refused(why)),
                _ => Err(NodeError::Refused("its answer makes no sense".into())),
            }
        })
    }

    /// Passes requests of a client on to another node, and returns the replies. The first byte is
    /// [`messages::REQUESTS`].
    pub fn pass_on(&self, node: NodeId, requests: Bytes, within: Duration) -> Pending<Bytes> {
        let member = self.shared.member.get().cloned();
        Box::pin(async move {
            let member = member.ok_or(NodeError::NoCluster)?;
            let address = member.address(node)?;
            Ok(member.node.forward(node, &address, requests, within).await?)
        })
    }

    /// Hands over all that it leads, within some seconds. It goes on answering, as one that does not lead. Not
    /// to be called on a runtime.
    pub fn hand_over(&self) {
        if let Some(member) = self.shared.member.get() {
            self.wait(member.hand_all_over());
        }
    }

    /// Hands over what it still leads, and stops. Not to be called on a runtime.
    pub fn stop(&self) {
        self.hand_over();
        if let Some(member) = self.shared.member.get() {
            member.save_topology();
            self.wait(member.shut_down());
        }
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            runtime.shutdown_timeout(Duration::from_secs(2));
        }
    }
}

impl Drop for ClusterNode {
    fn drop(&mut self) {
        let runtime = self.runtime.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
    }
}

impl Member {
    /// Ends all groups. Nothing is answered any more.
    async fn shut_down(&self) {
        let _ = self.stopping.send(true);
        let _keeping = self.keeping.lock().await;
        for (shard, _) in self.seats.groups().collect::<Vec<_>>() {
            self.seats.seat(shard).set_group(None);
        }
        self.node.shutdown().await;
    }
}

impl Shared {
    async fn begin(
        &self,
        start: Start,
        proceed: impl Fn(founding::Step) -> Result<(), NodeError>,
    ) -> Result<(), NodeError> {
        let directory = &self.options.directory;
        let found = Card::read(directory)?;
        self.check_store(found.as_ref())?;
        match (found.map(|card| (card, card.phase)), start) {
            (Some((card, Phase::Member { replicas, node, .. })), _) => {
                if replicas == Holding::Replicas && self.store.replicated_shards().is_empty() {
                    return Err(NodeError::LostStore { node, directory: directory.clone() });
                }
                self.check_only_one(&card, node).await?;
                self.resume(card).await
            }
            (Some((_, Phase::Founding { .. })), Start::Join { .. }) => {
                Err(self.not_now("it founds a cluster of its own: start it without --join"))
            }
            (Some((card, Phase::Founding { cluster, shards, factor })), _) => {
                self.found(card, Plan { cluster, shards, factor }, proceed).await
            }
            (Some((_, Phase::Joining)), Start::Found { .. }) => Err(self.not_now(
                "it was about to join a cluster: go on with --join, or empty the directory",
            )),
            (None, Start::Found { shards, factor }) => {
                let cluster = ClusterId(card::draw()?);
                let card = Card::draw(Phase::Founding { cluster, shards, factor })?;
                card.write(directory)?;
                self.found(card, Plan { cluster, shards, factor }, proceed).await
            }
            (_, Start::Join { member }) => self.join(&member).await,
            (_, Start::Resume) => {
                tracing::info!("this node belongs to no cluster yet: it waits to be met");
                Ok(())
            }
        }
    }

    fn not_now(&self, detail: &'static str) -> NodeError {
        NodeError::NotNow { directory: self.options.directory.clone(), detail }
    }

    /// A store with replicas but no card cannot be told from any other's.
    fn check_store(&self, card: Option<&Card>) -> Result<(), NodeError> {
        let nobody = card.is_none_or(|card| card.phase == Phase::Joining);
        match nobody && !self.store.replicated_shards().is_empty() {
            true => Err(self.not_now(
                "it has replicas of a cluster, but cluster.toml is missing, which says of which: put it \
                 back, or empty the directory and let the node join anew",
            )),
            false => Ok(()),
        }
    }

    /// If the node is noted at another address, whoever is there must not be the same node.
    async fn check_only_one(&self, card: &Card, node: NodeId) -> Result<(), NodeError> {
        let noted = cache::read(&self.options.directory);
        let noted = noted.and_then(|topology| topology.node(node).map(|node| node.peer.clone()));
        let Some(noted) = noted.filter(|noted| noted.to_string() != self.options.peer.to_string())
        else {
            return Ok(());
        };
        let introduction = Introduction {
            incarnation: card.incarnation,
            secret: self.options.secret.clone(),
            tls: self.options.tls.clone(),
            from: self.options.peer.ip(),
            within: ASKING,
        };
        let question = messages::encode(&Question::Heard);
        match introduce(introduction, &noted.to_string(), question).await {
            Ok((there, _)) if (there.node, there.incarnation) == (node, card.incarnation) => {
                Err(NodeError::Refused(format!(
                    "node {node} runs at {noted} already: a directory must not be copied"
                )))
            }
            _ => Ok(()),
        }
    }

    async fn join(&self, address: &str) -> Result<(), NodeError> {
        let Ok(_joining) = self.joining.try_lock() else {
            return Err(NodeError::Refused("this node is joining already".into()));
        };
        if self.member.get().is_some() {
            return Err(NodeError::Refused("this node belongs to a cluster already".into()));
        }
        if !self.store.is_empty() {
            return Err(self.not_now(
                "it has keys of its own, which would be lost: found a cluster with it (--init), or let an \
                 empty directory join",
            ));
        }
        let card = match Card::read(&self.options.directory)? {
            Some(card) => card,
            None => {
                let card = Card::draw(Phase::Joining)?;
                card.write(&self.options.directory)?;
                card
            }
        };
        let card = joining::join(&self.options, card.incarnation, address).await?;
        self.resume(card).await
    }

    async fn found(
        &self,
        card: Card,
        plan: Plan,
        proceed: impl Fn(founding::Step) -> Result<(), NodeError>,
    ) -> Result<(), NodeError> {
        let member = self.open(card, plan.cluster, founding::FIRST, plan.shards).await?;
        let outcome = founding::found(&member, plan, proceed).await;
        if let Err(error) = outcome {
            member.shut_down().await;
            return Err(error);
        }
        self.work(member);
        Ok(())
    }

    async fn resume(&self, card: Card) -> Result<(), NodeError> {
        let Phase::Member { cluster, node, shards, .. } = card.phase else {
            return Err(NodeError::NoCluster);
        };
        let member = self.open(card, cluster, node, shards).await?;
        if let Some(topology) = cache::read(&self.options.directory) {
            member.adopt(topology);
        }
        member.follow();
        for group in member.node.groups() {
            member.seat_group(group.shard(), Some(group));
        }
        self.work(member);
        Ok(())
    }

    async fn open(
        &self,
        card: Card,
        cluster: ClusterId,
        node: NodeId,
        shards: ShardCount,
    ) -> Result<Arc<Member>, NodeError> {
        let ears = Arc::new(Ears::default());
        let config = NodeConfig {
            identity: Identity { cluster, node, incarnation: card.incarnation },
            secret: self.options.secret.clone(),
            listen: self.options.peer,
            timing: self.options.timing,
            tls: self.options.tls.clone(),
            roster: roster(&self.options.directory, cluster, node),
        };
        let store = EngineStore::new(self.store.clone(), super::reserved::owner(shards));
        let node = Node::start(config, Arc::new(store), Some(Arc::clone(&ears) as _)).await?;
        let parts = Parts {
            options: self.options.clone(),
            store: self.store.clone(),
            seats: Arc::clone(&self.seats),
            views: Arc::clone(&self.views),
            front: Arc::clone(&self.front),
            ended: self.ended.clone(),
        };
        let member = Arc::new(Member::new(parts, node, card, shards, card::draw()?));
        ears.belong_to(&member);
        Ok(member)
    }

    /// Everything that goes on by itself.
    fn work(&self, member: Arc<Member>) {
        let spawn = |work: BoxFuture<'static, ()>| {
            let stopped = Arc::clone(&member);
            self.runtime.spawn(async move {
                tokio::select! {
                    () = work => {}
                    () = stopped.stopped() => {}
                }
            });
        };
        spawn(Box::pin(meta::run(Arc::clone(&member))));
        spawn(Box::pin(pulse::run(Arc::clone(&member))));
        spawn(Box::pin(replicas::run(Arc::clone(&member))));
        spawn(Box::pin(reconciler::run(Arc::clone(&member))));
        spawn(Box::pin(purge::run(Arc::clone(&member))));
        let ending = Arc::clone(&member);
        self.runtime.spawn(async move {
            let mut ended = ending.ended.subscribe();
            let mut stopping = ending.stopping.subscribe();
            // An error of either means that the node is gone.
            let has_to_end = tokio::select! {
                ended = ended.wait_for(Option::is_some) => ended.is_ok(),
                _ = stopping.wait_for(|stopping| *stopping) => false,
            };
            if has_to_end {
                ending.shut_down().await;
            }
        });
        let _ = self.member.set(member);
    }
}

/// The nodes that were known when this one stopped.
fn roster(directory: &Path, cluster: ClusterId, myself: NodeId) -> Roster {
    let roster = Roster::default();
    let noted = cache::read(directory).filter(|topology| topology.cluster() == cluster);
    for node in noted.iter().flat_map(|topology| topology.nodes()).filter(|n| n.id != myself) {
        roster.expect(node.id, node.incarnation);
        if node.peer.to_string().parse::<SocketAddr>().is_ok() {
            roster.locate(node.id, node.peer.to_string());
        }
    }
    roster
}

/// Refuses a directory that belongs to a node of a cluster, for a server or a tool that is none.
///
/// # Errors
/// [`NodeError::OfCluster`].
pub fn refuse_if_of_cluster(directory: &Path, store: &KvStore) -> Result<(), NodeError> {
    let of_cluster = !store.replicated_shards().is_empty()
        || Card::read(directory)?.is_some_and(|card| card.phase != Phase::Joining);
    match of_cluster {
        true => Err(NodeError::OfCluster { directory: directory.to_owned() }),
        false => Ok(()),
    }
}
