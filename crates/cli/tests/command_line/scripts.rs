//! Golden scripts: `tests/scripts/*.txt` hold commands for the shell and what they print.
//!
//! ```text
//! # A remark.
//! $ aryavarth get absent
//! Key not found
//! [exit 1]
//! ```
//!
//! All commands of a script run in one new directory; standard output and error are both shown; a
//! code other than 0 is added as a line, and an empty line shown as `[blank]`. The name of the
//! directory is shown as `DIR`. `UPDATE=1 cargo test` writes what is printed now into the scripts:
//! review the difference.

use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn scripts_print_what_they_say() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    aryavarth_script::check(&scripts, run);
}

/// The script with what its commands print now.
fn run(script: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let mut actual = String::new();
    for line in script.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            actual += &format!("{line}\n{}", shell(command, directory.path()));
        } else if line.is_empty() || line.starts_with('#') {
            actual += &format!("{line}\n");
        }
    }
    actual
}

fn shell(command: &str, directory: &Path) -> String {
    let programs = crate::program().parent().unwrap().display();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .args(["-c", &format!("exec 2>&1; {command}")])
        .current_dir(directory)
        .env("PATH", path)
        .env("LC_ALL", "C")
        .env_remove("ARYAVARTH_DIR")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let mut text = String::from_utf8(output.stdout).unwrap();
    if !text.is_empty() && !text.ends_with('\n') {
        text += "\n[no newline]\n";
    }
    match output.status.code() {
        Some(0) => {}
        Some(code) => text += &format!("[exit {code}]\n"),
        None => text += "[killed]\n",
    }
    let real = directory.canonicalize().unwrap();
    let text =
        text.replace(real.to_str().unwrap(), "DIR").replace(directory.to_str().unwrap(), "DIR");
    text.lines().map(|line| format!("{}\n", unmistakable(line))).collect()
}

/// A line of output as one that the next run will not take for part of the script.
fn unmistakable(line: &str) -> &str {
    assert!(!line.starts_with('#') && !line.starts_with("$ "), "looks like the script: {line}");
    if line.is_empty() { "[blank]" } else { line }
}
