//! The server that a script talks to, in this process.

use std::path::{Path, PathBuf};

use aryavarth_server::Running;
use aryavarth_server::config::{Config, Sources};
use tempfile::TempDir;

/// A directory and, once something is asked of it, a server on it.
pub struct Host {
    directory: TempDir,
    settings: Vec<(String, String)>,
    running: Option<Running>,
}

impl Host {
    /// Nothing yet.
    pub fn new() -> Host {
        Host { directory: TempDir::new().unwrap(), settings: Vec::new(), running: None }
    }

    /// Changes a setting of the server to be started.
    pub fn set(&mut self, name: &str, value: &str) {
        assert!(self.running.is_none(), "!config {name} comes after the first command");
        let value = value.replace("{dir}", &self.path().display().to_string());
        self.settings.push((name.to_owned(), value));
    }

    /// The server's directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where the server listens. It is started if it is not running.
    pub fn socket(&mut self) -> PathBuf {
        let socket = self.path().join("socket");
        if self.running.is_none() {
            let sources = self.sources(&socket);
            let config = Config::load(&sources).unwrap_or_else(|error| panic!("{error}"));
            let running = aryavarth_server::start(config, &sources);
            self.running = Some(running.unwrap_or_else(|error| panic!("{error}")));
        }
        socket
    }

    fn sources(&self, socket: &Path) -> Sources {
        let flag = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut flags = vec![
            flag("port", "0"),
            flag("unixsocket", &socket.display().to_string()),
            flag("dir", &self.path().display().to_string()),
            flag("durability", "os"),
            flag("admin-address", ""),
        ];
        flags.extend(self.settings.iter().cloned());
        Sources { flags, ..Sources::default() }
    }

    /// Ends the server as an operator would.
    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.server().end();
            running.wait().unwrap_or_else(|error| panic!("{error}"));
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}
