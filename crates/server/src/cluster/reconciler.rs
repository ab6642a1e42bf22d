//! The reconciler at work: on the leader of the meta group, what was observed is compared with what is
//! wanted, and steps are taken.
//!
//! ```text
//!  pulses ─▶ Observed ─▶ next_step ─┬─ Log(change) ─▶ the meta group, waited for
//!              ▲                    └─ an order ─▶ the shard's leader; others go on meanwhile
//!              └── shards with a step under way, or whose last one failed, are left out
//! ```
//!
//! It keeps nothing that it cannot lose: a new leader of the meta group begins with what it hears.
//!
//! # Invariants
//! - A shard has one order at a time.
//! - Silence counts from when this node came to lead: before, it was nobody's business.
//! - A node that was drained stays until an operator wants it removed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aryavarth_cluster::{
    Change, Epoch, NodeId, NodeSight, NodeState, Observed, ShardId, Step, Topology, next_step,
};

use super::error::NodeError;
use super::member::Member;
use super::messages::{Action, Answer, Led, Order, Question};

/// How long an order may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Steps in one go.
const STEPS: usize = 256;
/// Begins the names of settings that say that a node is to be removed.
const LEAVES: &str = "remove-node-";

/// The setting that says that a node is to be removed once it is empty.
pub fn leaves(node: NodeId) -> String {
    format!("{LEAVES}{node}")
}

/// What the reconciler keeps in mind while this node leads the meta group.
struct Desk {
    term: u64,
    since: Instant,
    /// Shards that are left alone: until then, or as long as an order is under way.
    away: Arc<Mutex<BTreeMap<ShardId, Option<Instant>>>>,
}

/// What became of a look.
enum Look {
    /// Something was done: look again.
    Again,
    /// There is nothing to do now.
    Nothing,
}

/// Reconciles for ever, whenever this node leads the meta group.
pub async fn run(member: Arc<Member>) {
    let mut desk: Option<Desk> = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(member.options.rhythm.look) => {}
            () = member.reconcile_now.notified() => {}
        }
        let Some(term) = member.leads_meta().filter(|_| !member.is_leaving()) else {
            desk = None;
            continue;
        };
        let desk = match &mut desk {
            Some(desk) if desk.term == term.0 => desk,
            desk => desk.insert(Desk::new(term.0)),
        };
        for _ in 0..STEPS {
            match desk.look(&member).await {
                Ok(Look::Again) => {}
                Ok(Look::Nothing) => break,
                Err(error) => {
                    tracing::debug!(%error, "a step was not taken");
                    break;
                }
            }
        }
    }
}

impl Desk {
    fn new(term: u64) -> Desk {
        Desk { term, since: Instant::now(), away: Arc::default() }
    }

