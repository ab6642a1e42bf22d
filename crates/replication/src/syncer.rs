//! One thread that syncs for all shards of a node.
//!
//! ```text
//!  shard 1 ── append ──▶ waiting ┐
//!  shard 2 ── append ──▶ waiting ├─ take all ─▶ sync ONCE ─▶ complete all, in the order they came
//!  shard 9 ── vote ────▶ waiting ┘      ▲                          │
//!                                       └──── what came meanwhile ─┘
//! ```
//!
//! After a sync failed nothing is ever durable here again: whoever waited and whoever comes later gets
//! that failure. There is no retry, as the machine may have dropped the pages.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use aryavarth::{Error, Result};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

#[cfg(feature = "simulation")]
use crate::simulation::Host;

type Completion = Box<dyn FnOnce(std::result::Result<(), &Error>) + Send>;

/// The hand that syncs. Cheap to clone; the thread ends when the last one is dropped.
#[derive(Clone)]
pub(crate) struct Syncer(Arc<Shared>);

struct Shared {
    waiting: Mutex<Option<UnboundedSender<Completion>>>,
    failed: Arc<OnceLock<Error>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Syncer {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the machine gives no thread.
    pub fn start(sync: impl Fn() -> Result<()> + Send + 'static) -> io::Result<Syncer> {
        let (waiting, queue) = mpsc::unbounded_channel();
        let failed = Arc::new(OnceLock::new());
        #[cfg(feature = "simulation")]
        if let Some(host) = Host::current() {
            let task = serve_simulated(host.clone(), queue, sync, Arc::clone(&failed));
            host.spawn(task);
            let waiting = Mutex::new(Some(waiting));
            return Ok(Syncer(Arc::new(Shared { waiting, failed, thread: Mutex::default() })));
        }
        let thread = {
            let failed = Arc::clone(&failed);
            std::thread::Builder::new()
                .name("aryavarth-raft-sync".into())
                .spawn(move || serve(queue, &sync, &failed))?
        };
        let (waiting, thread) = (Mutex::new(Some(waiting)), Mutex::new(Some(thread)));
        Ok(Syncer(Arc::new(Shared { waiting, failed, thread })))
    }

    /// Calls `done` once all that was written before this call is durable, or never will be.
    pub fn after_sync(&self, done: impl FnOnce(std::result::Result<(), &Error>) + Send + 'static) {
        let waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match waiting.as_ref().map(|waiting| waiting.send(Box::new(done))) {
            Some(Ok(())) => {}
            Some(Err(mpsc::error::SendError(done))) => done(Err(&Error::Closed)),
            None => unreachable!("taken out only when nobody has a handle any more"),
        }
    }

    /// Waits until all that was written before this call is durable.
    ///
    /// # Errors
    /// If it never will be.
    pub async fn sync(&self) -> Result<()> {
        let (done, result) = oneshot::channel();
        self.after_sync(move |outcome| {
            // Whoever waited may be gone.
            let _ = done.send(outcome.map_err(Error::clone));
        });
        result.await.unwrap_or(Err(Error::Closed))
    }

    /// What failed, if a sync did.
    pub fn failure(&self) -> Option<&Error> {
        self.0.failed.get()
    }
}

impl fmt::Debug for Syncer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Syncer").field("failure", &self.failure()).finish_non_exhaustive()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let queue = self.waiting.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        drop(queue);
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // A completion may have held the last handle: then this is the thread itself.
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            // What panicked there has said so.
            let _ = thread.join();
        }
    }
}

fn serve(
    mut queue: UnboundedReceiver<Completion>,
    sync: &impl Fn() -> Result<()>,
    failed: &OnceLock<Error>,
) {
    let mut group = Vec::new();
    while let Some(first) = queue.blocking_recv() {
        gather(&mut group, first, &mut queue);
        complete(&mut group, sync, failed);
    }
}

/// Takes all that waits.
fn gather(
    group: &mut Vec<Completion>,
    first: Completion,
    queue: &mut UnboundedReceiver<Completion>,
) {
    group.push(first);
    while let Ok(next) = queue.try_recv() {
        group.push(next);
    }
}

/// Syncs once, and tells all.
fn complete(group: &mut Vec<Completion>, sync: &impl Fn() -> Result<()>, failed: &OnceLock<Error>) {
    if failed.get().is_none()
        && let Err(error) = sync()
    {
        tracing::error!(%error, "a sync failed: this node takes no more writes");
        failed.get_or_init(|| error);
    }
    let outcome = failed.get().map_or(Ok(()), Err);
    for done in group.drain(..) {
        done(outcome);
    }
}

/// The same as a task of a simulated machine.
#[cfg(feature = "simulation")]
async fn serve_simulated(
    host: Host,
    mut queue: UnboundedReceiver<Completion>,
    sync: impl Fn() -> Result<()>,
    failed: Arc<OnceLock<Error>>,
) {
    use aryavarth::planted::{Planted, is_planted};

    let mut group = Vec::new();
    while let Some(first) = queue.recv().await {
        gather(&mut group, first, &mut queue);
        if is_planted(Planted::AckBeforeSync) {
            group.drain(..).for_each(|done| done(Ok(())));
        }
        tokio::time::sleep(host.sync_takes()).await;
        complete(&mut group, &sync, &failed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_sync_serves_all_that_wait_in_their_order() {
        let syncs = Arc::new(AtomicUsize::new(0));
        let syncer = {
            let syncs = Arc::clone(&syncs);
            Syncer::start(move || {
                syncs.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(20));
                Ok(())
            })
            .unwrap()
        };
        let (order, done) = mpsc::channel();
        for number in 0..100 {
            let order = order.clone();
            syncer.after_sync(move |outcome| order.send((number, outcome.is_ok())).unwrap());
        }
        drop(order);
        let done: Vec<_> = done.iter().collect();
        assert_eq!(done, (0..100).map(|number| (number, true)).collect::<Vec<_>>());
        assert!(syncs.load(Ordering::SeqCst) <= 3, "syncs are shared");
    }

    #[test]
    fn a_completion_is_never_served_by_a_sync_that_began_before_it() {
        let syncs = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&syncs);
        let (begun, begins) = mpsc::channel();
        let syncer = Syncer::start(move || {
            begun.send(()).unwrap();
            std::thread::sleep(Duration::from_millis(20));
            counter.fetch_add(1, Ordering::SeqCst);
            Ok(())
        })
        .unwrap();
        syncer.after_sync(|_| {});
        begins.recv().unwrap();
        let (done, result) = mpsc::channel();
        let seen = Arc::clone(&syncs);
        syncer.after_sync(move |_| done.send(seen.load(Ordering::SeqCst)).unwrap());
        assert_eq!(result.recv().unwrap(), 2);
    }

    #[tokio::test]
    async fn after_a_failure_all_fail_though_the_disk_recovers() {
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        let syncer = Syncer::start(move || {
            if counter.fetch_add(1, Ordering::SeqCst) == 1 {
                return Err(Error::Fenced { cause: "planted".into() });
            }
            Ok(())
        })
        .unwrap();
        assert!(syncer.sync().await.is_ok());
        assert!(syncer.failure().is_none());
        for _ in 0..3 {
            assert!(matches!(syncer.sync().await, Err(Error::Fenced { .. })));
        }
        assert_eq!(calls.load(Ordering::SeqCst), 2, "no retry");
        assert!(syncer.failure().is_some());
    }
}
