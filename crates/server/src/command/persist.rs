//! Saving, ending, and the time: `LASTSAVE SAVE BGSAVE TIME SHUTDOWN DEBUG`.
//!
//! An acknowledged write is in the log already. What is saved here is a checkpoint of the index, which
//! makes the next start fast.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::context::Context;
use super::error::{CommandError, CommandResult};
use crate::resp::{Args, Reply};
use crate::saving::Busy;
use crate::server::Server;

/// `LASTSAVE`
pub(super) fn last_save(
    cx: &mut Context<'_, '_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    reply.integer(cx.server().last_save.load(Ordering::Relaxed) as i64);
    Ok(())
}

const BUSY: CommandError = CommandError::text("ERR Background save already in progress");

/// `SAVE`
pub(super) fn save(cx: &mut Context<'_, '_>, _: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    cx.server().saving.begin().map_err(|Busy| BUSY)?;
    cx.run_elsewhere(reply, |server, reply| {
        checkpoint(server)?;
        reply.ok();
        Ok(())
    })
}

/// Writes the checkpoint that was begun.
fn checkpoint(server: &Server) -> Result<(), aryavarth::Error> {
    let outcome = server.store.checkpoint();
    match &outcome {
        Ok(()) => server.last_save.store(crate::clock::wall().as_secs(), Ordering::Relaxed),
        Err(error) => tracing::warn!(%error, "no checkpoint was written"),
    }
    server.saving.end(outcome.is_ok());
    outcome
}

/// `BGSAVE [SCHEDULE]`, and `BGSAVE TO directory` for a copy of the store.
pub(super) fn background_save(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    if args.len() == 3 && args.is(1, "TO") {
        return back_up(cx, &args[2], reply);
    }
    if args.len() > 2 || (args.len() == 2 && !args.is(1, "SCHEDULE")) {
        return Err(CommandError::Syntax);
    }
    let server = cx.server();
    server.saving.begin().map_err(|Busy| BUSY)?;
    server.jobs.run_alone(Box::new(|server: &Arc<Server>| {
        // It is logged, and INFO tells.
        let _ = checkpoint(server);
    }));
    reply.simple("Background saving started");
    Ok(())
}

/// Copies the store into a directory that is empty or missing, while writers go on.
fn back_up(cx: &mut Context<'_, '_>, directory: &[u8], reply: &mut Reply<'_>) -> CommandResult {
    let directory = std::str::from_utf8(directory);
    let directory = directory.map_err(|_| CommandError::text("ERR the directory must be UTF-8"))?;
    let directory = std::path::PathBuf::from(directory);
    cx.run_elsewhere(reply, move |server, reply| {
        let report = server.store.backup(&directory)?;
        tracing::info!(
            directory = %directory.display(),
            segments = report.segments,
            bytes = report.bytes,
            "a backup was made"
        );
        reply.ok();
        Ok(())
    })
}

/// `TIME`
pub(super) fn time(_: &mut Context<'_, '_>, _: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    let now = crate::clock::wall();
    reply.array(2);
    reply.bulk(now.as_secs().to_string().as_bytes());
    reply.bulk(now.subsec_micros().to_string().as_bytes());
    Ok(())
}

/// `SHUTDOWN [NOSAVE|SAVE] [NOW] [FORCE] [ABORT]`: whatever is asked, everything acknowledged is kept.
pub(super) fn shutdown(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    _: &mut Reply<'_>,
) -> CommandResult {
    let (mut save, mut nosave, mut abort) = (false, false, false);
    for at in 1..args.len() {
        match args[at].to_ascii_lowercase().as_slice() {
            b"save" => save = true,
            b"nosave" => nosave = true,
            b"now" | b"force" => {}
            b"abort" => abort = true,
            _ => return Err(CommandError::Syntax),
        }
    }
    if (save && nosave) || (abort && args.len() > 2) {
        return Err(CommandError::Syntax);
    }
    if abort {
        return Err(CommandError::text("ERR No shutdown in progress."));
    }
    tracing::info!(client = cx.session.client.id.0, "a client ends the server");
    cx.server().end();
    cx.session.closing = true;
    Ok(())
}

/// `DEBUG SLEEP seconds` and `DEBUG HELP`; there is nothing else to debug over the wire.
pub(super) fn debug(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    if args.is(1, "SLEEP") && args.len() == 3 {
        let seconds = std::str::from_utf8(&args[2]).ok().and_then(|text| text.parse().ok());
        let span = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        // A wait that ends after the year's end ends with the connection.
        cx.rest(span.unwrap_or_default().min(Duration::from_secs(366 * 24 * 3600)));
        reply.ok();
        return Ok(());
    }
    if args.is(1, "HELP") && args.len() == 2 {
        let lines = ["SLEEP <seconds>", "    Rest the connection for <seconds>. Decimals allowed."];
        super::help::write(reply, "DEBUG", &lines);
        return Ok(());
    }
    let given = &args[1][..args[1].len().min(128)];
    Err(CommandError::new(format!(
        "ERR unknown subcommand or wrong number of arguments for '{}'. Try DEBUG HELP.",
        String::from_utf8_lossy(given)
    )))
}

#[cfg(test)]
mod tests {
    use crate::saving::Saving;

    #[test]
    fn one_checkpoint_at_a_time() {
        let saving = Saving::default();
        saving.begin().unwrap();
        assert!(saving.begin().is_err() && saving.is_under_way());
        saving.end(false);
        assert!(!saving.is_under_way() && !saving.last_succeeded());
        saving.begin().unwrap();
        saving.end(true);
        assert!(saving.count() == 1 && saving.last_succeeded());
    }
}
