//! Clients: they ask any node, follow hints, give up, and remember what they were told.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aryavarth_replication::simulation::Host;
use aryavarth_replication::{NodeId, ReadPolicy, ShardId};

use super::history::{Call, History};
use super::random::Random;
use super::service::{Answer, Refused, Request, Service};
use super::trace::Trace;

/// How long a client waits for an answer, in milliseconds.
const PATIENCE: RangeInclusive<u64> = 100..=1_500;
/// How often it asks again before it does something else.
const ATTEMPTS: usize = 8;

/// The nodes that run, for whoever wants something of them. Clones are the same.
#[derive(Clone, Default)]
pub struct Directory(Arc<Mutex<Running>>);

/// What runs on which node.
type Running = BTreeMap<NodeId, (Host, Arc<Service>)>;

impl Directory {
    /// A node runs from now on.
    pub fn add(&self, node: NodeId, host: Host, service: Arc<Service>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(node, (host, service));
    }

    /// It does not any more.
    pub fn remove(&self, node: NodeId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&node);
    }

    /// A node's machine and service, if it runs.
    pub fn get(&self, node: NodeId) -> Option<(Host, Arc<Service>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&node).cloned()
    }

    /// All of them.
    pub fn nodes(&self) -> Vec<NodeId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    fn any(&self, random: &mut Random) -> Option<NodeId> {
        let nodes = self.nodes();
        (!nodes.is_empty()).then(|| *random.pick(&nodes))
    }
}

/// What clients do.
#[derive(Clone, Debug)]
pub struct Habits {
    /// The shards.
    pub shards: Vec<ShardId>,
    /// Keys of each.
    pub keys: u8,
    /// Milliseconds between two requests, at most.
    pub rest: u64,
    /// Of a thousand requests, so many are reads.
    pub reads: u64,
}

/// A client.
pub struct Client {
    /// Its number.
    pub number: u64,
    /// What it does.
    pub habits: Habits,
    /// Whom it asks.
    pub directory: Directory,
    /// Where it writes down what it was told.
    pub history: History,
    /// What happens.
    pub trace: Trace,
    /// What it does next.
    pub random: Random,
    /// Becomes true when it is to end.
    pub stop: Arc<AtomicBool>,
}

/// A key: its shard, and a number.
pub fn key(shard: ShardId, number: u8) -> Vec<u8> {
    vec![u8::try_from(shard.0).unwrap_or(u8::MAX), b'k', number]
}

impl Client {
    /// Asks until it is to stop.
    pub async fn run(mut self) {
        let mut hint = None;
        while !self.stop.load(Ordering::SeqCst) {
            let rest = self.habits.rest;
            tokio::time::sleep(self.random.millis(0..=rest)).await;
            let shard = *self.random.pick(&self.habits.shards);
            let number = u8::try_from(self.random.below(u64::from(self.habits.keys))).unwrap_or(0);
            let request = self.request();
            hint = self.ask(shard, &key(shard, number), request, hint).await;
        }
    }

    fn request(&mut self) -> Request {
        if self.random.chance(self.habits.reads) {
            let policies = [ReadPolicy::Lease, ReadPolicy::Lease, ReadPolicy::ReadIndex];
            return Request::Read(*self.random.pick(&policies));
        }
        match self.random.below(10) {
            0..3 => Request::Set(self.random.below(1_000_000) * 1_000),
            3..9 => Request::Add(1),
            _ => Request::Remove,
        }
    }

    /// Asks until there is an answer or none is to be had. Gives whom to ask next.
    async fn ask(
        &mut self,
        shard: ShardId,
        key: &[u8],
        request: Request,
        mut hint: Option<NodeId>,
    ) -> Option<NodeId> {
        for _ in 0..ATTEMPTS {
            // What was refused before did not happen.
            let call = Call::begin(self.number, key, request, self.trace.now());
            let Some(node) = hint.or_else(|| self.directory.any(&mut self.random)) else { break };
            match self.attempt(node, shard, key, request).await {
                Ok(answer) => {
                    self.trace
                        .note(format_args!("c{} {key:?} {request:?}: {answer:?}", self.number));
                    self.history.add(call.answered(answer, self.trace.now()));
                    return Some(node);
                }
                Err(Refused::Unknown) => {
                    self.trace.note(format_args!("c{} {key:?} {request:?}: unknown", self.number));
                    self.history.add(call);
                    return None;
                }
                Err(Refused::Elsewhere(leader)) => hint = leader.filter(|leader| *leader != node),
                Err(Refused::NotNow) => hint = None,
            }
            tokio::time::sleep(self.random.millis(1..=60)).await;
        }
        // Nothing happened.
        hint
    }

    async fn attempt(
        &mut self,
        node: NodeId,
        shard: ShardId,
        key: &[u8],
        request: Request,
    ) -> Result<Answer, Refused> {
        tokio::time::sleep(self.random.millis(0..=3)).await;
        // Refused connections ask for nothing.
        let (host, service) = self.directory.get(node).ok_or(Refused::NotNow)?;
        let of_key = key.to_vec();
        let serving = host.spawn(async move { service.serve(shard, &of_key, request).await });
        let doubt = match request {
            Request::Read(_) => Refused::NotNow,
            _ => Refused::Unknown,
        };
        let served = tokio::time::timeout(self.random.millis(PATIENCE), serving).await;
        let answer = served.map_err(|_| doubt)?.map_err(|_| doubt)?;
        tokio::time::sleep(self.random.millis(0..=3)).await;
        answer
    }
}
