//! The program as its users meet it: arguments in, output and exit code back.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![allow(clippy::disallowed_methods, reason = "the tests look at files and clocks from outside")]

mod crash;
mod exits;
mod fake;
mod listing;
mod pipes;
mod scripts;
mod server;
mod server_kill;
mod transfer;
mod upkeep;
mod values;

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use serde_json::Value;
use tempfile::TempDir;

/// A directory of its own for one test. The store is in `store`, which does not exist at first.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Place {
        Place { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn store(&self) -> PathBuf {
        self.path("store")
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// The program on this place's store.
    fn aryavarth(&self, arguments: &[&str]) -> Command {
        let mut command = aryavarth();
        command.current_dir(self.directory.path()).arg("--dir").arg(self.store()).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Assert {
        self.aryavarth(arguments).assert()
    }

    /// What the program prints when all is well.
    fn text(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments).success().stderr("");
        String::from_utf8(done.get_output().stdout.clone()).unwrap()
    }

    /// The one JSON object it prints with `--json` when all is well.
    fn json(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["--json"];
        all.extend_from_slice(arguments);
        serde_json::from_str(&self.text(&all)).unwrap()
    }
}

fn aryavarth() -> Command {
    let mut command = Command::from_std(std::process::Command::new(program()));
    for name in ["DIR", "ADDR", "USER", "PASSWORD", "FROM_PASSWORD"] {
        command.env_remove(format!("ARYAVARTH_{name}"));
    }
    command.timeout(std::time::Duration::from_secs(300));
    command
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_aryavarth"))
}

/// The JSON error on standard error.
fn error(assert: &Assert) -> Value {
    let value: Value = serde_json::from_slice(&assert.get_output().stderr).unwrap();
    value["error"].clone()
}
