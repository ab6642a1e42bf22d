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

use std::path::Path;

use session::Session;

#[test]
fn scripts_print_what_they_say() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    aryavarth_script::check(&scripts, run);
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
