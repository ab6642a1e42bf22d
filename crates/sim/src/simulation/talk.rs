//! Requests in the words of the protocol: one command, several, or a transaction.
//!
//! ```text
//!  Add 1   INCRBY k 1  │  MULTI, INCRBY k 1, EXEC  │  WATCH k, GET k ─ later ─▶ MULTI, SET k 8, EXEC
//! ```
//!
//! A *pair* is two keys that are only written together, so that half of a batch would show: it has a value
//! if both have the same one.

use std::time::Duration;

use aryavarth_check::{Answer, Request};
use aryavarth_cluster::{ShardCount, Slot};
use aryavarth_replication::ShardId;
use aryavarth_script::{self as script, Reply};
use aryavarth_server::simulation::{ClientEnd, SimServer};

use super::expiry::{self, Deadline, Terms};
use super::machine::MachineId;
use super::random::Random;

/// Why a client is told nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It did not happen; the node of this machine leads.
    Elsewhere(MachineId),
    /// It did not happen.
    NotNow,
    /// It may have happened.
    Unknown,
    /// No server may answer like this.
    Wrong(String),
}

/// What requests are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its name, by which its history is kept.
    pub name: Vec<u8>,
    /// Its key, or its keys if it is a pair.
    keys: Vec<Vec<u8>>,
}

impl Subject {
    /// A subject of a shard, by its number. Every other one is a pair.
    pub fn new(shards: ShardCount, shard: ShardId, number: u8) -> Subject {
        let name = format!("{{{}}}{number}", tag_of(shards, shard)).into_bytes();
        let half = |which: &[u8]| [&name, which].concat();
        let keys = match number % 2 {
            0 => vec![name.clone()],
            _ => vec![half(b"a"), half(b"b")],
        };
        Subject { name, keys }
    }

    /// A subject of a shard that expires, by its number: one key.
    pub fn expiring(shards: ShardCount, shard: ShardId, number: u8) -> Subject {
        let name = format!("{{{}}}x{number}", tag_of(shards, shard)).into_bytes();
        Subject { keys: vec![name.clone()], name }
    }
}

/// A hash tag of a shard's keys.
fn tag_of(shards: ShardCount, shard: ShardId) -> String {
    let owns = |tag: &String| shards.shard_of(Slot::of(tag.as_bytes())) == shard;
    (0..).map(|tag| format!("t{tag}")).find(owns).unwrap_or_default()
}

/// What a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The answer.
    pub answer: Answer,
    /// The deadline of the value that is there, if it was told.
    pub deadline: Option<Deadline>,
}

impl From<Answer> for Told {
    fn from(answer: Answer) -> Told {
        Told { answer, deadline: None }
    }
}

/// In which words something is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// One command, where one can do it.
    Plain,
    /// A transaction, where there is one.
    Transaction,
    /// A look first, some time to think, and a transaction that fails if what was seen has changed.
    Watched(Duration),
    /// With a deadline.
    Until(Terms),
    /// Of any replica, if what it has is not older than this.
    Stale(Duration),
}

/// How much longer a span may be than the slowest clock shows, in thousandths.
const SLOWNESS: u128 = 1_050;

impl Words {
    /// By how many microseconds what is read may be older than the request.
    pub fn staleness(self) -> u64 {
        let Words::Stale(bound) = self else { return 0 };
        u64::try_from(bound.as_micros() * SLOWNESS / 1_000).unwrap_or(u64::MAX)
    }

    /// Some words.
    pub fn any(random: &mut Random) -> Words {
        match random.below(3) {
            0 => Words::Plain,
            1 => Words::Transaction,
            _ => {
                let longest = *random.pick(&[5, 5, 50, 1_000]);
                Words::Watched(random.millis(0..=longest))
            }
        }
    }
}

/// A connection to a node.
pub struct Connection {
    end: ClientEnd,
    received: Vec<u8>,
}

/// The node closed the connection.
#[derive(Clone, Copy, Debug)]
struct Closed;

/// A command, in words.
pub type Command = Vec<Vec<u8>>;

/// A command of these words.
pub fn command(words: &[&[u8]]) -> Command {
    words.iter().map(|word| word.to_vec()).collect()
}

impl Connection {
    /// A new one.
    pub fn new(server: &SimServer) -> Connection {
        Connection { end: server.connect(), received: Vec::new() }
    }

    /// Whether the node has closed it.
    pub fn is_closed(&self) -> bool {
        self.end.is_closed()
    }

    /// Sends commands, and waits for all replies.
    async fn ask(&mut self, commands: &[Command]) -> Result<Vec<Reply>, Closed> {
        self.end
            .send(&commands.iter().flat_map(|words| script::request(words)).collect::<Vec<_>>());
        let mut replies = Vec::new();
        while replies.len() < commands.len() {
            match script::take(&mut self.received) {
                Some(reply) => replies.push(reply),
                None => {
                    let more = self.end.receive().await.ok_or(Closed)?;
                    self.received.extend_from_slice(&more);
                }
            }
        }
        Ok(replies)
    }

