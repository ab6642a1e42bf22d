//! The topology in the meta group: read it, change it, follow what is applied.
//!
//! ```text
//!  decide(topology) ─▶ change ─▶ applied to it ─▶ the record, bound to the term ─▶ majority ─▶ followed
//!  └────────────── one at a time on the leader, who has applied all before ─────────────────┘
//! ```
//!
//! The record is written whole. Bound to the term, it is logged only while this node leads in the very term
//! in which it read what it changed; so no change is ever written over another one.

use std::sync::Arc;
use std::time::Duration;

use aryavarth::WriteBatch;
use aryavarth_cluster::{Applied, Change, META_GROUP, Topology};
use aryavarth_replication::{Basis, EntryIndex, ReadPolicy};

use super::error::NodeError;
use super::member::Member;
use super::reserved;

/// How long one wait for the next entry takes.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long nothing is done if there is no meta group here.
const ABSENCE: Duration = Duration::from_millis(200);

impl Member {
    /// The topology as this node has applied it; none if it has no replica of the meta group, or nothing
    /// is there yet.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn record(&self) -> Result<Option<Topology>, NodeError> {
        match self.store.get(reserved::TOPOLOGY)? {
            Some(bytes) => Ok(Some(Topology::decode(&bytes)?)),
            None => Ok(None),
        }
    }

    /// On the leader of the meta group: changes the topology as `decide` says, who is shown the newest one.
    ///
    /// # Errors
    /// What `decide` says; [`NodeError::Topology`] if the change is refused; [`NodeError::NoLeader`] if
    /// this node does not lead (any more); [`NodeError::Replication`], after which it may be made or not.
    pub async fn change(
        &self,
        decide: impl FnOnce(&Topology) -> Result<Change, NodeError>,
    ) -> Result<Applied, NodeError> {
        let _one = self.changing.lock().await;
        let term = self.leads_meta().ok_or(NodeError::NoLeader)?;
        let group = self.seats.seat(META_GROUP).group().ok_or(NodeError::NoLeader)?;
        // Otherwise what is said to be so already might have been changed by another leader.
        group.read_barrier(ReadPolicy::Lease).await?;
        let mut topology = self.record()?.ok_or(NodeError::NoLeader)?;
        let change = decide(&topology)?;
        if topology.apply(&change)? == Applied::Unchanged {
            return Ok(Applied::Unchanged);
        }
        let mut batch = WriteBatch::new();
        batch.set(reserved::TOPOLOGY, topology.encode());
        group.propose(Arc::new(batch), Basis::Term(term)).await?;
        tracing::info!(epoch = %topology.epoch(), ?change, "the topology has changed");
        self.adopt(topology);
        Ok(Applied::Changed)
    }

    /// Learns what the meta group here has applied.
    pub fn follow(&self) {
        match self.record() {
            Ok(Some(topology)) => self.adopt(topology),
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "the topology cannot be read"),
        }
    }
}

/// Follows the meta group, whenever it is here.
pub async fn run(member: Arc<Member>) {
    loop {
        let Some(group) = member.seats.seat(META_GROUP).group() else {
            tokio::time::sleep(ABSENCE).await;
            continue;
        };
        let next = group.applied().map_or(0, |applied| applied.index.0 + 1);
        member.follow();
        if let Err(error) = group.wait_applied(EntryIndex(next), PATIENCE).await
            && !matches!(error, aryavarth_replication::Error::Timeout)
        {
            // It has stopped, and is opened again or dropped.
            tokio::time::sleep(ABSENCE).await;
        }
    }
}
