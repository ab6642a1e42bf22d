//! A shard's Raft log: a batch is settled when a majority has it on disk and it is applied here.
//!
//! ```text
//!  propose ─▶ group ─▶ majority ─▶ applied ─┐ outcomes, of all lanes, nearly in order
//!  refused ────────────────────────────────┤
//!                                          ▼
//!                                       settler ─▶ in order, lane by lane ─▶ wake the workers, once
//! ```
//!
//! A few batches are in flight at once; what is written meanwhile is gathered, and goes out as one batch
//! when it is as large as the last one, or when that is settled. So the busier a shard is, the more commands share
//! an entry. The settler flushes lanes that gather no longer than they should.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aryavarth::WriteBatch;
use aryavarth_cluster::Slot;
use aryavarth_replication::Basis;
use tokio::sync::mpsc;

use super::{Accepted, BatchError, BatchId, BatchNumber, Lane, Log, Order, Proposed, Proposers};
use crate::clock;
use crate::cluster::Seats;
use crate::metrics::LogMetrics;

/// Batches of one lane in flight at once.
const WINDOW: usize = 2;
/// Outcomes taken in one go.
const TAKEN_AT_ONCE: usize = 1024;

/// What became of a batch.
struct Settlement {
    batch: BatchId,
    outcome: Result<(), BatchError>,
}

/// Where the outcomes of all lanes come in.
#[derive(Clone)]
pub struct Settlements(mpsc::UnboundedSender<Settlement>);

impl Settlements {
    /// Tells what became of a batch. Once the settler has ended nobody waits for it any more.
    fn tell(&self, batch: BatchId, outcome: Result<(), BatchError>) {
        let _ = self.0.send(Settlement { batch, outcome });
    }
}

/// The Raft log of a lane's shard.
pub struct RaftLog {
    lane: Lane,
    seats: Arc<Seats>,
    settlements: Settlements,
    metrics: Arc<LogMetrics>,
}

impl RaftLog {
    /// The log of the shard of `lane`.
    pub fn new(
        lane: Lane,
        seats: Arc<Seats>,
        settlements: Settlements,
        metrics: Arc<LogMetrics>,
    ) -> RaftLog {
        RaftLog { lane, seats, settlements, metrics }
    }

    fn id(&self, number: BatchNumber) -> BatchId {
        BatchId { lane: self.lane, number }
    }

    fn has_own_keys(&self, batch: &WriteBatch) -> bool {
        let slots = self.seats.slots();
        let mut keys = (0..batch.len()).map(|number| batch.operation(number).key);
        keys.all(|key| slots.shard_of(Slot::of(key)) == Some(self.lane.shard()))
    }
}

impl Log for RaftLog {
    fn propose(&self, proposed: &Arc<Proposed>) -> Result<Accepted, BatchError> {
        let seat = self.seats.seat(self.lane.shard());
        // Whoever evaluated it may have looked for the lane of its keys before the shard was split.
        if seat.is_barred() || !self.has_own_keys(&proposed.batch) {
            return Err(BatchError::NotLed);
        }
        let group = seat.group().ok_or(BatchError::NotLed)?;
        self.metrics.batch(&proposed.batch);
        let (id, settlements) = (self.id(proposed.number), self.settlements.clone());
        let done = move |outcome: Result<_, aryavarth_replication::Error>| {
            settlements.tell(id, outcome.map(drop).map_err(BatchError::from));
        };
        group.propose_then(Arc::clone(&proposed.batch), Basis::Chain(proposed.chain), done);
        Ok(Accepted::InFlight)
    }

    fn settle_after(&self, number: BatchNumber) {
        self.settlements.tell(self.id(number), Ok(()));
    }

    fn order(&self) -> Order {
        Order::WithoutGaps
    }

    fn window(&self) -> Option<usize> {
        Some(WINDOW)
    }
}

/// Settles the batches of all lanes, each lane's in order.
pub struct Settler {
    incoming: mpsc::UnboundedReceiver<Settlement>,
    lanes: BTreeMap<usize, Line>,
}

/// The batches of a lane whose outcome is known and that wait for others before them.
struct Line {
    lane: Lane,
    next: BatchNumber,
    early: BTreeMap<BatchNumber, Result<(), BatchError>>,
    /// Until when the lane gathers, by the monotonic clock.
    gathers_until: Option<Duration>,
}

