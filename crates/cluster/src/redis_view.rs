//! The cluster as Redis' clients see it.
//!
//! ```text
//!  shard 3: leader b, voters a b c   ─▶   CLUSTER SLOTS    10923–16383: b, then a, c
//!                                    ─▶   CLUSTER SHARDS   b master, a and c replicas
//!                                    ─▶   CLUSTER NODES    … b … master … 10923-16383
//! ```
//!
//! To Redis a node is either a master with slots or the replica of one. Here it leads some shards and
//! follows in others. So every node is a master in `CLUSTER NODES`, with the slots that it leads,
//! and `SLOTS` and `SHARDS` tell who follows.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::RangeInclusive;

use crate::node::{Node, NodeId, NodeName, NodeState};
use crate::reconcile::NodeSight;
use crate::shards::{META_GROUP, ShardId};
use crate::slot::Slot;
use crate::topology::{Replicas, Topology};

/// Topology, leaders and nodes at a moment, as one node knows them.
#[derive(Clone, Copy, Debug)]
pub struct RedisView<'v> {
    /// The topology.
    pub topology: &'v Topology,
    /// Who leads, of the shards whose leader is known.
    pub leaders: &'v BTreeMap<ShardId, NodeId>,
    /// How nodes are. One that is not listed counts as reachable.
    pub nodes: &'v BTreeMap<NodeId, NodeSight>,
    /// Who answers.
    pub myself: NodeId,
}

/// One entry of `CLUSTER SLOTS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotsEntry<'v> {
    /// The slots.
    pub slots: RangeInclusive<u16>,
    /// Who has them: the leader, or who is likely to become it, comes first.
    pub nodes: Vec<Endpoint<'v>>,
}

/// A node as `CLUSTER SLOTS` and `CLUSTER SHARDS` show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint<'v> {
    /// The node's id.
    pub id: NodeId,
    /// Its name of 40 digits.
    pub name: NodeName,
    /// Where clients find it.
    pub host: &'v str,
    /// And at which port.
    pub port: u16,
}

/// One entry of `CLUSTER SHARDS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardEntry<'v> {
    /// The shard.
    pub shard: ShardId,
    /// Its slots.
    pub slots: RangeInclusive<u16>,
    /// Its replicas, the leader first.
    pub nodes: Vec<ShardMember<'v>>,
}

/// A replica in `CLUSTER SHARDS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardMember<'v> {
    /// The node.
    pub endpoint: Endpoint<'v>,
    /// What it is in this shard.
    pub role: Role,
    /// How it is.
    pub health: Health,
}

/// What a replica does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It leads: "master".
    Leader,
    /// It follows: "replica".
    Follower,
}

/// How a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It answers.
    Online,
    /// It is being filled.
    Loading,
    /// It does not answer.
    Failed,
}

impl Role {
    /// Redis' word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Leader => "master",
            Role::Follower => "replica",
        }
    }
}

impl Health {
    /// Redis' word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Health::Online => "online",
            Health::Loading => "loading",
            Health::Failed => "fail",
        }
    }
}

