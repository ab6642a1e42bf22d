//! `CLIENT KILL`: by address, as once, or by filters that all have to match.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Kind, present};
use crate::clients::{Client, ClientId};
use crate::clock;
use crate::command::context::Context;
use crate::command::error::{CommandError, CommandResult};
use crate::resp::{Args, Reply};
use crate::value::integer;

/// Whether the client that asks is killed too, if it matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Oneself {
    #[default]
    Spared,
    Included,
}

/// Whom to kill: who matches everything that is given.
#[derive(Default)]
struct Filter {
    id: Option<ClientId>,
    kind: Option<Kind>,
    user: Option<String>,
    peer: Option<Vec<u8>>,
    local: Option<Vec<u8>>,
    oldest: Option<Duration>,
    oneself: Oneself,
}

impl Filter {
    fn matches(&self, client: &Client) -> bool {
        self.id.is_none_or(|id| client.id == id)
            && self.kind.is_none_or(|kind| kind == Kind::Normal)
            && self.user.as_ref().is_none_or(|user| client.names().user == *user)
            && self.peer.as_ref().is_none_or(|peer| client.origin.peer().as_bytes() == peer)
            && self.local.as_ref().is_none_or(|local| client.origin.local().as_bytes() == local)
            && self.oldest.is_none_or(|oldest| age(client) >= oldest)
    }
}

fn age(client: &Client) -> Duration {
    clock::monotonic().saturating_sub(client.since)
}

/// `CLIENT KILL ip:port` and `CLIENT KILL filter value [filter value …]`
pub(in crate::command) fn kill(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    if args.len() == 3 {
        let filter = Filter {
            peer: Some(args[2].to_vec()),
            oneself: Oneself::Included,
            ..Filter::default()
        };
        if kill_all(cx, &filter) == 0 {
            return Err(CommandError::text("ERR No such client"));
        }
        reply.ok();
        return Ok(());
    }
    let filter = parse(cx, args)?;
    let killed = kill_all(cx, &filter);
    reply.count(killed);
    Ok(())
}

fn parse(cx: &Context<'_, '_>, args: Args<'_>) -> Result<Filter, CommandError> {
    let mut filter = Filter::default();
    for at in (2..args.len()).step_by(2) {
        let value = args.get(at + 1).ok_or(CommandError::Syntax)?;
        if args.is(at, "ID") {
            let id = integer::parse_i64(value).and_then(|id| u64::try_from(id).ok());
            let id = id.filter(|id| *id > 0);
            let wrong = CommandError::text("ERR client-id should be greater than 0");
            filter.id = Some(ClientId(id.ok_or(wrong)?));
        } else if args.is(at, "TYPE") {
            filter.kind = Some(Kind::parse(value)?);
        } else if args.is(at, "ADDR") {
            filter.peer = Some(value.to_vec());
        } else if args.is(at, "LADDR") {
            filter.local = Some(value.to_vec());
        } else if args.is(at, "USER") {
            let name = String::from_utf8_lossy(value).into_owned();
            if cx.server().acl.get(value).is_none() {
                return Err(CommandError::new(format!("ERR No such user '{name}'")));
            }
            filter.user = Some(name);
        } else if args.is(at, "MAXAGE") {
            filter.oldest = Some(parse_age(value)?);
        } else if args.is(at, "SKIPME") {
            filter.oneself = match value.to_ascii_lowercase().as_slice() {
                b"yes" => Oneself::Spared,
                b"no" => Oneself::Included,
                _ => return Err(CommandError::Syntax),
            };
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(filter)
}

fn parse_age(value: &[u8]) -> Result<Duration, CommandError> {
    let wrong = CommandError::text("ERR maxage is not an integer or out of range");
    let seconds = integer::parse_i64(value).ok_or(wrong)?;
    match u64::try_from(seconds) {
        Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => Err(CommandError::text("ERR maxage should be greater than 0")),
    }
}

/// Kills who matches; says how many those were.
fn kill_all(cx: &mut Context<'_, '_>, filter: &Filter) -> usize {
    let mut killed = 0;
    for client in present(cx).iter().filter(|client| filter.matches(client)) {
        if client.id != cx.session.client.id {
            cx.server().kill(client);
        } else if filter.oneself == Oneself::Included {
            leave(cx, client);
        } else {
            continue;
        }
        killed += 1;
    }
    killed
}

/// Ends the asking client's own connection once it has its reply.
fn leave(cx: &mut Context<'_, '_>, client: &Arc<Client>) {
    client.doomed.store(true, Ordering::Relaxed);
    cx.session.closing = true;
}
