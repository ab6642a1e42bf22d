//! The ten fields that `COMMAND INFO` tells of a command.
//!
//! ```text
//!  name  arity  {flags}  first  last  step  {categories}  {tips}  {key specifications}  [subcommands]
//! ```

use crate::command::keys::{FindKeys, KeySpec};
use crate::command::table::CommandSpec;
use crate::resp::Reply;

/// Writes them, those of the subcommands included.
pub(super) fn write(reply: &mut Reply<'_>, spec: &CommandSpec) {
    let range = spec.key_range();
    reply.array(10);
    reply.bulk(spec.full_name.as_bytes());
    reply.integer(i64::from(spec.arity));
    write_words(reply, spec.flags.names());
    reply.integer(range.first);
    reply.integer(range.last);
    reply.integer(range.step);
    let categories: Vec<String> = spec.categories.names().map(|name| format!("@{name}")).collect();
    write_words(reply, categories.iter().map(String::as_str));
    reply.set(0);
    reply.set(spec.keys.len());
    spec.keys.iter().for_each(|keys| write_keys(reply, keys));
    reply.array(spec.subcommands.len());
    spec.subcommands.iter().for_each(|sub| write(reply, sub));
}

/// Writes a set of words.
pub(super) fn write_words<'w>(reply: &mut Reply<'_>, words: impl Iterator<Item = &'w str>) {
    let words: Vec<&str> = words.collect();
    reply.set(words.len());
    words.iter().for_each(|word| reply.simple(word));
}

fn write_keys(reply: &mut Reply<'_>, keys: &KeySpec) {
    reply.map(3);
    reply.bulk(b"flags");
    write_words(reply, keys.flags.names());
    reply.bulk(b"begin_search");
    write_search(reply, "index", &[("index", keys.begin as i64)]);
    reply.bulk(b"find_keys");
    match keys.find {
        FindKeys::Range { last, step } => {
            let fields = [("lastkey", i64::from(last)), ("keystep", step as i64), ("limit", 0)];
            write_search(reply, "range", &fields);
        }
        FindKeys::Counted { first, step } => {
            let fields = [("keynumidx", 0), ("firstkey", first as i64), ("keystep", step as i64)];
            write_search(reply, "keynum", &fields);
        }
    }
}

fn write_search(reply: &mut Reply<'_>, kind: &str, fields: &[(&str, i64)]) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map(fields.len());
    for (name, value) in fields {
        reply.bulk(name.as_bytes());
        reply.integer(*value);
    }
}
