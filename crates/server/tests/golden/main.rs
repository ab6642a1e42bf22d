//! Golden scripts: `tests/scripts/*.txt` hold commands and the replies to them, as `redis-cli` shows
//! them.
//!
//! ```text
//! # A remark.
//! > SET name "john doe"
//! OK
//! @other                         from here on, another connection
//! > GET name
//! "john doe"
//! > TTL name
//! (integer) <98..100>
//! ```
//!
//! Each script has a server of its own. What changes from run to run is matched rather than compared:
//! `<98..100>` is a whole number in that range, `<any>` any text, `<lines>` any lines. Directives:
//!
//! ```text
//! !config NAME VALUE             before the first command; {dir} is the server's directory
//! !cluster 4                     it founds a cluster of so many shards; 0: it waits to join one
//! !restart                       ends the server and starts it again on its directory
//! !sleep 5ms
//! !raw BYTES                     sends bytes, with escapes as in "…", and shows all that comes back
//! !send BYTES                    sends bytes and shows nothing
//! !read                          shows one more reply
//! !close                         closes the connection
//! ```
//!
//! `UPDATE=1 cargo test -p aryavarth-server --test golden` writes what is answered now into the
//! scripts: review the difference. `ONLY=name` runs the scripts whose names hold that.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod atomic;
mod client;
mod host;
#[path = "../support/ports.rs"]
mod ports;
mod script;

use std::path::Path;

#[test]
fn scripts_are_answered_as_they_say() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    aryavarth_script::check(&scripts, script::run);
}
