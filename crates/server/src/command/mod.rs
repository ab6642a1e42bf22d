//! The commands: what they are, what they may, and what each does.
//!
//! ```text
//!  turn      a request on its way: known, allowed, queued, held
//!  route     which node it belongs to, in a cluster
//!  table     one row a command            context   what a command works with
//!  strings, counters, bits, keys, …       one file for each family: a function for each command
//! ```
//!
//! A command is a function of its [`Context`] and its words; it writes its reply or returns why not.

pub mod absent;
pub(crate) mod acl;
mod apart;
mod bits;
mod client;
mod cluster;
mod config;
mod connection;
mod context;
mod counters;
pub mod docs;
mod dump;
mod error;
mod expiry;
pub mod flags;
mod flush;
mod following;
mod forward;
mod help;
pub mod id;
mod info;
mod introspection;
pub mod keys;
mod keyspace;
mod memory;
mod object;
mod observe;
mod options;
mod parts;
mod persist;
mod route;
mod scan;
mod scope;
mod specs;
mod strings;
pub mod table;
mod transactions;
mod turn;
mod view;
mod wait;

pub use client::client_line;
pub use context::{After, Context, Job, Place, Value};
pub use error::{CommandError, CommandResult};
pub use id::CommandId;
pub use route::Waiting;
pub use turn::{Flow, Turn, Wait};

use crate::resp::{Args, Reply};

