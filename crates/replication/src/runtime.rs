//! Tokio, with a clock that counts pauses.
//!
//! A leader's lease is a span of time. If the machine sleeps, that span must pass too, or a leader
//! that wakes up would believe in a lease that the others have long forgotten. Tokio's instants stop
//! while the machine is suspended, so instants here are `CLOCK_BOOTTIME` where there is one. Timers
//! stay tokio's: a late timer is harmless, a lease that is too long is not.
//!
//! Tasks and blocking work of this crate are begun here and nowhere else, so that a simulation can give a
//! node a clock of its own and do all in one thread.

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openraft_rt::{AsyncRuntime, Instant, OptionalSend};
use openraft_rt_tokio::{TokioMpsc, TokioMutex, TokioOneshot, TokioRuntime};
use rustix::time::{ClockId, clock_gettime};

#[cfg(feature = "simulation")]
use crate::simulation::Host;

#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// A moment on the clock that runs while the machine is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// Now.
    pub fn now() -> Moment {
        #[cfg(feature = "simulation")]
        if let Some(host) = Host::current() {
            return Moment(host.now());
        }
        let time = clock_gettime(CLOCK);
        let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
        Moment(Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), nanoseconds))
    }

    /// How long until this moment; zero if it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_sub(Moment::now().0)
    }
}

impl Moment {
    /// The first beat at or after this moment. A processor that is woken once for all groups sleeps the rest of
    /// the time, and their heartbeats to a peer share a parcel.
    fn at_beat(self) -> Moment {
        match BEAT.load(Ordering::Relaxed) {
            0 => self,
            beat => self.at_multiple(beat, phase(beat)),
        }
    }

    fn at_multiple(self, beat: u64, phase: u64) -> Moment {
        let (beat, phase) = (u128::from(beat), u128::from(phase));
        let late = (self.0.as_nanos() + beat - phase) % beat;
        let wait = if late == 0 { 0 } else { beat - late };
        Moment(self.0 + Duration::from_nanos(u64::try_from(wait).unwrap_or(0)))
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, span: Duration) -> Moment {
        Moment(self.0 + span)
    }
}

impl AddAssign<Duration> for Moment {
    fn add_assign(&mut self, span: Duration) {
        self.0 += span;
    }
}

impl Sub<Duration> for Moment {
    type Output = Moment;

    fn sub(self, span: Duration) -> Moment {
        Moment(self.0.saturating_sub(span))
    }
}

impl SubAssign<Duration> for Moment {
    fn sub_assign(&mut self, span: Duration) {
        self.0 = self.0.saturating_sub(span);
    }
}

impl Sub for Moment {
    type Output = Duration;

    fn sub(self, earlier: Moment) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Instant for Moment {
    fn now() -> Moment {
        Moment::now()
    }
}

/// Begins a task of this node.
pub(crate) fn spawn<T>(task: T) -> tokio::task::JoinHandle<T::Output>
where
    T: Future + Send + 'static,
    T::Output: Send + 'static,
{
    #[cfg(feature = "simulation")]
    if let Some(host) = Host::current() {
        return host.spawn(task);
    }
    tokio::spawn(task)
}

/// Does what may wait for the disk where nobody else is held up by it.
///
/// # Errors
/// If it panicked.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    #[cfg(feature = "simulation")]
    if let Some(host) = Host::current() {
        tokio::time::sleep(host.work_takes()).await;
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await
}

/// Between the moments at which the groups of a process look whether a heartbeat or an election is due, in
/// nanoseconds. 0: each keeps its own time.
static BEAT: AtomicU64 = AtomicU64::new(0);

/// Has the groups of this process keep time together: that of the quickest node in it.
pub(crate) fn keep_time(beat: Duration) {
    let beat = u64::try_from(beat.as_nanos()).unwrap_or(0);
    let slower = |known| (known == 0 || beat < known).then_some(beat);
    // It fails if there is a quicker one, which is as well.
    let _ = BEAT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, slower);
}

/// How much later than those of another process this one's beats are: else followers of a leader that died
/// would all stand for election at the same moment.
fn phase(beat: u64) -> u64 {
    // A simulated clock begins anywhere.
    #[cfg(feature = "simulation")]
    if Host::current().is_some() {
        return 0;
    }
    static PHASE: LazyLock<u64> = LazyLock::new(|| RandomState::new().build_hasher().finish());
    *PHASE % beat
}

