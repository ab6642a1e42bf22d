//! `ACL`: users and what they may do.
//!
//! ```text
//!  SETUSER ─▶ another User in its place ─▶ connections see it with their next request
//!  DELUSER, LOAD ─▶ users that are gone ─▶ their connections are closed
//! ```

use super::context::Context;
use super::error::{CommandError, CommandResult};
use crate::acl::{
    LogEntry, SelectorDescription, commands_in, dry_run as acl_dry_run, generate_password,
};
use crate::command::flags::Categories;
use crate::command::keys::Arguments;
use crate::resp::{Args, Reply};
use crate::server::Server;
use crate::users;
use crate::value::integer;

/// Entries that `ACL LOG` shows unless told otherwise.
const SHOWN: usize = 10;

fn failed(error: impl std::fmt::Display) -> CommandError {
    CommandError::new(format!("ERR {error}"))
}

/// `ACL WHOAMI`
pub(super) fn who_am_i(
    cx: &mut Context<'_, '_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    reply.bulk(cx.session.login.last_seen().name());
    Ok(())
}

/// `ACL LIST`
pub(super) fn list(cx: &mut Context<'_, '_>, _: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    let lines = cx.server().acl.lines();
    reply.array(lines.len());
    lines.iter().for_each(|line| reply.bulk(line));
    Ok(())
}

/// `ACL USERS`
pub(super) fn users(cx: &mut Context<'_, '_>, _: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    let names = cx.server().acl.names();
    reply.array(names.len());
    names.iter().for_each(|name| reply.bulk(name));
    Ok(())
}

/// `ACL GETUSER username`
pub(super) fn get_user(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let Some(user) = cx.server().acl.get(&args[2]) else {
        reply.null_array();
        return Ok(());
    };
    let description = user.description();
    reply.map(6);
    reply.bulk(b"flags");
    reply.set(description.flags.len());
    description.flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"passwords");
    reply.array(description.passwords.len());
    description.passwords.iter().for_each(|digest| reply.bulk(digest.as_bytes()));
    write_selector(reply, &description.root);
    reply.bulk(b"selectors");
    reply.array(description.selectors.len());
    for selector in &description.selectors {
        reply.map(3);
        write_selector(reply, selector);
    }
    Ok(())
}

/// Writes three pairs of a map.
fn write_selector(reply: &mut Reply<'_>, selector: &SelectorDescription) {
    reply.bulk(b"commands");
    reply.bulk(&selector.commands);
    reply.bulk(b"keys");
    reply.bulk(&selector.keys);
    reply.bulk(b"channels");
    reply.bulk(&selector.channels);
}

/// `ACL SETUSER username [rule …]`
pub(super) fn set_user(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let rules: Vec<&[u8]> = args.iter().skip(3).collect();
    cx.server().acl.set_user(&args[2], &rules).map_err(failed)?;
    reply.ok();
    Ok(())
}

/// `ACL DELUSER username [username …]`
pub(super) fn delete_users(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let names: Vec<&[u8]> = args.iter().skip(2).collect();
    let server = cx.server();
    let deleted = server.acl.delete_users(&names).map_err(failed)?;
    // Whoever deletes himself still gets the answer.
    if server.acl.get(cx.session.login.last_seen().name()).is_none() {
        cx.session.closing = true;
    }
    close_orphans(server, Some(cx.session.client.id));
    reply.count(deleted);
    Ok(())
}

/// Closes the connections of users that are no more, but for that of `spared`.
fn close_orphans(server: &Server, spared: Option<crate::clients::ClientId>) {
    let names = server.acl.names();
    let is_user = |name: &str| names.iter().any(|known| String::from_utf8_lossy(known) == name);
    for client in server.clients.all() {
        let orphan = !is_user(&client.names().user);
        if orphan && Some(client.id) != spared {
            server.kill(&client);
        }
    }
}

/// `ACL CAT [categoryname]`
pub(super) fn categories(
    _: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let names: Vec<&str> = match (args.get(2), args.len()) {
        (None, _) => Categories::NAMES.iter().map(|(name, _)| *name).collect(),
        (Some(category), 3) => commands_in(category).ok_or_else(|| {
            let category = String::from_utf8_lossy(category);
            failed(format!("Unknown category '{category}'"))
        })?,
        _ => return Err(CommandError::WrongArguments("acl|cat")),
    };
    reply.array(names.len());
    names.iter().for_each(|name| reply.bulk(name.as_bytes()));
    Ok(())
}

/// `ACL GENPASS [bits]`
pub(super) fn generate(
    _: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let bits = match (args.get(2), args.len()) {
        (None, _) => None,
        (Some(bits), 3) => Some(integer::parse_i64(bits).ok_or(CommandError::NotAnInteger)?),
        _ => return Err(CommandError::WrongArguments("acl|genpass")),
    };
    reply.bulk(generate_password(bits).map_err(failed)?.as_bytes());
    Ok(())
}

