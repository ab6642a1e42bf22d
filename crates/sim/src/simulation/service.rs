//! What a node does for clients: reads by lease or read-index, and writes computed from what is in flight.
//!
//! ```text
//!  add 1 ─▶ overlay: in flight? else the store ─▶ new value ─▶ propose, in a chain ─▶ applied ─▶ answer
//!              ▲                                      │
//!              └──────────────────────────────────────┘
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aryavarth::planted::{Planted, is_planted};
use aryavarth::{KvStore, WriteBatch};
use aryavarth_replication::simulation::Host;
use aryavarth_replication::{
    Basis, Chain, EntryIndex, Error, Group, Node, NodeId, ReadPolicy, ShardId, Term,
};
use tokio::sync::oneshot;

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// The value.
    Read(ReadPolicy),
    /// Give it this value.
    Set(u64),
    /// Add to it, and tell the sum.
    Add(u64),
    /// Remove it, and tell whether it was there.
    Remove,
}

/// What a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The value, if there is one.
    Value(Option<u64>),
    /// It is set.
    Done,
    /// The sum.
    Sum(u64),
    /// Whether it was there.
    Removed(bool),
}

/// Why a client is told nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It did not happen; perhaps this node leads.
    Elsewhere(Option<NodeId>),
    /// It did not happen.
    NotNow,
    /// It may have happened.
    Unknown,
}

/// The service of one node.
pub struct Service {
    node: Arc<Node>,
    store: KvStore,
    lanes: Mutex<BTreeMap<ShardId, Lane>>,
}

/// What is in flight of a shard.
#[derive(Debug, Default)]
struct Lane {
    chain: Option<Chain>,
    is_broken: bool,
    in_flight: BTreeMap<u64, Vec<u8>>,
    overlay: BTreeMap<Vec<u8>, (u64, Option<u64>)>,
    next: u64,
}

impl Lane {
    /// Something in flight is settled.
    fn settled(&mut self, number: u64, chain: Chain, outcome: Result<(), ()>) {
        if let Some(key) = self.in_flight.remove(&number)
            && (outcome.is_ok() || !is_planted(Planted::StaleOverlay))
            && self.overlay.get(&key).is_some_and(|(newest, _)| *newest == number)
        {
            self.overlay.remove(&key);
        }
        if outcome.is_err() && self.chain == Some(chain) {
            self.is_broken = true;
        }
    }

    /// The chain for what comes next, unless one that broke has not ended yet.
    fn chain(&mut self, term: Term) -> Option<Chain> {
        if let Some(chain) = self.chain
            && chain.term == term
            && !self.is_broken
        {
            return Some(chain);
        }
        if !self.in_flight.is_empty() {
            return None;
        }
        if !is_planted(Planted::StaleOverlay) {
            self.overlay.clear();
        }
        let number = self.chain.map_or(0, |chain| chain.number + 1);
        self.is_broken = false;
        self.chain = Some(Chain { term, number });
        self.chain
    }
}

