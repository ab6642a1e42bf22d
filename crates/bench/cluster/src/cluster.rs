//! A client of a cluster that speaks the Redis protocol, or of one server that does.
//!
//! ```text
//!  key ─▶ slot ─▶ map ─▶ node ─▶ one connection of this client ─▶ OK
//!                  ▲                        │
//!                  │                        ├─ MOVED: ask for a new map, then whom it named
//!                  └── CLUSTER SLOTS ◀──────┴─ gone, CLUSTERDOWN, TRYAGAIN: a new map, a pause, again
//! ```
//!
//! The map is shared: of many clients that were told `MOVED` at once, one asks for a new one.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::load::{Client, Request};
use crate::options::Options;
use crate::resp::{Connection, Reply, write_request};
use crate::tally::Tally;

const SLOTS: usize = 16_384;
/// Before what failed is tried again.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a node may take to show its map.
const MAP_TIMEOUT: Duration = Duration::from_millis(500);
/// Answers after which another attempt may succeed: nothing was done, and it passes.
const PASSING: [&[u8]; 6] =
    [b"TRYAGAIN", b"CLUSTERDOWN", b"LOADING", b"MASTERDOWN", b"READONLY", b"BUSY"];

/// Whether there is a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    Slots,
    /// Everything is the first endpoint's.
    OneNode,
}

/// A node's place in [`Shared::names`], where it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NodeIndex(usize);

struct SlotMap {
    version: u64,
    owners: Vec<Option<NodeIndex>>,
}

/// What all clients know of the cluster.
pub struct Shared {
    routing: Routing,
    /// Addresses of nodes, the endpoints first.
    names: RwLock<Vec<String>>,
    map: RwLock<Arc<SlotMap>>,
    refreshing: Mutex<()>,
    timeout: Duration,
    patience: Duration,
}

impl Shared {
    /// Asks the endpoints for a map.
    pub async fn discover(options: &Options, routing: Routing) -> Result<Arc<Shared>, String> {
        let owner = (routing == Routing::OneNode).then_some(NodeIndex(0));
        let shared = Arc::new(Shared {
            routing,
            names: RwLock::new(options.endpoints.clone()),
            map: RwLock::new(Arc::new(SlotMap { version: 0, owners: vec![owner; SLOTS] })),
            refreshing: Mutex::new(()),
            timeout: options.timeout(),
            patience: options.patience(),
        });
        if routing == Routing::Slots {
            shared.refresh(0).await;
            if shared.map().owners.iter().all(Option::is_none) {
                return Err("no endpoint says who owns a slot".to_owned());
            }
        }
        Ok(shared)
    }

    fn map(&self) -> Arc<SlotMap> {
        Arc::clone(&self.map.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn name(&self, node: NodeIndex) -> String {
        self.names.read().unwrap_or_else(PoisonError::into_inner)[node.0].clone()
    }

    fn index_of(&self, address: &str) -> NodeIndex {
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        let known = names.iter().position(|name| name == address);
        NodeIndex(known.unwrap_or_else(|| {
            names.push(address.to_owned());
            names.len() - 1
        }))
    }

    /// Gets a new map, unless somebody has since the one of this version.
    async fn refresh(&self, version: u64) {
        let _one_at_a_time = self.refreshing.lock().await;
        if self.routing == Routing::OneNode || self.map().version > version {
            return;
        }
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner).clone();
        // Not always the same first: it may be the one that is cut off.
        let first = version as usize % names.len();
        for name in names.iter().cycle().skip(first).take(names.len()) {
            let asked = tokio::time::timeout(MAP_TIMEOUT, self.ask(name)).await;
            if let Ok(Ok(owners)) = asked {
                let map = Arc::new(SlotMap { version: version + 1, owners });
                *self.map.write().unwrap_or_else(PoisonError::into_inner) = map;
                return;
            }
        }
    }

    async fn ask(&self, address: &str) -> std::io::Result<Vec<Option<NodeIndex>>> {
        let mut connection = Connection::open(address).await?;
        let mut out = Vec::new();
        write_request(&mut out, &[b"CLUSTER", b"SLOTS"]);
        connection.send(&out).await?;
        let owners = connection.receive(|reply| self.owners(reply, address)).await?;
        owners.ok_or_else(|| std::io::ErrorKind::InvalidData.into())
    }

    /// Who owns which slot, from the answer to `CLUSTER SLOTS`; none if it says nothing of any.
    fn owners(&self, reply: &Reply<'_>, asked: &str) -> Option<Vec<Option<NodeIndex>>> {
        let Reply::Array(entries) = reply else { return None };
        let mut owners = vec![None; SLOTS];
        for entry in entries {
            let Reply::Array(fields) = entry else { return None };
            let [Reply::Integer(first), Reply::Integer(last), Reply::Array(master), ..] =
                fields.as_slice()
            else {
                return None;
            };
            let [Reply::Bulk(host), Reply::Integer(port), ..] = master.as_slice() else {
                return None;
            };
            // A node that does not know its host means the one it was asked under.
            let host = host.filter(|host| !host.is_empty()).map(String::from_utf8_lossy);
            let asked_host = || asked.rsplit_once(':').map_or(asked, |(host, _)| host).into();
            let node = self.index_of(&format!("{}:{port}", host.unwrap_or_else(asked_host)));
            let range = usize::try_from(*first).ok()?..=usize::try_from(*last).ok()?;
            owners.get_mut(range)?.fill(Some(node));
        }
        owners.iter().any(Option::is_some).then_some(owners)
    }
}

/// What came of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answered {
    Done,
    Missing,
    Moved(String),
    /// Nothing was done, for now.
    Refused(String),
    Failed(String),
}