impl<'v> RedisView<'v> {
    /// What `CLUSTER SLOTS` tells. Nodes that do not answer are left out as followers.
    ///
    /// A shard without a known leader is listed too, as clients refuse a map with holes; its first node
    /// is one that votes, and will say what is the matter.
    pub fn slots(&self) -> Vec<SlotsEntry<'v>> {
        let entry = |(shard, group): (ShardId, &'v Replicas)| {
            let slots = self.topology.shards().slots_of(shard)?;
            let first = self.first(shard, group)?;
            let followers = group.voters.iter().copied();
            let followers = followers.filter(|&id| id != first && self.is_reachable(id));
            let nodes = std::iter::once(first).chain(followers);
            let nodes = nodes.filter_map(|id| self.endpoint(id)).collect();
            Some(SlotsEntry { slots, nodes })
        };
        self.topology.groups().filter_map(entry).collect()
    }

    /// What `CLUSTER SHARDS` tells.
    pub fn shards(&self) -> Vec<ShardEntry<'v>> {
        let entry = |(shard, group): (ShardId, &'v Replicas)| {
            let slots = self.topology.shards().slots_of(shard)?;
            let mut members: Vec<_> =
                group.holders().filter_map(|id| self.member(shard, group, id)).collect();
            members.sort_by_key(|member| member.role != Role::Leader);
            Some(ShardEntry { shard, slots, nodes: members })
        };
        self.topology.groups().filter_map(entry).collect()
    }

    /// The text of `CLUSTER NODES`: a line for each node.
    pub fn nodes_text(&self) -> String {
        let ids = self.topology.nodes().map(|node| node.id);
        ids.filter_map(|id| self.node_line(id)).map(|line| line + "\n").collect()
    }

    /// The lines of `CLUSTER REPLICAS`: who follows in a shard that the node leads. None if there is no
    /// such node.
    pub fn replicas_lines(&self, of: NodeId) -> Option<Vec<String>> {
        self.topology.node(of)?;
        let led = self.topology.groups().filter(|(shard, _)| self.leads(*shard, of));
        let voters = led.flat_map(|(_, group)| &group.voters).copied();
        let followers: std::collections::BTreeSet<_> = voters.filter(|&id| id != of).collect();
        let master = NodeName::of(self.topology.cluster(), of).to_string();
        let line = |id| self.line(id, "slave", &master, "");
        Some(followers.into_iter().filter_map(line).collect())
    }

    /// The text of `CLUSTER INFO`.
    pub fn info_text(&self) -> String {
        let shards = self.topology.shards();
        let ok: usize = shards
            .shards()
            .filter(|shard| self.is_served(*shard))
            .filter_map(|shard| shards.slots_of(shard))
            .map(|s| s.len())
            .sum();
        let all = usize::from(Slot::COUNT);
        let masters: std::collections::BTreeSet<_> = self
            .leaders
            .iter()
            .filter(|(shard, _)| **shard != META_GROUP)
            .map(|(_, id)| id)
            .collect();
        let epoch = self.topology.epoch();
        let mut text = String::new();
        for (name, value) in [
            ("slots_assigned", all),
            ("slots_ok", ok),
            ("slots_pfail", 0),
            ("slots_fail", all - ok),
            ("known_nodes", self.topology.nodes().len()),
            ("size", masters.len()),
        ] {
            let _ = write!(text, "cluster_{name}:{value}\r\n");
        }
        let state = if ok == all { "ok" } else { "fail" };
        format!(
            "cluster_state:{state}\r\n{text}cluster_current_epoch:{epoch}\r\n\
             cluster_my_epoch:{epoch}\r\ncluster_stats_messages_sent:0\r\n\
             cluster_stats_messages_received:0\r\ntotal_cluster_links_buffer_limit_exceeded:0\r\n"
        )
    }

    /// One line of `CLUSTER NODES`, without its end.
    pub fn node_line(&self, id: NodeId) -> Option<String> {
        let slots = self.slots_led(id).into_iter().fold(String::new(), |mut text, slots| {
            let (start, end) = slots.into_inner();
            let _ = if start == end {
                write!(text, " {start}")
            } else {
                write!(text, " {start}-{end}")
            };
            text
        });
        self.line(id, "master", "-", &slots)
    }

    fn line(&self, id: NodeId, role: &str, master: &str, slots: &str) -> Option<String> {
        let node = self.topology.node(id)?;
        let name = NodeName::of(self.topology.cluster(), id);
        let myself = if id == self.myself { "myself," } else { "" };
        let failure = match self.health(node) {
            NodeSight::Reachable => "",
            NodeSight::Unreachable => ",fail?",
            NodeSight::Lost => ",fail",
        };
        let link = if failure.is_empty() { "connected" } else { "disconnected" };
        let (host, port, bus) = (node.client.host(), node.client.port(), node.peer.port());
        let is_number = host.parse::<std::net::IpAddr>().is_ok();
        let hostname = if is_number { String::new() } else { format!(",{host}") };
        let epoch = self.topology.epoch();
        Some(format!(
            "{name} {host}:{port}@{bus}{hostname} {myself}{role}{failure} {master} 0 0 {epoch} {link}{slots}"
        ))
    }

    /// The slots that a node leads, adjacent ranges as one.
    fn slots_led(&self, id: NodeId) -> Vec<RangeInclusive<u16>> {
        let shards = self.topology.shards();
        let mut ranges: Vec<RangeInclusive<u16>> = Vec::new();
        let led = shards.shards().filter(|shard| self.leads(*shard, id));
        for slots in led.filter_map(|shard| shards.slots_of(shard)) {
            match ranges.last_mut() {
                Some(last) if last.end() + 1 == *slots.start() => {
                    *last = *last.start()..=*slots.end();
                }
                _ => ranges.push(slots),
            }
        }
        ranges
    }

    fn leads(&self, shard: ShardId, id: NodeId) -> bool {
        shard != META_GROUP && self.leaders.get(&shard) == Some(&id)
    }

    /// Whom to name first: the leader, or else a voter that answers, or any.
    fn first(&self, shard: ShardId, group: &Replicas) -> Option<NodeId> {
        let voters = || group.voters.iter().copied();
        let leader =
            self.leaders.get(&shard).copied().filter(|&id| self.topology.node(id).is_some());
        leader.or_else(|| voters().find(|&id| self.is_reachable(id))).or_else(|| voters().next())
    }

    fn member(&self, shard: ShardId, group: &Replicas, id: NodeId) -> Option<ShardMember<'v>> {
        let role = if self.leads(shard, id) { Role::Leader } else { Role::Follower };
        let health = match self.is_reachable(id) {
            false => Health::Failed,
            true if group.voters.contains(&id) => Health::Online,
            true => Health::Loading,
        };
        Some(ShardMember { endpoint: self.endpoint(id)?, role, health })
    }

    fn endpoint(&self, id: NodeId) -> Option<Endpoint<'v>> {
        let node = self.topology.node(id)?;
        let name = NodeName::of(self.topology.cluster(), id);
        Some(Endpoint { id, name, host: node.client.host(), port: node.client.port() })
    }

    fn is_reachable(&self, id: NodeId) -> bool {
        self.topology.node(id).is_some_and(|node| self.health(node) == NodeSight::Reachable)
    }

    /// Whether a shard can be written to, as far as this node sees: it has a leader, and with it a majority.
    fn is_served(&self, shard: ShardId) -> bool {
        let is_reachable = |id: &NodeId| {
            let node = self.topology.node(*id);
            node.is_some_and(|node| self.health(node) == NodeSight::Reachable)
        };
        let leader = self.leaders.get(&shard);
        leader.is_some_and(is_reachable)
            && self.topology.replicas(shard).is_some_and(|group| {
                let reachable = group.voters.iter().filter(|id| is_reachable(id)).count();
                2 * reachable > group.voters.len()
            })
    }

    fn health(&self, node: &Node) -> NodeSight {
        match node.state {
            _ if node.id == self.myself => NodeSight::Reachable,
            NodeState::Gone => NodeSight::Lost,
            _ => self.nodes.get(&node.id).copied().unwrap_or(NodeSight::Reachable),
        }
    }
}

#[cfg(test)]
mod tests;
