//! One shard's group, on this node.
//!
//! ```text
//!  propose ──▶ queue ──▶ openraft: one entry each ──▶ log and followers ──▶ majority ──▶ applied ──▶ done
//!              order is decided here: the order of the calls
//! ```
//!
//! A proposal may be bound to a term: it was computed from what that term's leader had in flight, and
//! must not be logged by a later leader, not even if that is the same node. If it was computed from the
//! proposals before it, which form a [`Chain`], it must not be logged either once one of those
//! was refused: so the next one is handed on only when it is known that the one before was accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aryavarth::WriteBatch;
use futures_util::future::BoxFuture;
use openraft::async_runtime::{AsyncRuntime, WatchReceiver};
use openraft::type_config::alias::WatchReceiverOf;
use openraft::{ChangeMembers, LinearizerOption, RaftMetrics};
use tokio::sync::{mpsc, oneshot, watch};

use crate::answer::Answer;
use crate::config::Timing;
use crate::entry_log::{EntryId, EntryIndex, EntryLog, ShardId, Term};
use crate::error::{Error, Result};
use crate::gate::Gate;
use crate::identity::NodeId;
use crate::leadership::watch_leadership;
use crate::listener::Seat;
use crate::log_store::LogStore;
use crate::network::Network;
use crate::peers::Peers;
use crate::progress::Transfers;
use crate::rotten::{Complaints, keep_purging};
use crate::runtime::{self, Moment, Runtime};
use crate::state_machine::ShardMachine;
use crate::status::{GroupStatus, Leadership, Role, is_ready_leader, leadership, status};
use crate::store::NodeStore;
use crate::syncer::Syncer;
use crate::ticket::{Acceptance, Ticket};
use crate::types::{Effects, Member, ShardRaft, TypeConfig, entry_id};
use crate::vote;

/// What a proposal was computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Nothing that a change of leaders could invalidate.
    Anything,
    /// What this node has applied as the leader of this term.
    Term(Term),
    /// The proposals before it in the same chain, applied or not.
    Chain(Chain),
}

/// Proposals each of which was computed from those before it. Once one is refused, so are all after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The term in which this node leads.
    pub term: Term,
    /// Tells the chains of one term apart.
    pub number: u64,
}

impl Basis {
    fn term(self) -> Option<Term> {
        match self {
            Basis::Anything => None,
            Basis::Term(term) | Basis::Chain(Chain { term, .. }) => Some(term),
        }
    }
}

/// How it is made sure that a read sees all that was acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadPolicy {
    /// By the leader's lease. Trusts that clocks run at about the same rate.
    #[default]
    Lease,
    /// By asking a majority, once for all reads that wait.
    ReadIndex,
}

/// The span in which no other node can lead. Look at it before a read and again after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The term in which this node leads.
    pub term: Term,
    /// The end, on a clock that runs while the machine is suspended.
    pub until: Moment,
}

impl Lease {
    /// Whether it has not ended.
    pub fn is_valid(&self) -> bool {
        Moment::now() < self.until
    }
}

/// A shard's group on this node. Cheap to clone.
#[derive(Clone)]
pub struct Group(Arc<Shared>);

pub(crate) struct Shared {
    shard: ShardId,
    node: NodeId,
    raft: ShardRaft,
    log: Arc<dyn EntryLog>,
    gate: Arc<Gate>,
    bound_until: Option<Moment>,
    timing: Timing,
    transfers: Transfers,
    proposals: mpsc::UnboundedSender<Proposal>,
    metrics: WatchReceiverOf<TypeConfig, RaftMetrics<TypeConfig>>,
    leadership: watch::Receiver<Leadership>,
    /// The term whose leadership this node has begun to hand over: its lease is void. 0: none.
    handed_over: AtomicU64,
}

struct Proposal {
    batch: Arc<WriteBatch>,
    basis: Basis,
    done: Box<dyn FnOnce(Result<EntryIndex>) + Send>,
}

impl From<Arc<Shared>> for Group {
    fn from(shared: Arc<Shared>) -> Group {
        Group(shared)
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("shard", &self.0.shard).finish_non_exhaustive()
    }
}

/// What all groups of a node share.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub node: NodeId,
    pub store: Arc<dyn NodeStore>,
    pub syncer: Syncer,
    pub peers: Peers,
    pub timing: Timing,
}

