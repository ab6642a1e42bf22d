//! The reconciler's hands: on the leader of the meta group, it looks, asks what to do next, and does it.
//!
//! ```text
//!  pulses ─▶ observed ─▶ next_step ─┬─ Log(change) ─▶ the meta group, waited for
//!              ▲                    └─ an order ────▶ that shard's leader; others go on meanwhile
//!              └── shards with an order under way, or whose last one failed, are left out
//! ```
//!
//! Nothing is kept in mind but which shards are left alone for a while: whoever leads the meta group next
//! goes on.
//!
//! # Invariants
//! - A shard has one order at a time, and one that is not answered holds up no other shard.
//! - Silence counts from when this node came to lead: before, it was nobody's business.
//! - A node that was drained stays until an operator wants it removed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aryavarth_cluster::{
    Change, Limits, META_GROUP, Node, NodeId, NodeSight, NodeState, Observed, ShardId, Step,
    Topology, next_step,
};
use tokio::time::Instant;

use super::error::NodeError;
use super::member::{Member, PATIENT, PROMPT};
use super::messages::{Action, Answer, Led, Order, Question};
use super::pulse::SILENCE;
use crate::tasks::spawn;

/// Between two looks, if nothing rings.
const INTERVAL: Duration = Duration::from_millis(200);
/// The least between two looks.
const BREATH: Duration = Duration::from_millis(20);
/// How long a shard is left alone after a step that failed.
const REST: Duration = Duration::from_secs(2);
/// How long a node must be back, and this one lead, before leaderships are moved for the balance.
const CALM: Duration = Duration::from_secs(1);
/// Steps before looking up.
const STEPS: usize = 256;

/// The setting of the topology that says that a node is to be removed once it is empty.
pub(super) fn leaves(node: NodeId) -> String {
    format!("remove-node-{node}")
}

/// What is kept in mind while this node leads the meta group.
struct Desk {
    term: u64,
    since: Instant,
    /// Shards that are left alone: until then, or as long as an order is under way.
    away: Arc<Mutex<BTreeMap<ShardId, Option<Instant>>>>,
}

/// What leaders said of their shards, and who they are.
type Seen = BTreeMap<ShardId, (NodeId, Led)>;

/// What became of a look.
enum Look {
    /// Something was done: look again.
    Again,
    /// There is nothing to do now.
    Nothing,
}

impl Member {
    pub(super) async fn reconcile(self: Arc<Self>) {
        let mut desk: Option<Desk> = None;
        while !self.is_stopping() {
            tokio::select! {
                biased;
                () = self.bell.notified() => tokio::time::sleep(BREATH).await,
                () = tokio::time::sleep(INTERVAL) => {}
            }
            {
                let mut known = self.known();
                if self.look(&mut known) {
                    self.publish(&known);
                }
            }
            let lease = self.around.seats.seat(META_GROUP).lease();
            let Some(term) = lease.map(|lease| lease.term.0).filter(|_| !self.is_leaving()) else {
                desk = None;
                continue;
            };
            let desk = match &mut desk {
                Some(desk) if desk.term == term => desk,
                desk => desk.insert(Desk { term, since: Instant::now(), away: Arc::default() }),
            };
            for _ in 0..STEPS {
                match desk.look(&self).await {
                    Ok(Look::Again) => {}
                    Ok(Look::Nothing) => break,
                    Err(error) => {
                        tracing::info!(%error, "a step towards the wanted placement failed");
                        break;
                    }
                }
            }
        }
    }

    /// Has a shard's leader do something, in the name of this node as the leader of the meta group.
    pub(super) async fn order(
        self: &Arc<Self>,
        leader: NodeId,
        term: u64,
        config: Option<u64>,
        action: Action,
    ) -> Result<(), NodeError> {
        let lease = self.around.seats.seat(META_GROUP).lease().ok_or(NodeError::NoLeader)?;
        let epoch = *self.epoch.borrow();
        let order = Order { meta_term: lease.term.0, epoch, term, config, action };
        if leader == self.id() {
            return self.obey(order).await;
        }
        match self.ask(leader, &Question::Act(order), PATIENT).await? {
            Answer::Done => Ok(()),
            Answer::Refused(why) => Err(NodeError::Refused(why)),
            Answer::Later(why) => Err(NodeError::Later(why)),
            _ => Err(NodeError::Refused("the leader answered something else".to_owned())),
        }
    }

