//! The groups of this node: those that the topology gives it, and no others.
//!
//! A group is made as soon as the topology names this node as one that has a replica or is to have one.
//! It is dropped only when the topology does not name it *and* the group's leader says that it is no
//! member: the topology may be old, and a voter that forgets its log could undo what was acknowledged.
//!
//! A group that stopped because the disk was full is opened anew once there is room.

use std::sync::Arc;
use std::time::Duration;

use aryavarth_cluster::{NodeId, ShardId, Topology};
use aryavarth_replication::{Group, NodeStore, Role};

use super::error::NodeError;
use super::member::{Member, PROMPT};
use super::messages::{Answer, Led, Question};
use crate::tasks::blocking;

/// Between two looks, if the topology does not change.
const INTERVAL: Duration = Duration::from_secs(2);
/// Room that the disk must have before a group is opened anew, in bytes.
const ROOM: u64 = 32 << 20;

/// What was said of groups that have stopped, so that it is said once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    /// That they wait for room on the disk.
    NoRoom,
}

impl Member {
    pub(super) async fn keep_replicas(self: Arc<Self>) {
        let mut epoch = self.epoch.subscribe();
        let mut told = Told::Nothing;
        while !self.is_stopping() {
            epoch.borrow_and_update();
            self.clear_left_behind().await;
            if let Some(topology) = self.topology() {
                self.fit_replicas(&topology, &mut told).await;
            }
            let mut stopping = self.stopping.subscribe();
            tokio::select! {
                biased;
                _ = epoch.changed() => {}
                () = tokio::time::sleep(INTERVAL) => {}
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
        }
    }

    async fn fit_replicas(self: &Arc<Self>, topology: &Topology, told: &mut Told) {
        for (shard, _) in topology.groups() {
            let wanted = names(topology, shard, self.id());
            let here = self.around.seats.seat(shard).group();
            let outcome = match (wanted, here) {
                (true, None) => self.make_replica(shard).await,
                (false, Some(_)) => self.drop_replica(shard).await,
                (_, Some(group)) if is_stopped(&group) => self.reopen(shard, told).await,
                _ => Ok(()),
            };
            if let Err(error) = outcome {
                tracing::warn!(%shard, %error, "a replica could not be made or dropped; trying on");
            }
        }
    }

    async fn make_replica(self: &Arc<Self>, shard: ShardId) -> Result<(), NodeError> {
        let _keeping = self.keeping.lock().await;
        if !self.topology().is_some_and(|newest| names(&newest, shard, self.id())) {
            return Ok(());
        }
        if self.covers(shard) {
            // The replica here that has the keys will come to the split, by its log or by a snapshot.
            return Ok(());
        }
        let group = match self.node.group(shard) {
            // It could not be dropped before. Its log and its keys belong together.
            Ok(group) => group,
            // A split has just made it, with all its keys.
            Err(_) if self.data.shards().contains(&shard) => self.node.create_group(shard).await?,
            Err(_) => {
                // What an earlier replica left behind.
                self.clear(shard).await?;
                self.node.create_group(shard).await?
            }
        };
        self.sync().await?;
        // A card that says so beside a store that has none would mean that the store was lost.
        self.note_replicas()?;
        self.seat(&group);
        tracing::info!(%shard, "a replica was made");
        Ok(())
    }

    async fn drop_replica(self: &Arc<Self>, shard: ShardId) -> Result<(), NodeError> {
        let Some(leader) = self.leader_of(shard).filter(|leader| *leader != self.id()) else {
            return Ok(());
        };
        // From before the question on nobody is promised that it will be kept.
        let _keeping = self.keeping.lock().await;
        let answer = self.ask(leader, &Question::Members(shard.0), PROMPT).await?;
        let Answer::Members(Led { voters, learners, changing: false, .. }) = answer else {
            return Ok(());
        };
        let me = self.id().0;
        let named = self.topology().is_none_or(|newest| names(&newest, shard, self.id()));
        if named || voters.is_empty() || voters.contains(&me) || learners.contains(&me) {
            return Ok(());
        }
        self.around.seats.seat(shard).set_group(None);
        self.node.remove_group(shard).await?;
        self.clear(shard).await?;
        tracing::info!(%shard, "a replica was dropped");
        Ok(())
    }

    /// Opens a group anew that has stopped, if that may help: the disk was full, and there is room.
    async fn reopen(self: &Arc<Self>, shard: ShardId, told: &mut Told) -> Result<(), NodeError> {
        // After a failed sync nothing is durable here until the store is opened anew.
        if self.node.failure().is_some() || self.is_stopping() || !self.has_room(told) {
            return Ok(());
        }
        // It may be damage that it stopped at.
        self.mending.look();
        let _keeping = self.keeping.lock().await;
        let group = self.node.reopen_group(shard).await?;
        self.seat(&group);
        tracing::warn!(%shard, "the group had stopped and was opened anew");
        Ok(())
    }

    /// Whether a group that has stopped would not soon stop again. If not, says so.
    fn has_room(&self, told: &mut Told) -> bool {
        let home = &self.around.options.home;
        let free = home.disk().free_space(home.directory());
        if free.as_ref().is_ok_and(|free| *free >= ROOM) {
            *told = Told::Nothing;
            return true;
        }
        if *told == Told::Nothing {
            let directory = home.directory().display();
            match free {
                Ok(free) => tracing::warn!(
                    %directory, free, needed = ROOM,
                    "shards here have stopped and wait for room on the disk: free some, and they go on by themselves"
                ),
                Err(error) => tracing::warn!(
                    %directory, %error,
                    "shards here have stopped, and whether the disk has room again cannot be told"
                ),
            }
        }
        *told = Told::NoRoom;
        false
    }

    /// Removes the keys of replicas that were dropped, where the node was ended before that was done; and of shards that
    /// were split off one that is here, whose replica was sent what came of it.
    async fn clear_left_behind(&self) {
        for shard in self.data.left_behind() {
            let _keeping = self.keeping.lock().await;
            match self.clear(shard).await {
                Ok(()) => tracing::info!(%shard, "what a replica had left behind was removed"),
                Err(error) => tracing::warn!(%shard, %error, "what a replica left behind stays"),
            }
        }
    }

    /// Has on the disk all that was written so far.
    async fn sync(&self) -> Result<(), NodeError> {
        let store = self.around.store.clone();
        Ok(blocking("sync the store", move || store.sync()).await??)
    }

    /// Removes the keys of a shard that has no replica here.
    async fn clear(&self, shard: ShardId) -> Result<(), NodeError> {
        let data = self.data.clone();
        Ok(blocking("remove the keys of a shard", move || data.clear(shard)).await??)
    }
}

fn names(topology: &Topology, shard: ShardId, node: NodeId) -> bool {
    let group = topology.replicas(shard);
    group.is_some_and(|group| group.holders().any(|holder| holder == node))
}

fn is_stopped(group: &Group) -> bool {
    group.leadership().borrow().role == Role::Stopped
}
