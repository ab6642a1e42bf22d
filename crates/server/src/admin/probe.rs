//! Asks a server that runs elsewhere whether it is well, as a service manager does.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Time for the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of the answer that are read.
const MOST: u64 = 16 << 10;

/// Asks `/healthz` at the address that a server was given as `admin-address`.
///
/// # Errors
/// The system's if nobody answers; `Other` with the reason that the server gives.
pub fn ask_health(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&reachable(address), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(MOST).read_to_string(&mut answer)?;
    if answer.split(' ').nth(1) == Some("200") {
        return Ok(());
    }
    let reason =
        answer.split_once("\r\n\r\n").map_or("no answer that makes sense", |(_, text)| text);
    Err(io::Error::other(reason.trim().to_owned()))
}

/// Who listens at every address listens at this machine's own.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        other => other,
    };
    SocketAddr::new(ip, address.port())
}