fn decode(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn refused(error: &Error) -> Refused {
    match error {
        Error::NotLeader { leader } => {
            Refused::Elsewhere(leader.as_ref().map(|leader| leader.node))
        }
        error if error.is_outcome_unknown() => Refused::Unknown,
        // Whatever the group was stopped by may have come after the entry.
        Error::Stopped | Error::Fenced { .. } | Error::Store(_) => Refused::Unknown,
        _ => Refused::NotNow,
    }
}

impl Service {
    /// The service of `node`, whose records are in `store`.
    pub fn new(node: Arc<Node>, store: KvStore) -> Service {
        Service { node, store, lanes: Mutex::default() }
    }

    /// The group of a shard, if it is on this node.
    pub fn group(&self, shard: ShardId) -> Option<Group> {
        self.node.group(shard).ok()
    }

    fn lanes(&self) -> MutexGuard<'_, BTreeMap<ShardId, Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stored(&self, key: &[u8]) -> Result<Option<u64>, Refused> {
        let value = self.store.get(key).map_err(|_| Refused::NotNow)?;
        Ok(value.as_deref().and_then(decode))
    }

    /// Does what a client asks.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn serve(
        self: &Arc<Service>,
        shard: ShardId,
        key: &[u8],
        request: Request,
    ) -> Result<Answer, Refused> {
        let group = self.node.group(shard).map_err(|error| refused(&error))?;
        match request {
            Request::Read(ReadPolicy::Lease) => self.read_by_lease(&group, key).await,
            Request::Read(ReadPolicy::ReadIndex) => {
                let ready = group.read_barrier(ReadPolicy::ReadIndex).await;
                // The outcome of a read is never in doubt.
                ready.map_err(|error| match refused(&error) {
                    Refused::Unknown => Refused::NotNow,
                    other => other,
                })?;
                Ok(Answer::Value(self.stored(key)?))
            }
            Request::Set(_) | Request::Add(_) | Request::Remove => {
                self.write(&group, key, request).await
            }
        }
    }

    async fn read_by_lease(&self, group: &Group, key: &[u8]) -> Result<Answer, Refused> {
        let leader = || group.leadership().borrow().leader.as_ref().map(|leader| leader.node);
        let lease = group.lease().ok_or_else(|| Refused::Elsewhere(leader()))?;
        hesitate().await;
        let value = self.stored(key)?;
        hesitate().await;
        if lease.is_valid() { Ok(Answer::Value(value)) } else { Err(Refused::NotNow) }
    }

    async fn write(
        self: &Arc<Service>,
        group: &Group,
        key: &[u8],
        request: Request,
    ) -> Result<Answer, Refused> {
        let leadership = group.leadership().borrow().clone();
        if !leadership.ready {
            return Err(Refused::Elsewhere(leadership.leader.map(|leader| leader.node)));
        }
        let (answer, settled) = self.propose(group, leadership.term, key, request)?;
        let settled = settled.await.unwrap_or(Err(Refused::Unknown));
        settled.map(|_| answer)
    }

    /// Computes and proposes, in one step.
    fn propose(
        self: &Arc<Service>,
        group: &Group,
        term: Term,
        key: &[u8],
        request: Request,
    ) -> Result<(Answer, oneshot::Receiver<Result<EntryIndex, Refused>>), Refused> {
        let mut lanes = self.lanes();
        let lane = lanes.entry(group.shard()).or_default();
        let chain = lane.chain(term).ok_or(Refused::NotNow)?;
        let before = match lane.overlay.get(key) {
            Some((_, value)) => *value,
            None => self.stored(key)?,
        };
        let (after, answer) = match request {
            Request::Read(_) => return Err(Refused::NotNow),
            Request::Set(value) => (Some(value), Answer::Done),
            Request::Add(more) => {
                let sum = before.unwrap_or(0).wrapping_add(more);
                (Some(sum), Answer::Sum(sum))
            }
            Request::Remove => (None, Answer::Removed(before.is_some())),
        };
        let mut batch = WriteBatch::new();
        match after {
            Some(value) => batch.set(key, value.to_string()),
            None => batch.remove(key),
        };
        let number = lane.next;
        lane.next += 1;
        lane.in_flight.insert(number, key.to_vec());
        lane.overlay.insert(key.to_vec(), (number, after));
        drop(lanes);
        let (done, settled) = oneshot::channel();
        let (service, shard) = (Arc::clone(self), group.shard());
        group.propose_then(Arc::new(batch), Basis::Chain(chain), move |outcome| {
            if let Some(lane) = service.lanes().get_mut(&shard) {
                lane.settled(number, chain, outcome.as_ref().map(|_| ()).map_err(|_| ()));
            }
            // Whoever waited may be gone.
            let _ = done.send(outcome.map_err(|error| refused(&error)));
        });
        Ok((answer, settled))
    }
}

/// A thread may lose its processor at any time.
async fn hesitate() {
    if let Some(host) = Host::current()
        && host.random().is_multiple_of(4)
    {
        tokio::time::sleep(Duration::from_millis(host.random() % 3)).await;
    }
}
