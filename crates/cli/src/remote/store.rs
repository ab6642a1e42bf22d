//! The operations of the commands, on a server.

use std::collections::BTreeMap;

use aryavarth_cluster::Slot;
use redis::{Cmd, Value, cmd};

use super::cluster::{Leaders, at_each};
use super::link::{Effect, Link};
use super::replies::{bytes, integer, unexpected};
use super::scan::{Item, Lasting, Pages, Seen, Selection, Times, visit_records};
use crate::failure::Result;
use crate::store::{Condition, Detail, Flow, Query, Record, Settled, Terms};

/// A server as a store.
pub struct RemoteStore {
    link: Link,
    /// Asked for when it is first needed.
    times: Option<Times>,
}

impl RemoteStore {
    /// The store behind `link`.
    pub fn new(link: Link) -> RemoteStore {
        RemoteStore { link, times: None }
    }

    fn times(&mut self) -> Result<Times> {
        match self.times {
            Some(times) => Ok(times),
            None => Ok(*self.times.insert(Times::of(&mut self.link)?)),
        }
    }

    /// What is under `key`.
    ///
    /// # Errors
    /// As [`Link::ask`], here and below.
    pub fn entry(&mut self, key: &[u8], detail: Detail) -> Result<Option<Record>> {
        let reply = self.link.ask(cmd("GET").arg(key), Effect::Reads)?;
        let Some(value) = bytes("GET", reply, self.link.name())? else { return Ok(None) };
        let mut record = Record { key: key.to_vec(), value, version: None, expires_at: None };
        if detail.has_expiry() {
            let times = self.times()?;
            let reply = self.link.ask(&times.command(key), Effect::Reads)?;
            match times.lasting(&reply, self.link.name())? {
                Lasting::Gone => return Ok(None),
                Lasting::Until(at) => record.expires_at = Some(at),
                Lasting::Ever => {}
            }
        }
        Ok(Some(record))
    }

