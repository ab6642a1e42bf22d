//! The groups of this node: those that the topology gives it, and no others; and how much of their logs
//! they keep.
//!
//! A group is made as soon as the topology names this node as one that has a replica or is to have one.
//! It is dropped only when the topology does not name it *and* the group's leader says that it is no
//! member: the topology may be old, and a voter that forgets its log could undo what was acknowledged.

use std::sync::Arc;
use std::time::Duration;

use aryavarth::{ScanPosition, WriteBatch};
use aryavarth_cluster::{META_GROUP, ShardId, Topology};
use aryavarth_replication::{EntryIndex, Group};

use super::error::NodeError;
use super::member::{Member, PROMPT};
use super::messages::{Answer, Led, Question};
use super::reserved;

/// Between two looks, if the topology does not change.
const INTERVAL: Duration = Duration::from_secs(2);
/// Between two looks at the logs.
const PURGE_INTERVAL: Duration = Duration::from_secs(3);
/// How much longer a log is kept for a follower that answers and needs more of it.
const PATIENCE: u64 = 10;
/// Entries of the meta group's log that are kept.
const META_KEEP: u64 = 100;
/// Keys looked at, and removed, in one go.
const STEP: usize = 1024;

impl Member {
    pub(super) async fn keep_replicas(self: Arc<Self>) {
        let mut epoch = self.epoch.subscribe();
        while !self.is_stopping() {
            epoch.borrow_and_update();
            if let Some(topology) = self.topology() {
                self.fit_replicas(&topology).await;
            }
            let mut stopping = self.stopping.subscribe();
            tokio::select! {
                _ = epoch.changed() => {}
                () = tokio::time::sleep(INTERVAL) => {}
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
        }
    }

    async fn fit_replicas(self: &Arc<Self>, topology: &Topology) {
        for (shard, group) in topology.groups() {
            let wanted = group.holders().any(|holder| holder == self.id());
            let here = self.around.seats.seat(shard).group();
            let outcome = match (wanted, here) {
                (true, None) => self.make_replica(shard).await,
                (false, Some(_)) => self.drop_replica(shard).await,
                _ => Ok(()),
            };
            if let Err(error) = outcome {
                tracing::warn!(%shard, %error, "a replica could not be made or dropped; trying on");
            }
        }
    }

    async fn make_replica(self: &Arc<Self>, shard: ShardId) -> Result<(), NodeError> {
        self.note_replicas()?;
        // What an earlier replica left behind.
        self.clear(shard).await?;
        let group = self.node.create_group(shard).await?;
        self.seat(&group);
        tracing::info!(%shard, "a replica was made");
        Ok(())
    }

    async fn drop_replica(self: &Arc<Self>, shard: ShardId) -> Result<(), NodeError> {
        let Some(leader) = self.leader_of(shard).filter(|leader| *leader != self.id()) else {
            return Ok(());
        };
        let answer = self.ask(leader, &Question::Members(shard.0), PROMPT).await?;
        let Answer::Members(Led { voters, learners, changing: false, .. }) = answer else {
            return Ok(());
        };
        let me = self.id().0;
        if voters.is_empty() || voters.contains(&me) || learners.contains(&me) {
            return Ok(());
        }
        self.around.seats.seat(shard).set_group(None);
        self.node.remove_group(shard).await?;
        self.clear(shard).await?;
        tracing::info!(%shard, "a replica was dropped");
        Ok(())
    }

    /// Removes the keys of a shard that has no replica here.
    async fn clear(&self, shard: ShardId) -> Result<(), NodeError> {
        let Some(shards) = self.around.seats.shards() else { return Ok(()) };
        let store = self.around.store.clone();
        let work = tokio::task::spawn_blocking(move || {
            let mut position = Some(ScanPosition::START);
            while let Some(at) = position {
                let mut batch = WriteBatch::new();
                position = store.scan(at, STEP, |entry| {
                    if reserved::group_of(shards, entry.key) == shard {
                        batch.remove(entry.key);
                    }
                })?;
                if !batch.is_empty() {
                    store.write_unsynced(&batch)?;
                }
            }
            Ok::<_, aryavarth::Error>(())
        });
        let failed = |error: tokio::task::JoinError| NodeError::System {
            operation: "remove the keys of a shard",
            detail: error.to_string(),
        };
        Ok(work.await.map_err(failed)??)
    }

    // --- logs ---

    pub(super) async fn keep_purging(self: Arc<Self>) {
        while !self.is_stopping() {
            self.rest(PURGE_INTERVAL).await;
            for group in self.node.groups() {
                if self.is_stopping() {
                    return;
                }
                if let Some(up_to) = self.purgeable(&group)
                    && let Err(error) = group.purge(up_to).await
                {
                    tracing::debug!(shard = %group.shard(), %error, "a log was not purged");
                }
            }
        }
    }

    /// The last entry that a group's log need not keep, if it is worth a purge.
    fn purgeable(&self, group: &Group) -> Option<EntryIndex> {
        let keep = match group.shard() {
            META_GROUP => META_KEEP,
            _ => self.around.options.log_keep,
        };
        let status = group.status();
        let applied = status.applied?.index.0;
        let mut up_to = applied.checked_sub(keep)?;
        if let Some(led) = super::pulse::led(group) {
            let patience = applied.saturating_sub(keep.saturating_mul(PATIENCE));
            let needed = led.lag.values().map(|lag| led.last.unwrap_or(0).saturating_sub(*lag));
            up_to = needed.min().map_or(up_to, |needed| up_to.min(needed.max(patience)));
        }
        let purged = status.purged.map_or(0, |purged| purged.index.0);
        (up_to > purged + keep / 4).then_some(EntryIndex(up_to))
    }
}
