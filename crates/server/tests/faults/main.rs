//! What a server does when the machine fails it: nothing acknowledged is lost, nothing is applied
//! twice, reads go on, and every answer says what is so.

#![allow(missing_docs, clippy::unwrap_used)]

mod crash;
mod damage;
mod full_disk;
mod machine;
mod sync;
