//! `COMMAND`: what commands there are, for those who write clients and for `redis-cli`'s hints.
//!
//! ```text
//!  row of the table ─▶ entry   COMMAND, COMMAND INFO: how it is called, where its keys are
//!  documentation    ─▶ manual  COMMAND DOCS: what it does, its arguments as a tree
//! ```

mod entry;
mod manual;

use super::context::Context;
use super::error::{CommandError, CommandResult};
use super::flags::Categories;
use super::keys::{Arguments, key_positions};
use super::table::{self, COMMANDS, CommandSpec};
use crate::resp::{Args, Reply};
use crate::value::glob;

/// `COMMAND`
pub(super) fn command(
    _: &mut Context<'_, '_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    reply.array(COMMANDS.len());
    COMMANDS.iter().for_each(|spec| entry::write(reply, spec));
    Ok(())
}

/// `COMMAND COUNT`
pub(super) fn count(_: &mut Context<'_, '_>, _: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    reply.count(COMMANDS.len());
    Ok(())
}

/// `COMMAND INFO [name …]`
pub(super) fn info(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    if args.len() == 2 {
        return command(cx, args, reply);
    }
    reply.array(args.len() - 2);
    for name in args.iter().skip(2) {
        match table::find_full(name) {
            Some(spec) => entry::write(reply, spec),
            None => reply.null_array(),
        }
    }
    Ok(())
}

/// `COMMAND DOCS [name …]`
pub(super) fn docs(
    _: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let wanted: Vec<&CommandSpec> = match args.len() {
        2 => COMMANDS.iter().collect(),
        _ => args.iter().skip(2).filter_map(table::find_full).collect(),
    };
    reply.map(wanted.len());
    wanted.iter().for_each(|spec| manual::write(reply, spec));
    Ok(())
}

/// The words of a request from the third on: a request itself.
struct Inner<'a>(Args<'a>);

impl Arguments for Inner<'_> {
    fn count(&self) -> usize {
        self.0.len() - 2
    }

    fn argument(&self, index: usize) -> &[u8] {
        &self.0[index + 2]
    }
}

fn resolve(inner: &Inner<'_>) -> Result<&'static CommandSpec, CommandError> {
    table::resolve(inner).ok_or(CommandError::text("ERR Invalid command specified"))
}

/// `COMMAND GETKEYS name [arg …]`
pub(super) fn get_keys(
    _: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let inner = Inner(args);
    let keys = key_positions(resolve(&inner)?, &inner);
    let keys = keys.map_err(|error| CommandError::new(format!("ERR {error}")))?;
    reply.array(keys.len());
    keys.iter().for_each(|key| reply.bulk(inner.argument(key.index)));
    Ok(())
}

/// `COMMAND GETKEYSANDFLAGS name [arg …]`
pub(super) fn get_keys_and_flags(
    _: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let inner = Inner(args);
    let keys = key_positions(resolve(&inner)?, &inner);
    let keys = keys.map_err(|error| CommandError::new(format!("ERR {error}")))?;
    reply.array(keys.len());
    for key in keys {
        reply.array(2);
        reply.bulk(inner.argument(key.index));
        entry::write_words(reply, key.flags.names());
    }
    Ok(())
}

/// `COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]`
pub(super) fn list(
    _: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let names: Vec<&str> = match args.len() {
        2 => COMMANDS.iter().map(|spec| spec.full_name).collect(),
        5 if args.is(2, "FILTERBY") => {
            let value = &args[4];
            let matching = |matches: &dyn Fn(&CommandSpec) -> bool| {
                table::all().filter(|spec| matches(spec)).map(|spec| spec.full_name).collect()
            };
            if args.is(3, "ACLCAT") {
                let category = Categories::named(value);
                matching(&|spec| category.is_some_and(|c| spec.categories.contains(c)))
            } else if args.is(3, "PATTERN") {
                let pattern = value.to_ascii_lowercase();
                matching(&|spec| glob::matches(&pattern, spec.full_name.as_bytes()))
            } else if args.is(3, "MODULE") {
                Vec::new()
            } else {
                return Err(CommandError::Syntax);
            }
        }
        _ => return Err(CommandError::Syntax),
    };
    reply.array(names.len());
    names.iter().for_each(|name| reply.bulk(name.as_bytes()));
    Ok(())
}

/// `COMMAND HELP`
pub(super) fn help(_: &mut Context<'_, '_>, _: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    super::help::write(
        reply,
        "COMMAND",
        &[
            "(no subcommand)",
            "    Return details about all Redis commands.",
            "COUNT",
            "    Return the total number of commands in this Redis server.",
            "LIST",
            "    Return a list of all commands in this Redis server.",
            "INFO [<command-name> ...]",
            "    Return details about multiple Redis commands.",
            "    If no command names are given, documentation details for all",
            "    commands are returned.",
            "DOCS [<command-name> ...]",
            "    Return documentation details about multiple Redis commands.",
            "    If no command names are given, documentation details for all",
            "    commands are returned.",
            "GETKEYS <full-command>",
            "    Return the keys from a full Redis command.",
            "GETKEYSANDFLAGS <full-command>",
            "    Return the keys and the access flags from a full Redis command.",
        ],
    );
    Ok(())
}
