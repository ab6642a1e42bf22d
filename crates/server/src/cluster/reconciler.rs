//! The reconciler's hands: on the leader of the meta group, it looks, asks what to do next, and does it.
//!
//! ```text
//!  pulses ─▶ observed ─▶ next_step ─┬─ Log(change) ─▶ the meta group's log
//!     ▲                             └─ a shard's ────▶ that shard's leader ─▶ how it is now ─┐
//!     └──────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Nothing is kept in mind but which shards rest for a while because a step of theirs failed: whoever
//! leads the meta group next goes on.

use std::sync::Arc;
use std::time::Duration;

use aryavarth_cluster::{Change, Limits, NodeId, Observed, ShardId, Step, Topology, next_step};
use aryavarth_replication::Removed;
use tokio::time::Instant;

use super::error::NodeError;
use super::member::{Member, PATIENT, PROMPT};
use super::messages::{Action, Answer, Led, Question};

/// Between two looks, if nothing rings.
const INTERVAL: Duration = Duration::from_millis(200);
/// The least between two looks.
const BREATH: Duration = Duration::from_millis(20);
/// How long a shard rests after a step that failed.
const REST: Duration = Duration::from_secs(2);
/// What a pulse said of a shard that is older than this counts no more.
const STALE: Duration = Duration::from_secs(2);

impl Member {
    pub(super) async fn reconcile(self: Arc<Self>) {
        while !self.is_stopping() {
            tokio::select! {
                () = self.bell.notified() => tokio::time::sleep(BREATH).await,
                () = tokio::time::sleep(INTERVAL) => {}
            }
            let leads = self.leads_meta();
            {
                let mut known = self.known();
                match (leads, known.leads_since) {
                    (true, None) => known.leads_since = Some(Instant::now()),
                    (false, _) => known.leads_since = None,
                    _ => {}
                }
                if self.look(&mut known) {
                    self.publish(&known);
                }
            }
            let wanted = std::mem::take(&mut self.known().wanted);
            for change in wanted.into_iter().filter(|_| leads) {
                if let Err(error) = self.log(&change).await {
                    tracing::warn!(?change, %error, "a change was not logged");
                }
            }
            while leads && !self.is_stopping() && self.step().await {}
        }
    }

