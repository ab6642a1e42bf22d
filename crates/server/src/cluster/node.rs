//! A node from its start to its end: who it is, and how it becomes a member.
//!
//! ```text
//!  no card ── Start::Found ──▶ founding ─┐
//!          ── Start::Join ───▶ joining ──┼──▶ member: groups, pulses, reconciler … until it is stopped
//!          ── Start::Resume ─▶ waits to be told whom to join (CLUSTER MEET)
//! ```
//!
//! What it does as a member is in [`Member`]; here is only how it gets there.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZero;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aryavarth::KvStore;
use aryavarth_cluster::{Address, ClusterId, NodeId, ShardId, Topology, Zone};
use aryavarth_replication::{Secret, Timing, Tls, introduce};
use bytes::Bytes;
use tokio::runtime::{Handle, Runtime};

use super::card::{Card, Phase};
use super::error::NodeError;
use super::home::Home;
use super::member::Member;
use super::messages::{Question, encode};
use super::{Seats, Start, Views, joining, saved};
use crate::config::OnDamage;
use crate::tasks::begin;

/// The most threads for what waits for other nodes.
const MOST_THREADS: usize = 2;
/// How long somebody may take to say who it is.
const GREETING: Duration = Duration::from_millis(500);

/// What is done later.
pub type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The server around a node, as far as the node needs it.
pub trait Host: Send + Sync + 'static {
    /// Whether nothing that was evaluated for a shard is on its way.
    fn is_quiet(&self, shard: ShardId) -> bool;

    /// Some keys of a shard, of which nothing is on its way, are another's from now on.
    fn renew(&self, shard: ShardId);

    /// Answers requests of a client that `from` passes on.
    fn answer(&self, from: NodeId, requests: Bytes) -> Later<Bytes>;

    /// Has the leader of a shard answer a request that may be made twice.
    fn ask_leader(&self, shard: ShardId, request: Vec<u8>) -> Later<Vec<u8>>;

    /// What may be set while the node runs.
    fn policy(&self) -> Policy;

    /// Ends the process: it may not go on as this node.
    fn end(&self, why: &str);
}

/// What a node has to be told.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// Its directory.
    pub home: Home,
    /// Where other nodes reach it, and where it reaches them from.
    pub peer: SocketAddr,
    /// Where clients reach it.
    pub client: Address,
    /// What it shares a fate with.
    pub zone: Option<Zone>,
    /// What all nodes know.
    pub secret: Secret,
    /// Certificates, if nodes talk over TLS.
    pub tls: Option<Tls>,
    /// The cluster's times.
    pub timing: Timing,
    /// What is there instead of the machine's own, if it is simulated.
    #[cfg(feature = "simulated-cluster")]
    pub simulated: Option<crate::simulation::Simulated>,
}

/// What may be set while a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Silence after which a node is dead; none for never.
    pub lost_after: Option<Duration>,
    /// Entries that are kept for who falls behind.
    pub log_keep: u64,
    /// In which time all records are read to look for damage; none for never.
    pub scrub_period: Option<Duration>,
    /// What is done with a store whose damage cannot be mended.
    pub on_damage: OnDamage,
}

/// What all parts of a node share.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub options: Arc<ClusterOptions>,
    pub store: KvStore,
    pub seats: Arc<Seats>,
    pub views: Arc<Views>,
    pub host: Arc<dyn Host>,
}

/// A node, or what wants to become one.
pub struct ClusterNode {
    around: Surroundings,
    runtime: Mutex<Option<Runtime>>,
    handle: Handle,
    member: OnceLock<Arc<Member>>,
    joins: AtomicBool,
}

impl fmt::Debug for ClusterNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterNode").field("options", &self.around.options).finish_non_exhaustive()
    }
}

/// Half of the processors: the other half has clients to serve. A second thread on the same processor would only have
/// each wake the other.
fn threads() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    (processors / 2).clamp(1, MOST_THREADS)
}

