//! The promise "rot is detected, never served": files are changed behind the store's back.
//!
//! ```text
//!  a whole store ─ damage ─▶ open     an error that names the file, or a store that reads right or in
//!                      │              error: no wrong value, no key that seems to be absent
//!                      ├───▶ verify   names the file, and a place at or before the damage
//!                      └───▶ salvage  has every key whose record is intact
//! ```
//!
//! # The limit
//! In a store that was not closed, the bytes after the last place that a later record or the
//! manifest proves to be synced may be a torn tail: damage there takes the last commit back,
//! unnoticed. With one writer and `Durability::Always` these are the bytes of the last commit and
//! the space behind it, no more; see `damage_to_a_killed_store`. Damage of many bytes that reaches
//! into the last commit destroys the proof with what it would have proven, and takes back both.

#![allow(clippy::unwrap_used, reason = "these are tests, their helpers too")]

mod common;
#[path = "corruption/damage.rs"]
mod damage;
#[path = "corruption/subject.rs"]
mod subject;
