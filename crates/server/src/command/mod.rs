//! The commands: what they are, what they may, and what each does.
//!
//! ```text
//!  turn      a request on its way: known, allowed, queued, held
//!  table     one row a command            context   what a command works with
//!  strings, counters, bits, keys, …       one file for each family: a function for each command
//! ```
//!
//! A command is a function of its [`Context`] and its words; it writes its reply or returns why not.

pub mod absent;
mod apart;
mod bits;
mod context;
mod counters;
pub mod docs;
mod dump;
mod error;
mod expiry;
pub mod flags;
mod flush;
pub mod id;
pub mod keys;
mod keyspace;
mod object;
mod scan;
mod options;
mod parts;
mod specs;
mod strings;
pub mod table;
mod transactions;
mod turn;
mod view;
mod wait;

pub use context::{After, Context, Job, Place, Value};
pub use error::{CommandError, CommandResult};
pub use id::CommandId;
pub use turn::{Flow, Turn, Wait};

use crate::resp::{Args, Reply};

pub(crate) use transactions::leave;

/// The line of `CLIENT LIST`.
pub fn client_line(client: &crate::clients::Client) -> String {
    format!("id={}", client.id.0)
}

/// Runs a command.
fn dispatch(cx: &mut Context<'_, '_>, args: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    use CommandId as Id;
    match cx.spec.id {
        Id::Get => strings::get(cx, args, reply),
        Id::Set => strings::set(cx, args, reply),
        Id::SetNx => strings::setnx(cx, args, reply),
        Id::SetEx => strings::setex(cx, args, reply),
        Id::PSetEx => strings::psetex(cx, args, reply),
        Id::GetSet => strings::getset(cx, args, reply),
        Id::GetDel => strings::getdel(cx, args, reply),
        Id::GetEx => strings::getex(cx, args, reply),
        Id::MGet => strings::mget(cx, args, reply),
        Id::MSet => strings::mset(cx, args, reply),

        // keys
        Id::Del | Id::Unlink => keyspace::del(cx, args, reply),
        Id::Exists | Id::Touch => keyspace::exists(cx, args, reply),
        Id::Type => keyspace::kind(cx, args, reply),
        Id::Rename => keyspace::rename(cx, args, reply),
        Id::RenameNx => keyspace::rename_nx(cx, args, reply),
        Id::Copy => keyspace::copy(cx, args, reply),
        Id::DbSize => keyspace::db_size(cx, args, reply),
        Id::RandomKey => keyspace::random_key(cx, args, reply),
        Id::ObjectEncoding => object::encoding(cx, args, reply),
        Id::ObjectFreq => object::freq(cx, args, reply),
        Id::ObjectIdleTime => object::idle_time(cx, args, reply),
        Id::ObjectRefCount => object::ref_count(cx, args, reply),
        Id::ObjectHelp => object::help(cx, args, reply),
        Id::Dump => dump::dump(cx, args, reply),
        Id::Restore => dump::restore(cx, args, reply),
        Id::Expire | Id::PExpire | Id::ExpireAt | Id::PExpireAt => expiry::expire(cx, args, reply),
        Id::Ttl | Id::PTtl | Id::ExpireTime | Id::PExpireTime => expiry::ttl(cx, args, reply),
        Id::Persist => expiry::persist(cx, args, reply),
        Id::Keys => scan::keys(cx, args, reply),
        Id::Scan => scan::scan(cx, args, reply),
        Id::FlushAll | Id::FlushDb => flush::flush_all(cx, args, reply),
        Id::Wait => wait::wait(cx, args, reply),
        Id::WaitAof => wait::wait_aof(cx, args, reply),

        Id::MSetNx => strings::msetnx(cx, args, reply),
        Id::MSetEx => strings::msetex(cx, args, reply),
        Id::DelEx => strings::delex(cx, args, reply),
        Id::Digest => strings::digest(cx, args, reply),
        Id::Append => parts::append(cx, args, reply),
        Id::StrLen => parts::strlen(cx, args, reply),
        Id::GetRange | Id::SubStr => parts::getrange(cx, args, reply),
        Id::SetRange => parts::setrange(cx, args, reply),
        Id::Lcs => parts::lcs(cx, args, reply),
        Id::Incr => counters::incr(cx, args, reply),
        Id::Decr => counters::decr(cx, args, reply),
        Id::IncrBy => counters::incrby(cx, args, reply),
        Id::DecrBy => counters::decrby(cx, args, reply),
        Id::IncrByFloat => counters::incrbyfloat(cx, args, reply),
        Id::SetBit => bits::setbit(cx, args, reply),
        Id::GetBit => bits::getbit(cx, args, reply),
        Id::BitCount => bits::bitcount(cx, args, reply),
        Id::BitPos => bits::bitpos(cx, args, reply),
        Id::BitOp => bits::bitop(cx, args, reply),
        Id::BitField => bits::bitfield(cx, args, reply),
        Id::BitFieldRo => bits::bitfield_ro(cx, args, reply),
        Id::Multi => transactions::multi(cx, args, reply),
        Id::Exec => transactions::exec(cx, args, reply),
        Id::Discard => transactions::discard(cx, args, reply),
        Id::Watch => transactions::watch(cx, args, reply),
        Id::Unwatch => transactions::unwatch(cx, args, reply),
        Id::Ping => {
            match args.get(1) {
                Some(text) => reply.bulk(text),
                None => reply.simple("PONG"),
            }
            Ok(())
        }
        _ => Err(CommandError::new(format!("ERR '{}' is not here yet", cx.spec.full_name))),
    }
}