impl Group {
    /// Starts the group of `shard` from what the store has of it.
    pub(crate) async fn start(shard: ShardId, around: &Surroundings) -> Result<Group> {
        let (complaints, silence, heard) = Complaints::new();
        let logs = LogStore::new(around.store.log(shard)?, around.syncer.clone(), complaints);
        let log = Arc::clone(&logs.log);
        let gate = Arc::clone(&logs.gate);
        let bound_until = bound(log.as_ref(), around);
        let machine = ShardMachine::open(shard, &logs, store_data(&around.store))
            .map_err(|error| Error::Fenced { cause: error.to_string() })?;
        let transfers = Transfers::default();
        let network = Network {
            shard,
            peers: around.peers.clone(),
            timing: around.timing,
            transfers: transfers.clone(),
            silence: silence.clone(),
        };
        let config = around.timing.config(shard)?;
        let raft = ShardRaft::build(around.node.0, config, network, logs, machine).await?;
        if let Some(until) = bound_until {
            raft.runtime_config().elect(false);
            let raft = raft.clone();
            runtime::spawn(async move {
                Runtime::sleep_until(until).await;
                raft.runtime_config().elect(true);
            });
        }
        raft.run();
        let metrics = raft.metrics();
        let leadership = watch_leadership(&raft);
        let (proposals, queue) = mpsc::unbounded_channel();
        runtime::spawn(feed(raft.clone(), queue));
        let group = Group(Arc::new(Shared {
            shard,
            node: around.node,
            raft,
            log,
            gate,
            bound_until,
            timing: around.timing,
            transfers,
            proposals,
            metrics,
            leadership,
            handed_over: AtomicU64::new(0),
        }));
        runtime::spawn(keep_purging(Arc::downgrade(&group.0), silence, heard));
        Ok(group)
    }

