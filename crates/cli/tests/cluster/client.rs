//! A client of a cluster that knows, of each request, whether it was done, was not, or may have been.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long somebody is looked for who answers.
const SEARCH: Duration = Duration::from_secs(15);

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Text(String),
    Number(i64),
    Bytes(Vec<u8>),
    None,
    List(Vec<Reply>),
    Error(String),
}

impl Reply {
    /// The number that it says, as text or as a number.
    pub fn value(&self) -> Option<u64> {
        match self {
            Reply::Number(number) => u64::try_from(*number).ok(),
            Reply::Bytes(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
            _ => None,
        }
    }
}

/// Where a client looks for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// It goes where it is told, and tries others, until somebody answers.
    Follows,
    /// It asks one node only, so that it sees what that one says of itself, however wrong.
    Stays,
}

/// What became of a request.
#[derive(Clone, Debug)]
pub enum Outcome {
    Answered(Reply),
    /// It was certainly not done.
    NotDone,
    /// It may have been done.
    Unknown,
}

/// A connection to one node.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(address: &str) -> io::Result<Connection> {
        let parsed = address.parse().map_err(io::Error::other)?;
        let stream = TcpStream::connect_timeout(&parsed, Duration::from_secs(1))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Connection { stream: BufReader::new(stream) })
    }

    pub fn ask(&mut self, words: &[&str]) -> io::Result<Reply> {
        self.send(words)?;
        self.reply()
    }

    /// Sends a request, whose reply is to be taken later.
    pub fn send(&mut self, words: &[&str]) -> io::Result<()> {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        self.stream.get_mut().write_all(request.as_bytes())
    }

    /// The next reply.
    pub fn reply(&mut self) -> io::Result<Reply> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (tag, rest) = line.trim_end().split_at(1);
        let number = || rest.parse::<i64>().map_err(io::Error::other);
        Ok(match tag {
            "+" => Reply::Text(rest.to_owned()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Number(number()?),
            "$" => match usize::try_from(number()?) {
                Ok(length) => {
                    let mut bytes = vec![0; length + 2];
                    self.stream.read_exact(&mut bytes)?;
                    bytes.truncate(length);
                    Reply::Bytes(bytes)
                }
                Err(_) => Reply::None,
            },
            "*" => match usize::try_from(number()?) {
                Ok(count) => {
                    Reply::List((0..count).map(|_| self.reply()).collect::<io::Result<_>>()?)
                }
                Err(_) => Reply::None,
            },
            other => return Err(io::Error::other(format!("not a reply: {other}{rest}"))),
        })
    }
}

/// A client that finds who answers.
pub struct Client {
    habit: Habit,
    addresses: Vec<String>,
    next: usize,
    connection: Option<(String, Connection)>,
}

impl Client {
    pub fn new(addresses: Vec<String>) -> Client {
        Client { habit: Habit::Follows, addresses, next: 0, connection: None }
    }

    /// A client of one node.
    pub fn of(address: String) -> Client {
        Client { habit: Habit::Stays, ..Client::new(vec![address]) }
    }

    fn connect(&mut self, address: &str) -> io::Result<&mut Connection> {
        if self.connection.as_ref().is_none_or(|(known, _)| known != address) {
            self.connection = Some((address.to_owned(), Connection::open(address)?));
        }
        Ok(&mut self.connection.as_mut().unwrap().1)
    }

    /// Asks until somebody does it, it is certain that it is not done, or nobody knows.
    pub fn ask(&mut self, words: &[&str]) -> Outcome {
        let since = Instant::now();
        let mut address = match &self.connection {
            Some((address, _)) => address.clone(),
            None => self.another(),
        };
        while since.elapsed() < SEARCH {
            match self.connect(&address).map(|connection| connection.ask(words)) {
                // It was not even sent.
                Err(_) => {
                    self.connection = None;
                    address = self.another();
                }
                Ok(Ok(Reply::Error(error))) => match error.split(' ').next().unwrap() {
                    "MOVED" if self.habit == Habit::Follows => {
                        address = error.rsplit(' ').next().unwrap().to_owned();
                        continue;
                    }
                    "MOVED" | "TRYAGAIN" | "CLUSTERDOWN" | "MISCONF" | "IOERR" => {
                        address = self.another();
                    }
                    "UNKNOWN" => return Outcome::Unknown,
                    _ => panic!("{words:?}: {error}"),
                },
                Ok(Ok(reply)) => return Outcome::Answered(reply),
                Ok(Err(_)) => {
                    self.connection = None;
                    return Outcome::Unknown;
                }
            }
            std::thread::sleep(Duration::from_millis(20));
            if self.habit == Habit::Stays {
                break;
            }
        }
        Outcome::NotDone
    }

    fn another(&mut self) -> String {
        self.next += 1;
        self.addresses[self.next % self.addresses.len()].clone()
    }
}
