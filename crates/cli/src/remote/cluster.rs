//! A cluster, as a client of its nodes: who leads what, and whom a node names instead of itself.
//!
//! ```text
//!  key ─▶ slot ─▶ CLUSTER SLOTS ─▶ node ─▶ reply
//!                                    └─▶ MOVED slot host:port: nothing was done, ask there
//! ```

use std::time::Duration;

use aryavarth_cluster::Slot;
use redis::{ServerError, Value, cmd};

use super::link::{Effect, Link};
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::store::Flow;

/// How often a command is sent on to another node.
const MOST_MOVES: usize = 5;
/// Before that is done once more, after the second time: a new leader may not be known everywhere yet.
const MOVING: Duration = Duration::from_millis(100);

/// Where a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAddress {
    /// A name or an IP address; empty: that of the node that said so.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// Whom a node names instead of itself, if that is what an error reply does.
pub fn moved_to(error: &ServerError) -> Option<NodeAddress> {
    if error.code() != "MOVED" {
        return None;
    }
    let (host, port) = error.details()?.rsplit(' ').next()?.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Some(NodeAddress { host, port: port.parse().ok()? })
}

/// How often one command was sent on to another node.
#[derive(Default)]
pub struct Moves(usize);

impl Moves {
    /// Where a command is to be sent on to, as nothing was done where this error comes from. None if that is not what it
    /// says, or too often: then two nodes name each other.
    pub fn next(&mut self, error: &ServerError) -> Option<NodeAddress> {
        let place = moved_to(error).filter(|_| self.0 < MOST_MOVES)?;
        self.0 += 1;
        if self.0 > 2 {
            std::thread::sleep(MOVING);
        }
        Some(place)
    }
}

/// The nodes that lead shards, and which slots each of them has.
pub struct Leaders {
    places: Vec<NodeAddress>,
    /// By slot: which of the places.
    owners: Vec<usize>,
}

impl Leaders {
    /// What the node behind `link` knows; none if it is no node of a cluster.
    ///
    /// # Errors
    /// [`Exit::Unreachable`] if some slots have no leader for now; as [`Link::ask`].
    pub fn of(link: &mut Link) -> Result<Option<Leaders>> {
        let reply = link.try_ask(cmd("CLUSTER").arg("SLOTS"), Effect::Reads)?;
        let Value::Array(ranges) = reply else { return Ok(None) };
        let mut leaders = Leaders { places: Vec::new(), owners: Vec::new() };
        let mut owners = vec![None; usize::from(Slot::COUNT)];
        for (first, last, place) in ranges.iter().filter_map(range) {
            let place = link.place_of(&place);
            if let Some(range) = owners.get_mut(first..=last) {
                range.fill(Some(leaders.index_of(place)));
            }
        }
        leaders.owners = owners.iter().copied().flatten().collect();
        match owners.len() - leaders.owners.len() {
            0 => Ok(Some(leaders)),
            slots => {
                let text =
                    format!("{}: nobody leads {slots} slots for now; try again", link.name());
                Err(Failure::new(Exit::Unreachable, text))
            }
        }
    }

    fn index_of(&mut self, place: NodeAddress) -> usize {
        let known = self.places.iter().position(|known| *known == place);
        known.unwrap_or_else(|| {
            self.places.push(place);
            self.places.len() - 1
        })
    }

    /// Where they are.
    pub fn places(&self) -> &[NodeAddress] {
        &self.places
    }

    /// Which of the places has a key.
    pub fn owner(&self, key: &[u8]) -> usize {
        self.owners[usize::from(Slot::of(key).number())]
    }
}

/// Does something at every node that leads shards; once, if it is no cluster.
///
/// # Errors
/// As [`Leaders::of`] and [`Link::ask`]; what `visit` gives.
pub fn at_each(link: &mut Link, mut visit: impl FnMut(&mut Link) -> Result<Flow>) -> Result<()> {
    let Some(leaders) = Leaders::of(link)? else { return visit(link).map(drop) };
    for place in leaders.places() {
        link.go_to(place)?;
        if visit(link)? == Flow::Stop {
            break;
        }
    }
    Ok(())
}

/// A range of slots and its leader.
fn range(entry: &Value) -> Option<(usize, usize, NodeAddress)> {
    let Value::Array(fields) = entry else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(leader), ..] = &fields[..] else {
        return None;
    };
    let [host, Value::Int(port), ..] = &leader[..] else { return None };
    let host = match host {
        Value::BulkString(host) => String::from_utf8(host.clone()).ok()?,
        // It does not know how it is reached, but whoever asked does.
        _ => String::new(),
    };
    let number = |slot: &i64| usize::try_from(*slot).ok();
    Some((number(first)?, number(last)?, NodeAddress { host, port: u16::try_from(*port).ok()? }))
}

#[cfg(test)]
mod tests {
    use redis::parse_redis_value;

    use super::*;

    fn moved(reply: &str) -> Option<(String, u16)> {
        let Value::ServerError(error) = parse_redis_value(reply.as_bytes()).unwrap() else {
            panic!("{reply} is no error")
        };
        moved_to(&error).map(|place| (place.host, place.port))
    }

    #[test]
    fn only_an_error_that_names_another_node_is_followed() {
        assert_eq!(moved("-MOVED 3300 10.0.0.3:7103\r\n"), Some(("10.0.0.3".to_owned(), 7103)));
        assert_eq!(moved("-MOVED 3300 :7103\r\n"), Some((String::new(), 7103)));
        assert_eq!(moved("-MOVED 3300 [::1]:7103\r\n"), Some(("::1".to_owned(), 7103)));
        assert_eq!(moved("-MOVED 3300 ::1:7103\r\n"), Some(("::1".to_owned(), 7103)));
        for other in ["-MOVED\r\n", "-MOVED 1 host\r\n", "-MOVED 1 h:x\r\n", "-ERR 1 h:1\r\n"] {
            assert_eq!(moved(other), None, "{other}");
        }
    }
}
