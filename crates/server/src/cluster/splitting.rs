//! Splitting a shard that this node leads, and taking on what splits have made here.
//!
//! ```text
//!  close the lane ─▶ what is in flight is settled ─▶ bar the shard ─▶ log the split ─▶ applied: slots change hands
//!    new writes wait                                   reads wait, too                  ─▶ the old shard goes on
//!                                                                                       ─▶ the new one is elected
//! ```
//!
//! As long as it is not known whether the split is in the log, nothing may be put behind it, and nothing may be read
//! of what another node may write by now: the shard stays barred until the split is applied here, or this node leads
//! it in another term, in which it has applied what was before.
//!
//! Every node that applies the split makes a replica of the new shard
//! ([`split`](aryavarth_replication::split)). Which slots are whose it learns at the same moment, from its own store;
//! nodes without a replica learn it from the topology, once the reconciler has noted there what the leader says.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use aryavarth_cluster::{META_GROUP, ShardId};
use aryavarth_replication::{Basis, Group, NodeId, NodeStore, Role, Standing, Term, split};
use tokio::time::Instant;

use super::Slots;
use super::error::NodeError;
use super::handover::Closed;
use super::member::{Desk, Member};
use super::seats::Barred;
use super::{Seat, reserved};
use crate::planted;
use crate::tasks::spawn;

/// How long what is in flight may take to be settled.
const SETTLING: Duration = Duration::from_secs(1);
/// Between two looks.
const GLANCE: Duration = Duration::from_millis(1);
/// How often the leader of a shard that was split off is looked for, before it is left to those that have it.
const TRIES: usize = 10;
/// How long the others may take to apply a split, and to vote.
const ELECTION: Duration = Duration::from_millis(60);

/// Has what a store says of splits heeded: at once, wherever slots are looked up, and by the member, once there is one.
pub(super) fn listener(slots: &Arc<Slots>, desk: &Arc<Desk>) -> split::Listener {
    let (slots, desk) = (Arc::clone(slots), Arc::clone(desk));
    Arc::new(move |into: &BTreeSet<ShardId>| {
        if (planted::split_is_not_heard() || slots.open(into.iter().copied()))
            && let Some(member) = desk.member()
        {
            member.split.notify_one();
        }
    })
}

/// A seat that is barred until this is dropped.
struct Bar {
    member: Arc<Member>,
    shard: ShardId,
}

impl Bar {
    fn begin(member: &Arc<Member>, shard: ShardId) -> Bar {
        let bar = Bar { member: Arc::clone(member), shard };
        bar.seat().set_barred(Barred::Yes);
        bar
    }

    fn seat(&self) -> &Seat {
        self.member.around.seats.seat(self.shard)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.seat().set_barred(Barred::No);
    }
}

impl Member {
    /// Splits `into` off the shard of `group`, which this node leads in this term. Done already, it does nothing.
    ///
    /// # Errors
    /// If it could not be begun; or its outcome is unknown, and will show.
    pub(super) async fn split_group(
        self: &Arc<Self>,
        group: &Group,
        into: ShardId,
        term: Term,
    ) -> Result<(), NodeError> {
        let (shard, seats) = (group.shard(), Arc::clone(&self.around.seats));
        let owns = seats.slots().map().and_then(|shards| shards.numbers_of(shard));
        if !owns.is_some_and(|mut numbers| numbers.any(|number| number == into)) || into == shard {
            // It was split there, or where it hides that.
            return Ok(());
        }
        let mut bars = None;
        if !planted::split_is_not_barred() {
            let closed = Closed::new(Arc::clone(&seats), shard);
            self.settle(shard).await?;
            let bar = Bar::begin(self, shard);
            // What slipped in before the bar was there.
            self.settle(shard).await?;
            bars = Some((bar, closed));
        }
        let voters = voters(group);
        let mut batch = split::effects(&self.around.store, shard, into, &voters)?;
        if let Some(mark) = self.clocks.mark(shard)? {
            batch.set(reserved::clock_key(into), mark.0.to_le_bytes());
        }
        let proposed = group.propose(Arc::new(batch), Basis::Term(term)).await;
        self.around.host.renew(shard);
        let outcome = match proposed {
            Ok(_) => Ok(()),
            Err(error) if error.is_outcome_unknown() => {
                let (member, group) = (Arc::clone(self), group.clone());
                spawn(async move {
                    member.await_split(&group, into, term).await;
                    drop(bars);
                });
                return Err(error.into());
            }
            Err(error) => Err(NodeError::from(error)),
        };
        drop(bars);
        if outcome.is_ok() {
            tracing::info!(%shard, %into, "the shard was split");
            spawn(Arc::clone(self).have_led(into));
        }
        outcome
    }

