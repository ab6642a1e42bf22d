//! A server just good enough for these tests: strings, expiry and transactions of the Redis protocol
//! in a map, one thread a connection, and faults on demand.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

type Words = Vec<Vec<u8>>;

/// What happens when a certain command comes.
#[derive(Clone)]
pub enum Fault {
    /// The connection is closed without a reply.
    HangsUp,
    /// There is no reply.
    IsSilent,
    /// The reply is this error.
    Refuses(&'static str),
}

#[derive(Clone, PartialEq)]
enum Value {
    String(Vec<u8>),
    Other(&'static str),
}

#[derive(Default)]
struct State {
    keys: BTreeMap<Vec<u8>, (Value, Option<i64>)>,
    password: Option<&'static str>,
    faults: Vec<(&'static str, usize, Fault)>,
    asked: Vec<String>,
}

/// The server. Its threads end with the test.
#[derive(Clone)]
pub struct Fake {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Fake {
    pub fn start() -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let fake = Fake { port, state: Arc::default() };
        let server = fake.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let server = server.clone();
                thread::spawn(move || server.serve(stream.unwrap()));
            }
        });
        fake
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    pub fn require(&self, password: &'static str) {
        self.state.lock().unwrap().password = Some(password);
    }

    /// Fails from the `after`-th time on that `command` comes.
    pub fn fail(&self, command: &'static str, after: usize, fault: Fault) {
        self.state.lock().unwrap().faults.push((command, after, fault));
    }

    pub fn mend(&self) {
        self.state.lock().unwrap().faults.clear();
    }

    pub fn put(&self, key: &[u8], value: &[u8], expires_at: Option<i64>) {
        let value = Value::String(value.to_vec());
        self.state.lock().unwrap().keys.insert(key.to_vec(), (value, expires_at));
    }

    pub fn put_other(&self, key: &[u8], kind: &'static str) {
        self.state.lock().unwrap().keys.insert(key.to_vec(), (Value::Other(kind), None));
    }

    /// The value and expiry under a key.
    pub fn get(&self, key: &[u8]) -> Option<(Vec<u8>, Option<i64>)> {
        match self.state.lock().unwrap().keys.get(key)? {
            (Value::String(value), expires_at) => Some((value.clone(), *expires_at)),
            (Value::Other(_), _) => None,
        }
    }

    pub fn len(&self) -> usize {
        self.state.lock().unwrap().keys.len()
    }

    /// The names of all commands that came.
    pub fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.clone()
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut writer = stream;
        let mut is_known = self.state.lock().unwrap().password.is_none();
        let mut queued: Option<Vec<Words>> = None;
        let mut broken = false;
        while let Some(words) = read(&mut reader) {
            let name = String::from_utf8_lossy(&words[0]).to_ascii_uppercase();
            let reply = match self.fault(&name) {
                Some(Fault::HangsUp) => return,
                Some(Fault::IsSilent) => continue,
                Some(Fault::Refuses(error)) => {
                    broken = true;
                    format!("-{error}\r\n").into_bytes()
                }
                None => match (name.as_str(), &mut queued) {
                    ("AUTH", _) => {
                        let password = self.state.lock().unwrap().password.unwrap_or("");
                        is_known = words.last().unwrap() == password.as_bytes();
                        if is_known {
                            b"+OK\r\n".to_vec()
                        } else {
                            b"-WRONGPASS invalid username-password pair\r\n".to_vec()
                        }
                    }
                    _ if !is_known => b"-NOAUTH Authentication required.\r\n".to_vec(),
                    ("MULTI", _) => {
                        (queued, broken) = (Some(Vec::new()), false);
                        b"+OK\r\n".to_vec()
                    }
                    ("EXEC", _) if broken => b"-EXECABORT Transaction discarded\r\n".to_vec(),
                    ("EXEC", _) => {
                        let commands = queued.take().unwrap();
                        let mut reply = format!("*{}\r\n", commands.len()).into_bytes();
                        for words in commands {
                            reply.extend(self.answer(&words));
                        }
                        reply
                    }
                    (_, Some(commands)) => {
                        commands.push(words);
                        b"+QUEUED\r\n".to_vec()
                    }
                    (_, None) => self.answer(&words),
                },
            };
            if writer.write_all(&reply).is_err() {
                return;
            }
        }
    }

    fn fault(&self, name: &str) -> Option<Fault> {
        let mut state = self.state.lock().unwrap();
        state.asked.push(name.to_owned());
        let fault = state.faults.iter_mut().find(|(command, ..)| *command == name)?;
        if fault.1 == 0 {
            return Some(fault.2.clone());
        }
        fault.1 -= 1;
        None
    }

