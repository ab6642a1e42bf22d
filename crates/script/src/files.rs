//! All scripts of a directory, compared with what they get now, or written anew.

// The scripts are files of the real machine.
#![allow(clippy::disallowed_methods)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Scripts run at the same time: some sleep a good deal.
const THREADS: usize = 4;

/// What becomes of a script that gets something else.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Update {
    Compare,
    Write,
}

/// Runs all scripts (`*.txt`) of a directory. `run` is given one and returns it with what its commands get now.
///
/// # Panics
/// If one of them gets something else than it says, or there is none.
pub fn check(directory: &Path, run: impl Fn(&str) -> String + Sync) {
    let scripts = scripts(directory);
    assert!(!scripts.is_empty(), "there are no scripts in {}", directory.display());
    let update = match env::var("UPDATE").as_deref() {
        Ok("1") => Update::Write,
        _ => Update::Compare,
    };
    let next = AtomicUsize::new(0);
    let work = || {
        let paths = std::iter::from_fn(|| scripts.get(next.fetch_add(1, Ordering::Relaxed)));
        paths.filter_map(|path| check_one(path, update, &run)).collect::<Vec<_>>()
    };
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        let done = threads.into_iter().map(|thread| thread.join());
        done.flat_map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    assert!(wrong.is_empty(), "{}\nreview with UPDATE=1 and git diff", wrong.join("\n"));
}

fn scripts(directory: &Path) -> Vec<PathBuf> {
    let only = env::var("ONLY").unwrap_or_default();
    let is_meant = |path: &Path| {
        path.extension().is_some_and(|extension| extension == "txt")
            && path.file_stem().is_some_and(|name| name.to_string_lossy().contains(&only))
    };
    let entries = fs::read_dir(directory).unwrap_or_else(|why| panic!("{directory:?}: {why}"));
    let mut scripts: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| is_meant(path)).collect();
    scripts.sort();
    scripts
}

/// Runs a script; tells what is wrong.
fn check_one(path: &Path, update: Update, run: impl Fn(&str) -> String) -> Option<String> {
    let expected = fs::read_to_string(path).unwrap_or_else(|why| panic!("{path:?}: {why}"));
    let actual = run(&expected);
    if actual == expected {
        return None;
    }
    if update == Update::Write {
        fs::write(path, &actual).unwrap_or_else(|why| panic!("{path:?}: {why}"));
        return None;
    }
    Some(format!("{}: {}", path.display(), first_difference(&expected, &actual)))
}

fn first_difference(expected: &str, actual: &str) -> String {
    let (mut expected, mut actual) = (expected.lines(), actual.lines());
    for number in 1.. {
        let (wanted, got) = (expected.next(), actual.next());
        if wanted != got {
            let [wanted, got] = [wanted, got].map(|line| line.unwrap_or("(the end)"));
            return format!("line {number}\n  expected: {wanted}\n  actual:   {got}");
        }
        if wanted.is_none() {
            break;
        }
    }
    "only the ends of lines differ".to_owned()
}

#[test]
fn the_first_difference_is_told() {
    let told = |expected, actual| first_difference(expected, actual);
    assert_eq!(told("a\nb\n", "a\nc\n"), "line 2\n  expected: b\n  actual:   c");
    assert_eq!(told("a\n", "a\nc\n"), "line 2\n  expected: (the end)\n  actual:   c");
    assert_eq!(told("a\n", "a"), "only the ends of lines differ");
}
