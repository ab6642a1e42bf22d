//! Who may change a shard's records: the entries that are applied, or a snapshot that comes in.
//!
//! ```text
//!           begin                 received                 installed
//!  Open ───────────▶ Receiving ─────────────▶ Received ───────────────▶ Open
//!    ▲                   │                       │
//!    └─── abandoned ─────┴──── not accepted ─────┘
//! ```
//!
//! While a snapshot comes in, nothing is applied: an entry older than the snapshot's records would
//! overwrite them for good. Once all of it is here, entries up to its base need no applying; should the group
//! then not accept the snapshot after all, they are applied when the gate opens. That a half-received
//! snapshot leaves newer records behind does no harm, see [`store`](crate::store).
//!
//! Of two records of a key the one that was written later counts. So no record of a snapshot is
//! written behind an entry that is newer than its base: if one comes, from a leader who knows better, the
//! snapshot is *overtaken* and given up.

use std::sync::Arc;
use std::time::Duration;

use aryavarth::Result;
use tokio::sync::{Mutex, Notify, OwnedMutexGuard};

use crate::entry_log::{EntryIndex, EntryLog};

/// Before an entry is tried again that writes what may be hidden.
const HINDERED: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Arc<Mutex<State>>,
    opened: Notify,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Open,
    Receiving {
        base: EntryIndex,
        /// Whether entries after the base came meanwhile.
        overtaken: bool,
    },
    Received {
        base: EntryIndex,
        /// Entries up to here were said to be applied and were not.
        owed: Option<EntryIndex>,
    },
}

/// Entries after the base of a snapshot came before all of its records did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this shard's log went past the snapshot while it was received")]
pub(crate) struct Overtaken;

/// Another snapshot is coming in already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another snapshot of this shard is being received")]
pub(crate) struct Busy;

impl Gate {
    /// A snapshot that stands at `base` comes in: returns once nothing is being applied. The gate opens again when what is
    /// returned is dropped, or by [`Gate::installed`].
    pub async fn begin(
        self: &Arc<Gate>,
        log: Arc<dyn EntryLog>,
        base: EntryIndex,
    ) -> std::result::Result<Pass, Busy> {
        let mut state = self.state.lock().await;
        if !matches!(*state, State::Open) {
            return Err(Busy);
        }
        *state = State::Receiving { base, overtaken: false };
        Ok(Pass { gate: Arc::clone(self), log: Some(log) })
    }

    /// Applies entries up to `up_to` as soon as it may be done, or leaves it to the snapshot.
    ///
    /// In a store that hides keys, an entry that writes one of them is waited with: the group goes on to vote and to
    /// keep what it is sent, which others may need, until the node is replaced.
    pub async fn apply(&self, log: &dyn EntryLog, up_to: EntryIndex) -> Result<()> {
        let mut waited = false;
        loop {
            let opened = self.opened.notified();
            tokio::pin!(opened);
            // From here on no opening is missed.
            opened.as_mut().enable();
            let applied = {
                let mut state = self.state.lock().await;
                match &mut *state {
                    State::Received { base, owed } if up_to <= *base => {
                        *owed = Some(up_to);
                        return Ok(());
                    }
                    State::Open | State::Received { .. } => Some(log.apply(up_to)),
                    State::Receiving { .. } => None,
                }
            };
            match applied {
                Some(Err(error)) if error.is_damage() && log.hides_keys() => {
                    if !waited {
                        let place = error.place();
                        tracing::error!(
                            place,
                            "an entry writes what may be hidden there: it is not applied"
                        );
                        waited = true;
                    }
                    let _ = tokio::time::timeout(HINDERED, opened).await;
                }
                Some(done) => return done,
                None => opened.await,
            }
        }
    }

    /// Entries up to `last` are about to be appended.
    pub async fn entries_come(&self, last: EntryIndex) {
        if let State::Receiving { base, overtaken } = &mut *self.state.lock().await {
            *overtaken |= last > *base;
        }
    }

    /// Whether no snapshot is here or coming.
    pub async fn is_open(&self) -> bool {
        matches!(*self.state.lock().await, State::Open)
    }

    /// The snapshot was installed, or could not be.
    pub async fn installed(&self) {
        *self.state.lock().await = State::Open;
        self.opened.notify_waiters();
    }

    /// Waits until `reached`, or until there is no snapshot to wait for.
    pub async fn wait_until(&self, reached: impl Fn() -> bool) {
        loop {
            let opened = self.opened.notified();
            tokio::pin!(opened);
            opened.as_mut().enable();
            if reached() || self.is_open().await {
                return;
            }
            opened.await;
        }
    }

    async fn close(&self, log: &dyn EntryLog) {
        let mut state = self.state.lock().await;
        if let State::Received { owed: Some(owed), .. } = *state
            && let Err(error) = log.apply(owed)
        {
            tracing::error!(%error, "entries could not be applied after a snapshot was given up");
        }
        *state = State::Open;
        drop(state);
        self.opened.notify_waiters();
    }
}

/// The right to write a shard's records.
#[derive(Debug)]
pub(crate) struct Pass {
    gate: Arc<Gate>,
    log: Option<Arc<dyn EntryLog>>,
}

impl std::fmt::Debug for dyn EntryLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EntryLog")
    }
}

/// The right to write one chunk. As long as it is held, no entries come.
#[derive(Debug)]
pub(crate) struct Writing {
    _state: OwnedMutexGuard<State>,
}

