//! Keys as such, whatever their values: `DEL UNLINK EXISTS TOUCH TYPE RENAME RENAMENX COPY`, and how
//! many there are.
//!
//! A key that moves or is copied keeps its value and its deadline.

use std::collections::HashSet;
use std::sync::Arc;

use aryavarth::ScanPosition;

use super::context::{Context, Value};
use super::error::{CommandError, CommandResult};
use super::scope::Scope;
use super::view::View;
use crate::resp::{Args, Reply};
use crate::server::Server;
use crate::value::integer;

/// Keys tried at random before all are looked through for one that is there.
const TRIES: usize = 100;
/// Keys looked at in one visit to the store.
const STEP: usize = 256;
/// How often the store is asked again for the number of its keys while it changes.
const COUNTS: usize = 16;
/// Keys looked at in one visit to the store to count them.
const COUNT_STEP: usize = 1 << 16;

/// `DEL key [key …]`, `UNLINK key [key …]`: memory is given back by the way, so they are the same.
pub(super) fn del(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    if args.len() > 2 {
        cx.probe(args.iter().skip(1))?;
    }
    let mut removed = 0;
    for key in args.iter().skip(1) {
        if cx.exists(key)? {
            cx.remove(key);
            removed += 1;
        }
    }
    reply.integer(removed);
    Ok(())
}

/// `EXISTS key [key …]`, `TOUCH key [key …]`: no times of access are kept, so they are the same.
pub(super) fn exists(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    if args.len() > 2 {
        // Of a key that moves meanwhile, one name is there and not the other.
        cx.see_everything();
    }
    let mut found = 0;
    for key in args.iter().skip(1) {
        found += i64::from(cx.exists(key)?);
    }
    reply.integer(found);
    Ok(())
}

/// `TYPE key`
pub(super) fn kind(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    reply.simple(if cx.exists(&args[1])? { "string" } else { "none" });
    Ok(())
}

/// `RENAME key newkey`
pub(super) fn rename(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let (from, to) = (&args[1], &args[2]);
    if from != to {
        let value = cx.value(from)?.ok_or(CommandError::NoSuchKey)?;
        relocate(cx, from, to, &value)?;
    } else if !cx.exists(from)? {
        return Err(CommandError::NoSuchKey);
    }
    reply.ok();
    Ok(())
}

/// `RENAMENX key newkey`
pub(super) fn rename_nx(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let (from, to) = (&args[1], &args[2]);
    if !cx.exists(from)? {
        return Err(CommandError::NoSuchKey);
    }
    if cx.exists(to)? {
        reply.integer(0);
        return Ok(());
    }
    let value = cx.value(from)?.ok_or(CommandError::NoSuchKey)?;
    relocate(cx, from, to, &value)?;
    reply.integer(1);
    Ok(())
}

fn relocate(cx: &mut Context<'_, '_>, from: &[u8], to: &[u8], value: &Value) -> CommandResult {
    // First what may be refused.
    cx.set(to, &value.bytes, value.expires_at)?;
    cx.remove(from);
    Ok(())
}

/// `COPY source destination [DB 0] [REPLACE]`
pub(super) fn copy(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let (from, to) = (&args[1], &args[2]);
    let (mut replace, mut number) = (false, 3);
    while number < args.len() {
        if args.is(number, "REPLACE") {
            replace = true;
        } else if args.is(number, "DB") && number + 1 < args.len() {
            number += 1;
            check_database(&args[number])?;
        } else {
            return Err(CommandError::Syntax);
        }
        number += 1;
    }
    if from == to {
        return Err(CommandError::text("ERR source and destination objects are the same"));
    }
    let copied = match cx.value(from)? {
        Some(value) if replace || !cx.exists(to)? => {
            cx.set(to, &value.bytes, value.expires_at)?;
            true
        }
        _ => false,
    };
    reply.integer(i64::from(copied));
    Ok(())
}

/// There is one database, number 0.
fn check_database(number: &[u8]) -> CommandResult {
    let number = integer::parse_i64(number).and_then(|number| i32::try_from(number).ok());
    match number.ok_or(CommandError::NotAnInteger)? {
        0 => Ok(()),
        _ => Err(CommandError::text("ERR DB index is out of range")),
    }
}