/// `ACL LOG [count | RESET]`
pub(super) fn log(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let server = cx.server();
    if args.len() > 3 {
        return Err(CommandError::WrongArguments("acl|log"));
    }
    if args.is(2, "RESET") {
        server.acl.log().reset();
        reply.ok();
        return Ok(());
    }
    let count = match args.get(2) {
        None => SHOWN,
        Some(count) => {
            let count = integer::parse_i64(count).ok_or(CommandError::NotAnInteger)?;
            usize::try_from(count).unwrap_or(0)
        }
    };
    let log = server.acl.log();
    let (entries, now) = (log.entries(), server.store.now());
    reply.array(entries.len().min(count));
    entries.take(count).for_each(|entry| write_entry(reply, entry, now));
    Ok(())
}

fn write_entry(reply: &mut Reply<'_>, entry: &LogEntry, now: aryavarth::UnixMillis) {
    reply.map(10);
    reply.bulk(b"count");
    reply.integer(entry.count as i64);
    reply.bulk(b"reason");
    reply.bulk(entry.reason.name().as_bytes());
    reply.bulk(b"context");
    reply.bulk(entry.context.name().as_bytes());
    reply.bulk(b"object");
    reply.bulk(&entry.object);
    reply.bulk(b"username");
    reply.bulk(&entry.username);
    reply.bulk(b"age-seconds");
    reply.double(entry.age_seconds(now));
    reply.bulk(b"client-info");
    reply.bulk(&entry.client_info);
    reply.bulk(b"entry-id");
    reply.integer(entry.id as i64);
    reply.bulk(b"timestamp-created");
    reply.integer(entry.created.0 as i64);
    reply.bulk(b"timestamp-last-updated");
    reply.integer(entry.updated.0 as i64);
}

const NO_FILE: CommandError = CommandError::text(
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users \
     via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis \
     configuration file set) in order to store users in the Redis configuration.",
);

const NOT_SAVED: CommandError = CommandError::text(
    "ERR There was an error trying to save the ACLs. Please check the server logs for more \
     information",
);

/// `ACL SAVE`
pub(super) fn save(cx: &mut Context<'_, '_>, _: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    let path = cx.server().config.current().aclfile.clone().ok_or(NO_FILE)?;
    cx.run_elsewhere(reply, move |server, reply| {
        server.acl.save(&path).map_err(|error| {
            tracing::warn!(%error, "the users were not saved");
            NOT_SAVED
        })?;
        reply.ok();
        Ok(())
    })
}

/// `ACL LOAD`
pub(super) fn load(cx: &mut Context<'_, '_>, _: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    if cx.server().config.current().aclfile.is_none() {
        return Err(NO_FILE);
    }
    cx.run_elsewhere(reply, |server, reply| {
        reload(server).map_err(CommandError::because)?;
        reply.ok();
        Ok(())
    })
}

/// Reads the users anew, all or none of them, and closes the connections of those that are gone.
pub(crate) fn reload(server: &Server) -> crate::Result<()> {
    users::load(&server.acl, &server.config.current())?;
    close_orphans(server, None);
    Ok(())
}

/// The words of a request from the fourth on: a request itself.
struct Inner<'a>(Args<'a>);

impl Arguments for Inner<'_> {
    fn count(&self) -> usize {
        self.0.len() - 3
    }

    fn argument(&self, index: usize) -> &[u8] {
        &self.0[index + 3]
    }
}

/// `ACL DRYRUN username command [arg …]`
pub(super) fn dry_run(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    match acl_dry_run(&cx.server().acl, &args[2], &Inner(args)).map_err(failed)? {
        None => reply.ok(),
        Some(denial) => reply.bulk(denial.as_bytes()),
    }
    Ok(())
}

/// `ACL HELP`
pub(super) fn help(_: &mut Context<'_, '_>, _: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    super::help::write(
        reply,
        "ACL",
        &[
            "CAT [<category>]",
            "    List all commands that belong to <category>, or all command categories",
            "    when no category is specified.",
            "DELUSER <username> [<username> ...]",
            "    Delete a list of users.",
            "DRYRUN <username> <command> [<arg> ...]",
            "    Returns whether the user can execute the given command without executing the \
             command.",
            "GETUSER <username>",
            "    Get the user's details.",
            "GENPASS [<bits>]",
            "    Generate a secure 256-bit user password. The optional `bits` argument can",
            "    be used to specify a different size.",
            "LIST",
            "    Show users details in config file format.",
            "LOAD",
            "    Reload users from the ACL file.",
            "LOG [<count> | RESET]",
            "    Show the ACL log entries.",
            "SAVE",
            "    Save the current config to the ACL file.",
            "SETUSER <username> <attribute> [<attribute> ...]",
            "    Create or modify a user with the specified attributes.",
            "USERS",
            "    List all the registered usernames.",
            "WHOAMI",
            "    Return the current connection username.",
        ],
    );
    Ok(())
}
