//! Clients: they talk to any node, follow `MOVED`, give up, and remember what they were told.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aryavarth_check::Request;
use aryavarth_cluster::{ShardCount, Topology};
use aryavarth_replication::simulation::Host;
use aryavarth_replication::{Group, ShardId};
use aryavarth_server::simulation::SimServer;

use super::expiry::Terms;
use super::history::{Call, History, answered, begin};
use super::machine::MachineId;
use super::random::Random;
use super::talk::{Connection, Refused, Subject, Told, Words, doubt};
use super::trace::Trace;

/// How long a client waits for an answer, in milliseconds.
const PATIENCE: RangeInclusive<u64> = 100..=1_500;
/// How often it asks again before it does something else.
const ATTEMPTS: usize = 8;

/// The machines of which the nodes run, for whoever wants something of them. Clones are the same.
#[derive(Clone, Default)]
pub struct Directory(Arc<Mutex<BTreeMap<MachineId, Running>>>);

/// What runs on a machine.
#[derive(Clone)]
pub struct Running {
    /// The machine as the runtime sees it.
    pub host: Host,
    /// The node with its server.
    pub server: Arc<SimServer>,
}

impl Running {
    /// The group of a shard, if it is on this node.
    pub fn group(&self, shard: ShardId) -> Option<Group> {
        self.server.group(shard)
    }
}

impl Directory {
    /// Its node runs from now on.
    pub fn add(&self, machine: MachineId, running: Running) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(machine, running);
    }

    /// It does not any more.
    pub fn remove(&self, machine: MachineId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&machine);
    }

    /// What runs on a machine, if it runs.
    pub fn get(&self, machine: MachineId) -> Option<Running> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&machine).cloned()
    }

    /// All of them.
    pub fn machines(&self) -> Vec<MachineId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// The newest topology that one of them has heard of.
    pub fn newest(&self) -> Option<Arc<Topology>> {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = running.values().filter_map(|running| running.server.topology());
        known.max_by_key(|topology| topology.epoch())
    }

    fn any(&self, random: &mut Random) -> Option<MachineId> {
        let machines = self.machines();
        (!machines.is_empty()).then(|| *random.pick(&machines))
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
    /// Of a thousand requests, so many are of keys that expire.
    pub expiring: u64,
    /// Of a thousand reads of other keys, so many may be answered by any replica.
    pub following: u64,
}

/// How many subjects of each shard expire.
pub const EXPIRING: u8 = 2;

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
    pub connections: BTreeMap<MachineId, Connection>,
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
            let expires = self.random.chance(self.habits.expiring);
            let subjects = if expires { EXPIRING } else { self.habits.subjects };
            let number = u8::try_from(self.random.below(u64::from(subjects))).unwrap_or(0);
            let (subject, request, words) = if expires {
                let request = self.request_until();
                let words = Words::Until(Terms::any(request, &mut self.random));
                (Subject::expiring(self.habits.shards, shard, number), request, words)
            } else {
                let (request, words) = self.request_in_words();
                (Subject::new(self.habits.shards, shard, number), request, words)
            };
            let follows = matches!(words, Words::Stale(_));
            let told = self.ask(&subject, request, words, hint.filter(|_| !follows)).await;
            hint = if follows { hint } else { told };
        }
    }

    fn request_in_words(&mut self) -> (Request, Words) {
        let request = self.request();
        if request == Request::Read && self.random.chance(self.habits.following) {
            let bound = *self.random.pick(&[0, 50, 300, 1_000]);
            return (request, Words::Stale(Duration::from_millis(bound)));
        }
        (request, Words::any(&mut self.random))
    }

    fn request_until(&mut self) -> Request {
        match self.random.below(12) {
            0..3 => Request::Set(self.history.new_value()),
            3..5 => Request::Replace(self.history.new_value()),
            5 => Request::Claim(self.history.new_value()),
            6 if self.random.chance(500) => Request::Remove,
            _ => Request::Read,
        }
    }

    /// Writes down a call.
    fn note(&self, call: Call, words: Words, told: Option<Told>) {
        let Words::Until(terms) = words else { return self.history.add(call) };
        let deadline = told.map_or(terms.unanswered(), |told| told.deadline);
        if let Err(why) = self.history.add_until(call, deadline) {
            self.trace.violation(format_args!("{why}"));
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
        words: Words,
        mut hint: Option<MachineId>,
    ) -> Option<MachineId> {
        let name = subject.name.escape_ascii().to_string();
        for _ in 0..ATTEMPTS {
            // What was refused before did not happen.
            let since = self.trace.now().saturating_sub(words.staleness());
            let call = begin(self.number, &subject.name, request, since);
            let Some(machine) = hint.or_else(|| self.directory.any(&mut self.random)) else {
                break;
            };
            let told = self.attempt(machine, subject, request, words).await;
            self.trace
                .note(format_args!("c{} m{machine} {name} {request:?}: {told:?}", self.number));
            match told {
                Ok(told) => {
                    let call = answered(call, told.answer, self.trace.now());
                    self.note(call, words, Some(told));
                    return Some(machine);
                }
                Err(Refused::Unknown) => {
                    self.note(call, words, None);
                    return None;
                }
                Err(Refused::Elsewhere(leader)) => hint = Some(leader),
                Err(Refused::NotNow) => hint = None,
                Err(Refused::Wrong(why)) => {
                    self.trace.violation(format_args!("machine {machine} answered wrongly: {why}"));
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
        machine: MachineId,
        subject: &Subject,
        request: Request,
        words: Words,
    ) -> Result<Told, Refused> {
        tokio::time::sleep(self.random.millis(0..=3)).await;
        let kept = self.connections.remove(&machine).filter(|kept| !kept.is_closed());
        let mut connection = match kept {
            Some(kept) => kept,
            // Refused connections ask for nothing.
            None => Connection::new(&self.directory.get(machine).ok_or(Refused::NotNow)?.server),
        };
        let asking = connection.request(subject, request, words);
        let patience = self.random.millis(PATIENCE);
        let told = tokio::time::timeout(patience, asking).await.map_err(|_| doubt(request))?;
        tokio::time::sleep(self.random.millis(0..=3)).await;
        // What a refused transaction leaves behind is gone with its connection.
        if told.is_ok() {
            self.connections.insert(machine, connection);
        }
        told
    }
}
