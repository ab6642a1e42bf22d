//! How bytes and records are printed.
//!
//! The manifest is taken apart here by its documented layout and not by the engine's own decoder: a
//! second opinion.

use std::fmt::Write;

use aryavarth::{BatchPlace, EntryId, LogOperation, LogRecord};

/// Bytes of a record's fixed fields, in order: checksum, unsynced, sequence, value length, key length,
/// shard, kind, flags, zeros.
const FIELDS: [usize; 9] = [4, 4, 8, 4, 2, 2, 1, 1, 2];
/// Bytes of keys and values that are printed.
const SHOWN: usize = 40;

/// Text as it is, if it is short and printable.
pub fn text(bytes: &[u8]) -> String {
    let printable = bytes.iter().all(|byte| (0x20..0x7f).contains(byte));
    if bytes.is_empty() || bytes.len() > SHOWN || !printable {
        return format!("<{} bytes>", bytes.len());
    }
    String::from_utf8_lossy(bytes).into_owned()
}

/// A record in words and in bytes.
pub fn record(record: &LogRecord) -> String {
    let place = match record.batch {
        BatchPlace::Single => "",
        BatchPlace::Continues => " (batch goes on)",
        BatchPlace::Last => " (batch ends)",
    };
    let operation = match &record.operation {
        LogOperation::Set { key, value } => format!("set {} = {}", text(key), text(value)),
        LogOperation::Remove { key } => format!("remove {}", text(key)),
        LogOperation::Entry { shard, id, committed, config } => {
            let committed = committed.map_or("none".to_owned(), |index| index.0.to_string());
            let config =
                config.as_ref().map_or_else(String::new, |c| format!(" config {}", text(c)));
            format!("entry {shard}/{id} committed {committed}{config}")
        }
        LogOperation::State { shard, is_here, vote, purged, committed, dead } => {
            let id = |id: &Option<EntryId>| id.map_or("none".to_owned(), |id| id.to_string());
            let gone = if *is_here { "" } else { " gone" };
            let dead: String = dead.iter().map(|(a, b)| format!(" dead #{a}-#{b}")).collect();
            let (purged, committed, vote) = (id(purged), id(committed), text(vote));
            format!("state {shard}{gone} vote {vote} purged {purged} committed {committed}{dead}")
        }
        LogOperation::Unclear { detail } => format!("unclear: {detail}"),
    };
    let expiry = record.expires_at.map_or_else(String::new, |at| format!(" until {}", at.0));
    format!(
        "{}:{}+{} #{} {operation}{expiry}{place}\n    {}\n",
        record.position.segment,
        record.position.offset,
        record.length,
        record.sequence,
        fields(&record.raw)
    )
}

fn fields(raw: &[u8]) -> String {
    let mut out = String::new();
    let mut rest = raw;
    for length in FIELDS {
        let (field, after) = rest.split_at(length);
        write!(out, "{} ", hex(field)).expect("writing to a string");
        rest = after;
    }
    let shown = &rest[..rest.len().min(SHOWN)];
    let more = if rest.len() > SHOWN { "…" } else { "" };
    format!("{out}| {}{more}", hex(shown))
}

/// Bytes as digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A manifest in words.
pub fn manifest(bytes: &[u8]) -> String {
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
    let (magic, version, count) = (text(&bytes[..7]), u32_at(8), u32_at(12));
    let origin = ["native", "KVS1, converting", "KVS1, converted"][bytes[48] as usize];
    let mut out = format!(
        "{magic} version {version}, origin {origin}, next segment {}, next sequence {}\n",
        u64_at(32),
        u64_at(40)
    );
    for entry in (0..count as usize).map(|number| 64 + number * 32) {
        let role = ["?", "log", "survivors"][bytes[entry + 24] as usize];
        let state = ["open", "sealed"][bytes[entry + 25] as usize];
        let (id, synced, born) = (u64_at(entry), u64_at(entry + 8), u64_at(entry + 16));
        writeln!(out, "segment {id}: {role}, {state}, synced to {synced}, born at #{born}")
            .expect("writing to a string");
    }
    out
}
