//! Commands for other nodes, of clients that know nothing of clusters (`routing = "forward"`).
//!
//! ```text
//!  keys of one shard     ─▶ the whole command to its leader
//!  MULTI … EXEC          ─▶ the whole transaction, at once
//!  MGET DEL UNLINK EXISTS TOUCH of several shards ─▶ a part to each; the answers are put together
//!  anything else of several shards ─▶ refused: it could not be one step
//! ```

use std::sync::Arc;

use aryavarth_cluster::{ShardId, Slot};

use super::flags::Flags;
use super::id::CommandId;
use super::table::CommandSpec;
use super::turn::{Flow, Turn, Wait};
use crate::cluster::Slots;
use crate::cluster::passing::{Harm, Passed, after_line, pass_on};
use crate::resp::{Args, Protocol};
use crate::server::Server;
use crate::session::Session;

/// The part of a command that concerns one shard, and where its keys stood.
#[derive(Debug)]
pub(super) struct Part {
    shard: ShardId,
    places: Vec<usize>,
}

/// How the answers of the parts become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joining {
    /// They are counts.
    Sum,
    /// They are lists, a value for each key.
    List,
}

fn joining(id: CommandId) -> Option<Joining> {
    match id {
        CommandId::MGet => Some(Joining::List),
        CommandId::Del | CommandId::Unlink | CommandId::Exists | CommandId::Touch => {
            Some(Joining::Sum)
        }
        _ => None,
    }
}

/// The parts of a command that may be split, by shard.
pub(super) fn parts(
    spec: &'static CommandSpec,
    args: Args<'_>,
    slots: &Slots,
) -> Option<Vec<Part>> {
    joining(spec.id)?;
    let mut parts: Vec<Part> = Vec::new();
    for key in spec.keys(&args) {
        let shard = slots.owner_of(Slot::of(&args[key.index]));
        match parts.iter_mut().find(|part| part.shard == shard) {
            Some(part) => part.places.push(key.index),
            None => parts.push(Part { shard, places: vec![key.index] }),
        }
    }
    Some(parts)
}

impl Turn<'_> {
    /// Passes a command on to the leader of a shard; its reply comes when that has answered.
    pub(super) fn forward(
        &self,
        session: &mut Session,
        spec: &'static CommandSpec,
        args: Args<'_>,
        shard: ShardId,
    ) -> Flow {
        let mut requests = Vec::new();
        let mut skipped = 0;
        if spec.id == CommandId::Exec {
            let queue = session.transaction.take().map(|transaction| transaction.queue);
            session.set_transaction(None);
            write(&mut requests, [&b"MULTI"[..]].into_iter());
            for request in queue.iter().flatten() {
                write(&mut requests, request.args().iter());
                skipped += 1;
            }
            skipped += 1;
        }
        write(&mut requests, args.iter());
        let harm = harm(spec);
        let passed = Passed { shard, requests, protocol: session.protocol, harm, skipped };
        self.reply_later(session, pass_on(Arc::clone(self.server), passed))
    }

    /// Passes parts of a command on to the leaders of their shards, and puts the answers together.
    pub(super) fn split(
        &self,
        session: &mut Session,
        spec: &'static CommandSpec,
        args: Args<'_>,
        parts: Vec<Part>,
    ) -> Flow {
        let protocol = session.protocol;
        let first = spec.keys(&args).next().map_or(1, |key| key.index);
        let passed: Vec<(Passed, Vec<usize>)> = parts
            .into_iter()
            .map(|Part { shard, places }| {
                let mut requests = Vec::new();
                let keys = places.iter().filter_map(|place| args.get(*place));
                write(&mut requests, args.iter().take(1).chain(keys));
                let places = places.into_iter().map(|place| place - first).collect();
                let harm = harm(spec);
                (Passed { shard, requests, protocol, harm, skipped: 0 }, places)
            })
            .collect();
        let (server, joining) = (Arc::clone(self.server), joining(spec.id).unwrap_or(Joining::Sum));
        self.reply_later(session, gather(server, passed, joining, protocol))
    }

    fn reply_later(
        &self,
        session: &Session,
        reply: impl Future<Output = Vec<u8>> + Send + 'static,
    ) -> Flow {
        if let Some(cluster) = &self.server.cluster {
            self.server.jobs.answer_elsewhere(&cluster.runtime, self.worker(), session, reply);
        }
        Flow::Rest(Wait::Job)
    }
}

