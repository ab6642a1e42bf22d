//! Pulses: each node tells the voters of the meta group how it is and what it leads, and hears what they
//! know.
//!
//! ```text
//!  node ── run, addresses, epoch, what it leads ──▶ each voter of the meta group
//!       ◀── topology if newer, leaders, sights ────
//! ```
//!
//! So each of the few voters could take over at once, and no two other nodes need talk.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aryavarth_cluster::{Change, META_GROUP, NodeId, NodeSight, ShardId, Topology, Zone};
use aryavarth_replication::{Group, Standing};
use tokio::time::Instant;

use super::member::{Heard, Known, Member, PROMPT};
use super::messages::{Answer, Led, News, Pulse, Question};

/// Between two pulses, and while replicas move.
const INTERVAL: Duration = Duration::from_millis(500);
const INTERVAL_MOVING: Duration = Duration::from_millis(100);
/// Silence after which a node counts as unreachable.
const SILENCE: Duration = Duration::from_secs(2);
/// Entries that a follower may be behind and still count as caught up.
const NEARLY: u64 = 256;
/// How often an older process of a node has to speak after a newer one until both are believed to live.
const STUBBORN: u32 = 3;

impl Member {
    pub(super) async fn keep_pulsing(self: Arc<Self>) {
        let mut asked = tokio::task::JoinSet::new();
        let mut under_way = BTreeSet::new();
        while !self.is_stopping() {
            let topology = self.topology();
            let pulse = self.pulse(topology.as_deref());
            self.hear(self.id(), pulse.clone());
            for voter in self.whom_to_tell(topology.as_deref()) {
                // One that does not answer is not asked again meanwhile, and holds up nobody.
                if under_way.insert(voter) {
                    let (member, pulse) = (Arc::clone(&self), Box::new(pulse.clone()));
                    asked.spawn(async move {
                        let answer = member.ask(voter, &Question::Pulse(pulse), PROMPT).await;
                        (voter, answer)
                    });
                }
            }
            self.rest(interval(topology.as_deref())).await;
            while let Some(Ok((voter, answer))) = asked.try_join_next() {
                under_way.remove(&voter);
                match answer {
                    Ok(Answer::News(news)) => self.take_news(*news),
                    Ok(_) => {}
                    Err(error) => tracing::debug!(%voter, %error, "a pulse was not answered"),
                }
            }
        }
    }

    /// The voters of the meta group but this node; everybody, if none of those is known.
    fn whom_to_tell(&self, topology: Option<&Topology>) -> Vec<NodeId> {
        let Some(topology) = topology else { return Vec::new() };
        let voters = topology.replicas(META_GROUP).map(|group| group.voters.clone());
        voters.unwrap_or_default().into_iter().filter(|voter| *voter != self.id()).collect()
    }

    fn pulse(&self, topology: Option<&Topology>) -> Pulse {
        let (options, stats) = (&self.around.options, self.around.store.stats());
        Pulse {
            run: self.run,
            client: options.client.to_string(),
            peer: options.peer.to_string(),
            zone: options.zone.as_ref().map(Zone::to_string),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: topology.map_or(0, |topology| topology.epoch().0),
            led: self.node.groups().iter().filter_map(led).collect(),
            keys: stats.keys,
            disk_bytes: stats.log_bytes,
            index_bytes: stats.index_bytes,
        }
    }

    /// Takes what a node says of itself, and answers with what is known here.
    pub(super) fn hear(&self, from: NodeId, pulse: Pulse) -> News {
        let epoch = pulse.epoch;
        let leaders = pulse.led.iter().map(|led| (ShardId(led.shard), led.term, from));
        let leaders: Vec<_> = leaders.collect();
        let moved = from != self.id() && self.leads_meta();
        if moved {
            self.heed_moves(from, &pulse);
        }
        self.note_leaders(leaders);
        let mut known = self.known();
        let end = known.note_heard(from, pulse);
        let sights = self.look(&mut known);
        if sights {
            self.publish(&known);
        }
        drop(known);
        self.bell.notify_one();
        self.news(epoch, end)
    }

    fn news(&self, epoch: u64, end: Option<String>) -> News {
        let known = self.known();
        let newer = known.topology.as_ref().filter(|topology| topology.epoch().0 > epoch);
        News {
            topology: newer.map(|topology| topology.encode()),
            leaders: known.leaders.iter().map(|(s, (term, node))| (s.0, *term, node.0)).collect(),
            sights: known.sights.iter().map(|(node, sight)| (node.0, (*sight).into())).collect(),
            heard: Vec::new(),
            end,
        }
    }

