//! `maxmemory-clients`: when the buffers of all clients together are too large, those with the largest
//! go.
//!
//! ```text
//!  a connection was served, or sent what it could
//!    └▶ weighed: larger than before, and all together beyond the limit?
//!         └▶ the heaviest of all clients are doomed until the rest is within it
//!              ├ served here: its buffers are dropped on the spot
//!              └ served elsewhere: its worker is told, and looks before it serves it again
//! ```
//!
//! A connection is weighed right after it was served, not at the end of the round: so a round that
//! makes many buffers grow is stopped by the one that is too much. What may be beyond the limit is what
//! each worker lets one connection gather at once: the soft limit of its output and one reply.

use std::sync::atomic::Ordering;

use super::Worker;
use crate::net::Message;

impl Worker {
    /// Counts the memory of a connection, and has somebody go if it grew to be too much.
    pub(super) fn weigh(&mut self, token: usize) {
        let connection = &mut self.connections[token];
        let memory = connection.memory();
        let counted = std::mem::replace(&mut connection.counted, memory);
        if memory == counted {
            return;
        }
        connection.client().memory.store(memory, Ordering::Relaxed);
        self.server.memory.change(counted, memory);
        if memory > counted {
            self.evict();
        }
    }

    /// Has the clients with the largest buffers go while there is too much.
    pub(super) fn evict(&mut self) {
        let Some(limit) = self.server.config.hot().clients_memory() else { return };
        if self.server.memory.total() <= limit {
            return;
        }
        for victim in self.server.memory.choose(&self.server.clients, limit) {
            tracing::info!(
                client = victim.id.0,
                address = victim.origin.peer(),
                bytes = victim.memory.load(Ordering::Relaxed),
                "disconnected: the buffers of all clients are beyond maxmemory-clients"
            );
            if victim.worker != self.number {
                self.server.workers()[victim.worker].send(Message::Kill(victim.id));
            } else if let Some(token) = self.token_of(victim.id) {
                self.abandon(token);
            }
        }
    }

    /// Drops the buffers of a connection that is to go.
    pub(super) fn abandon(&mut self, token: usize) {
        self.connections[token].abandon();
        // It got smaller, so nobody else has to go for it.
        self.weigh(token);
        self.list(token);
    }
}
