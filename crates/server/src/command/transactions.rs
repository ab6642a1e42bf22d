//! `MULTI EXEC DISCARD WATCH UNWATCH`: several commands as one step, and one batch on disk.
//!
//! ```text
//!  WATCH k ─▶ flag, raised by any write to k
//!  MULTI ─▶ commands are queued, checked but not run
//!  EXEC ─▶ flag raised? nothing happens, the reply is null
//!          otherwise all are run while the proposer is held: nobody comes in between, and their
//!          effects are in one batch
//! ```

use std::sync::atomic::Ordering;

use super::context::{After, Context, Place, Sight};
use super::dispatch;
use super::error::{CommandError, CommandResult};
use super::flags::Flags;
use super::id::CommandId;
use super::table::CommandSpec;
use super::turn::resolve;
use crate::acl::Denial;
use crate::proposer::{Holding, Proposers, WatchFlag};
use crate::resp::{Args, Reply};
use crate::session::{Session, Transaction, Trust, Watched};

/// Whether a command is run between `MULTI` and `EXEC` rather than queued.
pub(super) fn runs_at_once(id: CommandId) -> bool {
    use CommandId as Id;
    matches!(id, Id::Multi | Id::Exec | Id::Discard | Id::Watch | Id::Quit | Id::Reset)
}

/// `MULTI`
pub(super) fn multi(cx: &mut Context<'_, '_>, _: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    if cx.session.transaction.is_some() {
        return Err(CommandError::text("ERR MULTI calls can not be nested"));
    }
    cx.session.set_transaction(Some(Transaction::default()));
    reply.ok();
    Ok(())
}

/// `DISCARD`
pub(super) fn discard(
    cx: &mut Context<'_, '_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    if cx.session.transaction.is_none() {
        return Err(CommandError::text("ERR DISCARD without MULTI"));
    }
    cx.session.set_transaction(None);
    forget_watched(cx);
    reply.ok();
    Ok(())
}

/// `WATCH key [key …]`
pub(super) fn watch(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    if cx.session.transaction.is_some() {
        return Err(CommandError::text("ERR WATCH inside MULTI is not allowed"));
    }
    for key in args.iter().skip(1) {
        if cx.session.watched.iter().any(|watched| *watched.key == *key) {
            continue;
        }
        let flag = cx.session.watch_flag.clone();
        // From here on writes raise the flag; what is read next can only be newer.
        cx.proposer().watch(key, &flag);
        let expires_at = cx.expiry(key)?.flatten();
        cx.session.watched.push(Watched { key: key.into(), expires_at });
    }
    cx.session.client.watched.store(cx.session.watched.len(), Ordering::Relaxed);
    reply.ok();
    Ok(())
}

/// `UNWATCH`
pub(super) fn unwatch(
    cx: &mut Context<'_, '_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    forget_watched(cx);
    reply.ok();
    Ok(())
}

/// `EXEC`
pub(super) fn exec(cx: &mut Context<'_, '_>, _: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    let Some(transaction) = cx.session.transaction.take() else {
        return Err(CommandError::text("ERR EXEC without MULTI"));
    };
    cx.session.set_transaction(None);
    let untouched = is_untouched(cx);
    forget_watched(cx);
    if transaction.spoilt {
        return Err(CommandError::text(
            "EXECABORT Transaction discarded because of previous errors.",
        ));
    }
    if !untouched {
        reply.null_array();
        return Ok(());
    }
    all_or_nothing(cx, &transaction)?;
    reply.array(transaction.queue.len());
    for request in &transaction.queue {
        run_queued(cx, request.args(), reply);
    }
    Ok(())
}

/// The keys that an `EXEC` of this session concerns: of the commands that are queued, and watched.
pub(super) fn keys(session: &Session) -> Vec<&[u8]> {
    let mut keys = Vec::new();
    for request in session.transaction.iter().flat_map(|transaction| &transaction.queue) {
        let args = request.args();
        if let Ok(spec) = resolve(args.get(0).unwrap_or_default(), args) {
            keys.extend(spec.keys(&args).filter_map(|key| args.get(key.index)));
        }
    }
    keys.extend(session.watched.iter().map(|watched| &*watched.key));
    keys
}

