//! `CONFIG`: the settings, looked at and changed while the server runs.
//!
//! ```text
//!  SET ─▶ LiveConfig: all fit? ─▶ Server::apply: acted upon ─▶ taken over     or nothing changes
//! ```

use super::context::Context;
use super::error::{CommandError, CommandResult};
use crate::config::Users;
use crate::resp::{Args, Reply};
use crate::server::Server;
use crate::value::glob;

/// `CONFIG GET parameter [parameter …]`
pub(super) fn get(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let patterns: Vec<&[u8]> = args.iter().skip(2).collect();
    let found = cx.server().config.get(&patterns, glob::matches);
    reply.map(found.len());
    for (name, value) in found {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    Ok(())
}

/// `CONFIG SET parameter value [parameter value …]`
pub(super) fn set(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    if !args.len().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    let words: Vec<&[u8]> = args.iter().skip(2).collect();
    let pairs: Vec<(&[u8], &[u8])> = words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    let server = cx.server();
    let changes = server.config.set(&pairs, |changes| server.apply(changes));
    let changes = changes.map_err(|error| CommandError::new(error.to_string()))?;
    if !changes.names.is_empty() {
        tracing::info!(settings = changes.names.join(" "), "changed by a client");
    }
    reply.ok();
    Ok(())
}

/// `CONFIG REWRITE`
pub(super) fn rewrite(
    cx: &mut Context<'_, '_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    cx.run_elsewhere(reply, |server, reply| {
        let rewritten = server.config.rewrite(&users(server));
        rewritten.map_err(|error| CommandError::new(error.to_string()))?;
        reply.ok();
        Ok(())
    })
}

/// The users as the file of the settings keeps them: not at all if they have a file of their own.
fn users(server: &Server) -> Users {
    let config = server.config.current();
    let plain = config.user.is_empty() && server.acl.generation() == server.users_at_start;
    if config.aclfile.is_some() || plain {
        return Users::Keep;
    }
    let lines = server.acl.lines().into_iter().map(|line| {
        let line = String::from_utf8_lossy(&line).into_owned();
        line.strip_prefix("user ").map(str::to_owned).unwrap_or(line)
    });
    Users::Replace(lines.collect())
}

/// `CONFIG RESETSTAT`
pub(super) fn reset_stats(
    cx: &mut Context<'_, '_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    cx.server().reset_stats();
    reply.ok();
    Ok(())
}

/// `CONFIG HELP`
pub(super) fn help(_: &mut Context<'_, '_>, _: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    super::help::write(
        reply,
        "CONFIG",
        &[
            "GET <pattern>",
            "    Return parameters matching the glob-like <pattern> and their values.",
            "SET <directive> <value>",
            "    Set the configuration <directive> to <value>.",
            "RESETSTAT",
            "    Reset statistics reported by the INFO command.",
            "REWRITE",
            "    Rewrite the configuration file.",
        ],
    );
    Ok(())
}
