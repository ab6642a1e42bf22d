//! A conversation with a server: what was agreed on so far, and how to begin anew.
//!
//! Invariants:
//! - A command that was sent is never sent again: a connection that broke meanwhile leaves its
//!   outcome unknown, and that is said. Only if a node of a cluster says that another one has the keys, so that
//!   nothing was done, it is sent there, and the conversation goes on there.
//! - A new connection has the login, database and protocol of the old one, but no transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::{PushKind, Value, cmd, pack_command};

use super::complete::Commands;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::remote::{Broken, Effect, Endpoint, Link, Login, Moves, NodeAddress};

/// How often a wait for a reply looks whether the user still wants it.
const GLANCE: Duration = Duration::from_millis(100);
/// How long the prompt waits for what the server says of its commands.
const PATIENCE: Duration = Duration::from_secs(2);

/// Which types replies may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Strings, numbers, arrays.
    Resp2,
    /// Maps, sets, doubles, booleans and messages too.
    Resp3,
}

/// What is to be done with a reply that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It answers the command.
    Answer,
    /// It is one of many, and more may come at any time.
    Stream,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its reply came.
    Answered,
    /// The user did not want to wait for it any longer.
    Interrupted,
}

/// What came of asking one node.
enum Asked {
    Ended(End),
    /// It has not the keys: this one has.
    Elsewhere(NodeAddress),
}

/// A conversation.
pub struct Session {
    endpoint: Endpoint,
    link: Option<Link>,
    protocol: Protocol,
    /// Whether commands are gathered for EXEC.
    in_transaction: bool,
    /// Set when the user wants the prompt back; taken by whoever sees it.
    interrupted: Arc<AtomicBool>,
}

impl Session {
    /// A conversation that has not begun.
    pub fn new(endpoint: Endpoint, protocol: Protocol, interrupted: Arc<AtomicBool>) -> Session {
        Session { endpoint, link: None, protocol, in_transaction: false, interrupted }
    }

    /// What stands before the cursor.
    pub fn prompt(&self) -> String {
        if self.link.is_none() {
            return "not connected> ".to_owned();
        }
        let database = match self.endpoint.address.database {
            0 => String::new(),
            database => format!("[{database}]"),
        };
        let transaction = if self.in_transaction { "(TX)" } else { "" };
        format!("{}{database}{transaction}> ", self.endpoint.address)
    }

    /// How messages call the server.
    pub fn name(&self) -> String {
        self.endpoint.address.to_string()
    }

    /// What the server says of its commands; none without a connection.
    pub fn commands(&mut self) -> Option<Commands> {
        let link = self.link.as_mut()?;
        link.set_patience(Some(PATIENCE));
        let commands = Commands::of(link);
        link.set_patience(Some(GLANCE));
        // An answer that is late must not be taken for that to another question.
        if commands.is_err() {
            self.hang_up();
        }
        Some(commands.unwrap_or_default())
    }

    /// Whether the connection is open, as far as is known without waiting. One that is not is let
    /// go, with its transaction.
    pub fn is_connected(&mut self) -> bool {
        if self.link.as_ref().is_some_and(Link::is_closed) {
            self.hang_up();
        }
        self.link.is_some()
    }

    /// Whether a transaction is open.
    pub fn is_in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// Connects, logs in and agrees on the protocol.
    ///
    /// # Errors
    /// As [`Endpoint::connect`].
    pub fn connect(&mut self) -> Result<()> {
        self.hang_up();
        let mut link = self.endpoint.connect()?;
        if self.protocol == Protocol::Resp3 {
            link.ask(cmd("HELLO").arg(3), Effect::Reads)?;
        }
        link.set_patience(Some(GLANCE));
        self.link = Some(link);
        Ok(())
    }

    /// Connects without the login, which was refused.
    ///
    /// # Errors
    /// As [`connect`](Session::connect).
    pub fn connect_as_nobody(&mut self) -> Result<()> {
        self.endpoint.login = None;
        let protocol = std::mem::replace(&mut self.protocol, Protocol::Resp2);
        let connected = self.connect();
        self.protocol = protocol;
        connected
    }

    fn hang_up(&mut self) {
        self.link = None;
        self.in_transaction = false;
    }

    /// Sends a command and gives `show` its reply, or each message of an endless one.
    ///
    /// # Errors
    /// [`Exit::Unreachable`] and [`Exit::OutcomeUnknown`], after which the conversation has ended;
    /// what `show` gives.
    pub fn ask(
        &mut self,
        words: &[Vec<u8>],
        show: &mut dyn FnMut(&Value, Stage) -> Result<()>,
    ) -> Result<End> {
        let mut moves = Moves::default();
        loop {
            match self.ask_here(words, &mut moves, show)? {
                Asked::Ended(end) => return Ok(end),
                Asked::Elsewhere(place) => self.go_to(&place)?,
            }
        }
    }

