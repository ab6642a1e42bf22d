//! How others reach a worker: messages, and a bell.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use aryavarth_cluster::NodeId;

use super::parcel::Parcel;
use super::socket::Socket;
use crate::clients::{ClientId, Origin};
use crate::resp::Protocol;

/// What a worker is told.
pub enum Message {
    /// Serve this connection.
    Connection(Socket, Origin),
    /// Answer what this node passes on, in this version of the protocol.
    Parcel(Parcel, NodeId, Protocol),
    /// A job that a connection waited for is done.
    Done(JobDone),
    /// Close this client's connection.
    Kill(ClientId),
    /// What commands were waiting for may be over.
    Resume,
    /// Finish what was accepted and end.
    Stop,
}

/// The end of a job.
pub struct JobDone {
    /// Whose it was.
    pub client: ClientId,
    /// The reply, encoded.
    pub reply: Vec<u8>,
}

/// What wakes a worker.
pub enum Bell {
    /// An event of its loop.
    Event(mio::Waker),
    /// Its task, in a simulation.
    #[cfg(feature = "simulated-cluster")]
    Task(std::sync::Arc<tokio::sync::Notify>),
}

/// A worker as others see it.
pub struct WorkerHandle {
    bell: Bell,
    inbox: Mutex<Vec<Message>>,
    /// Whether it wants to hear that batches were settled.
    awaits_settling: AtomicBool,
    connections: AtomicUsize,
}

impl WorkerHandle {
    /// A handle with this bell.
    pub fn new(bell: Bell) -> WorkerHandle {
        WorkerHandle {
            bell,
            inbox: Mutex::default(),
            awaits_settling: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
        }
    }

    /// Tells the worker something.
    pub fn send(&self, message: Message) {
        self.inbox.lock().expect("no panic while held").push(message);
        self.ring();
    }

    /// Tells the worker that batches were settled, if it cares.
    pub fn settled(&self) {
        if self.awaits_settling.swap(false, Ordering::AcqRel) {
            self.ring();
        }
    }

    /// Notes that the worker wants to hear of batches being settled.
    pub fn await_settling(&self) {
        self.awaits_settling.store(true, Ordering::Release);
    }

    /// Takes all messages.
    pub fn take(&self) -> Vec<Message> {
        std::mem::take(&mut *self.inbox.lock().expect("no panic while held"))
    }

    /// Connections it has, or is about to have.
    pub fn connections(&self) -> &AtomicUsize {
        &self.connections
    }

    fn ring(&self) {
        match &self.bell {
            Bell::Event(waker) => {
                // A bell that cannot be rung has been rung too often to count.
                let rung: io::Result<()> = waker.wake();
                debug_assert!(rung.is_ok());
            }
            #[cfg(feature = "simulated-cluster")]
            Bell::Task(task) => task.notify_one(),
        }
    }
}