    /// Waits until who leads is as wanted.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub(crate) async fn wait_leadership(&self, is: impl Fn(&Leadership) -> bool) -> Result<()> {
        let reached = |metrics: &RaftMetrics<_>| is(&leadership(metrics)).then_some(());
        loop {
            match self.wait_metrics(self.0.timing.lease(), reached).await {
                Err(Error::Timeout) => {}
                reached => return reached,
            }
        }
    }

    pub(crate) fn seat(&self) -> Seat {
        Seat {
            raft: self.0.raft.clone(),
            log: Arc::clone(&self.0.log),
            gate: Arc::clone(&self.0.gate),
            bound_until: self.0.bound_until,
        }
    }

    pub(crate) fn log(&self) -> &Arc<dyn EntryLog> {
        &self.0.log
    }

    /// Stands for election, if nobody leads.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn stand(&self) -> Result<()> {
        Ok(self.0.raft.trigger().elect(true).await?)
    }

    /// Its shard.
    pub fn shard(&self) -> ShardId {
        self.0.shard
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.0.node
    }

    /// Whether its log never had an entry: it has yet to be [initialized](Group::initialize), here or elsewhere.
    pub fn is_new(&self) -> bool {
        self.0.log.state().last.is_none()
    }

    /// Makes a new group of these members. To be called on any one of them, or on all with the same
    /// members.
    ///
    /// # Errors
    /// [`Error::Change`] if there is a group already, or this node is not among the members.
    pub fn initialize<'a>(&'a self, members: &'a [(NodeId, String)]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let members: BTreeMap<u64, Member> = members
                .iter()
                .map(|(node, address)| (node.0, Member { address: address.clone() }))
                .collect();
            Ok(self.0.raft.initialize(members).await?)
        })
    }

    /// Proposes `batch`. Its place among this node's proposals is that of this call; `done` is called
    /// once it is applied here, or will not be. `done` must be quick and must not block.
    pub fn propose_then(
        &self,
        batch: Arc<WriteBatch>,
        basis: Basis,
        done: impl FnOnce(Result<EntryIndex>) + Send + 'static,
    ) {
        let proposal = Proposal { batch, basis, done: Box::new(done) };
        if let Err(mpsc::error::SendError(proposal)) = self.0.proposals.send(proposal) {
            (proposal.done)(Err(Error::Stopped));
        }
    }

    /// Proposes `batch`, and waits until it is applied here. Its place among this node's proposals is that
    /// of this call, whenever what is returned is awaited.
    pub fn propose(
        &self,
        batch: Arc<WriteBatch>,
        basis: Basis,
    ) -> impl Future<Output = Result<EntryIndex>> + Send + 'static + use<> {
        let (done, outcome) = oneshot::channel();
        self.propose_then(batch, basis, move |result| {
            // Whoever waited may be gone.
            let _ = done.send(result);
        });
        async move { outcome.await.unwrap_or(Err(LOST)) }
    }

    /// The lease, if this node leads, has applied all that earlier leaders acknowledged, and heard from a
    /// majority lately. Asks nobody.
    pub fn lease(&self) -> Option<Lease> {
        let now = Moment::now();
        let metrics = self.0.metrics.borrow_watched();
        if !is_ready_leader(&metrics) {
            return None;
        }
        let term = metrics.current_term;
        if self.0.handed_over.load(Ordering::SeqCst) == term {
            return None;
        }
        // Each read comes by here: `voter_ids` would make a set of them first.
        let configs = metrics.membership_config.membership().get_joint_config();
        let votes = |config: &BTreeSet<u64>| config.contains(&self.0.node.0);
        if !configs.iter().any(votes) {
            return None;
        }
        let alone = configs.iter().all(|config| votes(config) && config.len() == 1);
        let from =
            if alone { Some(now) } else { metrics.last_quorum_acked.map(|at| at.into_inner()) };
        let lease = Lease { term: Term(term), until: from? + self.0.timing.trusted_lease() };
        (now < lease.until).then_some(lease)
    }

    /// Returns once this node's records have all that was acknowledged before the call. Reads after that are
    /// linearizable; with [`ReadPolicy::Lease`] only if the [lease](Group::lease) still holds when
    /// the read is done.
    ///
    /// # Errors
    /// [`Error::NotLeader`], [`Error::Timeout`].
    pub fn read_barrier(&self, policy: ReadPolicy) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let option = match policy {
                // Whatever was acknowledged by this leader was applied here before.
                ReadPolicy::Lease if self.lease().is_some() => return Ok(()),
                ReadPolicy::Lease => {
                    LinearizerOption::new(Some(self.0.timing.trusted_lease()), true)
                }
                ReadPolicy::ReadIndex => LinearizerOption::new(Some(Duration::ZERO), true),
            };
            let patience = 2 * self.0.timing.lease();
            let linearizer =
                self.0.raft.get_read_linearizer(option.with_wait_timeout(patience)).await?;
            match linearizer.try_await_ready(&self.0.raft, Some(patience)).await? {
                Ok(_) => Ok(()),
                Err(_) => Err(Error::Timeout),
            }
        })
    }

    /// On the leader: an entry at or after all that was acknowledged before the call. A follower that has
    /// applied it ([`Group::wait_applied`]) may answer a read as linearizably as the leader.
    ///
    /// # Errors
    /// [`Error::NotLeader`], [`Error::Timeout`].
    pub fn read_index(&self) -> BoxFuture<'_, Result<EntryIndex>> {
        Box::pin(async move {
            let option = LinearizerOption::new(Some(Duration::ZERO), true);
            let option = option.with_wait_timeout(2 * self.0.timing.lease());
            let linearizer = self.0.raft.get_read_linearizer(option).await?;
            Ok(EntryIndex(linearizer.read_log_id().index()))
        })
    }

    /// Waits until reads on this node see `index`.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Stopped`].
    pub fn wait_applied(&self, index: EntryIndex, within: Duration) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.wait_metrics(within, |metrics| {
                metrics.last_applied.filter(|applied| applied.index() >= index.0).map(|_| ())
            })
            .await
        })
    }

    /// Whether this node leads and is ready to answer reads.
    pub fn is_leader(&self) -> bool {
        is_ready_leader(&self.0.metrics.borrow_watched())
    }

    /// Who leads, now and whenever that changes.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.0.leadership.clone()
    }

    /// The last entry that reads on this node see.
    pub fn applied(&self) -> Option<EntryId> {
        self.0.log.state().applied
    }

    /// The last entry that is known to be committed, if this node has heard from its leader lately: on a
    /// follower, what reads on this node may be behind.
    pub fn committed(&self) -> Option<EntryId> {
        self.0.metrics.borrow_watched().cluster_committed.as_ref().map(entry_id)
    }

    /// All that is known of the group.
    pub fn status(&self) -> GroupStatus {
        status(self.0.shard, &self.0.metrics.borrow_watched(), &self.0.transfers.snapshot())
    }

    /// Adds a learner. It begins to catch up at once.
    ///
    /// # Errors
    /// [`Error::NotLeader`], [`Error::Change`], [`Error::Unknown`].
    pub fn add_learner<'a>(&'a self, node: NodeId, address: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let member = Member { address: address.to_owned() };
            self.0.raft.add_learner(node.0, member, false).await?;
            Ok(())
        })
    }

    /// Makes these the voters, by way of a change on which the old and the new ones agree. Each must be
    /// a member already; voters that are not among them leave the group.
    ///
    /// # Errors
    /// [`Error::NotLeader`], [`Error::Change`], [`Error::Unknown`].
    pub fn set_voters<'a>(&'a self, voters: &'a BTreeSet<NodeId>) -> BoxFuture<'a, Result<()>> {
        let voters: BTreeSet<u64> = voters.iter().map(|node| node.0).collect();
        Box::pin(async move {
            self.0.raft.change_membership(ChangeMembers::ReplaceAllVoters(voters), false).await?;
            Ok(())
        })
    }

    /// On the leader: completes a change of the voters of which only the first half is committed, as old and new
    /// ones must agree until it is: whoever began it does not lead any more, or was kept from going on.
    ///
    /// # Errors
    /// As [`set_voters`](Group::set_voters).
    pub async fn finish_change(&self) -> Result<()> {
        let goal = {
            let metrics = self.0.metrics.borrow_watched();
            let sets = metrics.committed_membership_config.membership().get_joint_config();
            (sets.len() > 1).then(|| sets.last().cloned()).flatten()
        };
        let Some(goal) = goal else { return Ok(()) };
        self.set_voters(&goal.into_iter().map(NodeId).collect()).await
    }

    /// Takes a learner out.
    ///
    /// # Errors
    /// [`Error::NotLeader`], [`Error::Change`], [`Error::Unknown`].
    pub fn remove_learner(&self, node: NodeId) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let gone = ChangeMembers::RemoveNodes([node.0].into());
            self.0.raft.change_membership(gone, true).await?;
            Ok(())
        })
    }

    /// On the leader: waits until `node`'s log is at most `behind` entries behind.
    ///
    /// # Errors
    /// [`Error::NotLeader`] as soon as this node leads no longer, [`Error::Timeout`].
    pub fn wait_caught_up(
        &self,
        node: NodeId,
        behind: u64,
        within: Duration,
    ) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let caught_up = |metrics: &RaftMetrics<TypeConfig>| {
                let replication = metrics.replication.as_ref()?;
                let matched = replication.get(&node.0).copied().flatten();
                let next = matched.map_or(0, |matched| matched.index() + 1);
                Some(
                    metrics.last_log_index.map_or(0, |last| last + 1).saturating_sub(next)
                        <= behind,
                )
            };
            self.wait_metrics(within, |metrics| match caught_up(metrics) {
                Some(true) => Some(Ok(())),
                Some(false) => None,
                None => Some(Err(Error::NotLeader { leader: leadership(metrics).leader })),
            })
            .await?
        })
    }

    /// On the leader: lets `to` lead instead. It must be a voter that has almost all of the log. From the
    /// call on this node proposes nothing more and its lease is void. If `to` does not come to lead, whoever
    /// wins an election does: perhaps this node again, in another term.
    ///
    /// # Errors
    /// [`Error::NotLeader`]; [`Error::Timeout`] if it does not lead within two elections.
    pub fn transfer(&self, to: NodeId) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let before = leadership(&self.0.metrics.borrow_watched());
            if before.role != Role::Leader {
                return Err(Error::NotLeader { leader: before.leader });
            }
            self.0.handed_over.store(before.term.0, Ordering::SeqCst);
            self.0.raft.trigger().transfer_leader(to.0).await?;
            let patience = 2 * self.0.timing.lease();
            let outcome = self
                .wait_metrics(patience, |metrics| {
                    let now = leadership(metrics);
                    let led = now.leader.is_some_and(|leader| leader.node == to);
                    (led && now.term > before.term).then_some(())
                })
                .await;
            if outcome.is_err() {
                let group = self.clone();
                runtime::spawn(async move { group.resign(before.term).await });
            }
            outcome
        })
    }

    /// Ends the leadership of a term in which this node proposes nothing any more: openraft would keep it
    /// for ever if whom it was handed to is dead.
    async fn resign(&self, term: Term) {
        let led = |now: &Leadership| now.term == term && now.role == Role::Leader;
        if !led(&leadership(&self.0.metrics.borrow_watched())) {
            return;
        }
        self.0.raft.runtime_config().heartbeat(false);
        // A group that has stopped leads nothing.
        let _ = self.wait_leadership(|now| !led(now)).await;
        self.0.raft.runtime_config().heartbeat(true);
    }

    /// On the leader: lets the voter lead that is furthest, if there is another.
    ///
    /// # Errors
    /// As [`Group::transfer`].
    pub fn step_down(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let status = self.status();
            if status.leadership.role != Role::Leader {
                return Ok(());
            }
            let voters = status.members.iter().filter(|member| {
                member.standing == crate::status::Standing::Voter && member.node != self.0.node
            });
            // One that has not answered for a lease is probably gone.
            let lease = self.0.timing.lease();
            let alive =
                voters.filter(|member| member.silent_for.is_some_and(|silent| silent < lease));
            match alive.max_by_key(|member| member.matched) {
                Some(member) => self.transfer(member.node).await,
                None => Ok(()),
            }
        })
    }

    /// Drops entries up to `up_to` from this node's log, as far as they are applied. Whoever needs one
    /// of them is sent a snapshot.
    ///
    /// # Errors
    /// [`Error::Fenced`], [`Error::Stopped`]; [`Error::Timeout`] if it takes long.
    pub fn purge(&self, up_to: EntryIndex) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let reached = |id: Option<EntryId>| id.is_some_and(|id| id.index >= up_to);
            let applied = self.applied();
            let Some(up_to) = applied.map(|applied| applied.index.min(up_to)) else {
                return Ok(());
            };
            if reached(self.status().purged) {
                return Ok(());
            }
            self.0.raft.trigger().snapshot().await?;
            let within = self.0.timing.lease().max(Duration::from_secs(5));
            self.wait_metrics(within, |metrics| {
                metrics.snapshot.filter(|snapshot| snapshot.index() >= up_to.0).map(|_| ())
            })
            .await?;
            self.0.raft.trigger().purge_log(up_to.0).await?;
            self.wait_metrics(within, |metrics| {
                metrics.purged.filter(|purged| purged.index() >= up_to.0).map(|_| ())
            })
            .await
        })
    }

    async fn wait_metrics<T>(
        &self,
        within: Duration,
        done: impl Fn(&RaftMetrics<TypeConfig>) -> Option<T>,
    ) -> Result<T> {
        let mut metrics = self.0.metrics.clone();
        let waiting = async {
            loop {
                {
                    let metrics = metrics.borrow_and_update();
                    if let Some(done) = done(&metrics) {
                        return Ok(done);
                    }
                    if let Err(fatal) = &metrics.running_state {
                        return Err(Error::from(fatal.clone()));
                    }
                }
                if metrics.changed().await.is_err() {
                    return Err(Error::Stopped);
                }
            }
        };
        tokio::time::timeout(within, waiting).await.unwrap_or(Err(Error::Timeout))
    }

    /// Ends the group on this node. What was proposed and not answered has an unknown outcome.
    pub(crate) async fn stop(&self) {
        // It only fails if the group panicked, and then it has stopped too.
        let _ = self.0.raft.shutdown().await;
    }
}

