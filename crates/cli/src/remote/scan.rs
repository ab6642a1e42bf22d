//! The keys of a server, page by page, and what is under them.
//!
//! ```text
//! SCAN ─▶ keys ─▶ TYPE + STRLEN ─▶ strings, a few MiB at a time ─▶ GET + PEXPIRETIME ─▶ records
//!                      └▶ other types, by name                        └▶ those gone meanwhile
//! ```
//!
//! The lengths come first so that no more is asked for at once than fits in memory on both sides.
//! SCAN may give a key twice; [`Seen`] keeps that from those who count.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use aryavarth::UnixMillis;
use aryavarth::disk::{Disk, OsDisk};
use redis::{Cmd, Value, cmd};

use super::link::{Effect, Link};
use super::replies::{bytes, elements, error_text, integer, refusal};
use crate::failure::Result;
use crate::store::{Flow, Record};

/// Keys the server is asked to look at for one page.
const PAGE: u64 = 1000;
/// Bytes of values asked for at once.
const FETCH_BYTES: u64 = 4 << 20;

// --- keys ---

/// Which keys are meant.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// A glob pattern; none: all keys.
    pub pattern: Option<Vec<u8>>,
}

impl Selection {
    /// The keys that begin with `prefix`.
    pub fn of_prefix(prefix: &[u8]) -> Selection {
        if prefix.is_empty() {
            return Selection::default();
        }
        let mut pattern = Vec::with_capacity(prefix.len() + 1);
        for byte in prefix {
            if b"*?[]\\^-".contains(byte) {
                pattern.push(b'\\');
            }
            pattern.push(*byte);
        }
        pattern.push(b'*');
        Selection { pattern: Some(pattern) }
    }
}

/// A walk over the keys.
pub struct Pages {
    selection: Selection,
    /// Where the next page begins; none after the last.
    cursor: Option<Vec<u8>>,
}

impl Pages {
    /// A walk from the start.
    pub fn of(selection: Selection) -> Pages {
        Pages { selection, cursor: Some(b"0".to_vec()) }
    }

    /// The next keys, possibly none; nothing at the end.
    ///
    /// # Errors
    /// As [`Link::ask`].
    pub fn next(&mut self, link: &mut Link) -> Result<Option<Vec<Vec<u8>>>> {
        let Some(cursor) = self.cursor.take() else { return Ok(None) };
        let mut scan = cmd("SCAN");
        scan.arg(&cursor[..]).arg("COUNT").arg(PAGE);
        if let Some(pattern) = &self.selection.pattern {
            scan.arg("MATCH").arg(&pattern[..]);
        }
        let reply = link.ask(&scan, Effect::Reads)?;
        let mut parts = elements("SCAN", reply, link.name())?.into_iter();
        let cursor = bytes("SCAN", parts.next().unwrap_or_default(), link.name())?;
        let keys = elements("SCAN", parts.next().unwrap_or_default(), link.name())?;
        self.cursor = cursor.filter(|cursor| cursor != b"0");
        let keys = keys.into_iter().filter_map(|key| bytes("SCAN", key, link.name()).transpose());
        keys.collect::<Result<_>>().map(Some)
    }
}

/// What was given before.
pub struct Seen {
    hashers: [RandomState; 2],
    digests: HashSet<u128>,
}

impl Seen {
    /// Nothing was.
    pub fn new() -> Seen {
        Seen { hashers: [RandomState::new(), RandomState::new()], digests: HashSet::new() }
    }

    /// Whether `key` is seen for the first time.
    pub fn is_new(&mut self, key: &[u8]) -> bool {
        let [high, low] = self.hashers.each_ref().map(|hasher| u128::from(hasher.hash_one(key)));
        self.digests.insert(high << 64 | low)
    }
}

// --- expiry ---

/// How the server tells when a key goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// As an instant: PEXPIRETIME.
    Instants,
    /// As what is left: PTTL, before Redis 7.
    Remaining,
}

/// Until when a key is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// It stays.
    Ever,
    /// It goes then.
    Until(UnixMillis),
    /// It is gone.
    Gone,
}

impl Times {
    /// Which of them the server knows.
    ///
    /// # Errors
    /// If the connection breaks.
    pub fn of(link: &mut Link) -> Result<Times> {
        let probe = Times::Instants.command(b"aryavarth");
        match link.try_ask(&probe, Effect::Reads)? {
            Value::ServerError(error) if error_text(&error).contains("unknown command") => {
                Ok(Times::Remaining)
            }
            // Any other refusal is told when it is about a key that matters.
            _ => Ok(Times::Instants),
        }
    }

    /// The question for `key`.
    pub fn command(self, key: &[u8]) -> Cmd {
        let name = match self {
            Times::Instants => "PEXPIRETIME",
            Times::Remaining => "PTTL",
        };
        cmd(name).arg(key).take()
    }

    /// What the answer says.
    ///
    /// # Errors
    /// If it is none.
    pub fn lasting(self, reply: &Value, name: &str) -> Result<Lasting> {
        let number = integer("PEXPIRETIME", reply, name)?;
        let Ok(milliseconds) = u64::try_from(number) else {
            return Ok(if number == -1 { Lasting::Ever } else { Lasting::Gone });
        };
        Ok(Lasting::Until(match self {
            Times::Instants => UnixMillis(milliseconds),
            Times::Remaining => {
                UnixMillis(OsDisk::new().wall_clock().0.saturating_add(milliseconds))
            }
        }))
    }
}

// --- records ---