/// `DBSIZE`: expired keys count until they are swept away, as in Redis.
pub(super) fn db_size(
    cx: &mut Context<'_, '_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let scope = Scope::of(cx);
    if scope != Scope::All {
        return count_shards(cx, scope, reply);
    }
    if !cx.sees_unsettled() {
        reply.integer(cx.server().store.len() as i64);
        return Ok(());
    }
    if cx.is_spread() {
        let view = View::of(cx);
        return cx.run_elsewhere(reply, move |server, reply| {
            view.await_settled(server);
            reply.integer(server.store.len() as i64);
            Ok(())
        });
    }
    let keys = unsettled_keys(cx);
    let store = cx.server().store.clone();
    let mut count = 0;
    // Batches may be applied meanwhile, which changes what the store has but not the sum: it is
    // taken while the store stood still.
    for _ in 0..COUNTS {
        let length = store.len();
        count = length as i64;
        for key in &keys {
            count += i64::from(cx.exists(key)?) - i64::from(store.contains(key)?);
        }
        if store.len() == length {
            break;
        }
    }
    reply.integer(count);
    Ok(())
}

/// `DBSIZE` in a cluster. Keys are not counted by shard: unless all of the store is meant, they are looked
/// at one by one.
fn count_shards(cx: &mut Context<'_, '_>, scope: Scope, reply: &mut Reply<'_>) -> CommandResult {
    let view = View::of(cx);
    cx.run_elsewhere(reply, move |server, reply| {
        view.await_settled(server);
        let now = server.store.now();
        let at_once = if view.is_bare() { scope.count_at_once(server)? } else { None };
        let count = match at_once {
            Some(count) => count,
            None => {
                let mut count = view.unsettled(now).filter(|key| scope.has(key)).count() as u64;
                let mut position = Some(ScanPosition::START);
                while let Some(at) = position {
                    position = server.store.scan(at, COUNT_STEP, |entry| {
                        let counts = view.fate(entry.key, now).is_none() && scope.has(entry.key);
                        count += u64::from(counts);
                    })?;
                }
                count
            }
        };
        reply.integer(count as i64);
        Ok(())
    })
}

/// The keys of all unsettled effects, each once. What the command says depends on them.
fn unsettled_keys(cx: &mut Context<'_, '_>) -> HashSet<Vec<u8>> {
    let mut keys = HashSet::new();
    cx.each_unsettled(|operation| {
        if !keys.contains(operation.key) {
            keys.insert(operation.key.to_vec());
        }
    });
    keys
}

/// `RANDOMKEY`: nearly every key has the same chance, and there is an answer if there is a key. Keys
/// that are not settled yet get theirs when the store has none to offer.
pub(super) fn random_key(
    cx: &mut Context<'_, '_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let scope = Scope::of(cx);
    if cx.is_spread() {
        let view = View::of(cx);
        return cx.run_elsewhere(reply, move |server, reply| {
            view.await_settled(server);
            reply.bulk_or_null(settled_key(server, &scope)?.as_deref());
            Ok(())
        });
    }
    let store = cx.server().store.clone();
    for _ in 0..TRIES {
        let Some(key) = store.random_key(random)? else { break };
        if scope.has(&key) && cx.exists(&key)? {
            reply.bulk(&key);
            return Ok(());
        }
    }
    let mut removed = HashSet::new();
    if cx.sees_unsettled() {
        for key in unsettled_keys(cx) {
            if scope.has(&key) && cx.exists(&key)? {
                reply.bulk(&key);
                return Ok(());
            }
            removed.insert(key);
        }
    }
    if store.is_empty() {
        reply.null();
        return Ok(());
    }
    // Nearly all that the store has are expired or gone, or not asked for.
    cx.run_elsewhere(reply, move |server, reply| {
        reply.bulk_or_null(first_key(server, &scope, &removed)?.as_deref());
        Ok(())
    })
}

/// A key that the store has.
fn settled_key(server: &Arc<Server>, scope: &Scope) -> Result<Option<Vec<u8>>, aryavarth::Error> {
    for _ in 0..TRIES {
        let Some(key) = server.store.random_key(random)? else { break };
        if scope.has(&key) && server.store.contains(&key)? {
            return Ok(Some(key));
        }
    }
    first_key(server, scope, &HashSet::new())
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    // Without the system's numbers any will do: no secret hangs on them.
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_ne_bytes(bytes),
        Err(_) => crate::clock::monotonic().as_nanos() as u64,
    }
}

/// Some key that the store has and that is not among `removed`.
fn first_key(
    server: &Arc<Server>,
    scope: &Scope,
    removed: &HashSet<Vec<u8>>,
) -> Result<Option<Vec<u8>>, aryavarth::Error> {
    let (mut found, mut position) = (None, Some(ScanPosition::START));
    while let Some(at) = position {
        position = server.store.scan(at, STEP, |entry| {
            if found.is_none() && scope.has(entry.key) && !removed.contains(entry.key) {
                found = Some(entry.key.to_vec());
            }
        })?;
        if found.is_some() {
            break;
        }
    }
    Ok(found)
}
