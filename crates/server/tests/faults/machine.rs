//! A server on a simulated disk, and clients of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aryavarth::Durability;
use aryavarth::disk::sim::SimDisk;
use aryavarth_server::config::{Bytes, Config, Sources};
use aryavarth_server::{Running, start_on};
use redis::{Connection, ErrorKind, RedisError, RedisResult, Value};

/// Where the store is on the simulated disk.
pub const DIRECTORY: &str = "/store";

/// A server on a simulated disk; its socket is in a real directory.
pub struct Machine {
    pub running: Option<Running>,
    socket: PathBuf,
    _directory: tempfile::TempDir,
}

impl Machine {
    pub fn start(disk: &SimDisk, durability: Durability) -> Machine {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        let mut config = Config::default();
        config.port = 0;
        config.unixsocket = Some(socket.clone());
        config.dir = PathBuf::from(DIRECTORY);
        config.durability = durability;
        config.segment_size = Bytes(64 << 10);
        config.admin_address = None;
        let running = start_on(Arc::new(disk.clone()), config, &Sources::default()).unwrap();
        Machine { running: Some(running), socket, _directory: directory }
    }

    pub fn client(&self) -> Connection {
        connect(&self.socket)
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Ends the server, however well that goes on a broken machine.
    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.server().end();
            let _ = running.wait();
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.stop();
    }
}

pub fn connect(socket: &Path) -> Connection {
    let url = format!("redis+unix://{}", socket.display());
    redis::Client::open(url).unwrap().get_connection().unwrap()
}

/// Runs a command given as one line of words without spaces.
pub fn run(client: &mut Connection, line: &str) -> RedisResult<Value> {
    let mut words = line.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    words.for_each(|word| {
        command.arg(word);
    });
    command.query(client)
}

/// The code of an error reply, such as `MISCONF`; panics if it is another kind of error.
pub fn code(error: &RedisError) -> String {
    let code = error.code().unwrap_or_else(|| panic!("not an error reply: {error:?}"));
    assert_ne!(error.kind(), ErrorKind::Io, "{error}");
    code.to_owned()
}
