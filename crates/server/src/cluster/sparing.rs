//! Damaged places that nobody needs any more: the next start is not to read them, or it would end there.
//!
//! ```text
//!  scrub ─ nothing lives there ────────────┐
//!  mended, and overwritten before that ────┼─▶ entries of Raft logs there are purged ─▶ a checkpoint has the rest
//!  a key hides there: it is the index's ───┘
//! ```
//!
//! Whoever needs entries that were purged is sent a snapshot.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use aryavarth::{Error, ShardId, Spared};
use aryavarth_replication::EntryIndex;

use super::error::NodeError;
use super::member::Member;
use crate::tasks::blocking;

/// Before a place that was not spared yet is looked at again.
const AGAIN: Duration = Duration::from_secs(2);
/// Places that wait, at most: the next scrub finds the others.
const MOST: usize = 256;

impl Member {
    fn unneeded(&self) -> MutexGuard<'_, Vec<Error>> {
        self.mending.unneeded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the next start is not to read a damaged place; says whether that is new.
    pub(super) fn note_unneeded(&self, damage: &Error) -> bool {
        let mut places = self.unneeded();
        let is_new = places.len() < MOST
            && places.iter().all(|known| known.place() != damage.place())
            && !self.around.store.is_spared(damage).unwrap_or(true);
        if is_new {
            places.push(damage.clone());
            self.mending.unneeded_noted.notify_one();
        }
        is_new
    }

    pub(super) async fn keep_sparing(self: Arc<Self>) {
        while !self.is_stopping() {
            let Some(damage) = self.unneeded().first().cloned() else {
                tokio::select! {
                    biased;
                    () = self.mending.unneeded_noted.notified() => {}
                    () = self.rest(AGAIN) => {}
                }
                continue;
            };
            let spared = self.spare(&damage).await;
            // It comes last from here on, if at all.
            self.unneeded().retain(|known| known.place() != damage.place());
            match spared {
                Ok(Spared::Yes) => {
                    tracing::warn!(
                        place = damage.place(),
                        "the next start does not read what is damaged there"
                    );
                    continue;
                }
                Ok(Spared::Needed(_) | Spared::NotYet) => {}
                Err(error) => {
                    tracing::warn!(%error, "the next start would read what is damaged; trying on");
                }
            }
            self.unneeded().push(damage);
            self.rest(AGAIN).await;
        }
    }

    async fn spare(&self, damage: &Error) -> Result<Spared, NodeError> {
        let spared = self.spare_once(damage).await?;
        let Spared::Needed(entries) = spared else { return Ok(spared) };
        for (shard, last) in entries {
            self.purge_up_to(shard, last).await?;
        }
        self.spare_once(damage).await
    }

    async fn spare_once(&self, damage: &Error) -> Result<Spared, NodeError> {
        let (store, damage) = (self.around.store.clone(), damage.clone());
        Ok(blocking("have a checkpoint written", move || store.spare(&damage)).await??)
    }

    /// Purges a log up to an entry, as far as it is applied.
    async fn purge_up_to(&self, shard: ShardId, last: EntryIndex) -> Result<(), NodeError> {
        // Without a group it is what a replica has left behind, and about to be removed.
        let Ok(group) = self.node.group(shard) else { return Ok(()) };
        Ok(group.purge(last).await?)
    }
}
