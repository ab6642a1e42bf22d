//! Work that takes long, on threads of its own, while the connection that asked for it rests. Work that
//! nobody waits for has a thread that gives way to the others.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;

use crate::clients::ClientId;
use crate::command::{CommandId, Job};
use crate::net::{JobDone, Message, WorkerHandle};
use crate::resp::{Protocol, Reply};
use crate::server::Server;
use crate::session::Session;
use crate::tasks;

/// Threads for jobs: one long job does not keep a short one waiting.
const THREADS: usize = 3;
/// How nice the thread is that nobody waits for, as the store's own thread for compaction.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Work that nobody waits for.
pub type Work = Box<dyn FnOnce(&Arc<Server>) + Send>;

/// A job, and whose it is.
struct Task {
    worker: usize,
    client: ClientId,
    protocol: Protocol,
    command: CommandId,
    job: Job,
}

/// The jobs that wait.
#[derive(Default)]
pub struct Jobs {
    tasks: Line<Task>,
    alone: Line<Work>,
}

/// What waits for a thread, and the way to it.
struct Line<T> {
    sender: Mutex<Option<Sender<T>>>,
    receiver: Arc<Mutex<Receiver<T>>>,
}

impl<T> Default for Line<T> {
    fn default() -> Line<T> {
        let (sender, receiver) = channel();
        Line { sender: Mutex::new(Some(sender)), receiver: Arc::new(Mutex::new(receiver)) }
    }
}

impl<T: Send + 'static> Line<T> {
    fn send(&self, thing: T) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = &*sender {
            // It fails only when the threads have gone, and the connections with them.
            let _ = sender.send(thing);
        }
    }

    fn end(&self) {
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn serve(
        &self,
        name: String,
        server: &Arc<Server>,
        perform: impl Fn(T, &Arc<Server>) + Send + 'static,
    ) -> std::io::Result<JoinHandle<()>> {
        let (receiver, server) = (Arc::clone(&self.receiver), Arc::downgrade(server));
        std::thread::Builder::new().name(name).spawn(move || {
            loop {
                let thing = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let (Ok(thing), Some(server)) = (thing, Weak::upgrade(&server)) else { return };
                perform(thing, &server);
            }
        })
    }

    #[cfg(feature = "simulation")]
    fn try_next(&self) -> Option<T> {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner).try_recv().ok()
    }
}

impl Jobs {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system's, if it has no thread to give.
    pub fn start(&self, server: &Arc<Server>) -> std::io::Result<Vec<JoinHandle<()>>> {
        let mut threads = (0..THREADS)
            .map(|number| self.tasks.serve(format!("aryavarth-job-{number}"), server, perform))
            .collect::<std::io::Result<Vec<_>>>()?;
        let alone = |work: Work, server: &Arc<Server>| {
            give_way();
            work(server);
        };
        threads.push(self.alone.serve("aryavarth-alone".to_owned(), server, alone)?);
        Ok(threads)
    }

    /// Has a job of a command run; its reply, or its error, goes to the session's client.
    pub fn run(&self, worker: usize, session: &Session, command: CommandId, job: Job) {
        let (client, protocol) = (session.client.id, session.protocol);
        self.tasks.send(Task { worker, client, protocol, command, job });
    }

    /// Has a connection rest until `work` is done, which takes no thread; then its command is tried again.
    pub fn await_elsewhere(
        &self,
        runtime: &tokio::runtime::Handle,
        worker: &Arc<WorkerHandle>,
        session: &Session,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        self.answer_elsewhere(runtime, worker, session, async move {
            work.await;
            Vec::new()
        });
    }

    /// Has a connection rest until its reply is there, which takes no thread.
    pub fn answer_elsewhere(
        &self,
        runtime: &tokio::runtime::Handle,
        worker: &Arc<WorkerHandle>,
        session: &Session,
        reply: impl Future<Output = Vec<u8>> + Send + 'static,
    ) {
        let (client, worker) = (session.client.id, Arc::clone(worker));
        tasks::begin(runtime, async move {
            let reply = reply.await;
            worker.send(Message::Done(JobDone { client, reply }));
        });
    }

    /// Has work done that nobody waits for.
    pub fn run_alone(&self, work: Work) {
        self.alone.send(work);
    }

    /// Does what waits, on this thread: for a server without threads.
    #[cfg(feature = "simulation")]
    pub(crate) fn work_off(&self, server: &Arc<Server>) {
        loop {
            if let Some(task) = self.tasks.try_next() {
                perform(task, server);
            } else if let Some(work) = self.alone.try_next() {
                work(server);
            } else {
                return;
            }
        }
    }

    /// Lets the threads end when nothing waits any more.
    pub fn stop(&self) {
        self.tasks.end();
        self.alone.end();
    }
}

fn perform(task: Task, server: &Arc<Server>) {
    let mut reply = Vec::new();
    let outcome = (task.job)(server, &mut Reply::new(&mut reply, task.protocol));
    if let Err(error) = outcome {
        let text = error.to_string();
        server.stats.worker(task.worker).failed_later(task.command, &text);
        reply.clear();
        Reply::new(&mut reply, task.protocol).error(&text);
    }
    let done = JobDone { client: task.client, reply };
    server.workers()[task.worker].send(Message::Done(done));
}

/// Leaves the processor to other threads when they want it too. A favour: a refusal is no failure.
fn give_way() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICENESS);
}
