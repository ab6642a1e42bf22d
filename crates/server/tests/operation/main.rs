//! The server as whoever runs it meets it: TLS, pages for operators, many clients.

mod admin;
mod certificates;
mod clients;
mod service;
mod tls;