    /// Learns how a shard is after a step, so that the next one is not decided from what was before.
    async fn look_again(&self, shard: ShardId, before: NodeId) -> Result<(), NodeError> {
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
                self.note_leaders([(shard, led.term, leader)]);
                let mut known = self.known();
                known.heard.forget_group(shard.0);
                known.heard.amend(leader, led);
                return Ok(());
            }
            tokio::time::sleep(INTERVAL / 4).await;
        }
        // What the pulses said before must not count any more.
        self.known().heard.forget_group(shard.0);
        Err(NodeError::Later("nobody says how the shard is after the step".to_owned()))
    }

    /// A node that is found elsewhere than noted, or shares another fate.
    fn moved(&self, topology: &Topology) -> Option<Change> {
        let known = self.known();
        known.heard.pulses().find_map(|(id, pulse)| {
            let node = topology.node(id).filter(|node| node.state != NodeState::Gone)?;
            let (client, peer) = (pulse.client.parse().ok()?, pulse.peer.parse().ok()?);
            let zone = pulse.zone.as_deref().map(str::parse).transpose().ok()?;
            let change = if (&node.client, &node.peer) != (&client, &peer) {
                Change::SetAddresses { node: id, client, peer }
            } else if node.zone != zone {
                Change::SetZone { node: id, zone }
            } else {
                return None;
            };
            // If another node has that address, nothing can be done about it here.
            topology.clone().apply(&change).is_ok().then_some(change)
        })
    }
}

impl Desk {
    fn away(&self) -> MutexGuard<'_, BTreeMap<ShardId, Option<Instant>>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look(&self, member: &Arc<Member>) -> Result<Look, NodeError> {
        let now = Instant::now();
        self.away().retain(|_, until| until.is_none_or(|until| until > now));
        let Some(topology) = member.topology() else { return Ok(Look::Nothing) };
        if let Some(change) = member.moved(&topology) {
            member.log(&change).await?;
            return Ok(Look::Again);
        }
        let (observed, seen) = self.observe(member, &topology);
        let Some(step) = next_step(&topology, &observed, Limits::default()) else {
            return Ok(Look::Nothing);
        };
        match step {
            Step::Log(Change::RemoveNode { .. }) => {
                let Some(node) = removable(&topology, &observed) else { return Ok(Look::Nothing) };
                member.log(&Change::RemoveNode { node }).await?;
                member.log(&Change::SetSetting { name: leaves(node), value: None }).await?;
                member.log(&Change::note_damage(node, None)).await?;
            }
            Step::Log(change) => member.log(&change).await?,
            Step::TransferLeader { shard, to }
                if !self.may_hand_over(member, &topology, shard, to) =>
            {
                return Ok(Look::Nothing);
            }
            step => self.give_order(member, &topology, step, &seen)?,
        }
        Ok(Look::Again)
    }

    /// Whether a leadership may be moved now. For the sake of balance only if nothing else is under way, and
    /// whoever gets it is back for a while.
    fn may_hand_over(
        &self,
        member: &Member,
        topology: &Topology,
        shard: ShardId,
        to: NodeId,
    ) -> bool {
        let moving = topology.replicas(shard).is_some_and(|group| group.running.is_some());
        let back = member.known().heard.times(to).is_some_and(|(_, since)| since.elapsed() >= CALM)
            || to == member.id();
        let idle = self.away().values().all(Option::is_some);
        moving || (back && idle && self.since.elapsed() >= CALM)
    }

    /// What is known of nodes and groups, but those that are left alone.
    fn observe(&self, member: &Member, topology: &Topology) -> (Observed, Seen) {
        let known = member.known();
        let now = Instant::now();
        let lost_after = member.around.host.policy().lost_after;
        let mut observed = Observed::default();
        for node in topology.nodes() {
            // Whoever has just come has not said anything yet.
            let noted = known.noted.get(&node.id).copied().unwrap_or(now);
            let last = known.heard.times(node.id).map_or(noted, |(at, _)| at);
            let silence = now.saturating_duration_since(last.max(self.since));
            let lost = lost_after.is_some_and(|lost_after| silence >= lost_after);
            let sight = match known.heard.sight(node.id, now, SILENCE) {
                _ if node.id == member.id() => NodeSight::Reachable,
                _ if node.state == NodeState::Gone || lost => NodeSight::Lost,
                sight => sight,
            };
            observed.nodes.insert(node.id, sight);
        }
        let mut seen = Seen::new();
        for (node, pulse) in known.heard.pulses() {
            if pulse.leaving && topology.node(node).is_some() {
                observed.nodes.insert(node, NodeSight::Unreachable);
            }
            if known.heard.sight(node, now, SILENCE) != NodeSight::Reachable {
                continue;
            }
            for led in &pulse.led {
                let shard = ShardId(led.shard);
                let newest = known.leaders.get(&shard).is_none_or(|(term, _)| led.term >= *term);
                let newer = seen.get(&shard).is_none_or(|(_, other)| other.term < led.term);
                if newest && newer && !self.away().contains_key(&shard) {
                    seen.insert(shard, (node, led.clone()));
                }
            }
        }
        observed.shards =
            seen.iter().map(|(shard, (node, led))| (*shard, led.sight(*node))).collect();
        (observed, seen)
    }

    /// Has a shard's leader do something, and goes on.
    fn give_order(
        &self,
        member: &Arc<Member>,
        topology: &Topology,
        step: Step,
        seen: &Seen,
    ) -> Result<(), NodeError> {
        let Some(action) = action(topology, step)? else { return Ok(()) };
        let shard = action.shard();
        let (leader, led) = seen.get(&shard).cloned().ok_or(NodeError::NoLeader)?;
        tracing::info!(%shard, %leader, ?action, "a step towards the wanted placement");
        self.away().insert(shard, None);
        let (member, away) = (Arc::clone(member), Arc::clone(&self.away));
        spawn(async move {
            let done = async {
                member.order(leader, led.term, led.config, action).await?;
                member.look_again(shard, leader).await
            };
            let outcome = done.await;
            let mut away = away.lock().unwrap_or_else(PoisonError::into_inner);
            match outcome {
                Ok(()) => away.remove(&shard),
                Err(error) => {
                    tracing::info!(%shard, %error, "a step failed; later again");
                    away.insert(shard, Some(Instant::now() + REST))
                }
            };
            drop(away);
            member.bell.notify_one();
        });
        Ok(())
    }
}

