//! Where the tasks of a node begin: on its threads, or on its machine in a simulation.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Begins a task.
pub(crate) fn spawn<T>(threads: &Handle, task: T) -> JoinHandle<T::Output>
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