pub(crate) use transactions::leave;

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

        // the connection
        Id::Ping => connection::ping(cx, args, reply),
        Id::Echo => connection::echo(cx, args, reply),
        Id::Auth => connection::auth(cx, args, reply),
        Id::Hello => connection::hello(cx, args, reply),
        Id::Reset => connection::reset(cx, args, reply),
        Id::Quit => connection::quit(cx, args, reply),
        Id::Select => connection::select(cx, args, reply),

        // clients
        Id::ClientId => client::id(cx, args, reply),
        Id::ClientInfo => client::info(cx, args, reply),
        Id::ClientList => client::list(cx, args, reply),
        Id::ClientKill => client::kill(cx, args, reply),
        Id::ClientSetName => client::set_name(cx, args, reply),
        Id::ClientGetName => client::get_name(cx, args, reply),
        Id::ClientSetInfo => client::set_info(cx, args, reply),
        Id::ClientNoEvict => client::no_evict(cx, args, reply),
        Id::ClientNoTouch => client::no_touch(cx, args, reply),
        Id::ClientPause => client::pause(cx, args, reply),
        Id::ClientUnpause => client::unpause(cx, args, reply),
        Id::ClientReply => client::reply(cx, args, reply),
        Id::ClientUnblock => client::unblock(cx, args, reply),
        Id::ClientTracking => client::tracking(cx, args, reply),
        Id::ClientTrackingInfo => client::tracking_info(cx, args, reply),
        Id::ClientCaching => client::caching(cx, args, reply),
        Id::ClientGetRedir => client::get_redirection(cx, args, reply),
        Id::ClientHelp => client::help(cx, args, reply),

        // commands
        Id::Command => introspection::command(cx, args, reply),
        Id::CommandCount => introspection::count(cx, args, reply),
        Id::CommandDocs => introspection::docs(cx, args, reply),
        Id::CommandInfo => introspection::info(cx, args, reply),
        Id::CommandGetKeys => introspection::get_keys(cx, args, reply),
        Id::CommandGetKeysAndFlags => introspection::get_keys_and_flags(cx, args, reply),
        Id::CommandList => introspection::list(cx, args, reply),
        Id::CommandHelp => introspection::help(cx, args, reply),

        // the server
        Id::ConfigGet => config::get(cx, args, reply),
        Id::ConfigSet => config::set(cx, args, reply),
        Id::ConfigRewrite => config::rewrite(cx, args, reply),
        Id::ConfigResetStat => config::reset_stats(cx, args, reply),
        Id::ConfigHelp => config::help(cx, args, reply),
        Id::Info => info::info(cx, args, reply),
        Id::MemoryUsage => memory::usage(cx, args, reply),
        Id::MemoryStats => memory::stats(cx, args, reply),
        Id::MemoryDoctor => memory::doctor(cx, args, reply),
        Id::MemoryPurge => memory::purge(cx, args, reply),
        Id::MemoryHelp => memory::help(cx, args, reply),
        Id::SlowLogGet => observe::slow_get(cx, args, reply),
        Id::SlowLogLen => observe::slow_len(cx, args, reply),
        Id::SlowLogReset => observe::slow_reset(cx, args, reply),
        Id::SlowLogHelp => observe::slow_help(cx, args, reply),
        Id::LatencyLatest => observe::latest(cx, args, reply),
        Id::LatencyHistory => observe::history(cx, args, reply),
        Id::LatencyReset => observe::reset(cx, args, reply),
        Id::LatencyDoctor => observe::doctor(cx, args, reply),
        Id::LatencyGraph => observe::graph(cx, args, reply),
        Id::LatencyHistogram => observe::histogram(cx, args, reply),
        Id::LatencyHelp => observe::help(cx, args, reply),
        Id::Role => info::role(cx, args, reply),
        Id::LastSave => persist::last_save(cx, args, reply),
        Id::Save => persist::save(cx, args, reply),
        Id::BgSave => persist::background_save(cx, args, reply),
        Id::Time => persist::time(cx, args, reply),
        Id::Shutdown => persist::shutdown(cx, args, reply),
        Id::Debug => persist::debug(cx, args, reply),

        // users
        Id::AclWhoAmI => acl::who_am_i(cx, args, reply),
        Id::AclList => acl::list(cx, args, reply),
        Id::AclUsers => acl::users(cx, args, reply),
        Id::AclGetUser => acl::get_user(cx, args, reply),
        Id::AclSetUser => acl::set_user(cx, args, reply),
        Id::AclDelUser => acl::delete_users(cx, args, reply),
        Id::AclCat => acl::categories(cx, args, reply),
        Id::AclGenPass => acl::generate(cx, args, reply),
        Id::AclLog => acl::log(cx, args, reply),
        Id::AclSave => acl::save(cx, args, reply),
        Id::AclLoad => acl::load(cx, args, reply),
        Id::AclDryRun => acl::dry_run(cx, args, reply),
        Id::AclHelp => acl::help(cx, args, reply),

        // the cluster
        Id::ReadOnly => cluster::read_only(cx, args, reply),
        Id::ReadWrite => cluster::read_write(cx, args, reply),
        Id::Asking => cluster::asking(cx, args, reply),
        Id::ClusterSlots => cluster::slots(cx, args, reply),
        Id::ClusterShards => cluster::shards(cx, args, reply),
        Id::ClusterNodes => cluster::nodes(cx, args, reply),
        Id::ClusterInfo => cluster::info(cx, args, reply),
        Id::ClusterMyId | Id::ClusterMyShardId => cluster::my_id(cx, args, reply),
        Id::ClusterKeySlot => cluster::key_slot(cx, args, reply),
        Id::ClusterCountKeysInSlot => cluster::count_keys_in_slot(cx, args, reply),
        Id::ClusterGetKeysInSlot => cluster::get_keys_in_slot(cx, args, reply),
        Id::ClusterLinks => cluster::links(cx, args, reply),
        Id::ClusterCountFailureReports => cluster::count_failure_reports(cx, args, reply),
        Id::ClusterReplicas | Id::ClusterSlaves => cluster::replicas(cx, args, reply),
        Id::ClusterRepair => cluster::repair(cx, args, reply),
        Id::ClusterStatus => cluster::status(cx, args, reply),
        Id::ClusterDrain => cluster::drain(cx, args, reply),
        Id::ClusterUndrain => cluster::undrain(cx, args, reply),
        Id::ClusterRemove => cluster::remove(cx, args, reply),
        Id::ClusterRebalance => cluster::rebalance(cx, args, reply),
        Id::ClusterTransfer => cluster::transfer(cx, args, reply),
        Id::ClusterMeet => cluster::meet(cx, args, reply),
        Id::ClusterReplicationFactor => cluster::replication_factor(cx, args, reply),
        Id::ClusterHelp => cluster::help(cx, args, reply),

        _ => Err(CommandError::new(format!("ERR '{}' is not here yet", cx.spec.full_name))),
    }
}