fn answered(reply: &Reply<'_>) -> Answered {
    let Reply::Error(text) = reply else {
        return if *reply == Reply::Bulk(None) { Answered::Missing } else { Answered::Done };
    };
    let said = String::from_utf8_lossy(text).into_owned();
    if text.starts_with(b"MOVED ") {
        let address = said.rsplit(' ').next().unwrap_or_default();
        return Answered::Moved(address.to_owned());
    }
    match PASSING.iter().any(|word| text.starts_with(word)) {
        true => Answered::Refused(said),
        false => Answered::Failed(said),
    }
}

pub struct WireClient {
    shared: Arc<Shared>,
    map: Arc<SlotMap>,
    /// By [`NodeIndex`].
    connections: Vec<Option<Connection>>,
    out: Vec<u8>,
}

/// What is left of a batch.
struct Rest {
    /// Which requests, and to whom besides what the map says.
    pending: Vec<(usize, Option<NodeIndex>)>,
    /// Why the last attempt did not succeed.
    why: String,
    /// Whether to wait before the next.
    pause: bool,
}

impl WireClient {
    pub fn new(shared: Arc<Shared>) -> WireClient {
        let map = shared.map();
        WireClient { shared, map, connections: Vec::new(), out: Vec::new() }
    }

    fn owner(&self, key: &[u8]) -> Option<NodeIndex> {
        self.map.owners[slot_of(key)]
    }

    /// Sends these requests to a node and hands each answer to `take`; an error if not all came.
    async fn exchange(
        &mut self,
        node: NodeIndex,
        batch: &[Request],
        which: &[usize],
        answers: &mut Vec<Answered>,
    ) -> std::io::Result<()> {
        if self.connections.len() <= node.0 {
            self.connections.resize_with(node.0 + 1, || None);
        }
        self.out.clear();
        for request in which.iter().map(|&index| &batch[index]) {
            match &request.value {
                Some(value) => write_request(&mut self.out, &[b"SET", &request.key, value]),
                None => write_request(&mut self.out, &[b"GET", &request.key]),
            }
        }
        // Taken out: if this fails or is given up, it is of no more use.
        let mut connection = match self.connections[node.0].take() {
            Some(connection) => connection,
            None => Connection::open(&self.shared.name(node)).await?,
        };
        connection.send(&self.out).await?;
        for _ in which {
            answers.push(connection.receive(answered).await?);
        }
        self.connections[node.0] = Some(connection);
        Ok(())
    }