    fn away(&self) -> MutexGuard<'_, BTreeMap<ShardId, Option<Instant>>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look(&mut self, member: &Arc<Member>) -> Result<Look, NodeError> {
        let now = Instant::now();
        self.away().retain(|_, until| until.is_none_or(|until| until > now));
        let Some(topology) = member.topology() else { return Ok(Look::Nothing) };
        if let Some(change) = member.moved(&topology) {
            member.change(|_| Ok(change)).await?;
            return Ok(Look::Again);
        }
        let (observed, leds) = self.observe(member, &topology);
        let Some(step) = next_step(&topology, &observed, member.options.limits) else {
            return Ok(Look::Nothing);
        };
        let step = match step {
            Step::Log(Change::RemoveNode { .. }) => match removable(&topology, &observed) {
                Some(node) => Step::Log(Change::RemoveNode { node }),
                None => return Ok(Look::Nothing),
            },
            Step::TransferLeader { to, .. } if !self.is_calm(member, to) => {
                return Ok(Look::Nothing);
            }
            step => step,
        };
        match step {
            Step::Log(change) => {
                let removed = match &change {
                    Change::RemoveNode { node } => Some(*node),
                    _ => None,
                };
                member.change(|_| Ok(change)).await?;
                if let Some(node) = removed {
                    let forgotten = Change::SetSetting { name: leaves(node), value: None };
                    member.change(|_| Ok(forgotten)).await?;
                }
            }
            step => self.order(member, &topology, step, &leds)?,
        }
        Ok(Look::Again)
    }

    /// Whether leaderships may be moved for the sake of balance: nothing else is under way, and whoever gets
    /// one is back for a while.
    fn is_calm(&self, member: &Member, to: NodeId) -> bool {
        let settled = self.since.elapsed() >= member.options.rhythm.reachable / 2;
        let back = member
            .known()
            .heard
            .times(to)
            .is_some_and(|(_, since)| since.elapsed() >= member.options.rhythm.reachable / 2);
        settled && back && self.away().values().all(Option::is_some)
    }

    fn observe(
        &self,
        member: &Member,
        topology: &Topology,
    ) -> (Observed, BTreeMap<ShardId, (NodeId, Led)>) {
        let known = member.known();
        let (now, gap) = (Instant::now(), member.options.rhythm.reachable);
        let lost_after = (member.options.policy)().lost_after;
        let mut observed = Observed::default();
        for node in topology.nodes() {
            let mut sight = known.heard.sight(node.id, now, gap);
            let silent_since = known.heard.times(node.id).map_or(self.since, |(at, _)| at);
            let silence = now.duration_since(silent_since.max(self.since));
            if node.id == member.myself {
                sight = NodeSight::Reachable;
            } else if node.state == NodeState::Gone
                || lost_after.is_some_and(|lost_after| silence >= lost_after)
            {
                sight = NodeSight::Lost;
            }
            observed.nodes.insert(node.id, sight);
        }
        let mut leds: BTreeMap<ShardId, (NodeId, Led)> = BTreeMap::new();
        for (node, pulse) in known.heard.pulses() {
            if pulse.leaving {
                observed.nodes.insert(node, NodeSight::Unreachable);
                continue;
            }
            if known.heard.sight(node, now, gap) != NodeSight::Reachable {
                continue;
            }
            for led in pulse.led.iter().filter(|led| led.shard <= member.shards.get()) {
                let newest = leds.entry(ShardId(led.shard)).or_insert_with(|| (node, led.clone()));
                if newest.1.term < led.term {
                    *newest = (node, led.clone());
                }
            }
        }
        // A leader whose successor was heard of says nothing about now.
        for (shard, term, _) in known.leaders() {
            if leds.get(&shard).is_some_and(|(_, led)| led.term < term) {
                leds.remove(&shard);
            }
        }
        drop(known);
        leds.retain(|shard, _| !self.away().contains_key(shard));
        let sights = leds.iter().map(|(shard, (node, led))| (*shard, led.sight(*node)));
        observed.shards = sights.collect();
        (observed, leds)
    }

    /// Has a shard's leader do something, and goes on.
    fn order(
        &self,
        member: &Arc<Member>,
        topology: &Topology,
        step: Step,
        leds: &BTreeMap<ShardId, (NodeId, Led)>,
    ) -> Result<(), NodeError> {
        let ids =
            |nodes: aryavarth_cluster::NodeSet| nodes.into_iter().map(|node| node.0).collect();
        let action = match step {
            Step::AddLearner { shard, node } => {
                let address = member.address(node)?;
                Action::AddLearner { shard: shard.0, node: node.0, address }
            }
            Step::ChangeVoters { shard, voters } => {
                Action::ChangeVoters { shard: shard.0, voters: ids(voters) }
            }
            Step::RemoveLearner { shard, node } => {
                Action::RemoveLearner { shard: shard.0, node: node.0 }
            }
            Step::TransferLeader { shard, to } => Action::Transfer { shard: shard.0, to: to.0 },
            Step::Log(_) => return Ok(()),
        };
        let shard = action.shard();
        let (leader, led) = leds.get(&shard).cloned().ok_or(NodeError::NoLeader)?;
        let order = self.write_order(topology.epoch(), &led, action);
        self.away().insert(shard, None);
        let (member, away) = (Arc::clone(member), Arc::clone(&self.away));
        tokio::spawn(async move {
            tracing::debug!(%shard, %leader, ?order, "ordered");
            let answer = member.ask(leader, Question::Act(order), PATIENCE).await;
            let rest = match answer {
                Ok(Answer::Acted(led)) => {
                    member.known().heard.amend(leader, led);
                    None
                }
                Ok(Answer::Done) => {
                    member.known().heard.leads_no_longer(leader, shard.0);
                    None
                }
                failed => {
                    tracing::info!(%shard, %leader, ?failed, "an order was not carried out");
                    Some(Instant::now() + member.options.rhythm.rest)
                }
            };
            let mut away = away.lock().unwrap_or_else(PoisonError::into_inner);
            match rest {
                Some(until) => away.insert(shard, Some(until)),
                None => away.remove(&shard),
            };
            drop(away);
            member.reconcile_now.notify_one();
        });
        Ok(())
    }

    fn write_order(&self, epoch: Epoch, led: &Led, action: Action) -> Order {
        let (term, config) = (led.term, led.config);
        Order { meta_term: self.term, epoch: epoch.0, term, config, action }
    }
}

/// A node that holds nothing and is to go: it is gone already, or an operator wants it.
fn removable(topology: &Topology, observed: &Observed) -> Option<NodeId> {
    // Of a group that was not seen it is not known who is a member.
    if observed.shards.len() != topology.groups().len() {
        return None;
    }
    let listed = |node: NodeId| {
        let shards = observed.shards.values();
        let mut lists = shards.map(|s| s.voters.contains(&node) || s.learners.contains(&node));
        lists.any(|listed| listed)
    };
    let goes = |node: &&aryavarth_cluster::Node| match node.state {
        NodeState::Gone => true,
        NodeState::Draining => topology.settings().contains_key(&leaves(node.id)),
        NodeState::Joining | NodeState::Active => false,
    };
    let mut leaving = topology.nodes().filter(goes);
    let empty = leaving.find(|n| topology.groups_of(n.id).next().is_none() && !listed(n.id));
    empty.map(|node| node.id)
}

impl Member {
    /// A node that is found elsewhere than noted, or shares another fate.
    fn moved(&self, topology: &Topology) -> Option<Change> {
        let known = self.known();
        known.heard.pulses().find_map(|(id, pulse)| {
            let node = topology.node(id).filter(|node| node.state != NodeState::Gone)?;
            let (client, peer) = (pulse.client.parse().ok()?, pulse.peer.parse().ok()?);
            if (&node.client, &node.peer) != (&client, &peer) {
                let change = Change::SetAddresses { node: id, client, peer };
                // If another node has that address, nothing can be done but to say so there.
                return topology.clone().apply(&change).is_ok().then_some(change);
            }
            let zone = pulse.zone.as_deref().map(str::parse).transpose().ok()?;
            (node.zone != zone).then_some(Change::SetZone { node: id, zone })
        })
    }
}
