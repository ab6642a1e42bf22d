//! `MEMORY`: what a key takes, and what the server does.
//!
//! Values are on disk: what a key takes is its record in the log and its share of the index.

use super::context::Context;
use super::error::{CommandError, CommandResult};
use crate::resp::{Args, Reply};
use crate::value::integer;
use crate::{machine, process};

/// `MEMORY USAGE key [SAMPLES count]`
pub(super) fn usage(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    for at in (3..args.len()).step_by(2) {
        let (true, Some(count)) = (args.is(at, "SAMPLES"), args.get(at + 1)) else {
            return Err(CommandError::Syntax);
        };
        let count = integer::parse_i64(count).ok_or(CommandError::NotAnInteger)?;
        if count < 0 {
            return Err(CommandError::Syntax);
        }
    }
    match cx.read(&args[2], |entry| entry.stored_bytes())? {
        Some(bytes) => {
            let share = cx.server().store.stats().index_bytes_per_key().unwrap_or(0.0);
            // A nearly empty index has room that is no key's.
            reply.integer(bytes as i64 + share.ceil().min(MOST_SHARE) as i64);
        }
        None => reply.null(),
    }
    Ok(())
}

/// Bytes of the index that are counted as a key's at most.
const MOST_SHARE: f64 = 16.0;

/// `MEMORY STATS`
pub(super) fn stats(cx: &mut Context<'_, '_>, _: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    let server = cx.server();
    let store = server.store.stats();
    let (clients, resident) = (server.memory.total() as u64, process::resident_memory());
    let used = store.index_bytes + clients;
    let counts = [
        ("peak.allocated", process::peak_memory()),
        ("total.allocated", used),
        ("startup.allocated", 0),
        ("replication.backlog", 0),
        ("clients.slaves", 0),
        ("clients.normal", clients),
        ("cluster.links", 0),
        ("aof.buffer", 0),
        ("lua.caches", 0),
        ("functions.caches", 0),
        ("overhead.total", used),
        ("keys.count", store.keys),
        ("keys.bytes-per-key", store.live_bytes.checked_div(store.keys).unwrap_or(0)),
        ("dataset.bytes", store.live_bytes),
        ("allocator.allocated", used),
        ("allocator.active", resident),
        ("allocator.resident", resident),
        ("rss-overhead.bytes", resident.saturating_sub(used)),
        ("fragmentation.bytes", resident.saturating_sub(used)),
    ];
    reply.map(counts.len() + 5);
    for (name, count) in counts {
        reply.bulk(name.as_bytes());
        reply.integer(count as i64);
    }
    reply.bulk(b"db.0");
    reply.map(2);
    reply.bulk(b"overhead.hashtable.main");
    reply.integer(store.index_bytes as i64);
    reply.bulk(b"overhead.hashtable.expires");
    reply.integer(0);
    let ratio = if used == 0 { 0.0 } else { resident as f64 / used as f64 };
    let peak = 100.0 * used as f64 / process::peak_memory().max(1) as f64;
    for (name, number) in [
        ("dataset.percentage", 0.0),
        ("peak.percentage", peak),
        ("rss-overhead.ratio", ratio),
        ("fragmentation", ratio),
    ] {
        reply.bulk(name.as_bytes());
        reply.double(number);
    }
    Ok(())
}

/// `MEMORY DOCTOR`
pub(super) fn doctor(
    cx: &mut Context<'_, '_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let server = cx.server();
    let (index, clients) = (server.store.stats().index_bytes, server.memory.total() as u64);
    // What is mapped of the log gives way whenever the machine needs the room.
    let own = process::resident_memory().saturating_sub(process::mapped_files());
    let machine = machine::total_memory();
    let mut text = String::new();
    if machine > 0 && own > machine / 4 * 3 {
        text.push_str(&format!(
            "The server has {own} of the machine's {machine} bytes in memory. "
        ));
    }
    if clients > index && clients > 64 << 20 {
        text.push_str(&format!(
            "Buffers of clients take {clients} bytes, more than the index: see tot-mem in CLIENT \
             LIST, and the settings client-output-buffer-limit and maxmemory-clients. "
        ));
    }
    if text.is_empty() {
        text.push_str("I can't find any memory issue in this instance. ");
    }
    reply.verbatim(&format!(
        "{text}The index takes {index} bytes, buffers of clients {clients}; values are on disk.\n"
    ));
    Ok(())
}

/// `MEMORY PURGE`: there is nothing to give back.
pub(super) fn purge(_: &mut Context<'_, '_>, _: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    reply.ok();
    Ok(())
}

/// `MEMORY HELP`
pub(super) fn help(_: &mut Context<'_, '_>, _: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    super::help::write(
        reply,
        "MEMORY",
        &[
            "DOCTOR",
            "    Return memory problems reports.",
            "PURGE",
            "    Attempt to purge dirty pages for reclamation by the allocator.",
            "STATS",
            "    Return information about the memory usage of the server.",
            "USAGE <key> [SAMPLES <count>]",
            "    Return memory in bytes used by <key> and its value. Nested values are",
            "    sampled up to <count> times (default: 5, 0 means sample all).",
        ],
    );
    Ok(())
}
