//! The settings of the server: one table, from which the file, the environment, the flags, `CONFIG` and
//! the documentation are made.
//!
//! ```text
//!            file ─┐                                       ┌─▶ hot(): atomics, read with every request
//!    ARYAVARTH_* ──┼─▶ Config::load ─▶ Config ─▶ LiveConfig┼─▶ current(): all of them
//!         --flags ─┘         ▲                     ▲   │   └─▶ rewrite(): back into the file
//!                      table.rs             CONFIG SET └─▶ CONFIG GET
//! ```
//!
//! Invariants: a `Config` that left this module passed every check; secrets are in no error and in no
//! `Debug`; a setting has one name, and one way to be written in each place.

mod check;
mod declare;
mod disk;
mod error;
mod faces;
mod file;
mod hot;
mod kind;
mod live;
mod load;
mod page;
mod refusal;
mod rewrite;
mod setting;
mod spelling;
mod table;
mod types;
mod units;

#[cfg(test)]
mod tests;

pub use error::{ConfigError, Place, Problem};
pub use hot::Hot;
pub use live::{Changes, Declined, LiveConfig, SetError, is_secret};
pub use load::{FILE_VARIABLE, Sources};
pub use page::{commented_file, documentation};
pub use rewrite::{RewriteError, Users};
pub use setting::{Bounds, Flag, PREFIX, Reach, Secrecy, Section, Setting, flags};
pub use table::{Config, SETTINGS};
pub use types::{
    Absence, BindAddress, Bytes, ClientCertificates, FileMode, LogFormat, LogLevel, Microseconds,
    Milliseconds, OnDamage, OutputLimit, Reads, Routing, Seconds, Secret, Span, Switch, TlsVersion,
    UserLine,
};
