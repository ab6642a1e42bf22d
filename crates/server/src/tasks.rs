//! Where the tasks of a node begin: on its threads, or on its machine in a simulation.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::cluster::NodeError;

/// Begins a task.
pub(crate) fn begin<T>(threads: &Handle, task: T) -> JoinHandle<T::Output>
where
    T: Future + Send + 'static,
    T::Output: Send + 'static,
{
    #[cfg(feature = "simulated-cluster")]
    if let Some(host) = aryavarth_replication::simulation::Host::current() {
        return host.spawn(task);
    }
    threads.spawn(task)
}

/// Begins a task beside the one that runs.
pub(crate) fn spawn<T>(task: T) -> JoinHandle<T::Output>
where
    T: Future + Send + 'static,
    T::Output: Send + 'static,
{
    begin(&Handle::current(), task)
}

/// Does what may wait for the disk where nobody else is held up by it.
///
/// # Errors
/// [`NodeError::System`] if it panicked.
pub(crate) async fn blocking<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NodeError> {
    let done = aryavarth_replication::blocking(work).await;
    done.map_err(|error| NodeError::System { operation, detail: error.to_string() })
}

/// Waits until all of them have ended, in whatever way.
pub(crate) async fn all<T>(tasks: Vec<JoinHandle<T>>) {
    for task in tasks {
        // One that panicked has told of it.
        let _ = task.await;
    }
}