/// Sleeps until the next of the moments that lie this far apart, which are the same for all groups of a process.
pub(crate) fn until_next(apart: Duration) -> tokio::time::Sleep {
    let apart = u64::try_from(apart.as_nanos()).unwrap_or(u64::MAX).max(1);
    let next = (Moment::now() + Duration::from_nanos(1)).at_multiple(apart, 0);
    tokio::time::sleep(of_timer(next.remaining()))
}

/// `span` of this node's clock, as a span of tokio's.
fn of_timer(span: Duration) -> Duration {
    #[cfg(feature = "simulation")]
    if let Some(host) = Host::current() {
        return host.true_span(span);
    }
    span
}

/// Of many who wait, tokio wakes one or the other first, at random.
#[cfg(not(feature = "simulation"))]
type Watched = openraft_rt_tokio::TokioWatch;
#[cfg(feature = "simulation")]
type Watched = openraft_rt_sim::SimWatch;

#[cfg(not(feature = "simulation"))]
type Dice = <TokioRuntime as AsyncRuntime>::ThreadLocalRng;
#[cfg(feature = "simulation")]
type Dice = rand::rngs::StdRng;

#[cfg(not(feature = "simulation"))]
fn dice() -> Dice {
    TokioRuntime::thread_rng()
}

#[cfg(feature = "simulation")]
fn dice() -> Dice {
    use rand::SeedableRng;
    match Host::current() {
        Some(host) => Dice::seed_from_u64(host.random()),
        None => Dice::from_rng(&mut TokioRuntime::thread_rng()),
    }
}

/// Tokio as openraft sees it.
#[derive(Debug)]
pub struct Runtime(TokioRuntime);

impl AsyncRuntime for Runtime {
    type JoinError = tokio::task::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = tokio::task::JoinHandle<T>;
    type Sleep = tokio::time::Sleep;
    type Instant = Moment;
    type TimeoutError = tokio::time::error::Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = tokio::time::Timeout<T>;
    type ThreadLocalRng = Dice;
    type Mpsc = TokioMpsc;
    type Watch = Watched;
    type Oneshot = TokioOneshot;
    type Mutex<T: OptionalSend + 'static> = TokioMutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        tokio::time::sleep(of_timer(duration))
    }

    /// Openraft sleeps until a moment only between a group's ticks.
    fn sleep_until(deadline: Moment) -> Self::Sleep {
        tokio::time::sleep(of_timer(deadline.at_beat().remaining()))
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        tokio::time::timeout(of_timer(duration), future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: Moment,
        future: F,
    ) -> Self::Timeout<R, F> {
        tokio::time::timeout(of_timer(deadline.remaining()), future)
    }

    fn is_panic(error: &Self::JoinError) -> bool {
        error.is_panic()
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        dice()
    }

    fn new(threads: usize) -> Runtime {
        Runtime(TokioRuntime::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_do_not_go_back_and_spans_do_not_underflow() {
        let first = Moment::now();
        let second = Moment::now();
        assert!(second >= first);
        assert_eq!(first - (first + Duration::from_secs(1)), Duration::ZERO);
        assert_eq!(first.remaining(), Duration::ZERO);
        assert!((first + Duration::from_secs(60)).remaining() > Duration::from_secs(50));
    }

    #[test]
    fn beats_are_equally_far_apart_and_nothing_is_early() {
        let (beat, phase) = (50_000_000, 7);
        let first = Moment(Duration::from_millis(12_345)).at_multiple(beat, phase);
        assert_eq!(first.0.as_nanos() % 50_000_000, 7);
        for late in [0, 1, 49_999_999, 50_000_000] {
            let moment = first + Duration::from_nanos(late);
            let next = moment.at_multiple(beat, phase);
            assert!(next >= moment && next - moment < Duration::from_nanos(beat), "{late}");
            assert_eq!((next - first).as_nanos() % u128::from(beat), 0, "{late}");
        }
    }

    #[test]
    fn the_runtime_does_what_openraft_asks_of_one() {
        openraft_rt::testing::Suite::<Runtime>::test_all();
    }
}