    /// Goes on with another node of the cluster. If it cannot be reached, the next connection is to the old one.
    fn go_to(&mut self, place: &NodeAddress) -> Result<()> {
        let there = self.endpoint.at(place);
        let here = std::mem::replace(&mut self.endpoint, there);
        self.connect().inspect_err(|_| self.endpoint = here)
    }

    fn ask_here(
        &mut self,
        words: &[Vec<u8>],
        moves: &mut Moves,
        show: &mut dyn FnMut(&Value, Stage) -> Result<()>,
    ) -> Result<Asked> {
        let mut link = self.link.take().ok_or_else(|| {
            Failure::new(Exit::Unreachable, format!("not connected to {}", self.name()))
        })?;
        self.interrupted.store(false, Ordering::Relaxed);
        if let Err(broken) = link.send(&pack_command(words)) {
            self.hang_up();
            return Err(link.lost(&broken, Effect::Reads));
        }
        let mut stage = Stage::Answer;
        let mut left = expected_replies(words);
        loop {
            match link.receive() {
                Ok(value) => {
                    let is_message = is_message(&value);
                    if let Value::ServerError(error) = &value
                        && !self.in_transaction
                        && let Some(place) = moves.next(error)
                    {
                        return Ok(Asked::Elsewhere(place));
                    }
                    if stage == Stage::Answer && !is_message {
                        left = left.saturating_sub(1);
                        self.learn(words, &value);
                    }
                    if is_endless(words, &value) && left == 0 {
                        stage = Stage::Stream;
                    }
                    show(&value, stage)?;
                    if stage == Stage::Answer && left == 0 && !is_message {
                        self.link = Some(link);
                        return Ok(Asked::Ended(End::Answered));
                    }
                }
                Err(Broken::Silent) if !self.interrupted.swap(false, Ordering::Relaxed) => {}
                Err(Broken::Silent) => {
                    // The reply may still come: only a new connection is free of it.
                    drop(link);
                    self.connect()?;
                    return Ok(Asked::Ended(End::Interrupted));
                }
                Err(broken) => {
                    self.hang_up();
                    return Err(link.lost(&broken, effect(words)));
                }
            }
        }
    }

    /// Takes note of what a command has changed about the conversation.
    fn learn(&mut self, words: &[Vec<u8>], reply: &Value) {
        let is_done = *reply == Value::Okay;
        let lowered = lowered(words);
        let lowered: Vec<&str> = lowered.iter().map(String::as_str).collect();
        match lowered[..] {
            ["multi"] if is_done => self.in_transaction = true,
            ["exec" | "discard"] => self.in_transaction = false,
            ["reset"] if !matches!(reply, Value::ServerError(_)) => {
                self.in_transaction = false;
                self.endpoint.address.database = 0;
                self.protocol = Protocol::Resp2;
                self.endpoint.login = None;
            }
            ["select", number] if is_done => {
                let number = number.parse().unwrap_or(self.endpoint.address.database);
                self.endpoint.address.database = number;
            }
            ["auth", ..] if is_done => self.endpoint.login = login(&words[1..]),
            ["hello", version, ref rest @ ..] if !matches!(reply, Value::ServerError(_)) => {
                self.protocol = if version == "3" { Protocol::Resp3 } else { Protocol::Resp2 };
                if let Some(at) = rest.iter().position(|word| *word == "auth") {
                    // After HELLO, the version and AUTH.
                    self.endpoint.login = words.get(at + 3..at + 5).and_then(login);
                }
            }
            _ => {}
        }
    }
}

/// Words as names and options are compared. What is not text is neither.
fn lowered(words: &[Vec<u8>]) -> Vec<String> {
    words.iter().map(|word| String::from_utf8_lossy(word).to_ascii_lowercase()).collect()
}

fn login(words: &[Vec<u8>]) -> Option<Login> {
    let text = |word: &[u8]| String::from_utf8(word.to_vec()).ok();
    match words {
        [password] => Some(Login { user: None, password: password.clone() }),
        [user, password] => Some(Login { user: text(user), password: password.clone() }),
        _ => None,
    }
}

