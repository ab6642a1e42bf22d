//! Damage to records: looked for, and mended from the other replicas.
//!
//! ```text
//!  scrub ──────────▶ key ─▶ does this node lead the shard? ─ yes ─▶ hand over: its own copy is no good
//!  a read that ────▶  │                                   ◀──┘
//!  meets damage       └─▶ CLUSTER REPAIR at the leader: the value goes through the log again,
//!                         and every replica has a new record of it
//!
//!  no key can be told, or it is the server's own; ─▶ the node wants to be replaced (`giving_way`)
//!  the device cannot read what stands there
//! ```
//!
//! A repair is a write like any other, evaluated in its order: it cannot undo one, and it is acknowledged
//! by a majority.
//!
//! # Invariants
//! - A damaged record is never answered, mended or not.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aryavarth::{Condition, Lives, Restored, Rotten, Scrub};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::error::NodeError;
use super::member::Member;
use super::reserved;
use crate::tasks::blocking;

/// Bytes that are read at once.
const STEP: u64 = 1 << 20;
/// The least between two steps.
const BREATH: Duration = Duration::from_millis(5);
/// Between two looks at the settings, and before what failed is tried again.
const PAUSE: Duration = Duration::from_secs(2);
/// How long a repair may take to arrive here.
const ARRIVAL: Duration = Duration::from_secs(5);
const GLANCE: Duration = Duration::from_millis(10);
/// Keys that wait to be mended, at most: the next scrub finds the others.
const MOST: usize = 4096;

/// The damage that was found on a node.
#[derive(Debug, Default)]
pub(crate) struct Mending {
    keys: Mutex<BTreeSet<Vec<u8>>>,
    noted: Notify,
    wanted: Notify,
    /// Rung when damage was found that hides keys.
    pub(super) hidden: Notify,
    /// Places that the next start is not to read.
    pub(super) unneeded: Mutex<Vec<aryavarth::Error>>,
    pub(super) unneeded_noted: Notify,
    /// What was done since the node started.
    pub counts: Counts,
}

/// What was done since the node started.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Bytes that were read to look for damage.
    pub scrubbed: AtomicU64,
    /// Damaged records that were found.
    pub found: AtomicU64,
    /// Those of them that were mended.
    pub mended: AtomicU64,
}

/// Whether a key's record is intact now.
enum Mended {
    Yes,
    /// It may be another key's, and stays as it is.
    Never,
}

/// One look at all records, spread over its time.
struct Round {
    scrub: Scrub,
    total: u64,
    begun: Instant,
}

impl Round {
    fn begin(scrub: Scrub) -> Round {
        Round { total: scrub.left(), scrub, begun: Instant::now() }
    }
}

impl Mending {
    fn keys(&self) -> MutexGuard<'_, BTreeSet<Vec<u8>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the record of `key` was found damaged; says whether that is new.
    pub(crate) fn note(&self, key: &[u8]) -> bool {
        let mut keys = self.keys();
        let is_new = keys.len() < MOST && !keys.contains(key) && keys.insert(key.to_vec());
        drop(keys);
        if is_new {
            self.counts.found.fetch_add(1, Ordering::Relaxed);
            self.noted.notify_one();
        }
        is_new
    }

    /// The next key to be mended, so that all have their turn.
    fn next(&self, tried: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys();
        let later = keys.range::<[u8], _>((Bound::Excluded(tried), Bound::Unbounded)).next();
        later.or_else(|| keys.first()).cloned()
    }

    /// Has everything be looked through now.
    pub(super) fn look(&self) {
        self.wanted.notify_one();
    }
}

impl Member {
    /// What was found and mended since the node started.
    pub(crate) fn mending_counts(&self) -> &Counts {
        &self.mending.counts
    }

    /// Notes that a record was found damaged by a read.
    pub(crate) fn note_damage(&self, key: &[u8]) {
        if self.mending.note(key) {
            tracing::error!("a record that was read is damaged; it will be mended");
        }
    }

    /// Notes that a record could not be read at all: that part of the disk may have gone bad.
    pub(crate) fn note_unreadable(&self) {
        if !self.waits_to_be_replaced() {
            self.mending.look();
        }
    }

    pub(super) async fn keep_scrubbing(self: Arc<Self>) {
        let mut round = None;
        while !self.is_stopping() {
            let period = self.around.host.policy().scrub_period;
            let scrubbed = tokio::select! {
                biased;
                () = self.rest(PAUSE.min(period.unwrap_or(PAUSE))) => match period {
                    Some(period) => self.go_on(&mut round, period).await,
                    None => Ok(()),
                },
                () = self.mending.wanted.notified() => self.scrub_all().await,
            };
            if let Err(error) = scrubbed {
                tracing::warn!(%error, "the records were not looked through");
            }
        }
    }

    /// Goes on with a round, as far as it should have come by now.
    async fn go_on(&self, round: &mut Option<Round>, period: Duration) -> Result<(), NodeError> {
        let mut now = match round.take() {
            Some(now) => now,
            None => Round::begin(self.around.store.begin_scrub()?),
        };
        let passed = now.begun.elapsed().as_secs_f64() / period.as_secs_f64();
        let due = (now.total as f64 * passed.min(1.0)) as u64;
        while now.total - now.scrub.left() < due && !self.is_stopping() {
            now.scrub = self.scrub_step(now.scrub).await?;
            tokio::time::sleep(BREATH).await;
        }
        if passed < 1.0 {
            *round = Some(now);
        }
        Ok(())
    }

