//! The rules of the settings, each by example.

mod load;
mod pages;
mod rewrite;
mod run_time;
mod table;

use std::path::{Path, PathBuf};

use super::{Config, ConfigError, LiveConfig, Sources};

/// A file of settings in a directory of its own.
struct Scratch {
    directory: tempfile::TempDir,
}

impl Scratch {
    fn new(text: &str) -> Scratch {
        let scratch = Scratch { directory: tempfile::tempdir().unwrap() };
        scratch.write(text.as_bytes());
        scratch
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("a.toml")
    }

    #[expect(clippy::disallowed_methods, reason = "the file of an operator")]
    fn write(&self, bytes: &[u8]) {
        std::fs::write(self.path(), bytes).unwrap();
    }

    #[expect(clippy::disallowed_methods, reason = "the file of an operator")]
    fn text(&self) -> String {
        String::from_utf8(std::fs::read(self.path()).unwrap()).unwrap()
    }

    fn sources(&self) -> Sources {
        Sources { file: Some(self.path()), ..Sources::default() }
    }

    fn load(&self) -> Result<Config, ConfigError> {
        Config::load(&self.sources())
    }

    /// The errors of a load, one a line, with the file's name alone.
    fn errors(&self) -> String {
        let directory = format!("{}/", self.directory.path().display());
        self.load().unwrap_err().to_string().replace(&directory, "")
    }

    fn live(&self) -> LiveConfig {
        LiveConfig::new(self.load().unwrap(), &self.sources())
    }
}

/// The errors of a file.
fn errors_of(text: &str) -> String {
    Scratch::new(text).errors()
}

fn from(environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Sources {
    let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
    let flags = flags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Sources { file: None, environment: environment.collect(), flags: flags.collect() }
}

/// The names of the settings that two servers have different.
fn differing(one: &Config, other: &Config) -> Vec<&'static str> {
    let settings = super::SETTINGS.iter().filter(|setting| !(setting.same)(one, other));
    settings.map(|setting| setting.name).collect()
}

/// A file of the repository.
fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}