    /// One attempt at what is left; says how many succeeded.
    async fn attempt(&mut self, batch: &[Request], rest: &mut Rest, tally: &mut Tally) -> usize {
        // Few nodes, and mostly one.
        let mut targets: Vec<(Option<NodeIndex>, Vec<usize>)> = Vec::with_capacity(1);
        for (index, named) in std::mem::take(&mut rest.pending) {
            let node = named.or_else(|| self.owner(&batch[index].key));
            match targets.iter_mut().find(|(target, _)| *target == node) {
                Some((_, which)) => which.push(index),
                None => targets.push((node, vec![index])),
            }
        }
        let mut done = 0;
        for (node, which) in targets {
            let mut answers = Vec::with_capacity(which.len());
            let sent = match node {
                Some(node) => {
                    let limit = self.shared.timeout;
                    let exchange = self.exchange(node, batch, &which, &mut answers);
                    let sent = tokio::time::timeout(limit, exchange).await;
                    sent.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
                }
                None => Err(std::io::Error::other("nobody owns the slot")),
            };
            let unanswered = &which[answers.len()..];
            if let Err(error) = sent {
                match error.kind() {
                    std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::Other => {
                        tally.refused += unanswered.len() as u64;
                    }
                    _ => tally.lost += unanswered.len() as u64,
                }
                rest.why = error.to_string();
                rest.pause = true;
                rest.pending.extend(unanswered.iter().map(|&index| (index, None)));
            }
            for (index, answer) in which.into_iter().zip(answers) {
                done += self.settle(index, answer, rest, tally);
            }
        }
        done
    }

    fn settle(&self, index: usize, answer: Answered, rest: &mut Rest, tally: &mut Tally) -> usize {
        match answer {
            Answered::Done => return 1,
            Answered::Missing => {
                tally.missing += 1;
                return 1;
            }
            Answered::Moved(address) => {
                tally.redirects += 1;
                let node = self.shared.index_of(&address);
                rest.why = format!("moved to {address}");
                rest.pending.push((index, Some(node)));
            }
            Answered::Refused(why) => {
                tally.refused += 1;
                rest.why = why;
                rest.pause = true;
                rest.pending.push((index, None));
            }
            Answered::Failed(why) => tally.fail(1, why),
        }
        0
    }
}

impl Client for WireClient {
    async fn carry_out(&mut self, batch: &[Request], tally: &mut Tally) -> usize {
        let begun = Instant::now();
        self.map = self.shared.map();
        let pending = (0..batch.len()).map(|index| (index, None)).collect();
        let mut rest = Rest { pending, why: String::new(), pause: false };
        let mut done = 0;
        for attempt in 0_u32.. {
            // Two nodes that each name the other are not asked in haste.
            if std::mem::take(&mut rest.pause) || attempt > 2 {
                tokio::time::sleep(PAUSE).await;
            }
            done += self.attempt(batch, &mut rest, tally).await;
            if rest.pending.is_empty() {
                break;
            }
            if begun.elapsed() > self.shared.patience {
                tally.fail(rest.pending.len(), rest.why);
                break;
            }
            self.shared.refresh(self.map.version).await;
            self.map = self.shared.map();
        }
        done
    }

    fn together(&self, one: &[u8], other: &[u8]) -> bool {
        self.owner(one) == self.owner(other)
    }
}

/// The slot of a key without braces, which ours are.
fn slot_of(key: &[u8]) -> usize {
    let fold = |crc: u16, byte: &u8| (crc << 8) ^ CRC16[usize::from((crc >> 8) as u8 ^ byte)];
    usize::from(key.iter().fold(0, fold)) % SLOTS
}

/// CRC-16/XMODEM, a byte at a time.
const CRC16: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        for (key, slot) in [("123456789", 12_739), ("foo", 12_182), ("bar", 5_061)] {
            assert_eq!(slot_of(key.as_bytes()), slot, "{key}");
        }
    }

    #[test]
    fn what_answers_mean() {
        let moved = Answered::Moved("127.0.0.1:7002".to_owned());
        assert_eq!(answered(&Reply::Error(b"MOVED 3999 127.0.0.1:7002")), moved);
        assert_eq!(answered(&Reply::Simple(b"OK")), Answered::Done);
        assert_eq!(answered(&Reply::Bulk(None)), Answered::Missing);
        let refused = answered(&Reply::Error(b"TRYAGAIN the leader has changed"));
        assert!(matches!(refused, Answered::Refused(_)));
        let failed = answered(&Reply::Error(b"UNKNOWN it may be done"));
        assert!(matches!(failed, Answered::Failed(_)));
    }
}