impl Line {
    /// Settles what can be settled, and tells up to where.
    fn advance(&mut self, proposers: &Proposers) -> Option<BatchNumber> {
        let mut last = None;
        while let Some(outcome) = self.early.remove(&self.next) {
            if let Err(error) = outcome {
                proposers.of(self.lane).refused(self.next, error);
            }
            last = Some(self.next);
            self.next = self.next.next();
        }
        last
    }
}

impl Settler {
    /// A settler, and where it is told outcomes.
    pub fn new() -> (Settler, Settlements) {
        let (sender, incoming) = mpsc::unbounded_channel();
        (Settler { incoming, lanes: BTreeMap::new() }, Settlements(sender))
    }

    /// Works until nobody is left who could tell it anything.
    pub async fn run(mut self, proposers: Proposers, wake: impl Fn() + Send) {
        let mut taken = Vec::new();
        loop {
            let next = self.lanes.values().filter_map(|line| line.gathers_until).min();
            let count = tokio::select! {
                biased;
                count = self.incoming.recv_many(&mut taken, TAKEN_AT_ONCE) => count,
                () = sleep_until(next), if next.is_some() => {
                    self.flush_gathered(&proposers);
                    continue;
                }
            };
            if count == 0 {
                return;
            }
            self.settle(&mut taken, &proposers);
            wake();
        }
    }

    fn settle(&mut self, taken: &mut Vec<Settlement>, proposers: &Proposers) {
        for Settlement { batch, outcome } in taken.drain(..) {
            let line = self.lanes.entry(batch.lane.index()).or_insert_with(|| Line {
                lane: batch.lane,
                next: BatchNumber::FIRST,
                early: BTreeMap::new(),
                gathers_until: None,
            });
            line.early.insert(batch.number, outcome);
        }
        for line in self.lanes.values_mut().filter(|line| !line.early.is_empty()) {
            let Some(last) = line.advance(proposers) else { continue };
            line.gathers_until = proposers.of(line.lane).settled(last);
        }
    }

    /// Flushes the lanes that have gathered long enough.
    fn flush_gathered(&mut self, proposers: &Proposers) {
        let now = clock::monotonic();
        for line in self.lanes.values_mut() {
            if line.gathers_until.take_if(|until| *until <= now).is_some() {
                proposers.of(line.lane).flush();
            }
        }
    }
}

async fn sleep_until(moment: Option<Duration>) {
    let wait = moment.unwrap_or_default().saturating_sub(clock::monotonic());
    tokio::time::sleep(wait).await;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use aryavarth::Effect;

    use super::*;
    use crate::proposer::Routing;

    /// A log that takes no batch as long as it is told so.
    struct Fickle {
        settlements: Settlements,
        refuses: Arc<AtomicBool>,
    }

    impl Log for Fickle {
        fn propose(&self, proposed: &Arc<Proposed>) -> Result<Accepted, BatchError> {
            if self.refuses.load(Ordering::SeqCst) {
                return Err(BatchError::NotLed);
            }
            let batch = BatchId { lane: Lane::FIRST, number: proposed.number };
            self.settlements.tell(batch, Ok(()));
            Ok(Accepted::InFlight)
        }

        fn settle_after(&self, number: BatchNumber) {
            self.settlements.tell(BatchId { lane: Lane::FIRST, number }, Ok(()));
        }

        fn order(&self) -> Order {
            Order::WithoutGaps
        }
    }

    #[test]
    fn a_batch_that_was_refused_while_nothing_was_in_flight_holds_up_none_after_it() {
        let (settler, settlements) = Settler::new();
        let refuses = Arc::new(AtomicBool::new(true));
        let log = Fickle { settlements, refuses: Arc::clone(&refuses) };
        let proposers = Proposers::new(Routing::One, [Arc::new(log) as Arc<dyn Log>]);
        let lane = proposers.of(Lane::FIRST);
        for refused in [true, false] {
            refuses.store(refused, Ordering::SeqCst);
            let mut state = lane.hold();
            state.stage(b"key", Effect::Remove);
            state.flush();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let settling = settler.run(proposers.clone(), || ());
        let patience = std::time::Duration::from_millis(10);
        // It does not end by itself, as the log could tell it more.
        let ended = runtime.block_on(async { tokio::time::timeout(patience, settling).await });
        assert!(ended.is_err());
        assert_eq!(lane.outcomes().settled(), BatchNumber(2));
        assert_eq!(lane.outcomes().failure(BatchNumber(1)), Some(BatchError::NotLed));
        assert_eq!(lane.outcomes().failure(BatchNumber(2)), None);
        assert!(lane.hold().is_quiet());
    }
}