/// The threads of a node.
///
/// # Errors
/// [`NodeError::System`].
pub fn runtime() -> Result<Runtime, NodeError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads())
        .thread_name("aryavarth-raft")
        .enable_all()
        .build()
        .map_err(|error| NodeError::System {
            operation: "start the threads for other nodes",
            detail: error.to_string(),
        })
}

impl ClusterNode {
    /// Starts a node on `runtime`. Returns when it is a member, if it was one or founds a cluster; else it
    /// goes on trying to become one.
    ///
    /// # Errors
    /// What keeps it from being a node.
    pub fn start(
        runtime: Runtime,
        options: ClusterOptions,
        (store, seats, views): (KvStore, Arc<Seats>, Arc<Views>),
        host: Arc<dyn Host>,
        start: Start,
    ) -> Result<Arc<ClusterNode>, NodeError> {
        let around = Surroundings { options: Arc::new(options), store, seats, views, host };
        let handle = runtime.handle().clone();
        let node = ClusterNode::new(around, Some(runtime), handle);
        node.handle.block_on(node.begin(start))?;
        Ok(node)
    }

    /// The same as a part of a task on a simulated machine.
    #[cfg(feature = "simulated-cluster")]
    pub(crate) async fn start_simulated(
        around: Surroundings,
        start: Start,
    ) -> Result<Arc<ClusterNode>, NodeError> {
        let node = ClusterNode::new(around, None, Handle::current());
        node.begin(start).await?;
        Ok(node)
    }

    fn new(around: Surroundings, runtime: Option<Runtime>, handle: Handle) -> Arc<ClusterNode> {
        Arc::new(ClusterNode {
            around,
            runtime: Mutex::new(runtime),
            handle,
            member: OnceLock::new(),
            joins: AtomicBool::new(false),
        })
    }

    async fn begin(self: &Arc<Self>, start: Start) -> Result<(), NodeError> {
        let home = &self.around.options.home;
        let not_now = |detail| NodeError::NotNow { directory: home.directory().to_owned(), detail };
        let found = Card::read(home)?;
        let nobody = found.is_none_or(|card| card.phase == Phase::Joining);
        if nobody && !self.around.store.replicated_shards().is_empty() {
            return Err(not_now(
                "it has replicas of a cluster, but cluster.toml does not say of which: put that back, or \
                 empty the directory and let the node join anew",
            ));
        }
        match (found, start) {
            (None, Start::Found { shards, factor }) => {
                let cluster = ClusterId(home.draw());
                let card = Card::draw(home, Phase::Founding { cluster, shards, factor });
                card.write(home)?;
                self.found(card).await
            }
            (Some(Card { phase: Phase::Founding { .. }, .. }), Start::Join { .. }) => {
                Err(not_now("it has begun to found a cluster: start it without --join"))
            }
            (Some(card @ Card { phase: Phase::Founding { .. }, .. }), _) => self.found(card).await,
            (Some(Card { phase: Phase::Joining, .. }), Start::Found { .. }) => {
                Err(not_now("it has asked to join a cluster: start it with --join, or empty it"))
            }
            (None | Some(Card { phase: Phase::Joining, .. }), Start::Join { member }) => {
                self.meet(member)
            }
            (None | Some(Card { phase: Phase::Joining, .. }), Start::Resume) => {
                tracing::info!(
                    "waiting to be told which cluster to join (CLUSTER MEET, or --join)"
                );
                Ok(())
            }
            (Some(Card { phase: Phase::Replacing { .. }, .. }), _) => Err(not_now(
                "its store is damaged, and waits to be replaced: start it with `on-damage` set to `replace`",
            )),
            (Some(card @ Card { phase: Phase::Member { node, .. }, .. }), _) => {
                self.check_alone(&card, node).await?;
                self.become_member(card, None).await
            }
        }
    }

    async fn found(self: &Arc<Self>, card: Card) -> Result<(), NodeError> {
        let (card, member) = Member::found(self.around.clone(), card).await?;
        card.write(&self.around.options.home)?;
        self.settle_in(member);
        Ok(())
    }