const LOST: Error = Error::Unknown { cause: "the group stopped before the outcome was known" };

/// Until when this node may have given its word to a leader that counts on it: before it was started
/// it heard from one. (A lease that followers keep in memory only would be forgotten by a restart.)
fn bound(log: &dyn EntryLog, around: &Surroundings) -> Option<Moment> {
    let vote = vote::decode(&log.state().vote?)?;
    let to_another = vote.committed && vote.leader_id.voted_for != around.node.0;
    to_another.then(|| Moment::now() + around.timing.lease())
}

fn store_data(store: &Arc<dyn NodeStore>) -> Arc<dyn crate::store::ShardData> {
    Arc::clone(store) as Arc<dyn crate::store::ShardData>
}

/// Hands proposals to openraft, in order.
async fn feed(raft: ShardRaft, mut queue: mpsc::UnboundedReceiver<Proposal>) {
    let mut broken: Option<Chain> = None;
    while let Some(Proposal { batch, basis, done }) = queue.recv().await {
        if let Basis::Chain(chain) = basis
            && broken == Some(chain)
        {
            done(Err(Error::NotLeader { leader: None }));
            continue;
        }
        let (ticket, acceptance) = Ticket::new();
        let answered = Arc::clone(&ticket);
        let answer = Answer::new(move |outcome| {
            answered.answered();
            done(match outcome {
                Some(Ok(written)) => {
                    let written: openraft::raft::ClientWriteResponse<TypeConfig> = written;
                    Ok(EntryIndex(written.log_id.index()))
                }
                Some(Err(error)) => Err(Error::from(error)),
                None => Err(LOST),
            });
        });
        let write = raft.write(Effects::proposed(batch, ticket)).responder(answer);
        let write = match basis.term() {
            None => write,
            Some(Term(term)) => {
                write.with_leader(openraft::vote::leader_id_std::CommittedLeaderId::new(term))
            }
        };
        // If the group has stopped, dropping the answer says so.
        let _ = write.await;
        if let Basis::Chain(chain) = basis
            && acceptance.await == Acceptance::Refused
        {
            broken = Some(chain);
        }
    }
}
