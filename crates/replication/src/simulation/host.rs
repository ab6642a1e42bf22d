//! The machine of one simulated node, as far as it is no disk and no network.
//!
//! ```text
//!  poll ──▶ Hosted ── killed? never again │ paused? later │ else: this host is current ──▶ the task
//! ```
//!
//! All tasks of a node are spawned through its host, so whatever asks for the time or for a random
//! number while one of them is polled is answered by the host of that node.

use std::cell::RefCell;
use std::future::Future;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;

use aryavarth::planted::{Planted, is_planted};

/// Parts of a rate, for integer arithmetic.
const MILLION: u128 = 1_000_000;

thread_local! {
    static CURRENT: RefCell<Option<Host>> = const { RefCell::new(None) };
}

/// How long work takes, in milliseconds.
#[derive(Clone, Debug)]
pub struct Pace {
    /// A sync of the disk.
    pub sync: RangeInclusive<u64>,
    /// Other work that would be done by a thread of its own.
    pub work: RangeInclusive<u64>,
}

/// The machine of one node, from a start of its process to the end of it. Clones are the same.
#[derive(Clone, Debug)]
pub struct Host(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    clock: Clock,
    random: u64,
    pace: Pace,
    life: Life,
    sleepers: Vec<Waker>,
    tasks: Vec<AbortHandle>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Running,
    Paused,
    Killed,
}

/// A clock that shows `shown` at `at` and runs at a rate of its own.
#[derive(Clone, Copy, Debug)]
struct Clock {
    at: Instant,
    shown: Duration,
    /// In millionths.
    rate: u32,
}

impl Clock {
    fn now(&self) -> Duration {
        let passed = self.at.elapsed().as_nanos() * u128::from(self.rate) / MILLION;
        self.shown + Duration::from_nanos(u64::try_from(passed).unwrap_or(u64::MAX))
    }
}

impl Host {
    /// A machine whose clock shows `shown` and runs at `rate` millionths of the true rate.
    pub fn new(seed: u64, shown: Duration, rate: u32, pace: Pace) -> Host {
        let clock = Clock { at: Instant::now(), shown, rate };
        let (sleepers, tasks) = (Vec::new(), Vec::new());
        let state = State { clock, random: seed, pace, life: Life::Running, sleepers, tasks };
        Host(Arc::new(Mutex::new(state)))
    }

    /// The host of the task that is being polled.
    pub fn current() -> Option<Host> {
        CURRENT.with_borrow(Clone::clone)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `work` on this machine.
    pub fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        let _entered = Entered(CURRENT.replace(Some(self.clone())));
        work()
    }

    /// Runs a task on this machine.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let handle = tokio::spawn(Hosted { host: self.clone(), task: Some(Box::pin(task)) });
        let mut state = self.state();
        if state.life == Life::Killed {
            handle.abort();
        }
        if state.tasks.len() > 256 {
            state.tasks.retain(|task| !task.is_finished());
        }
        state.tasks.push(handle.abort_handle());
        handle
    }

    /// What its clock shows.
    pub fn now(&self) -> Duration {
        self.state().clock.now()
    }

    /// Lets its clock run at another rate, in millionths.
    pub fn set_rate(&self, rate: u32) {
        let mut state = self.state();
        state.clock = Clock { at: Instant::now(), shown: state.clock.now(), rate };
    }

    /// How long a span on its clock takes. Never nothing, unless it is nothing: whoever sleeps until a
    /// moment would wake before it, at a time that does not pass.
    pub fn true_span(&self, span: Duration) -> Duration {
        let rate = u128::from(self.state().clock.rate.max(1));
        let nanoseconds = (span.as_nanos() * MILLION).div_ceil(rate);
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    /// A random number.
    pub fn random(&self) -> u64 {
        let mut state = self.state();
        state.random = state.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn between(&self, range: &RangeInclusive<u64>) -> Duration {
        let span = range.end() - range.start() + 1;
        Duration::from_millis(range.start() + self.random() % span)
    }

    /// How long the next sync takes.
    pub fn sync_takes(&self) -> Duration {
        let range = self.state().pace.sync.clone();
        self.between(&range)
    }

    /// How long the next piece of work takes.
    pub fn work_takes(&self) -> Duration {
        let range = self.state().pace.work.clone();
        self.between(&range)
    }

    /// Sets how long work takes from now on.
    pub fn set_pace(&self, pace: Pace) {
        self.state().pace = pace;
    }

    /// Suspends the machine: nothing happens on it until it is resumed.
    pub fn pause(&self) {
        let mut state = self.state();
        if state.life == Life::Running {
            state.life = Life::Paused;
            if is_planted(Planted::LeaseOnStoppingClock) {
                let shown = state.clock.now();
                state.clock = Clock { at: Instant::now(), shown, rate: 0 };
            }
        }
    }

    /// Goes on.
    pub fn resume(&self, rate: u32) {
        let sleepers = {
            let mut state = self.state();
            if state.life != Life::Paused {
                return;
            }
            state.life = Life::Running;
            state.clock = Clock { at: Instant::now(), shown: state.clock.now(), rate };
            std::mem::take(&mut state.sleepers)
        };
        sleepers.into_iter().for_each(Waker::wake);
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.state().life == Life::Running
    }

    /// Ends the process: none of its tasks takes another step.
    pub fn kill(&self) {
        let tasks = {
            let mut state = self.state();
            state.life = Life::Killed;
            std::mem::take(&mut state.tasks)
        };
        tasks.iter().for_each(AbortHandle::abort);
    }
}

struct Entered(Option<Host>);

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.replace(self.0.take());
    }
}

/// A task of a node.
struct Hosted<F> {
    host: Host,
    task: Option<Pin<Box<F>>>,
}

impl<F: Future> Future for Hosted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let host = self.host.clone();
        {
            let mut state = host.state();
            match state.life {
                Life::Running => {}
                Life::Paused => {
                    state.sleepers.push(context.waker().clone());
                    return Poll::Pending;
                }
                Life::Killed => return Poll::Pending,
            }
        }
        match self.task.as_mut() {
            Some(task) => host.enter(|| task.as_mut().poll(context)),
            None => Poll::Pending,
        }
    }
}

impl<F> Drop for Hosted<F> {
    fn drop(&mut self) {
        let task = self.task.take();
        self.host.enter(|| drop(task));
    }
}
