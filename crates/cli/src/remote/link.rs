//! A connection on which commands are asked and answered.

use std::io::{self, Write};
use std::time::Duration;

use redis::{Cmd, Parser, ServerError, Value, cmd};

use super::cluster::{Moves, NodeAddress};
use super::endpoint::{Endpoint, Login};
use super::replies::{refusal, unexpected};
use super::wire::Wire;
use crate::exit::Exit;
use crate::failure::{Failure, Result};

/// What a command does if the server has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Reads,
    /// It changes something.
    Writes,
}

/// How a connection ended.
#[derive(Debug)]
pub enum Broken {
    /// The server closed it, or the network did.
    Closed,
    /// No answer in time; it may still come.
    Silent,
    /// What came is no reply.
    Garbled(String),
    /// The machine refused it.
    Io(io::Error),
}

/// An open connection. Replies come in the order in which commands were sent.
pub struct Link {
    wire: Wire,
    parser: Parser,
    name: String,
    patience: Duration,
    endpoint: Endpoint,
}

impl Link {
    /// Connects and logs in.
    ///
    /// # Errors
    /// As [`Endpoint::connect`].
    pub fn open(endpoint: &Endpoint) -> Result<Link> {
        let address = &endpoint.address;
        let (tls, patience) = (endpoint.tls.as_ref(), endpoint.patience);
        let wire = Wire::connect(&address.host, address.port, tls, patience)
            .map_err(|error| unreachable(endpoint, &error))?;
        let name = address.to_string();
        let endpoint = endpoint.clone();
        let mut link = Link { wire, parser: Parser::new(), name, patience, endpoint };
        link.greet()?;
        Ok(link)
    }

    /// Talks to another node of the cluster from here on.
    ///
    /// # Errors
    /// As [`Endpoint::connect`].
    pub fn go_to(&mut self, place: &NodeAddress) -> Result<()> {
        if self.place_of(place) != self.place() {
            *self = self.beside(place)?;
        }
        Ok(())
    }

    /// A connection to another node of the cluster, or one more to this.
    ///
    /// # Errors
    /// As [`Endpoint::connect`].
    pub fn beside(&self, place: &NodeAddress) -> Result<Link> {
        Link::open(&self.endpoint.at(place))
    }

    fn place(&self) -> NodeAddress {
        let address = &self.endpoint.address;
        NodeAddress { host: address.host.clone(), port: address.port }
    }

    /// Where a place is that this server named.
    pub fn place_of(&self, place: &NodeAddress) -> NodeAddress {
        let host = if place.host.is_empty() { self.place().host } else { place.host.clone() };
        NodeAddress { host, port: place.port }
    }

