//! Golden scripts: `tests/scripts/*.txt` hold commands and, below a line `---`, what they print.
//!
//! ```text
//! # A remark.
//! set a 1
//! get a
//! ---
//! #1
//! 1
//! ```
//!
//! A script runs on a simulated disk with fixed random numbers and a clock that stands still, so that
//! every byte is the same each time; `dump` and `manifest` show them. The commands are in
//! `session.rs`. `UPDATE=1 cargo test` writes what is printed now into the scripts: review the
//! difference, for these bytes are the format that stores out there have.

// The scripts are files of the real machine.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod replicated;
mod session;
mod show;

use std::fs;
use std::path::{Path, PathBuf};

use session::Session;

#[test]
fn scripts_print_what_they_say() {
    let mut scripts: Vec<PathBuf> = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/scripts")
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    scripts.sort();
    assert!(!scripts.is_empty());
    let update = std::env::var_os("UPDATE").is_some_and(|update| update == "1");
    let mut wrong = Vec::new();
    for path in scripts {
        let expected = fs::read_to_string(&path).unwrap();
        let actual = run(&expected);
        if actual == expected {
            continue;
        }
        if update {
            fs::write(&path, &actual).unwrap();
        } else {
            wrong.push(format!("{}: {}", path.display(), first_difference(&expected, &actual)));
        }
    }
    assert!(wrong.is_empty(), "{}\nreview with UPDATE=1 and git diff", wrong.join("\n"));
}

/// The script with what its commands print now.
fn run(script: &str) -> String {
    let mut session = Session::new();
    let mut blocks = Vec::new();
    for block in script.split("\n\n") {
        let commands: Vec<&str> =
            block.lines().take_while(|line| *line != "---").filter(|l| !l.is_empty()).collect();
        if commands.is_empty() {
            continue;
        }
        let mut actual: Vec<String> = commands.iter().map(|line| (*line).to_owned()).collect();
        let runs = commands.iter().any(|line| !line.starts_with('#'));
        if runs {
            actual.push("---".to_owned());
        }
        for command in commands.iter().filter(|line| !line.starts_with('#')) {
            let output = session.run(command);
            actual.extend(output.lines().map(str::to_owned));
        }
        blocks.push(actual.join("\n"));
    }
    blocks.join("\n\n") + "\n"
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
