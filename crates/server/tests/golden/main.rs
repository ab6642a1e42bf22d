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

// The scripts are files of the real machine.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod atomic;
mod client;
mod host;
mod pattern;
mod script;
mod show;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Scripts run at the same time.
const THREADS: usize = 4;

/// What becomes of a script that is answered otherwise.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Update {
    Compare,
    Write,
}

#[test]
fn scripts_are_answered_as_they_say() {
    let only = std::env::var("ONLY").unwrap_or_default();
    let mut scripts: Vec<PathBuf> = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/scripts")
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .filter(|path| path.file_stem().unwrap().to_string_lossy().contains(&only))
        .collect();
    scripts.sort();
    assert!(!scripts.is_empty());
    let update = match std::env::var("UPDATE").as_deref() {
        Ok("1") => Update::Write,
        _ => Update::Compare,
    };
    let wrong = check_all(&scripts, update);
    assert!(wrong.is_empty(), "{}\nreview with UPDATE=1 and git diff", wrong.join("\n"));
}

/// Runs the scripts, a few at a time: they sleep a good deal. Tells what is wrong.
fn check_all(scripts: &[PathBuf], update: Update) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let work = || {
        let paths = std::iter::from_fn(|| scripts.get(next.fetch_add(1, Ordering::Relaxed)));
        paths.filter_map(|path| check(path, update)).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// Runs a script; tells what is wrong.
fn check(path: &Path, update: Update) -> Option<String> {
    let expected = fs::read_to_string(path).unwrap();
    let actual = script::run(&expected);
    if actual == expected {
        return None;
    }
    if update == Update::Write {
        fs::write(path, &actual).unwrap();
        return None;
    }
    Some(format!("{}: {}", path.display(), first_difference(&expected, &actual)))
}

fn first_difference(expected: &str, actual: &str) -> String {
    let pairs = expected.lines().zip(actual.lines()).enumerate();
    match pairs.into_iter().find(|(_, (expected, actual))| expected != actual) {
        Some((line, (expected, actual))) => {
            format!("line {}: expected {expected:?}, got {actual:?}", line + 1)
        }
        None => {
            format!("{} lines expected, got {}", expected.lines().count(), actual.lines().count())
        }
    }
}
