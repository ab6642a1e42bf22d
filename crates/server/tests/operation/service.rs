//! A server of one test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aryavarth_server::config::{Config, SetError, Sources};
use aryavarth_server::{Error, Running, Server, start};
use tempfile::TempDir;

use super::ports::free_port;

/// How long a test waits for what should come at once.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running server; it ends with its test.
pub struct Service {
    running: Option<Running>,
    pub port: u16,
    pub tls_port: u16,
    _directory: TempDir,
}

impl Service {
    /// Starts a server with these settings.
    pub fn start(settings: &[(&str, &str)]) -> Service {
        Service::try_start(settings).unwrap()
    }

    /// The same, if it starts.
    pub fn try_start(settings: &[(&str, &str)]) -> Result<Service, Error> {
        let directory = tempfile::tempdir().unwrap();
        let with_tls = settings.iter().any(|(name, _)| *name == "tls-cert-file");
        let port = free_port("127.0.0.1");
        let tls_port = if with_tls { free_port("127.0.0.1") } else { 0 };
        let own = [
            ("bind", "127.0.0.1".to_owned()),
            ("port", port.to_string()),
            ("tls-port", tls_port.to_string()),
            ("dir", directory.path().display().to_string()),
            ("admin-address", "127.0.0.1:0".to_owned()),
        ];
        let given = settings.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let flags = own.into_iter().chain(given);
        let flags = flags.map(|(name, value)| (name.to_owned(), value)).collect();
        let sources = Sources { flags, ..Sources::default() };
        let running = start(Config::load(&sources).unwrap(), &sources)?;
        Ok(Service { running: Some(running), port, tls_port, _directory: directory })
    }

    pub fn server(&self) -> &Arc<Server> {
        self.running.as_ref().unwrap().server()
    }

    pub fn admin(&self) -> SocketAddr {
        self.running.as_ref().unwrap().admin_address().unwrap()
    }

    /// As `CONFIG SET` does.
    pub fn set(&self, name: &str, value: &str) -> Result<(), SetError> {
        let server = self.server();
        let pairs = [(name.as_bytes(), value.as_bytes())];
        server.config.set(&pairs, |changes| server.apply(changes)).map(drop)
    }

    /// A connection without TLS.
    pub fn connect(&self) -> TcpStream {
        connect(self.port)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let running = self.running.take().unwrap();
        running.server().end();
        let ended = running.wait();
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

/// A connection to a port of this machine.
pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends a request and reads a reply of this length.
pub fn ask(stream: &mut (impl Read + Write), request: &str, reply: &str) {
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = vec![0; reply.len()];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(String::from_utf8_lossy(&bytes), reply);
}

/// Whether the other side closes within [`PATIENCE`], whatever it says before.
pub fn is_closed(stream: &mut impl Read) -> bool {
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

/// Waits until something is so.
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let mut waited = Duration::ZERO;
    let step = Duration::from_millis(10);
    while !so() {
        assert!(waited < PATIENCE, "{what}");
        std::thread::sleep(step);
        waited += step;
    }
}

/// Puts a text into a file.
pub fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}
