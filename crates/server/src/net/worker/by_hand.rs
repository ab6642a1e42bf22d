//! A worker without a thread, driven step by step by whoever feeds its one connection.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use mio::Events;
use mio::net::UnixStream as Watched;

use super::Worker;
use crate::clients::Origin;
use crate::clock;
use crate::error::{Error, Result};
use crate::net::connection::Rest;
use crate::net::socket::Socket;
use crate::server::{Server, prepare_workers};

/// How long the connection may be busy before it is taken to hang.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long it is waited for others, such as the committer.
const WAIT: Duration = Duration::from_millis(1);

/// How the connection is when there is nothing left to do for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standstill {
    /// It waits for more bytes.
    Listening,
    /// It waits for a moment to come.
    Resting,
    /// It is closed.
    Closed,
}

/// A worker with one connection, and the other end of that.
pub(crate) struct ByHand {
    server: Arc<Server>,
    worker: Worker,
    events: Events,
    peer: UnixStream,
    output: Vec<u8>,
}

impl ByHand {
    /// The only worker of `server`.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn new(server: &Arc<Server>) -> Result<ByHand> {
        let failed = || Error::io("make an event loop");
        let (poll, handle) = prepare_workers(server, 1)?.remove(0);
        let worker = Worker::new(0, Arc::clone(server), poll, handle, Vec::new());
        let (peer, socket) = UnixStream::pair().map_err(failed())?;
        peer.set_nonblocking(true).map_err(failed())?;
        socket.set_nonblocking(true).map_err(failed())?;
        let mut worker = worker.map_err(failed())?;
        worker.place(Socket::Unix(Watched::from_std(socket)), Origin::File("peer".into()));
        let (server, events) = (Arc::clone(server), Events::with_capacity(16));
        Ok(ByHand { server, worker, events, peer, output: Vec::new() })
    }

    /// Sends bytes and has the worker do what there is to do.
    ///
    /// # Panics
    /// If that has no end.
    pub(crate) fn send(&mut self, mut bytes: &[u8]) -> Standstill {
        loop {
            match self.peer.write(bytes) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The server has closed it.
                Err(_) => bytes = &[],
            }
            let standstill = self.settle();
            if bytes.is_empty() || standstill != Standstill::Listening {
                return standstill;
            }
        }
    }

    /// Sends nothing more; what has come back all in all.
    ///
    /// # Panics
    /// If what is to be done has no end.
    pub(crate) fn finish(mut self) -> (Vec<u8>, Standstill) {
        // It fails if the server has closed it.
        let _ = self.peer.shutdown(Shutdown::Write);
        let standstill = self.settle();
        (std::mem::take(&mut self.output), standstill)
    }

    fn settle(&mut self) -> Standstill {
        let begun = clock::monotonic();
        let mut wait = Duration::ZERO;
        // One look more than seems needed: an event may be on its way.
        for looks in 0.. {
            self.worker.attend(&mut self.events, wait).expect("the system tells of events");
            self.server.jobs.work_off(&self.server);
            self.receive();
            match self.standstill() {
                Some(standstill) if looks > 1 => return standstill,
                Some(_) => {}
                None => wait = if self.worker.ready.is_empty() { WAIT } else { Duration::ZERO },
            }
            assert!(clock::monotonic().saturating_sub(begun) < PATIENCE, "the connection hangs");
        }
        unreachable!("it returns or hangs")
    }

    fn receive(&mut self) {
        let mut buffer = [0; 16 << 10];
        // Nothing, the end, or an end that is no good one.
        while let Ok(length @ 1..) = self.peer.read(&mut buffer) {
            self.output.extend_from_slice(&buffer[..length]);
        }
    }

    /// How the connection stands, if there is nothing to do for it.
    fn standstill(&self) -> Option<Standstill> {
        let Some((_, connection)) = self.worker.connections.iter().next() else {
            return Some(Standstill::Closed);
        };
        let is_idle = !connection.listed && !connection.awaits && connection.output.pending() == 0;
        match connection.rest {
            Rest::None if is_idle => Some(Standstill::Listening),
            Rest::Until(_) | Rest::Pause(_) if is_idle => Some(Standstill::Resting),
            _ => None,
        }
    }
}
