//! What `COMMAND DOCS` tells of a command: a map, its arguments a tree of maps.

use crate::command::docs::{Argument, ArgumentKind, docs};
use crate::command::table::CommandSpec;
use crate::resp::Reply;

/// Writes the name of a command and the map.
pub(super) fn write(reply: &mut Reply<'_>, spec: &CommandSpec) {
    let (group, docs) = docs(spec.id);
    let texts = [
        ("summary", docs.summary),
        ("since", docs.since),
        ("group", group),
        ("complexity", docs.complexity),
    ];
    let has_arguments = usize::from(!docs.arguments.is_empty());
    let has_subcommands = usize::from(!spec.subcommands.is_empty());
    let deprecated = if docs.deprecated.is_some() { 3 } else { 0 };
    reply.bulk(spec.full_name.as_bytes());
    reply.map(texts.len() + deprecated + has_arguments + has_subcommands);
    texts.iter().for_each(|(name, text)| write_text(reply, name, text));
    if let Some((since, instead)) = docs.deprecated {
        reply.bulk(b"doc_flags");
        reply.set(1);
        reply.simple("deprecated");
        write_text(reply, "deprecated_since", since);
        write_text(reply, "replaced_by", instead);
    }
    if has_arguments > 0 {
        reply.bulk(b"arguments");
        write_arguments(reply, docs.arguments);
    }
    if has_subcommands > 0 {
        reply.bulk(b"subcommands");
        reply.map(spec.subcommands.len());
        spec.subcommands.iter().for_each(|sub| write(reply, sub));
    }
}

fn write_text(reply: &mut Reply<'_>, name: &str, text: &str) {
    reply.bulk(name.as_bytes());
    reply.bulk(text.as_bytes());
}

fn write_arguments(reply: &mut Reply<'_>, arguments: &[Argument]) {
    reply.array(arguments.len());
    arguments.iter().for_each(|argument| write_argument(reply, argument));
}

fn write_argument(reply: &mut Reply<'_>, argument: &Argument) {
    let key = match argument.kind {
        ArgumentKind::Key(number) => Some(number),
        _ => None,
    };
    let parts = argument.kind.parts();
    let flags: Vec<&str> = argument.flags.names().collect();
    let optional = [
        key.is_some(),
        argument.token.is_some(),
        argument.since.is_some(),
        !flags.is_empty(),
        !parts.is_empty(),
    ];
    reply.map(2 + optional.iter().filter(|there| **there).count());
    write_text(reply, "name", argument.name);
    write_text(reply, "type", argument.kind.name());
    if let Some(number) = key {
        reply.bulk(b"key_spec_index");
        reply.count(number);
    }
    if let Some(token) = argument.token {
        write_text(reply, "token", token);
    }
    if let Some(since) = argument.since {
        write_text(reply, "since", since);
    }
    if !flags.is_empty() {
        reply.bulk(b"flags");
        reply.set(flags.len());
        flags.iter().for_each(|flag| reply.simple(flag));
    }
    if !parts.is_empty() {
        reply.bulk(b"arguments");
        write_arguments(reply, parts);
    }
}