    /// Takes the next step, if there is one; says whether another may follow at once.
    async fn step(&self) -> bool {
        let Some((topology, observed)) = self.observe() else { return false };
        let Some(step) = next_step(&topology, &observed, Limits::default()) else { return false };
        let shard = shard_of(&step);
        let outcome =
            tokio::time::timeout(2 * PATIENT, self.carry_out(&topology, &observed, step.clone()));
        match outcome
            .await
            .unwrap_or(Err(NodeError::Replication(aryavarth_replication::Error::Timeout)))
        {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(?step, %error, "a step towards the wanted placement failed; later again");
                if let Some(shard) = shard {
                    self.known().resting.insert(shard, Instant::now() + REST);
                }
                false
            }
        }
    }

    /// What is known of nodes and groups, but those that rest.
    fn observe(&self) -> Option<(Arc<Topology>, Observed)> {
        let mut known = self.known();
        let topology = known.topology.clone()?;
        let now = Instant::now();
        known.resting.retain(|_, until| *until > now);
        let mut observed = Observed { nodes: known.sights.clone(), ..Observed::default() };
        let mut terms = std::collections::BTreeMap::new();
        for (node, heard) in &known.heard {
            if now.saturating_duration_since(heard.at) > STALE {
                continue;
            }
            for led in &heard.pulse.led {
                let shard = ShardId(led.shard);
                if known.resting.contains_key(&shard)
                    || terms.get(&shard).is_some_and(|term| *term >= led.term)
                {
                    continue;
                }
                terms.insert(shard, led.term);
                observed.shards.insert(shard, led.sight(*node));
            }
        }
        Some((topology, observed))
    }

    async fn carry_out(
        &self,
        topology: &Topology,
        observed: &Observed,
        step: Step,
    ) -> Result<(), NodeError> {
        let address = |node: NodeId| {
            let unknown = aryavarth_cluster::Error::UnknownNode { node };
            Ok::<_, NodeError>(topology.node(node).ok_or(unknown)?.peer.to_string())
        };
        let action = match step {
            Step::Log(change) => return self.log(&change).await,
            Step::AddLearner { shard, node } => {
                Action::AddLearner { shard: shard.0, node: node.0, address: address(node)? }
            }
            Step::ChangeVoters { shard, voters } => Action::ChangeVoters {
                shard: shard.0,
                voters: voters.iter().map(|node| node.0).collect(),
            },
            Step::RemoveLearner { shard, node } => {
                Action::RemoveLearner { shard: shard.0, node: node.0 }
            }
            Step::TransferLeader { shard, to } => Action::Transfer { shard: shard.0, to: to.0 },
        };
        let shard = action.shard();
        let leader = observed.shards.get(&shard).ok_or(NodeError::NoLeader)?.leader;
        tracing::info!(%shard, ?action, "a step towards the wanted placement");
        self.have_done(leader, action).await?;
        self.look_again(shard, leader).await;
        Ok(())
    }

    /// Has a shard's leader do something.
    pub(super) async fn have_done(&self, leader: NodeId, action: Action) -> Result<(), NodeError> {
        if leader == self.id() {
            return self.act(action).await;
        }
        match self.ask(leader, &Question::Act(action), PATIENT).await? {
            Answer::Done => Ok(()),
            Answer::Refused(why) => Err(NodeError::Refused(why)),
            _ => Err(NodeError::Refused("the leader answered something else".to_owned())),
        }
    }

    /// Learns how a shard is after a step, so that the next one is not decided from what was before.
    async fn look_again(&self, shard: ShardId, before: NodeId) {
        for _ in 0..20 {
            let leader = self.leader_of(shard).unwrap_or(before);
            let led = match leader == self.id() {
                true => self.led(shard).ok(),
                false => match self.ask(leader, &Question::Members(shard.0), PROMPT).await {
                    Ok(Answer::Members(led)) => Some(led),
                    _ => None,
                },
            };
            if let Some(led) = led {
                return self.note_led(leader, led);
            }
            tokio::time::sleep(INTERVAL / 4).await;
        }
        // Nobody says: what the pulses said before must not count any more.
        self.known().resting.insert(shard, Instant::now() + REST);
    }

    fn note_led(&self, leader: NodeId, led: Led) {
        self.note_leaders([(ShardId(led.shard), led.term, leader)]);
        let mut known = self.known();
        for heard in known.heard.values_mut() {
            heard.pulse.led.retain(|old| old.shard != led.shard);
        }
        if let Some(heard) = known.heard.get_mut(&leader) {
            heard.pulse.led.push(led);
        }
    }

    // --- on the leader of a shard ---

    pub(super) async fn act(&self, action: Action) -> Result<(), NodeError> {
        let group = self.node.group(action.shard())?;
        match action {
            Action::AddLearner { node, address, .. } => {
                group.add_learner(NodeId(node), &address).await?;
            }
            Action::ChangeVoters { voters, .. } => {
                let voters = voters.into_iter().map(NodeId).collect();
                group.set_voters(&voters, Removed::Leave).await?;
            }
            Action::RemoveLearner { node, .. } => group.remove_learner(NodeId(node)).await?,
            Action::Transfer { shard, to } => {
                self.hand_over(ShardId(shard), Some(NodeId(to))).await?;
            }
        }
        Ok(())
    }

    /// Logs a change when there is time, and again when whoever wanted it says so again.
    pub(super) fn log_soon(&self, change: Change) {
        self.known().wanted.push(change);
        self.bell.notify_one();
    }
}

/// The shard that a step concerns.
fn shard_of(step: &Step) -> Option<ShardId> {
    match step {
        Step::AddLearner { shard, .. }
        | Step::ChangeVoters { shard, .. }
        | Step::RemoveLearner { shard, .. }
        | Step::TransferLeader { shard, .. }
        | Step::Log(
            Change::BeginMove { shard, .. }
            | Change::FinishMove { shard, .. }
            | Change::AbortMove { shard, .. }
            | Change::AdoptVoters { shard, .. },
        ) => Some(*shard),
        Step::Log(_) => None,
    }
}
