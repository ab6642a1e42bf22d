//! What must hold of every topology.

use crate::error::{Error, Result};
use crate::node::{Node, NodeState};
use crate::shards::ShardId;
use crate::topology::{
    MAX_NODES, MAX_SETTING_NAME, MAX_SETTING_VALUE, MAX_SETTINGS, Replicas, Topology,
};

impl Topology {
    /// Checks the invariants:
    ///
    /// 1. The epoch is not 0.
    /// 2. There are nodes, 1024 at most, each under its own id, and all ids are below the next one.
    /// 3. No two nodes, but for those that are gone, share a client or a peer address.
    /// 4. There is a group for each shard, and the meta group.
    /// 5. Each group has a voter; voters and learners are nodes of the cluster.
    /// 6. A move moves something, adds only who has no vote, removes only who has one, and leaves a
    ///    voter.
    /// 7. Who is pinned as a leader has a vote.
    /// 8. Settings are within their bounds.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the first that does not hold.
    pub fn validate(&self) -> Result<()> {
        require(self.epoch.0 > 0, || "the epoch is 0".into())?;
        self.validate_nodes()?;
        let alike = self.shards.groups().eq(self.groups.keys().copied());
        require(alike, || "there is not a group for each shard".into())?;
        self.groups().try_for_each(|(shard, group)| self.validate_group(shard, group))?;
        require(self.settings.len() <= MAX_SETTINGS, || "there are too many settings".into())?;
        for (name, value) in &self.settings {
            check_setting(name, value).map_err(|_| invalid(format!("the setting {name:?}")))?;
        }
        Ok(())
    }

    fn validate_nodes(&self) -> Result<()> {
        let count = self.nodes.len();
        require((1..=MAX_NODES).contains(&count), || format!("there are {count} nodes"))?;
        for (&id, node) in &self.nodes {
            require(id == node.id, || format!("node {} is listed as {id}", node.id))?;
            require(id < self.next_node, || format!("node {id} is yet to be named"))?;
        }
        self.validate_distinct("client", |node| &node.client)?;
        self.validate_distinct("peer", |node| &node.peer)
    }

    fn validate_distinct<T: Ord>(&self, what: &str, of: impl Fn(&Node) -> &T) -> Result<()> {
        let mut seen = std::collections::BTreeSet::new();
        let mut here = self.nodes().filter(|node| node.state != NodeState::Gone);
        match here.find(|node| !seen.insert(of(node))) {
            Some(node) => Err(invalid(format!("node {} has another's {what} address", node.id))),
            None => Ok(()),
        }
    }

    fn validate_group(&self, shard: ShardId, group: &Replicas) -> Result<()> {
        let ensure = |holds, what: &str| require(holds, || format!("shard {shard} {what}"));
        ensure(!group.voters.is_empty(), "has no voter")?;
        ensure(
            group.holders().all(|id| self.nodes.contains_key(&id)),
            "has a replica on an unknown node",
        )?;
        ensure(
            group.pinned.is_none_or(|id| group.voters.contains(&id)),
            "is to be led by a node without a vote",
        )?;
        let Some(running) = &group.running else { return Ok(()) };
        ensure(!(running.add.is_empty() && running.remove.is_empty()), "moves nothing")?;
        ensure(running.add.is_disjoint(&group.voters), "adds a voter that it has")?;
        ensure(running.remove.is_subset(&group.voters), "removes a voter that it lacks")?;
        ensure(!group.outcome().is_empty(), "removes all its voters")
    }
}

/// Checks name and value of a setting.
pub(super) fn check_setting(name: &str, value: &str) -> Result<()> {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    if !(1..=MAX_SETTING_NAME).contains(&name.len()) || !name.bytes().all(allowed) {
        return Err(Error::Text {
            what: "name of a setting",
            text: name.to_owned(),
            rule: "1 to 64 lower-case letters, digits, dots, dashes and underscores",
        });
    }
    if value.len() > MAX_SETTING_VALUE {
        return Err(Error::Text {
            what: "value of the setting",
            text: name.to_owned(),
            rule: "4096 bytes at most",
        });
    }
    Ok(())
}

fn require(holds: bool, rule: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(invalid(rule())) }
}

fn invalid(rule: String) -> Error {
    Error::Invalid { rule }
}
