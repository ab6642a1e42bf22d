//! Requests that are passed on to whoever leads their shard, for clients that know nothing of clusters.
//!
//! ```text
//!  requests ─▶ the leader that is known ─┬─ replies ──────────▶ the client
//!                 ▲                      ├─ MOVED, TRYAGAIN … ─▶ nothing was done: again, elsewhere
//!                 ├──────────────────────┤
//!                 └── not reached ───────┤
//!                                        └─ no answer ─▶ a read: again; a write: its outcome is unknown
//! ```

use std::sync::Arc;
use std::time::Duration;

use aryavarth_cluster::{NodeId, ShardId};
use aryavarth_replication::Error;
use bytes::Bytes;
use tokio::time::Instant;

use super::error::NodeError;
use super::member::Member;
use super::messages::REQUESTS;
use super::serving::answer_parcel;
use crate::resp::Protocol;
use crate::server::Server;

/// How long a leader is looked for.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(10);
/// What begins an error that says that nothing was done.
const NOTHING_DONE: [&[u8]; 3] = [b"-MOVED ", b"-TRYAGAIN ", b"-CLUSTERDOWN "];

/// Whether asking twice does harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// It only reads.
    None,
    /// It may write.
    Twice,
}

/// Requests of one client, for one shard.
#[derive(Clone, Debug)]
pub(crate) struct Passed {
    /// Whose leader is to answer them.
    pub shard: ShardId,
    /// As they are written.
    pub requests: Vec<u8>,
    /// The client's version of the protocol.
    pub protocol: Protocol,
    /// Whether they may be asked twice.
    pub harm: Harm,
    /// Lines of the replies before the one that the client is to have.
    pub skipped: usize,
}

/// What the leader answers; an error that says what is known, if none does.
pub(crate) async fn pass_on(server: Arc<Server>, passed: Passed) -> Vec<u8> {
    let member = server.cluster.as_ref().and_then(|cluster| cluster.member());
    let Some(member) = member.cloned() else {
        return b"-CLUSTERDOWN This node belongs to no cluster yet: let it join one\r\n".to_vec();
    };
    let mut body = vec![REQUESTS, passed.protocol.number().unsigned_abs() as u8];
    body.extend_from_slice(&passed.requests);
    let body = Bytes::from(body);
    let deadline = Instant::now() + PATIENCE;
    let mut hint = None;
    while Instant::now() < deadline {
        if let Some(leader) = hint.take().or_else(|| member.leader_of(passed.shard)) {
            match ask(&server, &member, leader, &body).await {
                Told::Replies(replies) => match nothing_done(&replies, passed.skipped) {
                    None => return last(&replies, passed.skipped),
                    Some(error) => hint = named(&member, error),
                },
                Told::Silence if passed.harm == Harm::Twice => {
                    return b"-UNKNOWN Outcome unknown: the leader of the key's shard did not answer; read \
                             before doing it again\r\n"
                        .to_vec();
                }
                Told::Silence | Told::NotReached => {}
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    b"-CLUSTERDOWN No leader of the key's shard answers\r\n".to_vec()
}

/// What a leader says.
enum Told {
    Replies(Bytes),
    /// Nothing, and it may have done what it was asked.
    Silence,
    /// It was not asked.
    NotReached,
}

async fn ask(server: &Arc<Server>, member: &Arc<Member>, leader: NodeId, body: &Bytes) -> Told {
    let replies = if leader == member.id() {
        Ok(answer_parcel(server, leader, &body[1..]).await)
    } else {
        member.pass_on(leader, body.clone(), ANSWER).await
    };
    match replies {
        Ok(replies) if !replies.is_empty() => Told::Replies(replies),
        Err(NodeError::Replication(Error::Unreachable { .. })) => Told::NotReached,
        _ => Told::Silence,
    }
}

/// The error that says that nothing was done, if one does: that of any request, as they are done
/// together or not at all.
fn nothing_done(replies: &[u8], skipped: usize) -> Option<&[u8]> {
    let mut rest = replies;
    for _ in 0..=skipped {
        if NOTHING_DONE.iter().any(|error| rest.starts_with(error)) {
            return Some(rest);
        }
        rest = after_line(rest).unwrap_or_default();
    }
    None
}

/// The reply after the first ones, each of which is a line.
fn last(replies: &[u8], skipped: usize) -> Vec<u8> {
    (0..skipped).fold(replies, |rest, _| after_line(rest).unwrap_or_default()).to_vec()
}

/// What stands after the first line; none if that has no end.
pub(crate) fn after_line(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some(&bytes[end + 1..])
}

/// The node that a `MOVED` names.
fn named(member: &Member, error: &[u8]) -> Option<NodeId> {
    let line = error.strip_prefix(b"-MOVED ")?;
    let line = std::str::from_utf8(&line[..line.iter().position(|byte| *byte == b'\r')?]).ok()?;
    let address = line.split_once(' ')?.1;
    let topology = member.topology()?;
    topology
        .nodes()
        .find(|node| format!("{}:{}", node.client.host(), node.client.port()) == address)
        .map(|node| node.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reply_of_a_transaction_stands_behind_those_of_its_commands() {
        let replies = b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n:2\r\n";
        assert_eq!(nothing_done(replies, 3), None);
        assert_eq!(last(replies, 3), b"*2\r\n:1\r\n:2\r\n");
        let moved = b"+OK\r\n-MOVED 7 a:1\r\n-EXECABORT x\r\n";
        assert!(nothing_done(moved, 2).is_some_and(|error| error.starts_with(b"-MOVED 7 a:1")));
        assert_eq!(nothing_done(b"$6\r\n-MOVED\r\n", 0), None);
    }
}