    /// Sends commands of which the last one decides.
    async fn decide(&mut self, request: Request, commands: &[Command]) -> Result<Reply, Refused> {
        let mut replies = self.ask(commands).await.map_err(|Closed| doubt(request))?;
        let last = replies.pop().unwrap_or(Reply::Null);
        let first = replies.iter().find_map(|reply| match reply {
            Reply::Error(text) => Some(text.clone()),
            _ => None,
        });
        match (last, first) {
            // Why a transaction was not run is told by what spoilt it.
            (Reply::Error(last), Some(first)) if last.starts_with("EXECABORT") => {
                Err(refusal(&first))
            }
            (Reply::Error(text), _) => Err(refusal(&text)),
            (last, None) => Ok(last),
            (Reply::Array(done), Some(first)) if ends_transaction(commands) => {
                Err(Refused::Wrong(format!("{first}, and yet {done:?}")))
            }
            (_, Some(first)) => Err(refusal(&first)),
        }
    }

    /// Asks for something.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn request(
        &mut self,
        subject: &Subject,
        request: Request,
        words: Words,
    ) -> Result<Told, Refused> {
        if let (Request::Add(more), Words::Watched(think)) = (request, words) {
            return Ok(self.add_watched(subject, more, think).await?.into());
        }
        if let Words::Stale(bound) = words {
            return Ok(self.read_stale(subject, bound).await?.into());
        }
        if let Words::Until(terms) = words {
            return self.request_until(subject, request, terms).await;
        }
        let multi = words == Words::Transaction || matches!(request, Request::Add(_));
        let multi = multi && (subject.keys.len() > 1 || words == Words::Transaction);
        let commands = commands(subject, request, multi);
        let is_transaction = commands.len() > 1;
        let reply = self.decide(request, &commands).await?;
        let answers = match reply {
            Reply::Array(parts) if is_transaction => parts,
            reply if !is_transaction => vec![reply],
            reply => return Err(Refused::Wrong(format!("{request:?}: {reply:?}"))),
        };
        // What a damaged disk kept from being read was not read. A write is done whole or not at all.
        let error = answers.iter().find(|answer| matches!(answer, Reply::Error(_)));
        if let (Request::Read, Some(Reply::Error(text))) = (request, error) {
            return Err(refusal(text));
        }
        Ok(answer(subject, request, &answers)?.into())
    }

    /// Reads from this node, whether it leads or not.
    async fn read_stale(&mut self, subject: &Subject, bound: Duration) -> Result<Answer, Refused> {
        let bound = bound.as_millis().to_string();
        let begin = command(&[b"READONLY", b"MAXSTALENESS", bound.as_bytes()]);
        let mut look = commands(subject, Request::Read, false);
        look.insert(0, begin);
        let seen = self.decide(Request::Read, &look).await?;
        let end = self.decide(Request::Read, &[command(&[b"READWRITE"])]).await?;
        match end == Reply::Simple("OK".into()) {
            true => answer(subject, Request::Read, &[seen]),
            false => Err(Refused::Wrong(format!("READWRITE: {end:?}"))),
        }
    }

    /// Asks for something of a key that expires.
    async fn request_until(
        &mut self,
        subject: &Subject,
        request: Request,
        terms: Terms,
    ) -> Result<Told, Refused> {
        let commands = expiry::commands(&subject.name, request, terms);
        let reply = self.decide(request, &commands).await?;
        let Reply::Array(replies) = reply else {
            return Err(Refused::Wrong(format!("{request:?}: {reply:?}")));
        };
        if let Some(Reply::Error(text)) = replies.iter().find(|one| matches!(one, Reply::Error(_)))
        {
            return Err(refusal(text));
        }
        let (answer, deadline) = expiry::answer(request, &replies)?;
        Ok(Told { answer, deadline })
    }

    /// Adds by setting the sum, unless what was read has changed meanwhile.
    async fn add_watched(
        &mut self,
        subject: &Subject,
        more: u64,
        think: Duration,
    ) -> Result<Answer, Refused> {
        let mut look = vec![[vec![b"WATCH".to_vec()], subject.keys.clone()].concat()];
        look.extend(commands(subject, Request::Read, false));
        // Until here nothing happens.
        let seen = self.decide(Request::Read, &look).await?;
        let Answer::Value(before) = answer(subject, Request::Read, &[seen])? else {
            return Err(Refused::Wrong("a read does not tell a value".into()));
        };
        tokio::time::sleep(think).await;
        let sum = before.unwrap_or(0).wrapping_add(more);
        let request = Request::Set(sum);
        match self.decide(request, &commands(subject, request, true)).await? {
            Reply::Array(_) => Ok(Answer::Sum(sum)),
            Reply::Null => Err(Refused::NotNow),
            reply => Err(Refused::Wrong(format!("EXEC: {reply:?}"))),
        }
    }
}

fn ends_transaction(commands: &[Command]) -> bool {
    commands.last().is_some_and(|words| words == &[b"EXEC".to_vec()])
}