impl Pass {
    /// Asked for before each chunk, and held while it is written.
    pub async fn write(&self) -> std::result::Result<Writing, Overtaken> {
        let state = Arc::clone(&self.gate.state).lock_owned().await;
        match *state {
            State::Receiving { overtaken: false, .. } => Ok(Writing { _state: state }),
            _ => Err(Overtaken),
        }
    }

    /// All of the snapshot, which stands at `base`, is here.
    pub async fn received(&self, base: EntryIndex) {
        *self.gate.state.lock().await = State::Received { base, owed: None };
        self.gate.opened.notify_waiters();
    }

    /// The group has had its say: whatever it was, the gate is open when this returns.
    pub async fn settle(mut self) {
        if let Some(log) = self.log.take()
            && !self.gate.is_open().await
        {
            self.gate.close(log.as_ref()).await;
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        // The stream broke, or its task was cancelled.
        if let Some(log) = self.log.take() {
            let gate = Arc::clone(&self.gate);
            if tokio::runtime::Handle::try_current().is_ok() {
                crate::runtime::spawn(async move {
                    if !gate.is_open().await {
                        gate.close(log.as_ref()).await;
                    }
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use aryavarth::WriteBatch;

    use super::*;
    use crate::entry_log::{EntryId, NewEntry, Payload, ShardId};
    use crate::store::NodeStore;
    use crate::testing::SimStore;

    const SHORT: Duration = Duration::from_millis(30);

    fn log_of(entries: u64) -> Arc<dyn EntryLog> {
        let log = SimStore::new(ShardId(1), Duration::ZERO).log(ShardId(1)).unwrap();
        for index in 0..entries {
            let mut batch = WriteBatch::new();
            batch.set("k", index.to_string());
            let payload = Payload::Effects(&batch);
            log.append(&[NewEntry { id: EntryId::new(1, index), payload }]).unwrap();
        }
        log
    }

    fn applied(log: &Arc<dyn EntryLog>) -> Option<u64> {
        log.state().applied.map(|applied| applied.index.0)
    }

    #[tokio::test]
    async fn nothing_is_applied_while_a_snapshot_comes_in() {
        let (gate, log) = (Arc::new(Gate::default()), log_of(9));
        gate.apply(log.as_ref(), EntryIndex(2)).await.unwrap();
        let pass = gate.begin(Arc::clone(&log), EntryIndex(6)).await.unwrap();
        assert_eq!(gate.begin(Arc::clone(&log), EntryIndex(6)).await.unwrap_err(), Busy);
        let applying = gate.apply(log.as_ref(), EntryIndex(5));
        tokio::pin!(applying);
        assert!(tokio::time::timeout(SHORT, &mut applying).await.is_err());
        assert_eq!(applied(&log), Some(2));
        // The stream breaks: the log goes on from where it stood.
        drop(pass);
        applying.await.unwrap();
        assert_eq!(applied(&log), Some(5));
    }

    #[tokio::test]
    async fn what_a_snapshot_covers_is_applied_only_if_it_is_given_up() {
        let (gate, log) = (Arc::new(Gate::default()), log_of(9));
        let pass = gate.begin(Arc::clone(&log), EntryIndex(6)).await.unwrap();
        pass.received(EntryIndex(6)).await;
        gate.apply(log.as_ref(), EntryIndex(4)).await.unwrap();
        assert_eq!(applied(&log), None, "old values must not be written over the snapshot's");
        pass.settle().await;
        assert_eq!(applied(&log), Some(4), "the group did not accept it");
        assert!(gate.is_open().await);
    }

    #[tokio::test]
    async fn an_installed_snapshot_opens_the_gate_and_owes_nothing() {
        let (gate, log) = (Arc::new(Gate::default()), log_of(9));
        let pass = gate.begin(Arc::clone(&log), EntryIndex(6)).await.unwrap();
        pass.received(EntryIndex(6)).await;
        gate.apply(log.as_ref(), EntryIndex(4)).await.unwrap();
        let reset = || log.state().purged.is_some();
        let waiting = gate.wait_until(reset);
        tokio::pin!(waiting);
        assert!(tokio::time::timeout(SHORT, &mut waiting).await.is_err());
        log.reset(EntryId::new(1, 6), &[]).unwrap();
        gate.installed().await;
        waiting.await;
        pass.settle().await;
        assert_eq!(applied(&log), Some(6));
    }

    #[tokio::test]
    async fn entries_beyond_the_snapshot_are_applied() {
        let (gate, log) = (Arc::new(Gate::default()), log_of(9));
        let pass = gate.begin(Arc::clone(&log), EntryIndex(6)).await.unwrap();
        pass.received(EntryIndex(3)).await;
        gate.apply(log.as_ref(), EntryIndex(5)).await.unwrap();
        pass.settle().await;
        assert_eq!(applied(&log), Some(5));
    }

    #[tokio::test]
    async fn no_record_of_a_snapshot_is_written_behind_entries_after_its_base() {
        let (gate, log) = (Arc::new(Gate::default()), log_of(0));
        let pass = gate.begin(Arc::clone(&log), EntryIndex(6)).await.unwrap();
        let writing = pass.write().await.unwrap();
        let coming = gate.entries_come(EntryIndex(6));
        tokio::pin!(coming);
        assert!(tokio::time::timeout(SHORT, &mut coming).await.is_err(), "a chunk is written");
        drop(writing);
        coming.await;
        assert!(pass.write().await.is_ok(), "what it covers does not overtake it");
        gate.entries_come(EntryIndex(7)).await;
        assert_eq!(pass.write().await.unwrap_err(), Overtaken);
        drop(pass);
        gate.wait_until(|| false).await;
        assert!(gate.is_open().await);
    }
}
