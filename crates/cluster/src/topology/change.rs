//! The changes that the meta group logs, and what each of them does.
//!
//! ```text
//!  BeginMove ──▶ running ──▶ FinishMove    the group has committed the new voters
//!                   └──────▶ AbortMove     it never will
//!
//!  (the group was split) ──▶ Split         its later slots are another group's, of the same voters
//! ```
//!
//! # Invariants
//! - A change that was made already changes nothing and is no error, so that whoever was cut off before
//!   the answer may ask again.
//! - A refused change leaves everything as it was.
//! - The epoch grows by one with each change that changed something, and otherwise not.

use crate::error::{Error, Result};
use crate::node::{Address, Incarnation, Node, NodeId, NodeSet, NodeState, Zone};
use crate::shards::ShardId;
use crate::topology::validate::check_setting;
use crate::topology::{
    Epoch, MAX_NODES, MAX_SETTINGS, MAX_VOTERS, Move, Replicas, ReplicationFactor, Topology,
};

/// Whether a change changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It did, and the epoch has grown.
    Changed,
    /// All was so already.
    Unchanged,
}

/// A node that asks to join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNode {
    /// The id it was given: [`Topology::next_node`] or above.
    pub id: NodeId,
    /// Drawn by its directory.
    pub incarnation: Incarnation,
    /// Where clients find it.
    pub client: Address,
    /// Where other nodes find it.
    pub peer: Address,
    /// What it shares a fate with.
    pub zone: Option<Zone>,
}

/// One entry of the meta group's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A node joins.
    AddNode(NewNode),
    /// A node goes on, on its way in or out.
    SetNodeState {
        /// The node.
        node: NodeId,
        /// Its new state.
        state: NodeState,
    },
    /// A node that holds nothing any more leaves for good.
    RemoveNode {
        /// The node.
        node: NodeId,
    },
    /// A node is found elsewhere from now on.
    SetAddresses {
        /// The node.
        node: NodeId,
        /// Where clients find it.
        client: Address,
        /// Where other nodes find it.
        peer: Address,
    },
    /// A node shares another fate.
    SetZone {
        /// The node.
        node: NodeId,
        /// Its zone.
        zone: Option<Zone>,
    },
    /// A group's replicas are to move.
    BeginMove {
        /// The group.
        shard: ShardId,
        /// How.
        step: Move,
    },
    /// The group has committed the move's outcome as its voters.
    FinishMove {
        /// The group.
        shard: ShardId,
        /// Which move.
        step: Move,
    },
    /// The move is given up; the group's voters are as before, and the learners gone.
    AbortMove {
        /// The group.
        shard: ShardId,
        /// Which move.
        step: Move,
    },
    /// The group was found to have other voters than noted, as after a recovery by hand.
    AdoptVoters {
        /// The group.
        shard: ShardId,
        /// Its voters.
        voters: NodeSet,
    },
    /// The group has committed that it is split: the other one has the slots from its own on, and the same voters.
    Split {
        /// The group.
        shard: ShardId,
        /// The new one.
        into: ShardId,
    },
    /// A node shall lead a group whatever the balance, or the balance shall decide again.
    SetWantedLeader {
        /// The group.
        shard: ShardId,
        /// The node; none for whom the balance chooses.
        leader: Option<NodeId>,
    },
    /// Data is to be on more or fewer nodes.
    SetReplicationFactor(ReplicationFactor),
    /// A setting that all nodes share.
    SetSetting {
        /// Its name.
        name: String,
        /// Its value; none for the default.
        value: Option<String>,
    },
}

impl NewNode {
    pub(super) fn joining(self) -> Node {
        let NewNode { id, incarnation, client, peer, zone } = self;
        Node { id, incarnation, client, peer, state: NodeState::Joining, zone }
    }
}

impl Topology {
    /// Makes a change that was committed.
    ///
    /// # Errors
    /// One of [`Error`]'s refusals, which all nodes come to alike; then nothing has changed.
    pub fn apply(&mut self, change: &Change) -> Result<Applied> {
        let applied = match change {
            Change::AddNode(new) => self.add_node(new),
            Change::SetNodeState { node, state } => self.set_state(*node, *state),
            Change::RemoveNode { node } => self.remove_node(*node),
            Change::SetAddresses { node, client, peer } => self.set_addresses(*node, client, peer),
            Change::SetZone { node, zone } => Ok(set(&mut self.known(*node)?.zone, zone.clone())),
            Change::BeginMove { shard, step } => self.begin_move(*shard, step),
            Change::FinishMove { shard, step } => self.finish_move(*shard, step),
            Change::AbortMove { shard, step } => self.abort_move(*shard, step),
            Change::AdoptVoters { shard, voters } => self.adopt_voters(*shard, voters),
            Change::Split { shard, into } => self.split(*shard, *into),
            Change::SetWantedLeader { shard, leader } => self.set_leader(*shard, *leader),
            Change::SetReplicationFactor(factor) => Ok(set(&mut self.factor, *factor)),
            Change::SetSetting { name, value } => self.set_setting(name, value.as_deref()),
        }?;
        if applied == Applied::Changed {
            self.epoch = Epoch(self.epoch.0 + 1);
        }
        Ok(applied)
    }