    async fn become_member(
        self: &Arc<Self>,
        card: Card,
        topology: Option<Topology>,
    ) -> Result<(), NodeError> {
        let member = Member::start(self.around.clone(), card, topology).await?;
        self.settle_in(member);
        Ok(())
    }

    /// If the node is noted at another address, whoever is there must not be the same node.
    async fn check_alone(&self, card: &Card, node: NodeId) -> Result<(), NodeError> {
        let options = &self.around.options;
        let noted = saved::read(&options.home);
        let noted =
            noted.and_then(|topology| topology.node(node).map(|node| node.peer.to_string()));
        let Some(noted) = noted.filter(|noted| *noted != options.peer.to_string()) else {
            return Ok(());
        };
        let question = encode(&Question::Overview);
        match introduce(
            joining::introduction(options, card.incarnation, GREETING),
            &noted,
            question,
        )
        .await
        {
            Ok((there, _)) if (there.node, there.incarnation) == (node, card.incarnation) => {
                Err(NodeError::Refused(format!(
                    "node {node} runs at {noted} already: a directory must not be copied"
                )))
            }
            _ => Ok(()),
        }
    }

    fn settle_in(&self, member: Arc<Member>) {
        member.begin();
        // It becomes a member once: by its card, or by the one task that joins.
        let _ = self.member.set(member);
    }

    /// Has it join the cluster of which a member is reached by other nodes at `member`. Goes on trying.
    ///
    /// # Errors
    /// [`NodeError::NotNow`] if it is a node already, or joins one already.
    pub fn meet(self: &Arc<Self>, member: String) -> Result<(), NodeError> {
        let directory = self.around.options.home.directory().to_owned();
        if self.member.get().is_some() || self.joins.swap(true, Ordering::AcqRel) {
            let detail = "it belongs to a cluster already, or is about to join one";
            return Err(NodeError::NotNow { directory, detail });
        }
        if !self.around.store.is_empty() {
            self.joins.store(false, Ordering::Release);
            let detail = "its store has keys, which the cluster's would replace: only a node that founds a \
                          cluster keeps its keys (--init); take an empty directory";
            return Err(NodeError::NotNow { directory, detail });
        }
        let node = Arc::clone(self);
        begin(&self.handle, async move {
            if let Err(error) = node.join(&member).await {
                tracing::error!(%error, member, "cannot join the cluster");
                node.joins.store(false, Ordering::Release);
                node.around.host.end(&error.to_string());
            }
        });
        Ok(())
    }

    async fn join(self: &Arc<Self>, member: &str) -> Result<(), NodeError> {
        let options = &self.around.options;
        let home = &options.home;
        let card = match Card::read(home)? {
            Some(card) => card,
            None => {
                let card = Card::draw(home, Phase::Joining);
                card.write(home)?;
                card
            }
        };
        let welcome = joining::ask(options, card.incarnation, None, &[member.to_owned()]).await?;
        let (card, topology) = joining::settle(home, card.incarnation, &welcome)?;
        self.become_member(card, Some(topology)).await
    }

    /// What it is as a member; none as long as it is none.
    pub(crate) fn member(&self) -> Option<&Arc<Member>> {
        self.member.get()
    }

    /// Where what waits for other nodes is done.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Hands over all that it leads, so that clients find the new leaders while it still answers them.
    pub fn hand_over(&self) {
        if let Some(member) = self.member.get() {
            self.handle.block_on(member.hand_all_over());
        }
    }

    /// Ends it without a word, like the death of its process.
    #[cfg(test)]
    pub(super) fn kill(&self) {
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        runtime.expect("it was not killed before").shutdown_timeout(Duration::from_secs(10));
    }

    /// Ends its groups and its talk with other nodes.
    pub fn stop(&self) {
        if let Some(member) = self.member.get() {
            self.handle.block_on(member.stop());
        }
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            runtime.shutdown_timeout(Duration::from_secs(2));
        }
    }
}
