//! The connection itself: `PING ECHO AUTH HELLO RESET QUIT SELECT`.
//!
//! ```text
//!  HELLO 3 AUTH alice secret SETNAME app
//!        │    │                  │
//!        │    └─ logs in first   └─ only who is logged in gets a name
//!        └─ and last, the version of the protocol changes: its own reply is the first in it
//! ```

use std::sync::atomic::Ordering;

use super::client;
use super::context::Context;
use super::error::{CommandError, CommandResult};
use super::transactions;
use crate::acl::{LogContext, LogEvent, Reason};
use crate::identity::REDIS_VERSION;
use crate::resp::{Args, Protocol, Reply};
use crate::session::{ReadFrom, ReplyMode, Standing};
use crate::value::integer;

/// `PING [message]`
pub(super) fn ping(
    _: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    match (args.get(1), args.len()) {
        (None, _) => reply.simple("PONG"),
        (Some(message), 2) => reply.bulk(message),
        _ => return Err(CommandError::WrongArguments("ping")),
    }
    Ok(())
}

/// `ECHO message`
pub(super) fn echo(
    _: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    reply.bulk(&args[1]);
    Ok(())
}

/// `AUTH [username] password`
pub(super) fn auth(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let (name, password): (&[u8], &[u8]) = match args.len() {
        2 => {
            let default = cx.server().acl.default_login();
            if default.last_seen().needs_no_password() {
                return Err(CommandError::text(
                    "ERR AUTH <password> called without any password configured for the default \
                     user. Are you sure your configuration is correct?",
                ));
            }
            (b"default", &args[1])
        }
        3 => (&args[1], &args[2]),
        _ => return Err(CommandError::Syntax),
    };
    log_in(cx, &args[0], name, password)?;
    reply.ok();
    Ok(())
}

/// Logs in, or notes that somebody tried to. `asked_by` is the name of the command as it was sent.
fn log_in(
    cx: &mut Context<'_, '_>,
    asked_by: &[u8],
    name: &[u8],
    password: &[u8],
) -> CommandResult {
    let server = cx.server();
    match server.acl.authenticate(name, password) {
        Ok(login) => {
            cx.session.log_in(login);
            Ok(())
        }
        Err(wrong) => {
            cx.turn.stats.denied_login();
            let context = match cx.place {
                super::Place::Alone => LogContext::TopLevel,
                super::Place::Transaction => LogContext::Multi,
            };
            let line = super::client_line(&cx.session.client);
            let event = LogEvent {
                reason: Reason::Auth,
                context,
                object: asked_by,
                username: name,
                client_info: line.as_bytes(),
            };
            server.acl.log().record(&event, server.store.now());
            Err(CommandError::new(wrong.to_string()))
        }
    }
}

/// What `HELLO` asks for.
#[derive(Default)]
struct Greeting<'a> {
    protocol: Option<Protocol>,
    login: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a str>,
}

fn parse_greeting(args: Args<'_>) -> Result<Greeting<'_>, CommandError> {
    let mut greeting = Greeting::default();
    if let Some(version) = args.get(1) {
        greeting.protocol = Some(match integer::parse_i64(version) {
            Some(2) => Protocol::Two,
            Some(3) => Protocol::Three,
            Some(_) => return Err(CommandError::text("NOPROTO unsupported protocol version")),
            None => {
                return Err(CommandError::text(
                    "ERR Protocol version is not an integer or out of range",
                ));
            }
        });
    }
    let mut at = 2;
    while let Some(option) = args.get(at) {
        match (args.get(at + 1), args.get(at + 2)) {
            (Some(name), Some(password)) if args.is(at, "AUTH") => {
                greeting.login = Some((name, password));
                at += 3;
            }
            (Some(name), _) if args.is(at, "SETNAME") => {
                greeting.name = Some(client::checked_name(name)?);
                at += 2;
            }
            _ => {
                let option = String::from_utf8_lossy(option);
                return Err(CommandError::new(format!(
                    "ERR Syntax error in HELLO option '{option}'"
                )));
            }
        }
    }
    Ok(greeting)
}

/// `HELLO [protover [AUTH username password] [SETNAME clientname]]`
pub(super) fn hello(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let greeting = parse_greeting(args)?;
    if let Some((name, password)) = greeting.login {
        log_in(cx, &args[0], name, password)?;
    }
    if cx.session.standing == Standing::Unknown {
        return Err(CommandError::text(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and \
             select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = greeting.name {
        cx.session.client.names().name = name.to_owned();
    }
    if let Some(protocol) = greeting.protocol {
        cx.session.speak(protocol);
        reply.set_protocol(protocol);
    }
    reply.map(7);
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(REDIS_VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.integer(cx.session.protocol.number());
    reply.bulk(b"id");
    reply.integer(cx.session.client.id.0 as i64);
    reply.bulk(b"mode");
    let clustered = cx.server().cluster.is_some();
    reply.bulk(if clustered { b"cluster" } else { b"standalone" });
    reply.bulk(b"role");
    reply.bulk(b"master");
    reply.bulk(b"modules");
    reply.array(0);
    Ok(())
}

/// `RESET`
pub(super) fn reset(cx: &mut Context<'_, '_>, _: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    transactions::abandon(cx);
    let login = cx.server().acl.default_login();
    let session = &mut *cx.session;
    let known = login.needs_no_authentication();
    session.log_in(login);
    session.standing = if known { Standing::Known } else { Standing::Unknown };
    session.speak(Protocol::Two);
    session.replies = ReplyMode::On;
    session.reads = ReadFrom::Leader;
    session.client.names().name.clear();
    session.client.no_evict.store(false, Ordering::Relaxed);
    session.client.no_touch.store(false, Ordering::Relaxed);
    reply.set_protocol(Protocol::Two);
    reply.simple("RESET");
    Ok(())
}

/// `QUIT`
pub(super) fn quit(cx: &mut Context<'_, '_>, _: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    cx.session.closing = true;
    reply.ok();
    Ok(())
}

/// `SELECT index`
pub(super) fn select(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let index = integer::parse_i64(&args[1]).ok_or(CommandError::NotAnInteger)?;
    let index = i32::try_from(index).map_err(|_| {
        let (least, most) = (i32::MIN, i32::MAX);
        CommandError::new(format!(
            "ERR value is out of range, value must between {least} and {most}"
        ))
    })?;
    if index != 0 {
        return Err(CommandError::text(match cx.server().cluster {
            Some(_) => "ERR SELECT is not allowed in cluster mode",
            None => "ERR DB index is out of range",
        }));
    }
    reply.ok();
    Ok(())
}