/// What a step asks of a shard's leader.
fn action(topology: &Topology, step: Step) -> Result<Option<Action>, NodeError> {
    Ok(Some(match step {
        Step::Log(_) => return Ok(None),
        Step::AddLearner { shard, node } => {
            let unknown = aryavarth_cluster::Error::UnknownNode { node };
            let address = topology.node(node).ok_or(unknown)?.peer.to_string();
            Action::AddLearner { shard: shard.0, node: node.0, address }
        }
        Step::ChangeVoters { shard, voters } => Action::ChangeVoters {
            shard: shard.0,
            voters: voters.iter().map(|node| node.0).collect(),
        },
        Step::RemoveLearner { shard, node } => {
            Action::RemoveLearner { shard: shard.0, node: node.0 }
        }
        Step::Split { shard, into } => Action::Split { shard: shard.0, into: into.0 },
        Step::TransferLeader { shard, to } => Action::Transfer { shard: shard.0, to: to.0 },
    }))
}

/// A node that holds nothing and is to go: it is given up, or an operator wants it.
fn removable(topology: &Topology, observed: &Observed) -> Option<NodeId> {
    // Of a group that was not seen it is not known who is a member.
    if observed.shards.len() != topology.groups().len() {
        return None;
    }
    let listed = |node: NodeId| {
        let mut shards = observed.shards.values();
        shards.any(|shard| shard.voters.contains(&node) || shard.learners.contains(&node))
    };
    let goes = |node: &&Node| match node.state {
        NodeState::Gone => true,
        NodeState::Draining => topology.settings().contains_key(&leaves(node.id)),
        NodeState::Joining | NodeState::Active => false,
    };
    let mut leaving = topology.nodes().filter(goes);
    let empty = leaving.find(|n| topology.groups_of(n.id).next().is_none() && !listed(n.id));
    empty.map(|node| node.id)
}
