//! Work that takes long, on threads of its own, while the connection that asked for it rests.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;

use crate::clients::ClientId;
use crate::command::Job;
use crate::net::{JobDone, Message};
use crate::resp::{Protocol, Reply};
use crate::server::Server;
use crate::session::Session;

/// Threads for jobs: one long job does not keep a short one waiting.
const THREADS: usize = 3;

/// Work that nobody waits for.
pub type Work = Box<dyn FnOnce(&Arc<Server>) + Send>;

/// Something to do.
enum Task {
    /// A job, and whose it is.
    Job { worker: usize, client: ClientId, protocol: Protocol, job: Job },
    /// Work that nobody waits for.
    Alone(Work),
}

/// The jobs that wait.
pub struct Jobs {
    sender: Mutex<Option<Sender<Task>>>,
    receiver: Arc<Mutex<Receiver<Task>>>,
}

impl Default for Jobs {
    fn default() -> Jobs {
        let (sender, receiver) = channel();
        Jobs { sender: Mutex::new(Some(sender)), receiver: Arc::new(Mutex::new(receiver)) }
    }
}

impl Jobs {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system's, if it has no thread to give.
    pub fn start(&self, server: &Arc<Server>) -> std::io::Result<Vec<JoinHandle<()>>> {
        let spawn = |number| {
            let (receiver, server) = (Arc::clone(&self.receiver), Arc::downgrade(server));
            let name = format!("aryavarth-job-{number}");
            std::thread::Builder::new().name(name).spawn(move || work(&receiver, &server))
        };
        (0..THREADS).map(spawn).collect()
    }

    /// Has a job run; its reply goes to the session's client.
    pub fn run(&self, worker: usize, session: &Session, job: Job) {
        let (client, protocol) = (session.client.id, session.protocol);
        self.send(Task::Job { worker, client, protocol, job });
    }

    /// Has work done that nobody waits for.
    pub fn run_alone(&self, work: Work) {
        self.send(Task::Alone(work));
    }

    fn send(&self, task: Task) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = &*sender {
            // It fails only when the threads have gone, and the connections with them.
            let _ = sender.send(task);
        }
    }

    /// Does what waits, on this thread: for a server without threads.
    #[cfg(feature = "simulation")]
    pub(crate) fn work_off(&self, server: &Arc<Server>) {
        let next = || self.receiver.lock().unwrap_or_else(PoisonError::into_inner).try_recv();
        while let Ok(task) = next() {
            perform(task, server);
        }
    }

    /// Lets the threads end when nothing waits any more.
    pub fn stop(&self) {
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn work(receiver: &Mutex<Receiver<Task>>, server: &Weak<Server>) {
    loop {
        let task = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let (Ok(task), Some(server)) = (task, server.upgrade()) else { return };
        perform(task, &server);
    }
}

fn perform(task: Task, server: &Arc<Server>) {
    match task {
        Task::Job { worker, client, protocol, job } => {
            let mut reply = Vec::new();
            job(server, &mut Reply::new(&mut reply, protocol));
            server.workers()[worker].send(Message::Done(JobDone { client, reply }));
        }
        Task::Alone(work) => work(server),
    }
}
