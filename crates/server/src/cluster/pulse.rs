//! Pulses: each node tells the voters of the meta group how it is, and hears what they know.
//!
//! ```text
//!  every node ── who, where, what it leads ──▶ voters of the meta group
//!             ◀── newer topology, leaders, sights ──┘
//! ```
//!
//! Every node answers pulses with what it knows. A node that none of the voters answers asks all nodes it
//! knows of: the voters may have changed while it was away.
//!
//! # Invariants
//! - One pulse at most is on its way to a node, so that one that does not answer holds up no other.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aryavarth_cluster::{META_GROUP, NodeId, NodeState};
use aryavarth_replication::{Group, GroupStatus, Role, Standing};

use super::heard::Taken;
use super::member::Member;
use super::messages::{Answer, Led, News, Pulse, Question};

/// How far a replica may be behind and yet have nearly all.
const NEARLY: u64 = 256;
/// Before a pulse that is sent at once, so that several reasons for it share it.
const GATHERING: Duration = Duration::from_millis(10);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends pulses for ever.
pub async fn run(member: Arc<Member>) {
    let waiting: Arc<Mutex<BTreeSet<NodeId>>> = Arc::default();
    loop {
        let pulse = member.pulse();
        member.hear(member.myself, pulse.clone());
        for node in member.hearers() {
            let first = waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(node);
            if !first {
                continue;
            }
            let (member, waiting, pulse) =
                (Arc::clone(&member), Arc::clone(&waiting), pulse.clone());
            tokio::spawn(async move {
                let asked = member.ask(node, Question::Pulse(Box::new(pulse)), PATIENCE).await;
                waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&node);
                match asked {
                    Ok(Answer::News(news)) => member.learn(node, *news),
                    Ok(_) => {}
                    Err(error) => tracing::debug!(%node, %error, "a pulse was not answered"),
                }
            });
        }
        // Nodes fall silent without a word.
        member.refresh();
        tokio::select! {
            () = tokio::time::sleep(member.options.rhythm.pulse) => {}
            () = member.pulse_now.notified() => tokio::time::sleep(GATHERING).await,
        }
    }
}

impl Member {
    /// Who hears this node's pulses.
    fn hearers(&self) -> Vec<NodeId> {
        let known = self.known();
        let Some(topology) = &known.topology else { return Vec::new() };
        let lonely = self.started.elapsed().min(match known.answered {
            Some(answered) => answered.elapsed(),
            None => Duration::MAX,
        });
        let meta = topology.replicas(META_GROUP);
        let voters = meta.into_iter().flat_map(|group| group.holders());
        let mut hearers: BTreeSet<NodeId> = voters.collect();
        if lonely > 3 * self.options.rhythm.pulse.max(PATIENCE) {
            hearers.extend(topology.nodes().filter(|n| n.state != NodeState::Gone).map(|n| n.id));
        }
        hearers.remove(&self.myself);
        hearers.into_iter().collect()
    }

    /// How this node is.
    pub fn pulse(&self) -> Pulse {
        let stats = self.store.stats();
        let led = self.seats.groups().filter_map(|(_, group)| led(&group)).collect();
        Pulse {
            run: self.run,
            number: self.pulses.fetch_add(1, Ordering::Relaxed) + 1,
            leaving: self.is_leaving(),
            client: self.options.client.to_string(),
            peer: self.options.peer.to_string(),
            zone: self.options.zone.as_ref().map(|zone| zone.as_str().to_owned()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: self.known().epoch(),
            led,
            keys: stats.keys,
            disk_bytes: stats.log_bytes,
            index_bytes: stats.index_bytes,
        }
    }

    /// Takes a pulse, and says what is known.
    pub fn hear(&self, from: NodeId, pulse: Pulse) -> News {
        let mut known = self.known();
        if let Some(end) = farewell(&known, from) {
            return News { end: Some(end), ..News::default() };
        }
        let theirs = pulse.epoch;
        let peer = pulse.peer.clone();
        let led: Vec<_> = pulse.led.iter().map(|led| (led.shard, led.term)).collect();
        let gap = self.options.rhythm.reachable;
        match known.heard.take(from, pulse, Instant::now(), gap) {
            Taken::Newest => {
                for (shard, term) in led.into_iter().filter(|(s, _)| *s <= self.shards.get()) {
                    known.note_leader(aryavarth::ShardId(shard), term, from);
                }
                let noted = known.topology.as_ref().and_then(|topology| topology.node(from));
                if from != self.myself && noted.is_some_and(|node| node.peer.to_string() != peer) {
                    // It has moved: it is found there before the topology says so.
                    self.node.roster().locate(from, peer);
                }
            }
            Taken::Ignored => {}
            Taken::Impostor => {
                let end = format!(
                    "another process runs as node {from}: a directory must not be copied, and only one \
                     process may use it"
                );
                return News { end: Some(end), ..News::default() };
            }
        }
        let newer = known.topology.as_ref().filter(|topology| topology.epoch().0 > theirs);
        let sights = self.sights(&known);
        News {
            topology: newer.map(|topology| topology.encode()),
            leaders: known.leaders().map(|(shard, term, node)| (shard.0, term, node.0)).collect(),
            sights: sights.into_iter().map(|(node, sight)| (node.0, sight.into())).collect(),
            ..News::default()
        }
    }
}

/// Why a node has no place in the cluster any more.
fn farewell(known: &super::member::Known, node: NodeId) -> Option<String> {
    let topology = known.topology.as_ref()?;
    match topology.node(node) {
        None if node < topology.next_node() => Some(format!(
            "node {node} was removed from the cluster: let it join anew, with an empty directory"
        )),
        Some(noted) if noted.state == NodeState::Gone => Some(format!(
            "node {node} was given up and its replicas made anew elsewhere: let it join anew, with an \
             empty directory"
        )),
        _ => None,
    }
}

/// A group as its leader sees it; none if this node does not lead it.
pub fn led(group: &Group) -> Option<Led> {
    let status = group.status();
    let leads = status.leadership.role == Role::Leader && status.leadership.ready;
    leads.then(|| describe(&status))
}

fn describe(status: &GroupStatus) -> Led {
    let me = status.leadership.leader.as_ref().map(|leader| leader.node);
    let next = |index: Option<u64>| index.map_or(0, |index| index + 1);
    let last = next(status.last.map(|index| index.0));
    let mut led = Led {
        shard: status.shard.0,
        term: status.leadership.term.0,
        changing: status.changing,
        config: status.config.map(|id| id.index.0),
        last: status.last.map(|index| index.0),
        committed: status.committed.map(|id| id.index.0),
        applied: status.applied.map(|id| id.index.0),
        held: status.held(),
        ..Led::default()
    };
    for member in &status.members {
        let node = member.node.0;
        match member.standing {
            Standing::Voter => led.voters.insert(node),
            Standing::Learner => led.learners.insert(node),
        };
        if Some(member.node) == me {
            led.caught_up.insert(node);
            continue;
        }
        let behind = last.saturating_sub(next(member.matched.map(|index| index.0)));
        led.lag.insert(node, behind);
        if member.matched.is_some() && behind <= NEARLY {
            led.caught_up.insert(node);
        }
        if let Some(bytes) = member.snapshot_bytes {
            led.snapshots.insert(node, bytes);
        }
    }
    led
}