    /// Reads all records, as somebody waits for it.
    async fn scrub_all(&self) -> Result<(), NodeError> {
        let mut scrub = self.around.store.begin_scrub()?;
        while scrub.left() > 0 && !self.is_stopping() {
            scrub = self.scrub_step(scrub).await?;
            tokio::time::sleep(BREATH).await;
        }
        Ok(())
    }

    async fn scrub_step(&self, mut scrub: Scrub) -> Result<Scrub, NodeError> {
        let (store, before) = (self.around.store.clone(), scrub.left());
        let step = blocking("look for damage", move || {
            let (mut found, again) = (Vec::new(), scrub.clone());
            let mut walked = store.scrub(&mut scrub, STEP, |rotten| found.push(rotten));
            if walked.as_ref().is_err_and(aryavarth::Error::is_unreadable) {
                // A device may stumble; what it cannot read twice is gone.
                scrub = again;
                found.clear();
                walked = store.scrub(&mut scrub, STEP, |rotten| found.push(rotten));
            }
            (scrub, walked, found)
        });
        let (scrub, walked, found) = step.await?;
        self.mending.counts.scrubbed.fetch_add(before - scrub.left(), Ordering::Relaxed);
        found.into_iter().for_each(|rotten| self.take_note(rotten));
        if let Err(error) = walked {
            tracing::error!(%error, "a part of the log cannot be read");
            // Whose records stand there nobody can tell.
            if error.is_unreadable() {
                self.mending.counts.found.fetch_add(1, Ordering::Relaxed);
                self.want_replacement(&error);
            }
        }
        Ok(scrub)
    }

    fn take_note(&self, rotten: Rotten) {
        match rotten.lives {
            Lives::Key(key) if !reserved::is_reserved(&key) => {
                if self.mending.note(&key) {
                    tracing::error!(
                        error = rotten.error.place(),
                        "a record is damaged; it will be mended"
                    );
                }
            }
            Lives::Key(_) | Lives::Hidden => {
                self.mending.counts.found.fetch_add(1, Ordering::Relaxed);
                self.want_replacement(&rotten.error);
            }
            Lives::Head => {
                self.mending.counts.found.fetch_add(1, Ordering::Relaxed);
                self.mending.counts.mended.fetch_add(1, Ordering::Relaxed);
                tracing::error!(
                    error = rotten.error.place(),
                    "the head of a part of the log was damaged; it was put right"
                );
            }
            Lives::Nothing => {
                if self.note_unneeded(&rotten.error) {
                    self.mending.counts.found.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(
                        error = rotten.error.place(),
                        "a place is damaged that nobody needs any more"
                    );
                }
            }
        }
    }

    pub(super) async fn keep_mending(self: Arc<Self>) {
        let mut tried = Vec::new();
        while !self.is_stopping() {
            let Some(key) = self.mending.next(&tried) else {
                tokio::select! {
                    biased;
                    () = self.mending.noted.notified() => {}
                    () = self.rest(PAUSE) => {}
                }
                continue;
            };
            match self.mend(&key).await {
                Ok(Mended::Yes) => {
                    self.mending.counts.mended.fetch_add(1, Ordering::Relaxed);
                    self.mending.keys().remove(&key);
                    tracing::warn!("a damaged record was mended from another replica");
                }
                Ok(Mended::Never) => drop(self.mending.keys().remove(&key)),
                Err(error) => {
                    tracing::warn!(%error, "a damaged record is not mended yet; trying on");
                    self.rest(PAUSE).await;
                }
            }
            tried = key;
        }
    }

    /// Has a key's value written anew, if its record here is damaged; returns once it is intact.
    async fn mend(self: &Arc<Self>, key: &[u8]) -> Result<Mended, NodeError> {
        let shard = reserved::group_of(self.around.seats.slots(), key);
        let damage = match self.around.store.condition(key)? {
            Condition::Intact => return Ok(Mended::Yes),
            Condition::Replaceable(error) => error,
            Condition::Unreadable(error) => {
                self.want_replacement(&error);
                return Ok(Mended::Never);
            }
        };
        // Without a group it is what a replica has left behind, and about to be removed.
        let Ok(group) = self.node.group(shard) else { return Ok(Mended::Yes) };
        if let Some(to) = self.successor(&group) {
            tracing::warn!(%shard, %to, "a record of a shard led here is damaged: another node leads it");
            self.hand_over(shard, to).await?;
        }
        let length = key.len();
        let mut request =
            format!("*3\r\n$7\r\nCLUSTER\r\n$6\r\nREPAIR\r\n${length}\r\n").into_bytes();
        request.extend_from_slice(key);
        request.extend_from_slice(b"\r\n");
        let reply = self.around.host.ask_leader(shard, request).await;
        if !reply.starts_with(b":") {
            return Err(NodeError::Later(String::from_utf8_lossy(reply.trim_ascii()).into_owned()));
        }
        let deadline = Instant::now() + ARRIVAL;
        while !matches!(self.around.store.condition(key)?, Condition::Intact) {
            if Instant::now() >= deadline {
                return Err(NodeError::Later("the repair has not arrived".to_owned()));
            }
            tokio::time::sleep(GLANCE).await;
        }
        self.put_right(&damage, key)?;
        Ok(Mended::Yes)
    }

    /// Puts the bytes right that were damaged: the next start may read them again.
    fn put_right(&self, damage: &aryavarth::Error, key: &[u8]) -> Result<(), NodeError> {
        let store = &self.around.store;
        let value = store.get(key)?;
        let restored = value.map(|value| store.restore(damage, key, &value)).transpose()?;
        if restored != Some(Restored::Yes) {
            // It was overwritten meanwhile: what it was, nobody knows.
            self.note_unneeded(damage);
        }
        Ok(())
    }
}