fn harm(spec: &'static CommandSpec) -> Harm {
    if spec.flags.contains(Flags::READONLY) { Harm::None } else { Harm::Twice }
}

/// Asks all leaders at once.
async fn gather(
    server: Arc<Server>,
    passed: Vec<(Passed, Vec<usize>)>,
    joining: Joining,
    protocol: Protocol,
) -> Vec<u8> {
    let keys = passed.iter().map(|(_, places)| places.len()).sum();
    let mut asked = tokio::task::JoinSet::new();
    for (passed, places) in passed {
        let server = Arc::clone(&server);
        asked.spawn(async move { (pass_on(server, passed).await, places) });
    }
    let mut total = 0;
    let mut values: Vec<Vec<u8>> = vec![null(protocol).to_vec(); keys];
    while let Some(answer) = asked.join_next().await {
        let Ok((reply, places)) = answer else { return GARBLED.to_vec() };
        if reply.first() == Some(&b'-') {
            return reply;
        }
        let understood = match joining {
            Joining::Sum => number(&reply, b':').map(|count| total += count),
            Joining::List => elements(&reply).map(|found| {
                for (place, value) in places.iter().zip(found) {
                    if let Some(slot) = values.get_mut(*place) {
                        *slot = value.to_vec();
                    }
                }
            }),
        };
        if understood.is_none() {
            return GARBLED.to_vec();
        }
    }
    match joining {
        Joining::Sum => format!(":{total}\r\n").into_bytes(),
        Joining::List => {
            let mut reply = format!("*{keys}\r\n").into_bytes();
            values.iter().for_each(|value| reply.extend_from_slice(value));
            reply
        }
    }
}

const GARBLED: &[u8] =
    b"-UNKNOWN Outcome unknown: an answer of another node was not understood\r\n";

fn null(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Two => b"$-1\r\n",
        Protocol::Three => b"_\r\n",
    }
}

/// The number in a line that begins with `tag`.
fn number(reply: &[u8], tag: u8) -> Option<i64> {
    let line = reply.strip_prefix(&[tag])?;
    let end = line.iter().position(|byte| *byte == b'\r')?;
    std::str::from_utf8(&line[..end]).ok()?.parse().ok()
}

/// The elements of a list of strings and nulls, as they are written.
fn elements(reply: &[u8]) -> Option<Vec<&[u8]>> {
    let count = number(reply, b'*')?;
    let mut rest = after_line(reply)?;
    let mut found = Vec::new();
    for _ in 0..count {
        let length = match rest.first()? {
            b'_' => None,
            _ => usize::try_from(number(rest, b'$')?).ok(),
        };
        let line = rest.len() - after_line(rest)?.len();
        let whole = line + length.map_or(0, |length| length + 2);
        found.push(rest.get(..whole)?);
        rest = &rest[whole..];
    }
    rest.is_empty().then_some(found)
}

/// Writes a request as clients do.
fn write<'w>(into: &mut Vec<u8>, words: impl Iterator<Item = &'w [u8]>) {
    let words: Vec<&[u8]> = words.collect();
    into.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        into.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        into.extend_from_slice(word);
        into.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_taken_apart_and_nothing_else_is() {
        let reply = b"*3\r\n$1\r\na\r\n$-1\r\n$2\r\n\r\n\r\n";
        assert_eq!(elements(reply).unwrap(), [&b"$1\r\na\r\n"[..], b"$-1\r\n", b"$2\r\n\r\n\r\n"]);
        assert_eq!(elements(b"*2\r\n_\r\n$0\r\n\r\n").unwrap(), [&b"_\r\n"[..], b"$0\r\n\r\n"]);
        for wrong in [&b"*2\r\n$1\r\na\r\n"[..], b"*1\r\n$5\r\nab\r\n", b":1\r\n", b"*1\r\n"] {
            assert_eq!(elements(wrong), None);
        }
    }

    #[test]
    fn requests_are_written_as_clients_do() {
        let mut bytes = Vec::new();
        write(&mut bytes, [&b"GET"[..], b"a\r\nb"].into_iter());
        assert_eq!(bytes, b"*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n");
    }
}
