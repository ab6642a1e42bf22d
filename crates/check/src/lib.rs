//! Whether what clients saw of each key could have come from a single copy of it: linearizability.
//!
//! ```text
//!  a  ├── set 1 ──┤                       an order that explains all answers:
//!  b       ├─ read: none ─┤                 b read: none, a set 1, c read: 1
//!  c               ├─ read: 1 ─┤
//!     ───────────────────────────▶ time
//! ```
//!
//! Each key is judged by itself: an order of all calls exists if one of the calls of each key does. A
//! call without an answer may have been done, or may be done at any later time, or never.

mod call;
mod search;
#[cfg(test)]
mod tests;
mod unknown;

use std::collections::BTreeMap;
use std::fmt::Debug;

pub use call::{Answer, Call, Request};
use search::Search;

/// Checks that the calls of each key are linearizable. Every key has no value at the beginning.
///
/// # Errors
/// The first key of which they are not, and how far an explanation of its answers goes.
pub fn check<Key: Ord + Debug>(calls: &[Call<Key>]) -> Result<(), String> {
    let mut keys: BTreeMap<&Key, Vec<&Call<Key>>> = BTreeMap::new();
    for call in calls {
        keys.entry(&call.key).or_default().push(call);
    }
    for (key, calls) in keys {
        let search = Search::new(&calls);
        search.run().map_err(|why| format!("{key:?} is not linearizable: {why}"))?;
    }
    Ok(())
}
