//! The server as whoever runs it meets it: TLS, pages for operators, many clients.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests look from outside")]

mod admin;
mod certificates;
mod clients;
#[path = "../support/ports.rs"]
mod ports;
mod service;
mod sockets;
mod tls;
