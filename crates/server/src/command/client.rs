//! `CLIENT`: who is connected, what is known of them, and what may be done to them.
//!
//! ```text
//!  a worker keeps ─▶ Client ◀─ everybody reads
//!  KILL: marked doomed (it is shown no more) and its worker told
//! ```

mod help;
mod kill;
mod line;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub(super) use self::help::help;
pub(super) use self::kill::kill;
pub use self::line::client_line;
use super::context::Context;
use super::error::{CommandError, CommandResult};
use crate::clients::{Client, ClientId};
use crate::pause::Paused;
use crate::resp::{Args, Reply};
use crate::session::ReplyMode;
use crate::value::integer;

/// `CLIENT ID`
pub(super) fn id(cx: &mut Context<'_, '_>, _: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    reply.integer(cx.session.client.id.0 as i64);
    Ok(())
}

/// `CLIENT INFO`
pub(super) fn info(cx: &mut Context<'_, '_>, _: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    reply.verbatim(&format!("{}\n", client_line(&cx.session.client)));
    Ok(())
}

/// The kinds of clients. Here all are normal ones.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    Other,
}

impl Kind {
    fn parse(word: &[u8]) -> Result<Kind, CommandError> {
        match word.to_ascii_lowercase().as_slice() {
            b"normal" => Ok(Kind::Normal),
            b"master" | b"replica" | b"slave" | b"pubsub" => Ok(Kind::Other),
            _ => Err(CommandError::new(format!(
                "ERR Unknown client type '{}'",
                String::from_utf8_lossy(word)
            ))),
        }
    }
}

/// The clients that are there to stay, by number.
fn present(cx: &Context<'_, '_>) -> Vec<Arc<Client>> {
    let mut clients = cx.server().clients.all();
    clients.retain(|client| !client.doomed.load(Ordering::Relaxed));
    clients
}

/// `CLIENT LIST [TYPE type] [ID id …]`
pub(super) fn list(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let mut clients = present(cx);
    if args.len() == 4 && args.is(2, "TYPE") {
        if Kind::parse(&args[3])? != Kind::Normal {
            clients.clear();
        }
    } else if args.len() > 3 && args.is(2, "ID") {
        let ids = args.iter().skip(3).map(|word| {
            let number = integer::parse_i64(word).and_then(|number| u64::try_from(number).ok());
            number.map(ClientId).ok_or(CommandError::text("ERR Invalid client ID"))
        });
        let ids = ids.collect::<Result<BTreeSet<_>, _>>()?;
        clients.retain(|client| ids.contains(&client.id));
    } else if args.len() != 2 {
        return Err(CommandError::Syntax);
    }
    let mut text = String::with_capacity(clients.len() * 320);
    for client in clients {
        text.push_str(&client_line(&client));
        text.push('\n');
    }
    reply.verbatim(&text);
    Ok(())
}

/// A name that a client may give itself.
pub(super) fn checked_name(name: &[u8]) -> Result<&str, CommandError> {
    printable(name).ok_or(CommandError::text(
        "ERR Client names cannot contain spaces, newlines or special characters.",
    ))
}

fn printable(text: &[u8]) -> Option<&str> {
    let printable = text.iter().all(|byte| matches!(byte, b'!'..=b'~'));
    std::str::from_utf8(text).ok().filter(|_| printable)
}

/// `CLIENT SETNAME connection-name`
pub(super) fn set_name(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    cx.session.client.names().name = checked_name(&args[2])?.to_owned();
    reply.ok();
    Ok(())
}

/// `CLIENT GETNAME`
pub(super) fn get_name(
    cx: &mut Context<'_, '_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let name = cx.session.client.names().name.clone();
    reply.bulk_or_null(Some(name.as_bytes()).filter(|name| !name.is_empty()));
    Ok(())
}

/// `CLIENT SETINFO LIB-NAME|LIB-VER value`
pub(super) fn set_info(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let attribute = String::from_utf8_lossy(&args[2]);
    if !args.is(2, "LIB-NAME") && !args.is(2, "LIB-VER") {
        return Err(CommandError::new(format!("ERR Unrecognized option '{attribute}'")));
    }
    let value = printable(&args[3]).ok_or_else(|| {
        CommandError::new(format!(
            "ERR {attribute} cannot contain spaces, newlines or special characters."
        ))
    })?;
    let mut names = cx.session.client.names();
    if args.is(2, "LIB-NAME") {
        names.library = value.to_owned();
    } else {
        names.library_version = value.to_owned();
    }
    reply.ok();
    Ok(())
}