    /// Gives `key` a value.
    pub fn set(&mut self, key: &[u8], value: &[u8], terms: Terms) -> Result<Settled> {
        let mut set = cmd("SET");
        set.arg(key).arg(value);
        match terms.ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)) {
            // Expired at once. No time at all is an error to the server; long ago is not.
            Some(0) => set.arg("PXAT").arg(1),
            Some(milliseconds) => set.arg("PX").arg(milliseconds),
            None => &mut set,
        };
        match terms.condition {
            Condition::Always => &mut set,
            Condition::IfAbsent => set.arg("NX"),
            Condition::IfPresent => set.arg("XX"),
        };
        match self.link.ask(&set, Effect::Writes)? {
            Value::Okay => Ok(Settled::Written),
            Value::Nil => Ok(Settled::Declined),
            other => Err(unexpected("SET", &other, self.link.name())),
        }
    }

    /// Removes keys, all at once, or of a cluster those of each slot at once; which of them were there.
    pub fn remove(&mut self, keys: &[Vec<u8>]) -> Result<Vec<bool>> {
        if keys.len() < 2 || Leaders::of(&mut self.link)?.is_none() {
            return self.remove_together(keys);
        }
        let mut slots: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
        for (number, key) in keys.iter().enumerate() {
            slots.entry(Slot::of(key).number()).or_default().push(number);
        }
        let mut found = vec![false; keys.len()];
        for numbers in slots.into_values() {
            let together: Vec<_> = numbers.iter().map(|number| keys[*number].clone()).collect();
            for (number, was_there) in numbers.into_iter().zip(self.remove_together(&together)?) {
                found[number] = was_there;
            }
        }
        Ok(found)
    }

    fn remove_together(&mut self, keys: &[Vec<u8>]) -> Result<Vec<bool>> {
        let mut commands: Vec<Cmd> =
            keys.iter().map(|key| cmd("EXISTS").arg(&key[..]).take()).collect();
        let mut remove = cmd("DEL");
        keys.iter().for_each(|key| {
            remove.arg(&key[..]);
        });
        commands.push(remove);
        let replies = self.link.transact(&commands)?;
        let found = replies.iter().take(keys.len());
        found.map(|reply| Ok(integer("EXISTS", reply, self.link.name())? > 0)).collect()
    }

    /// How many keys there are, or begin with `prefix`.
    pub fn count(&mut self, prefix: Option<&[u8]>) -> Result<u64> {
        let (mut count, mut seen) = (0, Seen::new());
        at_each(&mut self.link, |link| {
            count += match prefix {
                Some(prefix) => count_prefix(link, prefix, &mut seen)?,
                None => size(link)?,
            };
            Ok(Flow::Continue)
        })?;
        Ok(count)
    }

    /// What the server tells about itself, in sections of `name:value` lines.
    pub fn info(&mut self) -> Result<String> {
        let reply = self.link.ask(&cmd("INFO"), Effect::Reads)?;
        let text = bytes("INFO", reply, self.link.name())?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Gives `each` every key that is asked for, once. Where values are asked for, keys of other
    /// types than strings are left out; how many.
    pub fn list(
        &mut self,
        query: &Query<'_>,
        each: &mut dyn FnMut(Record) -> Result<Flow>,
    ) -> Result<u64> {
        let times = if query.detail.has_expiry() { Some(self.times()?) } else { None };
        let (mut left_out, mut seen) = (0, Seen::new());
        at_each(&mut self.link, |link| {
            let mut pages = Pages::of(Selection::of_prefix(query.prefix));
            while let Some(mut keys) = pages.next(link)? {
                keys.retain(|key| seen.is_new(key));
                let flow = if query.detail.has_values() {
                    visit_records(link, keys, times, &mut |item| match item {
                        Item::Record(record) => each(record),
                        Item::OtherType(_) => {
                            left_out += 1;
                            Ok(Flow::Continue)
                        }
                        Item::Vanished => Ok(Flow::Continue),
                    })?
                } else {
                    list_keys(link, keys, times, each)?
                };
                if flow == Flow::Stop {
                    return Ok(Flow::Stop);
                }
            }
            Ok(Flow::Continue)
        })?;
        Ok(left_out)
    }
}

/// How many keys a server has.
///
/// # Errors
/// As [`Link::ask`].
pub fn size(link: &mut Link) -> Result<u64> {
    let reply = link.ask(&cmd("DBSIZE"), Effect::Reads)?;
    Ok(u64::try_from(integer("DBSIZE", &reply, link.name())?).unwrap_or(0))
}

fn count_prefix(link: &mut Link, prefix: &[u8], seen: &mut Seen) -> Result<u64> {
    let (mut pages, mut count) = (Pages::of(Selection::of_prefix(prefix)), 0);
    while let Some(keys) = pages.next(link)? {
        count += keys.iter().filter(|key| seen.is_new(key)).count() as u64;
    }
    Ok(count)
}

fn list_keys(
    link: &mut Link,
    keys: Vec<Vec<u8>>,
    times: Option<Times>,
    each: &mut dyn FnMut(Record) -> Result<Flow>,
) -> Result<Flow> {
    if let Some(times) = times
        && !keys.is_empty()
    {
        let mut packed = Vec::new();
        keys.iter().for_each(|key| times.command(key).write_packed_command(&mut packed));
        link.send(&packed).map_err(|broken| link.lost(&broken, Effect::Reads))?;
    }
    for key in keys {
        let lasting = match times {
            Some(times) => {
                let reply = link.answer(Effect::Reads)?;
                times.lasting(&reply, link.name())?
            }
            None => Lasting::Ever,
        };
        let expires_at = match lasting {
            Lasting::Gone => continue,
            Lasting::Ever => None,
            Lasting::Until(at) => Some(at),
        };
        let record = Record { key, value: Vec::new(), version: None, expires_at };
        if each(record)? == Flow::Stop {
            return Ok(Flow::Stop);
        }
    }
    Ok(Flow::Continue)
}