    /// How messages call the server.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn greet(&mut self) -> Result<()> {
        let mut greeting = Vec::new();
        let endpoint = &self.endpoint;
        let login = endpoint.login.as_ref().map(auth);
        let database = endpoint.address.database;
        let select = (database != 0).then(|| cmd("SELECT").arg(database).take());
        let steps: Vec<Cmd> = login.into_iter().chain(select).collect();
        for step in &steps {
            step.write_packed_command(&mut greeting);
        }
        // A courtesy to whoever lists clients; a server that does not know it may say so.
        let introductions = [("LIB-NAME", "aryavarth"), ("LIB-VER", env!("CARGO_PKG_VERSION"))];
        for (what, value) in introductions {
            let introduction = cmd("CLIENT").arg("SETINFO").arg(what).arg(value).take();
            introduction.write_packed_command(&mut greeting);
        }
        self.send(&greeting).map_err(|broken| self.lost(&broken, Effect::Reads))?;
        for _ in &steps {
            self.answer(Effect::Reads)?;
        }
        for _ in introductions {
            self.receive().map_err(|broken| self.lost(&broken, Effect::Reads))?;
        }
        Ok(())
    }

    /// Whether the server has closed the connection, as far as is known without waiting.
    pub fn is_closed(&self) -> bool {
        self.wire.is_closed()
    }

    /// Sends commands as they are packed.
    ///
    /// # Errors
    /// If not all of them were taken.
    pub fn send(&mut self, commands: &[u8]) -> std::result::Result<(), Broken> {
        self.wire.write_all(commands).and_then(|()| self.wire.flush()).map_err(Broken::of)
    }

    /// The next reply, or push message; an error reply is a reply.
    ///
    /// # Errors
    /// If none came in time. After [`Broken::Silent`] it may be asked for again.
    pub fn receive(&mut self) -> std::result::Result<Value, Broken> {
        self.parser.parse_value(&mut self.wire).map_err(|error| {
            if error.is_timeout() {
                Broken::Silent
            } else if error.is_connection_dropped() {
                Broken::Closed
            } else if error.is_io_error() {
                Broken::Io(io::Error::other(error.to_string()))
            } else {
                // In one line.
                let detail: Vec<String> =
                    error.to_string().split_whitespace().map(str::to_owned).collect();
                Broken::Garbled(detail.join(" "))
            }
        })
    }

    /// Waits at most this long for a reply from now on; none: for ever.
    pub fn set_patience(&mut self, patience: Option<Duration>) {
        // If the machine refuses, the old patience stays: slower to give up, or faster.
        let _ = self.wire.set_read_patience(patience);
    }

    /// Asks one command and gives its reply: that of the node that has its keys.
    ///
    /// # Errors
    /// What [`refusal`] makes of an error reply; [`lost`](Link::lost).
    pub fn ask(&mut self, command: &Cmd, effect: Effect) -> Result<Value> {
        let mut moves = Moves::default();
        loop {
            match self.try_ask(command, effect)? {
                Value::ServerError(error) => self.follow(&error, &mut moves)?,
                value => return Ok(value),
            }
        }
    }

    /// Asks one command and gives its reply, which may be an error reply.
    ///
    /// # Errors
    /// [`lost`](Link::lost).
    pub fn try_ask(&mut self, command: &Cmd, effect: Effect) -> Result<Value> {
        self.send(&command.get_packed_command())
            .map_err(|broken| self.lost(&broken, Effect::Reads))?;
        self.reply(effect)
    }

    /// Goes where an error reply says that the keys are.
    fn follow(&mut self, error: &ServerError, moves: &mut Moves) -> Result<()> {
        match moves.next(error) {
            Some(place) => self.go_to(&place),
            None => Err(refusal(error, &self.name)),
        }
    }

    /// The next reply.
    ///
    /// # Errors
    /// As [`ask`](Link::ask).
    pub fn answer(&mut self, effect: Effect) -> Result<Value> {
        match self.reply(effect)? {
            Value::ServerError(error) => Err(refusal(&error, &self.name)),
            value => Ok(value),
        }
    }

    /// The next reply, which may be an error reply.
    ///
    /// # Errors
    /// [`lost`](Link::lost).
    pub fn reply(&mut self, effect: Effect) -> Result<Value> {
        loop {
            match self.receive() {
                Ok(Value::Push { .. }) => {}
                Ok(value) => return Ok(value),
                Err(broken) => return Err(self.lost(&broken, effect)),
            }
        }
    }

    /// Runs commands as one transaction; their replies.
    ///
    /// # Errors
    /// As [`ask`](Link::ask), for the first that was refused: then none was done.
    pub fn transact(&mut self, commands: &[Cmd]) -> Result<Vec<Value>> {
        let mut packed = cmd("MULTI").get_packed_command();
        for command in commands {
            command.write_packed_command(&mut packed);
        }
        cmd("EXEC").write_packed_command(&mut packed);
        let mut moves = Moves::default();
        loop {
            self.send(&packed).map_err(|broken| self.lost(&broken, Effect::Reads))?;
            match self.executed(commands.len())? {
                Ok(replies) => return Ok(replies),
                Err(error) => self.follow(&error, &mut moves)?,
            }
        }
    }

    /// The replies to a transaction of this many commands that was sent, or the error that it was answered with.
    ///
    /// # Errors
    /// If no answer came; if one of the commands failed by itself.
    pub(super) fn executed(
        &mut self,
        commands: usize,
    ) -> Result<std::result::Result<Vec<Value>, ServerError>> {
        let mut refused = None;
        // MULTI and each command, which is only queued.
        for _ in 0..=commands {
            if let Value::ServerError(error) = self.reply(Effect::Writes)? {
                refused.get_or_insert(error);
            }
        }
        let done = self.reply(Effect::Writes)?;
        match (refused, done) {
            (Some(error), _) | (None, Value::ServerError(error)) => Ok(Err(error)),
            (None, Value::Array(replies)) if replies.len() == commands => {
                let wrong = replies.iter().find_map(|reply| match reply {
                    Value::ServerError(error) => Some(refusal(error, &self.name)),
                    _ => None,
                });
                wrong.map_or(Ok(Ok(replies)), Err)
            }
            (None, other) => Err(unexpected("EXEC", &other, &self.name)),
        }
    }

    /// What a broken connection means to a command that was sent.
    pub fn lost(&self, broken: &Broken, effect: Effect) -> Failure {
        let name = &self.name;
        let told = match broken {
            Broken::Closed => format!("{name} closed the connection"),
            Broken::Silent => format!("no answer from {name} within {:?}", self.patience),
            Broken::Garbled(detail) => {
                format!("{name} sent what is no reply of the Redis protocol: {detail}")
            }
            Broken::Io(error) => format!("the connection to {name} broke: {error}"),
        };
        match effect {
            Effect::Reads => Failure::new(Exit::Unreachable, told),
            Effect::Writes => Failure::new(
                Exit::OutcomeUnknown,
                format!("{told}; the write may or may not be found later"),
            ),
        }
    }
}

impl Broken {
    fn of(error: io::Error) -> Broken {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Broken::Silent,
            io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::UnexpectedEof => Broken::Closed,
            _ => Broken::Io(error),
        }
    }
}

fn auth(login: &Login) -> Cmd {
    let mut auth = cmd("AUTH");
    if let Some(user) = &login.user {
        auth.arg(user);
    }
    auth.arg(&login.password[..]).take()
}

fn unreachable(endpoint: &Endpoint, error: &io::Error) -> Failure {
    let (address, patience) = (&endpoint.address, endpoint.patience);
    let message = match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("no server at {address}: connection refused"),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            format!("no server at {address}: no answer within {patience:?}")
        }
        io::ErrorKind::InvalidData if endpoint.tls.is_some() => {
            let failure =
                Failure::new(Exit::Unreachable, format!("no TLS with {address}: {error}"));
            return failure.hinted(
                Exit::Unreachable,
                "--cacert names the authority that signed the server's certificate",
            );
        }
        _ => format!("cannot reach {address}: {error}"),
    };
    Failure::new(Exit::Unreachable, message)
}
