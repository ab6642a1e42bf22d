//! What settings make of the sockets themselves.

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;

use super::service::{Service, ask};

const PING: &str = "*1\r\n$4\r\nPING\r\n";

#[test]
fn the_unix_socket_has_its_permissions() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let text = path.display().to_string();
    let _service = Service::start(&[("unixsocket", &text), ("unixsocketperm", "702")]);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o702);
}

#[cfg(target_os = "linux")]
#[test]
fn connections_are_probed_as_the_setting_said_when_they_came() {
    let service = Service::start(&[("tcp-keepalive", "0")]);
    let connect = || {
        let mut stream = service.connect();
        ask(&mut stream, PING, "+PONG\r\n");
        stream
    };
    let before = connect();
    service.set("tcp-keepalive", "100").unwrap();
    let after = connect();
    assert_eq!(timer(&service, &before), None);
    let left = timer(&service, &after).unwrap();
    assert!((50..=100).contains(&left), "{left} s");
}

/// Seconds until the server's side of a connection is probed, if it will be, as the system tells.
#[cfg(target_os = "linux")]
fn timer(service: &Service, stream: &TcpStream) -> Option<u64> {
    const KEEPALIVE: &str = "02";
    const TICKS: u64 = 100;
    let (port, peer) = (service.port, stream.local_addr().unwrap().port());
    let (local, remote) = (format!("0100007F:{port:04X}"), format!("0100007F:{peer:04X}"));
    let all = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let lines = all.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = lines.into_iter().find(|line| line[1] == local && line[2] == remote).unwrap();
    let (timer, left) = line[5].split_once(':').unwrap();
    (timer == KEEPALIVE).then(|| u64::from_str_radix(left, 16).unwrap() / TICKS)
}
