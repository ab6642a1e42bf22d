//! A node whose store opens, though damage in it hides keys: it goes on as what it is, with what is intact, until
//! the others can do without it. Of several such nodes one goes after the other.
//!
//! ```text
//!  damage hides a key ─▶ noted in the card ─▶ may I go? ─ not yet ─▶ serves on, and asks again
//!                                                 │ yes: in the log of the meta group
//!                                                 ▼
//!                              the card says replacing ─▶ ends ─▶ replaced at its next start
//! ```
//!
//! Meanwhile it leads nothing, if an intact node can: a leader sends the copies for new replicas, and of what stands in
//! a hidden place nobody knows of which shard it is.
//!
//! # Invariants
//! - Whoever was told that it may go counts as silent from then on, until it is forgotten or says that it stays: no
//!   two nodes are let go of which one cannot be done without when the other is gone.
//! - To be given up is asked for only by a node that ends, once its card says so, which is never taken back but by an
//!   operator: whoever is given up has spoken its last word as what it was.
//! - A store is damaged only if it has replicas; that it has is not forgotten when that is noted.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use aryavarth_cluster::{Change, Damage, NodeId, NodeState, Topology};

use super::admission::only_replica;
use super::card::{Card, Holding, Phase};
use super::error::NodeError;
use super::member::Member;
use super::messages::{Answer, Question};
use super::replacement;
use crate::config::OnDamage;

/// Before a node that was not let go asks again.
const AGAIN: Duration = Duration::from_secs(2);

/// Whether damage hides keys in the store of the directory with this card.
fn is_damaged(card: &Card) -> bool {
    matches!(card.phase, Phase::Member { replicas: Holding::Damaged, .. })
}

impl Member {
    /// Notes that damage hides keys of which nobody can say which they are: the node wants to be replaced. Until it
    /// is, its store can be opened again: that a key stands there is in the index, and a start need not read it.
    pub(super) fn want_replacement(&self, damage: &aryavarth::Error) {
        self.note_unneeded(damage);
        let damage = damage.place();
        match self.note_damaged() {
            Ok(Noted::Anew) => {
                tracing::error!(
                    damage,
                    "it hides a key, and cannot be mended in place: the node waits to be replaced, and goes on \
                     with what is intact until the others can do without it"
                );
                self.mending.hidden.notify_one();
            }
            Ok(Noted::Before) => {}
            Err(error) => tracing::error!(damage, %error, "the damage cannot be mended"),
        }
    }

    /// Whether damage is noted that only a replacement mends.
    pub(super) fn waits_to_be_replaced(&self) -> bool {
        is_damaged(&self.card.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note_damaged(&self) -> Result<Noted, NodeError> {
        if self.around.host.policy().on_damage == OnDamage::Stop {
            return Err(NodeError::Refused("`on-damage` says that nothing is to be done".into()));
        }
        let topology = self.topology().ok_or(NodeError::NoCluster)?;
        if let Some(shard) = replacement::alone(&topology, self.id()) {
            return Err(NodeError::Refused(only_replica(self.id(), shard)));
        }
        let mut card = self.card.lock().unwrap_or_else(PoisonError::into_inner);
        let Phase::Member { cluster, node, shards, replicas } = card.phase else {
            return Ok(Noted::Before);
        };
        if replicas == Holding::Damaged {
            return Ok(Noted::Before);
        }
        let phase = Phase::Member { cluster, node, shards, replicas: Holding::Damaged };
        let noted = Card { phase, ..*card };
        noted.write(&self.around.options.home)?;
        *card = noted;
        Ok(Noted::Anew)
    }

    /// Asks to be let go as long as damage hides keys, and goes once it may.
    pub(super) async fn keep_giving_way(self: Arc<Self>) {
        let mut said = String::new();
        while !self.is_stopping() {
            if let Err(error) = self.give_way().await {
                let error = error.to_string();
                if error != said {
                    tracing::warn!(error, "the node waits to be replaced, and serves on meanwhile");
                    said = error;
                }
            }
            tokio::select! {
                biased;
                () = self.mending.hidden.notified() => {}
                () = self.rest(AGAIN) => {}
            }
        }
    }

    async fn give_way(self: &Arc<Self>) -> Result<(), NodeError> {
        let Some(topology) = self.topology() else { return Ok(()) };
        let goes =
            self.waits_to_be_replaced() && self.around.host.policy().on_damage == OnDamage::Replace;
        let question = match (goes, topology.damage(self.id())) {
            (true, _) => Question::MayGo,
            (false, Some(_)) => Question::Stays,
            (false, None) => return Ok(()),
        };
        if goes {
            self.lead_nothing().await;
        }
        match self.ask_meta(question).await {
            Answer::Done if goes => self.go(&topology),
            Answer::Done => Ok(()),
            // Either way it is asked again.
            Answer::Refused(why) | Answer::Later(why) => Err(NodeError::Refused(why)),
            _ => Err(NodeError::Refused("the leader answered something else".to_owned())),
        }
    }

    /// Lets others lead, if they are intact: a copy for a new replica comes from whoever leads.
    async fn lead_nothing(&self) {
        for group in self.node.groups() {
            let Some(to) = self.intact_successor(&group) else { continue };
            let shard = group.shard();
            if let Err(error) = self.hand_over(shard, to).await {
                tracing::warn!(%shard, %to, %error, "a damaged node goes on leading for now");
            }
        }
    }

    /// Ends, to be replaced when it is started again.
    fn go(&self, topology: &Topology) -> Result<(), NodeError> {
        let mut card = self.card.lock().unwrap_or_else(PoisonError::into_inner);
        // It may be about to end already.
        if is_damaged(&card) {
            *card = replacement::prepare(&self.around.options.home, *card, topology)?;
            self.around.host.end(
                "damage hides keys in its store, and the others can do without it: start the node again, and it \
                 replaces itself by a new one, which the other nodes fill",
            );
        }
        Ok(())
    }

    // --- as the leader of the meta group ---

    /// Lets a node go, if every group goes on without it and all who were let go before; else notes that it waits.
    pub(super) async fn let_go(&self, node: NodeId) -> Result<(), NodeError> {
        let mut may_go = Ok(());
        let decide = |topology: &Topology| {
            let unknown = aryavarth_cluster::Error::UnknownNode { node };
            let state = topology.node(node).ok_or(unknown)?.state;
            if state != NodeState::Gone {
                may_go = self.known().can_do_without(topology, node);
            }
            // Whoever was let go may be on its way out, though this question of it comes late.
            let damage = match (topology.damage(node), &may_go) {
                (Some(Damage::Goes), _) | (_, Ok(())) => Damage::Goes,
                _ => Damage::Waits,
            };
            Ok(Change::note_damage(node, Some(damage)))
        };
        self.change(decide).await?;
        may_go
    }

    /// Counts on a node again that was to go.
    pub(super) async fn keep(&self, node: NodeId) -> Result<(), NodeError> {
        self.log(&Change::note_damage(node, None)).await
    }
}

/// Whether something was noted already.
enum Noted {
    Anew,
    Before,
}
