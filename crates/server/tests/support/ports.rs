//! Ports for servers of tests, for those of all crates: included by path.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// A port of a host that nobody has, and that no other test of this process was given. Below those that the
/// system gives to outgoing connections: one of another test could take it before its server listens, or one
/// of a node, which leaves from the address that others listen on, while a node is down.
pub fn free_port(host: &str) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 12_000 + 200 * u16::try_from(std::process::id() % 100).unwrap();
    let mut ports = std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::SeqCst));
    ports.find(|port| TcpListener::bind((host, *port)).is_ok()).unwrap()
}