    fn add_node(&mut self, new: &NewNode) -> Result<Applied> {
        let node = new.id;
        match self.nodes.get(&node) {
            Some(known) if known.incarnation == new.incarnation => return Ok(Applied::Unchanged),
            Some(_) => return Err(Error::WrongIncarnation { node }),
            None if node < self.next_node => return Err(Error::NodeRemoved { node }),
            None => {}
        }
        if self.nodes.len() >= MAX_NODES {
            return Err(Error::TooManyNodes { count: self.nodes.len() });
        }
        // The last id could have no successor.
        let next = node.0.checked_add(1).ok_or(Error::UnknownNode { node })?;
        self.check_addresses(node, &new.client, &new.peer)?;
        self.next_node = NodeId(next);
        self.nodes.insert(node, new.clone().joining());
        Ok(Applied::Changed)
    }

    fn set_state(&mut self, node: NodeId, to: NodeState) -> Result<Applied> {
        let known = self.known(node)?;
        let from = known.state;
        if from != to && !from.may_become(to) {
            return Err(Error::ForbiddenState { node, from, to });
        }
        Ok(set(&mut known.state, to))
    }

    fn remove_node(&mut self, node: NodeId) -> Result<Applied> {
        let Some(known) = self.nodes.get(&node) else {
            let was_there = node < self.next_node;
            return if was_there {
                Ok(Applied::Unchanged)
            } else {
                Err(Error::UnknownNode { node })
            };
        };
        if known.state == NodeState::Active {
            return Err(Error::NotLeaving { node, state: known.state });
        }
        if let Some(shard) = self.groups_of(node).next() {
            return Err(Error::NodeInUse { node, shard });
        }
        self.nodes.remove(&node);
        Ok(Applied::Changed)
    }

    fn set_addresses(&mut self, node: NodeId, client: &Address, peer: &Address) -> Result<Applied> {
        self.known(node)?;
        self.check_addresses(node, client, peer)?;
        let known = self.known(node)?;
        let changed = [set(&mut known.client, client.clone()), set(&mut known.peer, peer.clone())];
        let same = changed == [Applied::Unchanged; 2];
        Ok(if same { Applied::Unchanged } else { Applied::Changed })
    }

    fn begin_move(&mut self, shard: ShardId, step: &Move) -> Result<Applied> {
        let group = self.group(shard)?;
        match &group.running {
            Some(running) if running == step => return Ok(Applied::Unchanged),
            Some(_) => return Err(Error::MoveRunning { shard }),
            None => {}
        }
        if is_done(step, group) {
            return Ok(Applied::Unchanged);
        }
        self.check_move(shard, step)?;
        self.group(shard)?.running = Some(step.clone());
        Ok(Applied::Changed)
    }

    fn check_move(&self, shard: ShardId, step: &Move) -> Result<()> {
        let refuse = |reason| Err(Error::ImpossibleMove { shard, reason });
        let voters = &self.replicas(shard).ok_or(Error::UnknownShard { shard })?.voters;
        let is_active = |id| self.node(id).is_some_and(|node| node.state == NodeState::Active);
        let left = step.outcome(voters).len();
        if step.add.is_empty() && step.remove.is_empty() {
            refuse("it moves nothing")
        } else if !step.remove.is_subset(voters) {
            refuse("a node to be removed has no vote")
        } else if !step.add.is_disjoint(voters) {
            refuse("a node to be added has a vote already")
        } else if !step.add.iter().all(|&id| is_active(id)) {
            refuse("a node to be added is not active")
        } else if left > MAX_VOTERS {
            refuse("it would leave more than five voters")
        } else if left.is_multiple_of(2) {
            refuse("it would leave an even number of voters, which survives no more than one fewer")
        } else {
            Ok(())
        }
    }

