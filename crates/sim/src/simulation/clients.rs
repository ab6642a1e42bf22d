//! Clients: they talk to any node, follow `MOVED`, give up, and remember what they were told.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aryavarth_check::{Answer, Request};
use aryavarth_cluster::ShardCount;
use aryavarth_replication::simulation::Host;
use aryavarth_replication::{Group, Node, NodeId, ShardId};
use aryavarth_server::simulation::SimServer;

use super::history::{History, answered, begin};
use super::random::Random;
use super::talk::{Connection, Refused, Subject, Words, doubt};
use super::trace::Trace;

/// How long a client waits for an answer, in milliseconds.
const PATIENCE: RangeInclusive<u64> = 100..=1_500;
/// How often it asks again before it does something else.
const ATTEMPTS: usize = 8;

/// The nodes that run, for whoever wants something of them. Clones are the same.
#[derive(Clone, Default)]
pub struct Directory(Arc<Mutex<BTreeMap<NodeId, Running>>>);

/// What runs on a machine.
#[derive(Clone)]
pub struct Running {
    /// The machine as the runtime sees it.
    pub host: Host,
    /// The node.
    pub node: Arc<Node>,
    /// What clients talk to.
    pub server: Arc<SimServer>,
}

impl Running {
    /// The group of a shard, if it is on this node.
    pub fn group(&self, shard: ShardId) -> Option<Group> {
        self.node.group(shard).ok()
    }
}

impl Directory {
    /// A node runs from now on.
    pub fn add(&self, node: NodeId, running: Running) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(node, running);
    }

    /// It does not any more.
    pub fn remove(&self, node: NodeId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&node);
    }

    /// What runs on a node's machine, if it runs.
    pub fn get(&self, node: NodeId) -> Option<Running> {
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
    /// How many shards there are.
    pub shards: ShardCount,
    /// Subjects of each.
    pub subjects: u8,
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
    /// Its connections.
    pub connections: BTreeMap<NodeId, Connection>,
    /// Becomes true when it is to end.
    pub stop: Arc<AtomicBool>,
}

impl Client {
    /// Asks until it is to stop.
    pub async fn run(mut self) {
        let mut hint = None;
        while !self.stop.load(Ordering::SeqCst) {
            let rest = self.habits.rest;
            tokio::time::sleep(self.random.millis(0..=rest)).await;
            let shards: Vec<ShardId> = self.habits.shards.shards().collect();
            let shard = *self.random.pick(&shards);
            let number = self.random.below(u64::from(self.habits.subjects));
            let number = u8::try_from(number).unwrap_or(0);
            let subject = Subject::new(self.habits.shards, shard, number);
            let request = self.request();
            hint = self.ask(&subject, request, hint).await;
        }
    }

    fn request(&mut self) -> Request {
        if self.random.chance(self.habits.reads) {
            return Request::Read;
        }
        match self.random.below(12) {
            0..3 => Request::Set(self.random.below(1_000_000) * 1_000),
            3..9 => Request::Add(1),
            9 => Request::Claim(self.random.below(1_000_000) * 1_000),
            _ => Request::Remove,
        }
    }

    /// Asks until there is an answer or none is to be had. Gives whom to ask next.
    async fn ask(
        &mut self,
        subject: &Subject,
        request: Request,
        mut hint: Option<NodeId>,
    ) -> Option<NodeId> {
        let name = subject.name.escape_ascii().to_string();
        let words = Words::any(&mut self.random);
        for _ in 0..ATTEMPTS {
            // What was refused before did not happen.
            let call = begin(self.number, &subject.name, request, self.trace.now());
            let Some(node) = hint.or_else(|| self.directory.any(&mut self.random)) else { break };
            let told = self.attempt(node, subject, request, words).await;
            self.trace.note(format_args!("c{} n{node} {name} {request:?}: {told:?}", self.number));
            match told {
                Ok(answer) => {
                    self.history.add(answered(call, answer, self.trace.now()));
                    return Some(node);
                }
                Err(Refused::Unknown) => {
                    self.history.add(call);
                    return None;
                }
                Err(Refused::Elsewhere(leader)) => hint = Some(leader),
                Err(Refused::NotNow) => hint = None,
                Err(Refused::Wrong(why)) => {
                    self.trace.violation(format_args!("node {node} answered wrongly: {why}"));
                    return None;
                }
            }
            tokio::time::sleep(self.random.millis(1..=60)).await;
        }
        // Nothing happened.
        hint
    }

    async fn attempt(
        &mut self,
        node: NodeId,
        subject: &Subject,
        request: Request,
        words: Words,
    ) -> Result<Answer, Refused> {
        tokio::time::sleep(self.random.millis(0..=3)).await;
        let kept = self.connections.remove(&node).filter(|kept| !kept.is_closed());
        let mut connection = match kept {
            Some(kept) => kept,
            // Refused connections ask for nothing.
            None => Connection::new(&self.directory.get(node).ok_or(Refused::NotNow)?.server),
        };
        let asking = connection.request(subject, request, words);
        let patience = self.random.millis(PATIENCE);
        let told = tokio::time::timeout(patience, asking).await.map_err(|_| doubt(request))?;
        tokio::time::sleep(self.random.millis(0..=3)).await;
        // What a refused transaction leaves behind is gone with its connection.
        if told.is_ok() {
            self.connections.insert(node, connection);
        }
        told
    }
}
