//! A connection in memory, between a worker and a client of a simulation.
//!
//! ```text
//!  ClientEnd ── requests ──▶ Wire, a worker's socket; the worker's bell is rung
//!            ◀── replies ───
//! ```
//!
//! Whichever end is dropped closes it. What was sent before can still be read.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The worker's end.
#[derive(Debug)]
pub struct Wire(Arc<Shared>);

/// The client's end.
#[derive(Debug)]
pub struct ClientEnd(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    worker: Arc<Notify>,
    client: Notify,
}

#[derive(Debug, Default)]
struct State {
    requests: Vec<u8>,
    replies: Vec<u8>,
    client_left: bool,
    worker_left: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wire {
    /// A connection to the worker with this bell.
    pub fn new(worker: Arc<Notify>) -> (Wire, ClientEnd) {
        let (state, client) = (Mutex::default(), Notify::new());
        let shared = Arc::new(Shared { state, worker, client });
        (Wire(Arc::clone(&shared)), ClientEnd(shared))
    }

    /// Whether a read brings something: bytes, or the end.
    pub(super) fn is_readable(&self) -> bool {
        let state = self.0.state();
        !state.requests.is_empty() || state.client_left
    }

    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.0.state();
        if state.requests.is_empty() && !state.client_left {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = state.requests.len().min(into.len());
        into[..count].copy_from_slice(&state.requests[..count]);
        state.requests.drain(..count);
        Ok(count)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.state().replies.extend_from_slice(bytes);
        self.0.client.notify_one();
        Ok(bytes.len())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.0.state().worker_left = true;
        self.0.client.notify_one();
    }
}

impl ClientEnd {
    /// Whether the worker has closed it.
    pub fn is_closed(&self) -> bool {
        self.0.state().worker_left
    }

    /// Sends bytes. Nobody reads them if the connection is closed.
    pub fn send(&self, bytes: &[u8]) {
        self.0.state().requests.extend_from_slice(bytes);
        self.0.worker.notify_one();
    }

    /// Waits for bytes; none if it is closed.
    pub async fn receive(&self) -> Option<Vec<u8>> {
        loop {
            {
                let mut state = self.0.state();
                if !state.replies.is_empty() {
                    return Some(std::mem::take(&mut state.replies));
                }
                if state.worker_left {
                    return None;
                }
            }
            self.0.client.notified().await;
        }
    }
}

impl Drop for ClientEnd {
    fn drop(&mut self) {
        self.0.state().client_left = true;
        self.0.worker.notify_one();
    }
}