    fn finish_move(&mut self, shard: ShardId, step: &Move) -> Result<Applied> {
        let group = self.group(shard)?;
        match &group.running {
            Some(running) if running == step => group.running = None,
            _ if is_done(step, group) => return Ok(Applied::Unchanged),
            _ => return Err(Error::NoSuchMove { shard }),
        }
        set_voters(group, step.outcome(&group.voters));
        Ok(Applied::Changed)
    }

    fn abort_move(&mut self, shard: ShardId, step: &Move) -> Result<Applied> {
        let group = self.group(shard)?;
        match &group.running {
            None if is_done(step, group) => Err(Error::NoSuchMove { shard }),
            None => Ok(Applied::Unchanged),
            Some(running) if running == step => {
                group.running = None;
                Ok(Applied::Changed)
            }
            Some(_) => Err(Error::NoSuchMove { shard }),
        }
    }

    fn adopt_voters(&mut self, shard: ShardId, voters: &NodeSet) -> Result<Applied> {
        if voters.is_empty() {
            return Err(Error::ImpossibleMove { shard, reason: "it would leave no voter" });
        }
        for &node in voters {
            self.known(node)?;
        }
        let group = self.group(shard)?;
        if group.running.is_some() {
            return Err(Error::MoveRunning { shard });
        }
        if group.voters == *voters {
            return Ok(Applied::Unchanged);
        }
        set_voters(group, voters.clone());
        Ok(Applied::Changed)
    }

    fn split(&mut self, shard: ShardId, into: ShardId) -> Result<Applied> {
        let group = self.groups.get(&shard).ok_or(Error::UnknownShard { shard })?;
        if self.groups.contains_key(&into) {
            return Ok(Applied::Unchanged);
        }
        let numbers = self.shards.numbers_of(shard);
        if !numbers.is_some_and(|mut numbers| numbers.any(|number| number == into)) {
            return Err(Error::ImpossibleSplit { shard, into });
        }
        let group = Replicas { voters: group.voters.clone(), running: None, pinned: None };
        self.shards.open(into);
        self.groups.insert(into, group);
        Ok(Applied::Changed)
    }

    fn set_leader(&mut self, shard: ShardId, leader: Option<NodeId>) -> Result<Applied> {
        let group = self.group(shard)?;
        match leader {
            Some(node) if !group.voters.contains(&node) => Err(Error::NotAVoter { shard, node }),
            _ => Ok(set(&mut group.pinned, leader)),
        }
    }

    fn set_setting(&mut self, name: &str, value: Option<&str>) -> Result<Applied> {
        check_setting(name, value.unwrap_or_default())?;
        if self.settings.get(name).map(String::as_str) == value {
            return Ok(Applied::Unchanged);
        }
        let count = self.settings.len();
        match value {
            Some(_) if count >= MAX_SETTINGS && !self.settings.contains_key(name) => {
                return Err(Error::TooManySettings { count });
            }
            Some(value) => self.settings.insert(name.to_owned(), value.to_owned()),
            None => self.settings.remove(name),
        };
        Ok(Applied::Changed)
    }

    fn known(&mut self, node: NodeId) -> Result<&mut Node> {
        let was_there = node < self.next_node;
        self.nodes.get_mut(&node).ok_or(match was_there {
            true => Error::NodeRemoved { node },
            false => Error::UnknownNode { node },
        })
    }

    fn group(&mut self, shard: ShardId) -> Result<&mut Replicas> {
        self.groups.get_mut(&shard).ok_or(Error::UnknownShard { shard })
    }

    fn check_addresses(&self, id: NodeId, client: &Address, peer: &Address) -> Result<()> {
        let others = || self.nodes().filter(|node| node.id != id && node.state != NodeState::Gone);
        for (address, taken) in [
            (client, others().find(|node| node.client == *client)),
            (peer, others().find(|node| node.peer == *peer)),
        ] {
            if let Some(node) = taken {
                return Err(Error::AddressTaken { address: address.clone(), node: node.id });
            }
        }
        Ok(())
    }
}

/// Whether the group's voters are what this move, made some time ago, has left.
fn is_done(step: &Move, group: &Replicas) -> bool {
    let moves = !(step.add.is_empty() && step.remove.is_empty());
    moves && step.add.is_subset(&group.voters) && step.remove.is_disjoint(&group.voters)
}

fn set_voters(group: &mut Replicas, voters: NodeSet) {
    group.pinned = group.pinned.filter(|pinned| voters.contains(pinned));
    group.voters = voters;
}

fn set<T: PartialEq>(place: &mut T, value: T) -> Applied {
    if *place == value {
        return Applied::Unchanged;
    }
    *place = value;
    Applied::Changed
}