    /// All that is known of all nodes.
    pub(super) fn overview(&self) -> News {
        let mut news = self.news(0, None);
        let known = self.known();
        news.heard =
            known.heard.iter().map(|(node, heard)| (node.0, heard.pulse.clone())).collect();
        news
    }

    /// Takes what a voter of the meta group knows.
    pub(super) fn take_news(&self, news: News) {
        if let Some(why) = news.end {
            return self.around.host.end(&why);
        }
        if let Some(topology) = news.topology {
            match Topology::decode(&topology) {
                Ok(topology) => self.note_topology(topology),
                Err(error) => tracing::warn!(%error, "a topology was not understood"),
            }
        }
        let leaders = news.leaders.into_iter();
        self.note_leaders(leaders.map(|(shard, term, node)| (ShardId(shard), term, NodeId(node))));
        // A voter sees for itself.
        if self.around.seats.seat(META_GROUP).group().is_none() {
            let mut known = self.known();
            known.sights =
                news.sights.into_iter().map(|(node, sight)| (NodeId(node), sight.into())).collect();
            self.publish(&known);
        }
    }

    /// Looks anew how nodes are; says whether that changed.
    pub(super) fn look(&self, known: &mut Known) -> bool {
        let Some(topology) = known.topology.clone() else { return false };
        let now = Instant::now();
        let sight = |node: NodeId| {
            if node == self.id() {
                return NodeSight::Reachable;
            }
            let heard = known.heard.get(&node).map_or(self.started, |heard| heard.at);
            let leads_since = known.leads_since.unwrap_or(now);
            let lost_after = self.around.options.lost_after;
            match now.saturating_duration_since(heard) {
                silence if silence < SILENCE => NodeSight::Reachable,
                silence
                    if lost_after.is_some_and(|lost| {
                        silence >= lost && now.saturating_duration_since(leads_since) >= lost
                    }) =>
                {
                    NodeSight::Lost
                }
                _ => NodeSight::Unreachable,
            }
        };
        let sights = topology.nodes().map(|node| (node.id, sight(node.id))).collect();
        let changed = known.sights != sights;
        known.sights = sights;
        changed
    }

    /// Logs where a node is now, if it says that it has moved.
    fn heed_moves(&self, node: NodeId, pulse: &Pulse) {
        let Some(topology) = self.topology() else { return };
        let Some(old) = topology.node(node) else { return };
        let (Ok(client), Ok(peer)) = (pulse.client.parse(), pulse.peer.parse()) else { return };
        if old.client == client && old.peer == peer {
            return;
        }
        tracing::info!(%node, %client, %peer, "a node has moved");
        let change = Change::SetAddresses { node, client, peer };
        self.log_soon(change);
    }
}

impl Known {
    /// Notes a pulse; says why its sender has to end, if it has to: two processes speak for one node.
    fn note_heard(&mut self, from: NodeId, pulse: Pulse) -> Option<String> {
        let now = Instant::now();
        let Some(heard) = self.heard.get_mut(&from) else {
            self.heard.insert(from, Heard { at: now, pulse, older: None });
            return None;
        };
        heard.at = now;
        let run = heard.pulse.run;
        match &mut heard.older {
            Some((older, times)) if *older == pulse.run => {
                // The older one still speaks. It stays.
                *times += 1;
                return None;
            }
            _ if run == pulse.run => {}
            older => *older = Some((run, 0)),
        }
        let both = heard.older.is_some_and(|(_, times)| times >= STUBBORN);
        heard.pulse = pulse;
        both.then(|| {
            "another process runs as this node: its directory was copied. A node that is to be added \
             must join with an empty directory"
                .to_owned()
        })
    }
}

fn interval(topology: Option<&Topology>) -> Duration {
    let moving = |topology: &Topology| topology.groups().any(|(_, group)| group.running.is_some());
    if topology.is_some_and(moving) { INTERVAL_MOVING } else { INTERVAL }
}

/// A group as this node sees it, if it leads it.
pub(super) fn led(group: &Group) -> Option<Led> {
    group.lease()?;
    let status = group.status();
    let last = status.last.map_or(0, |last| last.0 + 1);
    let mut led = Led {
        shard: group.shard().0,
        term: status.leadership.term.0,
        changing: status.changing,
        last: status.last.map(|last| last.0),
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
        if member.node == group.node() {
            led.caught_up.insert(node);
            continue;
        }
        let behind = last - member.matched.map_or(0, |matched| (matched.0 + 1).min(last));
        led.lag.insert(node, behind);
        if member.matched.is_some() && behind <= NEARLY {
            led.caught_up.insert(node);
        }
        if let Some(bytes) = member.snapshot_bytes {
            led.snapshots.insert(node, bytes);
        }
    }
    Some(led)
}