/// Whether a command changes nothing, so that losing its reply is no more than that. Only those that
/// are asked most are known.
fn effect(words: &[Vec<u8>]) -> Effect {
    const READING: [&str; 18] = [
        "get",
        "mget",
        "ttl",
        "pttl",
        "exists",
        "strlen",
        "getrange",
        "type",
        "keys",
        "scan",
        "dbsize",
        "info",
        "ping",
        "echo",
        "command",
        "time",
        "monitor",
        "subscribe",
    ];
    let is_reading = words.first().is_some_and(|word| {
        READING.iter().any(|known| word.eq_ignore_ascii_case(known.as_bytes()))
    });
    if is_reading { Effect::Reads } else { Effect::Writes }
}

fn is_named(words: &[Vec<u8>], names: &[&str]) -> bool {
    words
        .first()
        .is_some_and(|word| names.iter().any(|name| word.eq_ignore_ascii_case(name.as_bytes())))
}

const SUBSCRIBING: [&str; 3] = ["subscribe", "psubscribe", "ssubscribe"];

/// How many replies a command has: one for each channel that is listened to.
fn expected_replies(words: &[Vec<u8>]) -> usize {
    if is_named(words, &SUBSCRIBING) { (words.len() - 1).max(1) } else { 1 }
}

/// Whether `reply` is the first of many.
fn is_endless(words: &[Vec<u8>], reply: &Value) -> bool {
    match reply {
        Value::ServerError(_) => false,
        Value::SimpleString(text) if text == "QUEUED" => false,
        _ => is_named(words, &["monitor"]) || is_named(words, &SUBSCRIBING),
    }
}

/// Whether a reply was not asked for. Subscriptions are confirmed by messages, too.
fn is_message(value: &Value) -> bool {
    matches!(value, Value::Push { kind, .. } if !matches!(
        kind,
        PushKind::Subscribe
            | PushKind::PSubscribe
            | PushKind::SSubscribe
            | PushKind::Unsubscribe
            | PushKind::PUnsubscribe
            | PushKind::SUnsubscribe
    ))
}

#[cfg(test)]
mod tests {
    use redis::parse_redis_value;

    use super::*;
    use crate::remote::Address;

    fn session() -> Session {
        let (address, patience) = (Address::local(), Duration::from_secs(1));
        let endpoint = Endpoint { address, login: None, tls: None, patience };
        Session::new(endpoint, Protocol::Resp2, Arc::default())
    }

    fn words(line: &str) -> Vec<Vec<u8>> {
        line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
    }

    fn learn(session: &mut Session, line: &str, reply: &str) {
        let reply = parse_redis_value(format!("{reply}\r\n").as_bytes()).unwrap();
        session.learn(&words(line), &reply);
    }

    #[test]
    fn what_was_agreed_on_is_kept_for_the_next_connection() {
        let mut session = session();
        learn(&mut session, "SELECT 3", "+OK");
        learn(&mut session, "select 4", "-ERR DB index is out of range");
        assert_eq!(session.endpoint.address.database, 3);
        learn(&mut session, "AUTH ann secret", "+OK");
        let login = session.endpoint.login.clone().unwrap();
        assert_eq!((login.user.as_deref(), &login.password[..]), (Some("ann"), &b"secret"[..]));
        learn(&mut session, "auth wrong", "-WRONGPASS");
        assert!(session.endpoint.login == Some(login));
        learn(&mut session, "HELLO 3 AUTH bob other", "%0");
        assert_eq!(session.protocol, Protocol::Resp3);
        assert!(session.endpoint.login.as_ref().unwrap().password == b"other");
        learn(&mut session, "hello 2", "*0");
        assert_eq!(session.protocol, Protocol::Resp2);
        assert!(session.endpoint.login.is_some());
        learn(&mut session, "reset", "+RESET");
        assert!(session.endpoint.login.is_none() && session.endpoint.address.database == 0);
    }

    #[test]
    fn transactions_begin_and_end() {
        let mut session = session();
        learn(&mut session, "multi", "+OK");
        learn(&mut session, "select 3", "+QUEUED");
        assert!(session.is_in_transaction() && session.endpoint.address.database == 0);
        learn(&mut session, "EXEC", "-EXECABORT");
        assert!(!session.is_in_transaction());
    }

    #[test]
    fn some_commands_have_many_replies() {
        assert_eq!(expected_replies(&words("SUBSCRIBE a b")), 2);
        assert_eq!(expected_replies(&words("get a b")), 1);
        assert!(is_endless(&words("monitor"), &Value::Okay));
        assert!(!is_endless(&words("monitor"), &Value::SimpleString("QUEUED".to_owned())));
        assert!(!is_endless(&words("get k"), &Value::Okay));
    }

    #[test]
    fn the_prompt_says_when_there_is_no_connection() {
        assert_eq!(session().prompt(), "not connected> ");
    }
}
