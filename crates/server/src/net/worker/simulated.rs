//! A worker as a task of a simulated machine: it looks at its connections when it is told, and has no
//! events.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use aryavarth_replication::simulation::Host;
use mio::Poll;
use tokio::sync::Notify;

use super::Worker;
use crate::net::handle::{Bell, WorkerHandle};
use crate::net::socket::Socket;
use crate::server::Server;

/// Of so many rounds one begins late, as a thread may lose its processor.
const LATE: u64 = 4;
/// By at most so many milliseconds.
const LATER: u64 = 3;

/// Gives `server` its only worker, on the machine that is current. What is returned rings its bell.
///
/// # Errors
/// The system's.
pub(crate) fn serve_simulated(server: &Arc<Server>, host: &Host) -> io::Result<Arc<Notify>> {
    let bell = Arc::new(Notify::new());
    let handle = Arc::new(WorkerHandle::new(Bell::Task(Arc::clone(&bell))));
    server.set_workers(vec![Arc::clone(&handle)]);
    let worker = Worker::new(0, Arc::clone(server), Poll::new()?, handle, Vec::new())?;
    host.spawn(worker.run_simulated(host.clone(), Arc::clone(&bell)));
    Ok(bell)
}

impl Worker {
    async fn run_simulated(mut self, host: Host, bell: Arc<Notify>) {
        let server = Arc::clone(&self.server);
        loop {
            if host.random().is_multiple_of(LATE) {
                tokio::time::sleep(Duration::from_millis(host.random() % LATER)).await;
            }
            self.hear();
            self.look_for_requests();
            self.round();
            server.jobs.work_off(&server);
            match self.timeout() {
                Duration::ZERO => tokio::task::yield_now().await,
                // When it is over, or nothing happened for long, there is another round.
                wait => drop(tokio::time::timeout(host.true_span(wait), bell.notified()).await),
            }
        }
    }

    fn look_for_requests(&mut self) {
        let mut readable = Vec::new();
        for (token, connection) in &mut self.connections {
            if let Socket::Wire(wire) = &connection.socket
                && wire.is_readable()
                && !connection.half_closed
            {
                connection.readable = true;
                readable.push(token);
            }
        }
        readable.into_iter().for_each(|token| self.list(token));
    }
}
