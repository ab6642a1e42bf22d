//! `KEYS` and `SCAN`: going over the keys.
//!
//! A cursor of `SCAN` is the number of a [`ScanPosition`]: a key that is there from the first call to
//! the last is shown at least once. In a transaction, keys that are not settled yet are shown by the
//! call with cursor 0, and those that the transaction has removed by none. In a cluster, the keys are
//! those of the command's [`Scope`]; positions are the same on every node.

use std::sync::Arc;

use aryavarth::ScanPosition;

use super::context::Context;
use super::error::{CommandError, CommandResult};
use super::scope::Scope;
use super::view::View;
use crate::resp::{Args, Protocol, Reply};
use crate::server::Server;
use crate::value::glob::{self, Prefix};
use crate::value::integer;

/// Keys that a `SCAN` without `COUNT` looks at, as in Redis.
const DEFAULT_COUNT: usize = 10;
/// Most keys that are looked at on the worker.
const AT_ONCE: usize = 1000;
/// Keys in the store above which even few are not looked at on the worker: a call sorts a table of
/// the index, 1/4096 of all keys.
const LARGE_STORE: u64 = 1 << 24;
/// Keys of one visit to the store.
const STEP: usize = 1 << 16;

/// `KEYS pattern`
pub(super) fn keys(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let pattern = &args[1];
    if let Prefix::Exact(key) = glob::prefix(pattern) {
        // One lookup rather than one of every key.
        cx.turn_to(key);
        let found = Scope::of(cx).has(key) && cx.exists(key)?;
        reply.array(usize::from(found));
        if found {
            reply.bulk(key);
        }
        return Ok(());
    }
    let (view, scope, pattern) = (View::of(cx), Scope::of(cx), pattern.to_vec());
    cx.run_elsewhere(reply, move |server, reply| {
        view.await_settled(server);
        let mut found = Found::new(reply.protocol());
        all_keys(server, &view, &scope, &pattern, &mut found)?;
        found.show(reply);
        Ok(())
    })
}

fn all_keys(
    server: &Arc<Server>,
    view: &View,
    scope: &Scope,
    pattern: &[u8],
    found: &mut Found,
) -> aryavarth::Result<()> {
    let matches = Matches::new(Some(pattern));
    let accept = |key: &[u8]| scope.has(key) && matches.accept(key);
    let now = server.store.now();
    view.unsettled(now).filter(|key| accept(key)).for_each(|key| found.add(key));
    let mut position = Some(ScanPosition::START);
    while let Some(at) = position {
        position = server.store.scan(at, STEP, |entry| {
            if view.fate(entry.key, now).is_none() && accept(entry.key) {
                found.add(entry.key);
            }
        })?;
    }
    Ok(())
}

/// What a `SCAN` asks for.
struct Scan {
    from: ScanPosition,
    count: usize,
    pattern: Option<Vec<u8>>,
    kind: Kind,
}

/// Which keys by the type of their value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// All: there are only strings.
    Strings,
    /// None: keys of another type.
    Others,
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`
pub(super) fn scan(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let asked = parse(args)?;
    let (view, scope) = (View::of(cx), Scope::of(cx));
    let is_short = asked.count <= AT_ONCE && cx.server().store.len() <= LARGE_STORE;
    if is_short && !view.has_to_wait() {
        return Ok(go_over(cx.server(), &view, &scope, &asked, reply)?);
    }
    cx.run_elsewhere(reply, move |server, reply| {
        view.await_settled(server);
        Ok(go_over(server, &view, &scope, &asked, reply)?)
    })
}

/// Does one call. Writes nothing if it fails.
fn go_over(
    server: &Arc<Server>,
    view: &View,
    scope: &Scope,
    asked: &Scan,
    reply: &mut Reply<'_>,
) -> aryavarth::Result<()> {
    let matches = Matches::new(asked.pattern.as_deref());
    let accept = |key: &[u8]| asked.kind == Kind::Strings && scope.has(key) && matches.accept(key);
    let (now, is_first) = (server.store.now(), asked.from == ScanPosition::START);
    let mut found = Found::new(reply.protocol());
    if is_first {
        view.unsettled(now).filter(|key| accept(key)).for_each(|key| found.add(key));
    }
    let next = server.store.scan(asked.from, asked.count, |entry| {
        let is_there = match view.fate(entry.key, now) {
            None => true,
            // Shown above, in the first call.
            Some(is_there) => is_there && !is_first,
        };
        if is_there && accept(entry.key) {
            found.add(entry.key);
        }
    })?;
    reply.array(2);
    let cursor = next.map_or(0, ScanPosition::number);
    reply.bulk(integer::Text::of_u64(cursor).as_bytes());
    found.show(reply);
    Ok(())
}

fn parse(args: Args<'_>) -> Result<Scan, CommandError> {
    let from = parse_cursor(&args[1]).ok_or(CommandError::text("ERR invalid cursor"))?;
    let mut asked = Scan { from, count: DEFAULT_COUNT, pattern: None, kind: Kind::Strings };
    let mut number = 2;
    while number < args.len() {
        let Some(value) = args.get(number + 1) else { return Err(CommandError::Syntax) };
        if args.is(number, "COUNT") {
            let count = integer::parse_i64(value).ok_or(CommandError::NotAnInteger)?;
            asked.count = usize::try_from(count).map_err(|_| CommandError::Syntax)?;
            if asked.count == 0 {
                return Err(CommandError::Syntax);
            }
        } else if args.is(number, "MATCH") {
            asked.pattern = Some(value.to_vec());
        } else if args.is(number, "TYPE") {
            asked.kind =
                if value.eq_ignore_ascii_case(b"string") { Kind::Strings } else { Kind::Others };
        } else {
            return Err(CommandError::Syntax);
        }
        number += 2;
    }
    Ok(asked)
}

/// A position that some call may have returned: its number in decimal digits.
fn parse_cursor(text: &[u8]) -> Option<ScanPosition> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    ScanPosition::from_number(std::str::from_utf8(text).ok()?.parse().ok()?)
}

/// A pattern that keys are compared with.
struct Matches<'p>(Option<&'p [u8]>);

impl<'p> Matches<'p> {
    fn new(pattern: Option<&'p [u8]>) -> Matches<'p> {
        Matches(pattern.filter(|pattern| glob::prefix(pattern) != Prefix::Every))
    }

    fn accept(&self, key: &[u8]) -> bool {
        self.0.is_none_or(|pattern| glob::matches(pattern, key))
    }
}

/// Keys gathered for a reply before their number is known.
struct Found {
    bytes: Vec<u8>,
    count: usize,
    protocol: Protocol,
}

impl Found {
    fn new(protocol: Protocol) -> Found {
        Found { bytes: Vec::new(), count: 0, protocol }
    }

    fn add(&mut self, key: &[u8]) {
        Reply::new(&mut self.bytes, self.protocol).bulk(key);
        self.count += 1;
    }

    fn show(&self, reply: &mut Reply<'_>) {
        reply.array(self.count);
        reply.buffer().extend_from_slice(&self.bytes);
    }
}
