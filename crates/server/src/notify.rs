//! Tells the service manager how far the server is: `sd_notify(3)`, a datagram of a line.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::clock;

/// How far the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It serves.
    Ready,
    /// It reads certificates and users anew; it serves meanwhile.
    Reloading,
    /// It ends.
    Stopping,
}

impl Progress {
    fn text(self) -> String {
        match self {
            Progress::Ready => "READY=1".to_owned(),
            Progress::Reloading => {
                format!("RELOADING=1\nMONOTONIC_USEC={}", clock::monotonic().as_micros())
            }
            Progress::Stopping => "STOPPING=1".to_owned(),
        }
    }
}

/// Tells the service manager, if there is one that wants to know.
pub fn notify(progress: Progress) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(&path, &progress.text()) {
        tracing::warn!(%error, "the service manager could not be told: {progress:?}");
    }
}

/// A path that begins with `@` is a name without a file.
fn send(path: &OsStr, text: &str) -> io::Result<()> {
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_manager_reads_a_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str(), &Progress::Ready.text()).unwrap();
        let mut bytes = [0; 64];
        let length = manager.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"READY=1");
        assert!(Progress::Reloading.text().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    }

    #[test]
    fn a_name_without_a_file_is_found_too() {
        let name = format!("aryavarth-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        send(OsStr::new(&format!("@{name}")), "STOPPING=1").unwrap();
        let mut bytes = [0; 64];
        assert_eq!(manager.recv(&mut bytes).unwrap(), 10);
    }
}