/// What was found under a key of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A string.
    Record(Record),
    /// A value of another type, such as `hash`.
    OtherType(String),
    /// Nothing any more.
    Vanished,
}

/// Gives `visit` what is under each of `keys`, with the expiry if `times` says how to ask for it.
///
/// # Errors
/// As [`Link::ask`], and what `visit` gives.
pub fn visit_records(
    link: &mut Link,
    keys: Vec<Vec<u8>>,
    times: Option<Times>,
    visit: &mut dyn FnMut(Item) -> Result<Flow>,
) -> Result<Flow> {
    let mut strings = Vec::new();
    for (key, kind) in survey(link, keys)? {
        match kind {
            Kind::String(length) => strings.push((key, length)),
            Kind::Other(name) => {
                if visit(Item::OtherType(name))? == Flow::Stop {
                    return Ok(Flow::Stop);
                }
            }
            Kind::None => {
                if visit(Item::Vanished)? == Flow::Stop {
                    return Ok(Flow::Stop);
                }
            }
        }
    }
    let mut strings = strings.into_iter().peekable();
    while strings.peek().is_some() {
        let (mut group, mut size) = (Vec::new(), 0);
        while let Some((key, length)) = strings.next_if(|_| size < FETCH_BYTES) {
            size += length;
            group.push(key);
        }
        if fetch(link, group, times, visit)? == Flow::Stop {
            return Ok(Flow::Stop);
        }
    }
    Ok(Flow::Continue)
}

enum Kind {
    /// A string of this many bytes.
    String(u64),
    Other(String),
    None,
}

fn survey(link: &mut Link, keys: Vec<Vec<u8>>) -> Result<Vec<(Vec<u8>, Kind)>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut packed = Vec::new();
    for key in &keys {
        cmd("TYPE").arg(&key[..]).write_packed_command(&mut packed);
        cmd("STRLEN").arg(&key[..]).write_packed_command(&mut packed);
    }
    link.send(&packed).map_err(|broken| link.lost(&broken, Effect::Reads))?;
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        let reply = link.answer(Effect::Reads)?;
        let kind = bytes("TYPE", reply, link.name())?.unwrap_or_default();
        // An error where the key is no string: the type has said so already.
        let length = match link.reply(Effect::Reads)? {
            Value::Int(length) => u64::try_from(length).unwrap_or(0),
            _ => 0,
        };
        let kind = match &kind[..] {
            b"string" => Kind::String(length),
            b"none" => Kind::None,
            other => Kind::Other(String::from_utf8_lossy(other).into_owned()),
        };
        found.push((key, kind));
    }
    Ok(found)
}

fn fetch(
    link: &mut Link,
    keys: Vec<Vec<u8>>,
    times: Option<Times>,
    visit: &mut dyn FnMut(Item) -> Result<Flow>,
) -> Result<Flow> {
    let mut packed = Vec::new();
    for key in &keys {
        cmd("GET").arg(&key[..]).write_packed_command(&mut packed);
        if let Some(times) = times {
            times.command(key).write_packed_command(&mut packed);
        }
    }
    link.send(&packed).map_err(|broken| link.lost(&broken, Effect::Reads))?;
    for key in keys {
        let value = link.reply(Effect::Reads)?;
        let lasting = match times {
            Some(times) => {
                let reply = link.answer(Effect::Reads)?;
                times.lasting(&reply, link.name())?
            }
            None => Lasting::Ever,
        };
        if visit(item(key, value, lasting, link.name())?)? == Flow::Stop {
            return Ok(Flow::Stop);
        }
    }
    Ok(Flow::Continue)
}

fn item(key: Vec<u8>, value: Value, lasting: Lasting, name: &str) -> Result<Item> {
    let value = match value {
        // It was replaced by something else since its type was asked for.
        Value::ServerError(error) if error.code() == "WRONGTYPE" => None,
        Value::ServerError(error) => return Err(refusal(&error, name)),
        value => bytes("GET", value, name)?,
    };
    Ok(match (value, lasting) {
        (Some(value), Lasting::Ever) => {
            Item::Record(Record { key, value, version: None, expires_at: None })
        }
        (Some(value), Lasting::Until(at)) => {
            Item::Record(Record { key, value, version: None, expires_at: Some(at) })
        }
        _ => Item::Vanished,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(prefix: &str) -> String {
        String::from_utf8(Selection::of_prefix(prefix.as_bytes()).pattern.unwrap()).unwrap()
    }

    #[test]
    fn a_prefix_means_itself() {
        assert_eq!(Selection::of_prefix(b"").pattern, None);
        assert_eq!(pattern("a:"), "a:*");
        assert_eq!(pattern("a*b?c[d]e\\"), "a\\*b\\?c\\[d\\]e\\\\*");
    }

    #[test]
    fn a_key_is_new_once() {
        let mut seen = Seen::new();
        assert!(seen.is_new(b"a") && seen.is_new(b"b") && !seen.is_new(b"a"));
    }

    #[test]
    fn expiry_is_an_instant_or_added_to_now() {
        let lasting = |times: Times, number| times.lasting(&Value::Int(number), "h:1").unwrap();
        assert_eq!(lasting(Times::Instants, -1), Lasting::Ever);
        assert_eq!(lasting(Times::Instants, -2), Lasting::Gone);
        assert_eq!(lasting(Times::Instants, 5), Lasting::Until(UnixMillis(5)));
        let now = OsDisk::new().wall_clock().0;
        let Lasting::Until(at) = lasting(Times::Remaining, 1000) else { panic!() };
        assert!((now + 1000..now + 60_000).contains(&at.0));
    }
}