/// What is known if there is no answer.
pub fn doubt(request: Request) -> Refused {
    if request == Request::Read { Refused::NotNow } else { Refused::Unknown }
}

/// The commands of a request, in a transaction or not.
fn commands(subject: &Subject, request: Request, transaction: bool) -> Vec<Command> {
    let keys: Vec<&[u8]> = subject.keys.iter().map(Vec::as_slice).collect();
    let each = |before: &[&[u8]], after: &[&[u8]]| -> Vec<Command> {
        keys.iter().map(|key| command(&[before, &[*key], after].concat())).collect()
    };
    let all = |name: &[u8]| vec![command(&[&[name][..], &keys[..]].concat())];
    let all_with = |name: &[u8], value: &[u8]| {
        let pairs = keys.iter().flat_map(|key| [*key, value]);
        vec![command(&[name].into_iter().chain(pairs).collect::<Vec<_>>())]
    };
    let number = |value: u64| value.to_string().into_bytes();
    let is_pair = keys.len() > 1;
    let inner = match request {
        Request::Read if is_pair && !transaction => all(b"MGET"),
        Request::Read => each(&[b"GET"], &[]),
        Request::Set(value) if is_pair && !transaction => all_with(b"MSET", &number(value)),
        Request::Set(value) => each(&[b"SET"], &[&number(value)]),
        Request::Add(more) => each(&[b"INCRBY"], &[&number(more)]),
        Request::Remove => all(b"DEL"),
        Request::Claim(value) if is_pair => all_with(b"MSETNX", &number(value)),
        Request::Claim(value) => each(&[b"SET"], &[&number(value), b"NX"]),
        Request::Replace(_) | Request::Expire(_) => unreachable!("asked of keys that expire only"),
    };
    if !transaction {
        return inner;
    }
    let (begin, end) = (command(&[b"MULTI"]), command(&[b"EXEC"]));
    [vec![begin], inner, vec![end]].concat()
}

/// What the replies to the commands of a request say.
fn answer(subject: &Subject, request: Request, replies: &[Reply]) -> Result<Answer, Refused> {
    let wrong = || Refused::Wrong(format!("{request:?} of {:?}: {replies:?}", subject.keys));
    // Both of a pair are told at once.
    let replies = match replies {
        [Reply::Array(parts)] => parts,
        replies => replies,
    };
    let mut answers = replies.iter().map(|reply| one(subject, request, reply));
    let first = answers.next().flatten().ok_or_else(wrong)?;
    if answers.all(|other| other == Some(first)) { Ok(first) } else { Err(wrong()) }
}

fn one(subject: &Subject, request: Request, reply: &Reply) -> Option<Answer> {
    let pair = i64::try_from(subject.keys.len()).ok()?;
    Some(match (request, reply) {
        (Request::Read, Reply::Null) => Answer::Value(None),
        (Request::Read, Reply::Bulk(value)) => {
            Answer::Value(Some(std::str::from_utf8(value).ok()?.parse().ok()?))
        }
        (Request::Set(_), Reply::Simple(ok)) if ok == "OK" => Answer::Done,
        (Request::Add(_), Reply::Integer(sum)) => Answer::Sum(u64::try_from(*sum).ok()?),
        (Request::Remove, Reply::Integer(0)) => Answer::Removed(false),
        (Request::Remove, Reply::Integer(count)) if *count == pair => Answer::Removed(true),
        (Request::Claim(_), Reply::Simple(ok)) if ok == "OK" => Answer::Claimed(true),
        (Request::Claim(_), Reply::Null | Reply::Integer(0)) => Answer::Claimed(false),
        (Request::Claim(_), Reply::Integer(1)) => Answer::Claimed(true),
        _ => return None,
    })
}

/// What an error says was done.
fn refusal(text: &str) -> Refused {
    let text = text.strip_prefix("EXECABORT Transaction discarded because of: ").unwrap_or(text);
    match text.split(' ').next().unwrap_or_default() {
        "MOVED" => named(text).map_or(Refused::Wrong(text.to_owned()), Refused::Elsewhere),
        "TRYAGAIN" | "CLUSTERDOWN" | "MISCONF" | "READONLY" | "IOERR" => Refused::NotNow,
        "UNKNOWN" => Refused::Unknown,
        // Of a node that passes requests on: it does not this one, and names who leads.
        "ERR" if text.contains(" is not passed on: ") => {
            let named = text.rsplit(' ').next().and_then(machine_at);
            named.map_or(Refused::NotNow, Refused::Elsewhere)
        }
        _ => Refused::Wrong(text.to_owned()),
    }
}

/// The name by which clients find a machine.
pub fn host_of(machine: MachineId) -> String {
    format!("machine-{machine}")
}

/// The machine that a `MOVED` names.
fn named(text: &str) -> Option<MachineId> {
    machine_at(text.split(' ').nth(2)?)
}

/// The machine that clients find at an address.
fn machine_at(address: &str) -> Option<MachineId> {
    let (host, _) = address.split_once(':')?;
    host.strip_prefix("machine-")?.parse().ok().map(MachineId)
}