    /// Returns once nothing of a shard is in flight.
    async fn settle(&self, shard: ShardId) -> Result<(), NodeError> {
        let deadline = Instant::now() + SETTLING;
        while !self.around.host.is_quiet(shard) {
            if Instant::now() >= deadline {
                return Err(NodeError::Later("writes of the shard take their time".to_owned()));
            }
            tokio::time::sleep(GLANCE).await;
        }
        Ok(())
    }

    /// Returns once a split is applied here, or this node does not lead in that term any more.
    async fn await_split(&self, group: &Group, into: ShardId, term: Term) {
        let mut leadership = group.leadership();
        let leads =
            |now: &aryavarth_replication::Leadership| now.role == Role::Leader && now.term == term;
        while leads(&leadership.borrow_and_update()) && !self.is_open(into) && !self.is_stopping() {
            tokio::time::sleep(ELECTION).await;
        }
    }

    fn is_open(&self, shard: ShardId) -> bool {
        self.around.seats.slots().is_open(shard)
    }

    /// Stands for election in a shard that was split off, as this node knows first that it is there. Whoever leads does
    /// so soon; elections that nobody calls take a second.
    async fn have_led(self: Arc<Self>, shard: ShardId) {
        for _ in 0..TRIES {
            tokio::time::sleep(ELECTION).await;
            let Ok(group) = self.node.group(shard) else { continue };
            if group.leadership().borrow().leader.is_some() || group.stand().await.is_err() {
                return;
            }
        }
    }

    /// Takes on the replicas that splits have made here.
    pub(super) async fn keep_adopting(self: Arc<Self>) {
        while !self.is_stopping() {
            self.adopt().await;
            let mut stopping = self.stopping.subscribe();
            tokio::select! {
                biased;
                () = self.split.notified() => {}
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
        }
    }

    async fn adopt(self: &Arc<Self>) {
        let is_new = |shard: &ShardId| self.node.group(*shard).is_err();
        if !self.data.shards().iter().any(is_new) {
            return;
        }
        // So that none is dropped meanwhile, and made anew by this.
        let _keeping = self.keeping.lock().await;
        for shard in self.data.shards().into_iter().filter(is_new) {
            match self.node.create_group(shard).await {
                Ok(group) => {
                    self.seat(&group);
                    tracing::info!(%shard, "a split made a replica");
                }
                Err(error) => tracing::error!(%shard, %error, "a replica cannot be opened"),
            }
        }
    }

    /// Whether a replica here still has what `shard` is to own: it has yet to come to the split.
    pub(super) fn covers(&self, shard: ShardId) -> bool {
        let first = self.card.lock().unwrap_or_else(PoisonError::into_inner).phase.sharding();
        let Some(first) = first.map(aryavarth_cluster::Sharding::first) else { return false };
        for group in self.node.groups() {
            let mut own = first;
            let here = group.shard();
            if here == META_GROUP || here == shard {
                continue;
            }
            own.open(here);
            // What the store says may be ahead of the replicas that are made of it.
            self.data.heeded_splits(here).into_iter().for_each(|other| _ = own.open(other));
            if own.numbers_of(here).is_some_and(|mut numbers| numbers.any(|n| n == shard)) {
                return true;
            }
        }
        false
    }
}

/// The voters of a group, and where they are.
fn voters(group: &Group) -> Vec<(NodeId, String)> {
    let members = group.status().members.into_iter();
    let voters = members.filter(|member| member.standing == Standing::Voter);
    voters.map(|member| (member.node, member.address)).collect()
}