/// Refuses a transaction that writes if one of its commands could not write now, or could not read a key
/// that is damaged: half of it would be worse than none.
fn all_or_nothing(cx: &mut Context<'_, '_>, transaction: &Transaction) -> CommandResult {
    let commands = transaction.queue.iter().filter_map(|request| {
        let args = request.args();
        Some((resolve(args.get(0)?, args).ok()?, args))
    });
    let (mut writes, mut grows) = (false, false);
    for (spec, _) in commands.clone() {
        writes |= spec.flags.contains(Flags::WRITE);
        grows |= spec.flags.contains(Flags::DENYOOM);
    }
    if writes {
        for (spec, args) in commands {
            let keys = spec.keys(&args).filter_map(|key| args.get(key.index));
            cx.probe(keys).map_err(|error| aborted(&error.to_string()))?;
        }
    }
    let state = cx.proposer();
    let refusal = match (grows, writes) {
        (true, _) => state.refusal(),
        (false, true) => state.fence(),
        (false, false) => None,
    };
    refusal.map_or(Ok(()), |error| Err(aborted(&error.to_string())))
}

/// What `EXEC` answers if it was refused itself; the transaction is over then.
pub(super) fn aborted(why: &str) -> CommandError {
    let why = why.strip_prefix("ERR ").unwrap_or(why);
    CommandError::new(format!("EXECABORT Transaction discarded because of: {why}"))
}

/// Ends a transaction whose `EXEC` was refused.
pub(super) fn abort(session: &mut Session, proposers: &Proposers) {
    session.set_transaction(None);
    leave(session, proposers);
    session.watch_flag = WatchFlag::default();
    session.client.watched.store(0, Ordering::Relaxed);
}

/// Whether no watched key was written to or has expired meanwhile.
fn is_untouched(cx: &mut Context<'_, '_>) -> bool {
    let now = cx.now();
    let expired = |watched: &Watched| watched.expires_at.is_some_and(|at| at <= now);
    !cx.session.watch_flag.is_raised() && !cx.session.watched.iter().any(expired)
}

/// Runs a command of the transaction and writes its reply or its error.
fn run_queued(cx: &mut Context<'_, '_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let start = reply.buffer().len();
    let Ok(spec) = resolve(args.get(0).unwrap_or_default(), args) else {
        // It was known when it was queued.
        return reply.error("ERR unknown command");
    };
    let began = cx.turn.begin();
    let result = permit(cx, spec, args).and_then(|()| {
        let mut inner = Context {
            turn: &mut *cx.turn,
            session: &mut *cx.session,
            spec,
            place: Place::Transaction,
            sight: Sight::Everything,
            lane: cx.lane,
            depends: None,
            after: After::Nothing,
        };
        let result = dispatch(&mut inner, args, reply);
        let depends = inner.depends;
        if let Some(batch) = depends {
            cx.depend_on(batch);
        }
        result
    });
    cx.turn.note(cx.session, spec, args, result.is_err());
    cx.turn.resume(began);
    if let Err(error) = result {
        let text = error.to_string();
        cx.turn.stats.error(&text);
        reply.buffer().truncate(start);
        reply.error(&text);
    }
}

/// What the user may do can have changed since the command was queued.
fn permit(cx: &mut Context<'_, '_>, spec: &'static CommandSpec, args: Args<'_>) -> CommandResult {
    if cx.session.trust == Trust::Node {
        return Ok(());
    }
    let denial = match cx.session.login.user(&cx.turn.server.acl) {
        Some(user) => user.permits(spec, &args).err(),
        None => Some(Denial::Command),
    };
    let Some(denial) = denial else { return Ok(()) };
    // Logged as denied in a transaction; the words are those of Redis for this occasion.
    cx.session.transaction = Some(Transaction::default());
    let _ = cx.turn.server.deny(cx.session, spec, args, denial);
    cx.session.transaction = None;
    let reason = match denial {
        Denial::Command => "no permission to execute the command or subcommand",
        Denial::Key(_) => "no permission to touch the specified keys",
        Denial::Channel(_) => {
            "no permission to access one of the channels used as arguments to the command"
        }
    };
    Err(CommandError::new(format!(
        "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC \
         call. This command is no longer allowed for the following reason: {reason}"
    )))
}

fn forget_watched(cx: &mut Context<'_, '_>) {
    if cx.session.watched.is_empty() {
        return;
    }
    let watched = std::mem::take(&mut cx.session.watched);
    let flag = std::mem::take(&mut cx.session.watch_flag);
    for Watched { key, .. } in &watched {
        cx.turn.holding.lane_of(key).unwatch(key, &flag);
    }
    cx.session.client.watched.store(0, Ordering::Relaxed);
}

/// Ends the transaction and the watching of a session that begins anew.
pub(super) fn abandon(cx: &mut Context<'_, '_>) {
    cx.session.set_transaction(None);
    forget_watched(cx);
}

/// Ends what a session that goes leaves behind.
pub(crate) fn leave(session: &mut Session, proposers: &Proposers) {
    if session.watched.is_empty() {
        return;
    }
    let mut holding = Holding::new(proposers);
    for Watched { key, .. } in session.watched.drain(..) {
        holding.lane_of(&key).unwatch(&key, &session.watch_flag);
    }
}
