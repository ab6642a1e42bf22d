//! Users and what each may do, in the rule language of Redis 7.2.
//!
//! ```text
//!  AclStore ── users by name ──▶ Arc<User> ── root rules, further selectors, passwords
//!     │ generation: grows with every change          ▲
//!     ▼                                              │ held by
//!  one atomic read a request ◀───────────────── Login (a connection)
//! ```
//!
//! A `User` never changes: a change of rules puts another in its place and raises the generation. A
//! connection that sees it raised asks once for its user again; one whose user was deleted learns
//! that it has none and is closed, also if a user of the same name was created since.
//!
//! - [`store`]: the users, logging in, `SETUSER`, `DELUSER`, `LIST`
//! - [`user`]: one user, its rules and how they are described
//! - [`selector`]: a set of rules on commands, keys and channels
//! - [`check`]: whether a request may run
//! - [`log`]: what was denied
//! - [`mod@file`]: the users in a file
//! - [`password`]: digests, comparison, generation

pub mod check;
pub mod error;
pub mod file;
pub mod log;
pub mod password;
pub mod selector;
pub mod store;
pub mod user;

#[cfg(test)]
mod tests;

pub use check::{Denial, DryRunError, commands_in, dry_run};
pub use error::{RuleError, SetUserError};
pub use file::{FileError, LineError};
pub use log::{AclLog, LogContext, LogEntry, LogEvent, Reason};
pub use password::{GenerateError, PasswordDigest, generate_password};
pub use store::{AclStore, DeleteDefaultError, Login, UserSet, WrongPassword};
pub use user::{SelectorDescription, User, UserDescription};
