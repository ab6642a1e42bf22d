//! Nodes in one process: real directories, real connections, no clients.

mod founding;
mod growth;
mod harness;
mod lives;
#[path = "../../../tests/support/ports.rs"]
mod ports;
mod refusals;