/// Whether the third word is `ON`; it may be `OFF`.
fn is_on(args: Args<'_>) -> Result<bool, CommandError> {
    match (args.is(2, "ON"), args.is(2, "OFF")) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err(CommandError::Syntax),
    }
}

/// `CLIENT NO-EVICT ON|OFF`
pub(super) fn no_evict(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    cx.session.client.no_evict.store(is_on(args)?, Ordering::Relaxed);
    reply.ok();
    Ok(())
}

/// `CLIENT NO-TOUCH ON|OFF`: taken, and without effect, as no time of use is kept.
pub(super) fn no_touch(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    cx.session.client.no_touch.store(is_on(args)?, Ordering::Relaxed);
    reply.ok();
    Ok(())
}

/// `CLIENT PAUSE timeout [WRITE|ALL]`
pub(super) fn pause(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let which = match args.len() {
        3 => Paused::All,
        4 if args.is(3, "ALL") => Paused::All,
        4 if args.is(3, "WRITE") => Paused::Writes,
        4 => return Err(CommandError::text("ERR CLIENT PAUSE mode must be WRITE or ALL")),
        _ => return Err(CommandError::WrongArguments("client|pause")),
    };
    let span = integer::parse_i64(&args[2]);
    let span = span.ok_or(CommandError::text("ERR timeout is not an integer or out of range"))?;
    let span = u64::try_from(span).map_err(|_| CommandError::text("ERR timeout is negative"))?;
    cx.server().pause.begin(which, Duration::from_millis(span));
    reply.ok();
    Ok(())
}

/// `CLIENT UNPAUSE`
pub(super) fn unpause(
    cx: &mut Context<'_, '_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let server = cx.server();
    server.pause.end();
    server.wake_workers();
    reply.ok();
    Ok(())
}

/// `CLIENT REPLY ON|OFF|SKIP`
pub(super) fn reply(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    if args.is(2, "ON") {
        cx.session.replies = ReplyMode::On;
        reply.ok();
    } else if args.is(2, "OFF") {
        cx.session.replies = ReplyMode::Off;
    } else if args.is(2, "SKIP") {
        if cx.session.replies != ReplyMode::Off {
            cx.session.replies = ReplyMode::SkipNext;
        }
    } else {
        return Err(CommandError::Syntax);
    }
    Ok(())
}

// --- what this server does not do ---

/// `CLIENT UNBLOCK client-id [TIMEOUT|ERROR]`: no command blocks, so nobody is unblocked.
pub(super) fn unblock(
    _: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    if args.len() > 4 {
        return Err(CommandError::WrongArguments("client|unblock"));
    }
    if args.len() == 4 && !args.is(3, "TIMEOUT") && !args.is(3, "ERROR") {
        return Err(CommandError::text("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"));
    }
    integer::parse_i64(&args[2]).ok_or(CommandError::NotAnInteger)?;
    reply.integer(0);
    Ok(())
}

/// `CLIENT TRACKING ON|OFF …`: it is always off.
pub(super) fn tracking(
    _: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    if is_on(args)? {
        return Err(CommandError::text(
            "ERR tracking of keys for client-side caching is not supported by this server",
        ));
    }
    reply.ok();
    Ok(())
}

/// `CLIENT CACHING YES|NO`: only makes sense with tracking.
pub(super) fn caching(_: &mut Context<'_, '_>, _: Args<'_>, _: &mut Reply<'_>) -> CommandResult {
    Err(CommandError::text(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or \
         OPTOUT mode enabled",
    ))
}

/// `CLIENT GETREDIR`
pub(super) fn get_redirection(
    _: &mut Context<'_, '_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    reply.integer(-1);
    Ok(())
}

/// `CLIENT TRACKINGINFO`
pub(super) fn tracking_info(
    _: &mut Context<'_, '_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(1);
    reply.bulk(b"off");
    reply.bulk(b"redirect");
    reply.integer(-1);
    reply.bulk(b"prefixes");
    reply.array(0);
    Ok(())
}