    fn answer(&self, words: &Words) -> Vec<u8> {
        let state = &mut *self.state.lock().unwrap();
        let name = String::from_utf8_lossy(&words[0]).to_ascii_uppercase();
        let key = words.get(1).cloned().unwrap_or_default();
        let found = state.keys.get(&key).cloned();
        match name.as_str() {
            "PING" => b"+PONG\r\n".to_vec(),
            "SELECT" | "CLIENT" => b"+OK\r\n".to_vec(),
            "INFO" => bulk(b"# Server\r\nredis_version:7.2.0\r\ntcp_port:1\r\n"),
            "DBSIZE" => integer(state.keys.len() as i64),
            "HELLO" => b"%1\r\n+server\r\n+fake\r\n".to_vec(),
            "GET" => match found {
                Some((Value::String(value), _)) => bulk(&value),
                Some(_) => b"-WRONGTYPE Operation against a key\r\n".to_vec(),
                None => b"$-1\r\n".to_vec(),
            },
            "STRLEN" => match found {
                Some((Value::String(value), _)) => integer(value.len() as i64),
                Some(_) => b"-WRONGTYPE Operation against a key\r\n".to_vec(),
                None => integer(0),
            },
            "TYPE" => match found {
                Some((Value::String(_), _)) => b"+string\r\n".to_vec(),
                Some((Value::Other(kind), _)) => format!("+{kind}\r\n").into_bytes(),
                None => b"+none\r\n".to_vec(),
            },
            "PEXPIRETIME" => integer(found.map_or(-2, |(_, at)| at.unwrap_or(-1))),
            "PTTL" => integer(found.map_or(-2, |(_, at)| at.map_or(-1, |_| 3_600_000))),
            "EXISTS" => integer(i64::from(found.is_some())),
            "DEL" => {
                let removed =
                    words[1..].iter().filter(|key| state.keys.remove(*key).is_some()).count();
                integer(removed as i64)
            }
            "SET" => {
                let options: Vec<String> = words[3..]
                    .iter()
                    .map(|word| String::from_utf8_lossy(word).to_ascii_uppercase())
                    .collect();
                let has = |name: &str| options.iter().position(|option| option == name);
                if (has("NX").is_some() && found.is_some())
                    || (has("XX").is_some() && found.is_none())
                {
                    return b"$-1\r\n".to_vec();
                }
                let number = |at: usize| options[at + 1].parse::<i64>().unwrap();
                let expires_at = has("PXAT").map(number).or_else(|| has("PX").map(number));
                state.keys.insert(key, (Value::String(words[2].clone()), expires_at));
                b"+OK\r\n".to_vec()
            }
            "SCAN" => scan(state, words),
            _ => format!("-ERR unknown command '{name}'\r\n").into_bytes(),
        }
    }
}

/// Two pages, the last key of the first once more in the second.
fn scan(state: &State, words: &Words) -> Vec<u8> {
    let pattern = words.iter().position(|word| word == b"MATCH").map(|at| &words[at + 1]);
    let prefix: Vec<u8> = pattern.map_or_else(Vec::new, |pattern| {
        let pattern = pattern.strip_suffix(b"*").unwrap();
        pattern.iter().copied().filter(|byte| *byte != b'\\').collect()
    });
    let keys: Vec<&Vec<u8>> = state.keys.keys().filter(|key| key.starts_with(&prefix)).collect();
    let half = keys.len() / 2;
    let (next, page) = if words[1] == b"0" {
        ("7", &keys[..half])
    } else {
        ("0", &keys[half.saturating_sub(1)..])
    };
    let mut reply = format!("*2\r\n${}\r\n{next}\r\n*{}\r\n", next.len(), page.len()).into_bytes();
    page.iter().for_each(|key| reply.extend(bulk(key)));
    reply
}

fn bulk(bytes: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

fn integer(number: i64) -> Vec<u8> {
    format!(":{number}\r\n").into_bytes()
}

fn read(reader: &mut impl BufRead) -> Option<Words> {
    let number = |mark: char, reader: &mut dyn BufRead| {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        line.trim_end().strip_prefix(mark)?.parse::<usize>().ok()
    };
    let length = number('*', reader)?;
    let mut words = Vec::new();
    for _ in 0..length {
        let mut word = vec![0; number('$', reader)? + 2];
        reader.read_exact(&mut word).ok()?;
        word.truncate(word.len() - 2);
        words.push(word);
    }
    Some(words)
}
