//! A node whose store is damaged beyond what can be mended in place: it is given up, and its directory
//! becomes a new node, which gets all it needs from the others.
//!
//! ```text
//!  member ─▶ replacing ─ a member gives up the old node, and lets the new one in
//!               │            └─ not now: asked again; never: as if nothing had been
//!               └─▶ logs/ is moved to damaged-node-<id>/ ─▶ member, by a new id, of an empty store
//! ```
//!
//! # Invariants
//! - The damaged store is put aside whole, with its card, once others have said that they can do without
//!   it. Nothing of it is deleted.
//! - Wherever this is cut off, it goes on at the next start: an applicant that asks twice gets the same id,
//!   and a store that was put aside is not there to be put aside again.
//! - It is tried only if every group of the node has other voters, and refused unless a majority of each
//!   answers.
//! - From the first question on no process has the store open, and none opens it again as what the node was: whoever
//!   is given up never votes again. Only an operator goes back on it (`on-damage = "stop"`), and what votes then is
//!   the whole store that always did.

use std::io;
use std::sync::Arc;

use aryavarth::{KvStore, LOGS, Options};
use aryavarth_cluster::{Incarnation, NodeId, ShardId, Topology};

use super::admission::only_replica;
use super::card::{Card, FILE, Phase};
use super::error::NodeError;
use super::home::Home;
use super::messages::Former;
use super::node::ClusterOptions;
use super::{Start, joining, saved};
use crate::config::OnDamage;
use crate::error::Error;

/// Opens the store of a node that starts so. If it is damaged, it is replaced first, if the others have all that
/// was in it.
///
/// # Errors
/// As [`KvStore::open_with`]; [`NodeError`] if the node was about to be replaced, and cannot be.
pub(crate) async fn open_or_replace(
    options: &ClusterOptions,
    on_damage: OnDamage,
    store: Options,
    start: &Start,
) -> Result<KvStore, Error> {
    let home = &options.home;
    let replaces = on_damage == OnDamage::Replace;
    match Card::read(home)?.and_then(former) {
        Some(_) if replaces => {
            replace(options, &store, start, "found while the node ran").await?;
        }
        // It goes on as what it was, with what is intact.
        Some(card) => card.write(home)?,
        None => {}
    }
    let opened = match KvStore::open_with(home.directory(), store.clone()) {
        // A device may stumble; what it cannot read twice is gone.
        Err(error) if error.is_unreadable() => KvStore::open_with(home.directory(), store.clone()),
        opened => opened,
    };
    match opened {
        Err(damage) if (damage.is_damage() || damage.is_unreadable()) && replaces => {
            if let Err(error) = replace(options, &store, start, &damage.place()).await {
                tracing::error!(%error, "the damaged store cannot be replaced");
                return Err(damage.into());
            }
            Ok(KvStore::open_with(home.directory(), store)?)
        }
        opened => Ok(opened?),
    }
}

/// The card that a directory had before it was noted that it is to become another node; none if it was not.
fn former(card: Card) -> Option<Card> {
    let Phase::Replacing { cluster, shards, former: node, incarnation, replicas } = card.phase
    else {
        return None;
    };
    Some(Card { incarnation, phase: Phase::Member { cluster, node, shards, replicas } })
}

/// Notes that the directory of a member is to become another node, if that can be; its card from now on.
///
/// # Errors
/// [`NodeError::Refused`] if it cannot; then nothing has changed.
pub(super) fn prepare(home: &Home, card: Card, topology: &Topology) -> Result<Card, NodeError> {
    let Phase::Member { cluster, node, shards, replicas } = card.phase else {
        return Err(NodeError::NoCluster);
    };
    if let Some(shard) = alone(topology, node) {
        return Err(NodeError::Refused(only_replica(node, shard)));
    }
    let incarnation = Incarnation(home.draw());
    let former = card.incarnation;
    let phase = Phase::Replacing { cluster, shards, former: node, incarnation: former, replicas };
    let card = Card { incarnation, phase };
    card.write(home)?;
    Ok(card)
}

/// A group of which a node has the only replica.
pub(super) fn alone(topology: &Topology, node: NodeId) -> Option<ShardId> {
    let mut groups = topology.groups();
    groups.find(|(_, group)| group.voters.contains(&node) && group.voters.len() == 1).map(|g| g.0)
}

/// Has the directory of a node with a damaged store become a new node. Waits for the others, as long as
/// they do not refuse.
///
/// # Errors
/// Why it cannot be. Then the directory is what it was.
async fn replace(
    options: &ClusterOptions,
    store: &Options,
    start: &Start,
    damage: &str,
) -> Result<(), NodeError> {
    let home = &options.home;
    // Whoever still has it open could speak as what the node was.
    let _shut = KvStore::keep_shut(home.directory(), store)?;
    let found = Card::read(home)?.ok_or(NodeError::NoCluster)?;
    let known = saved::read(home).ok_or(NodeError::NoCluster)?;
    let card = match found.phase {
        Phase::Member { .. } => prepare(home, found, &known)?,
        _ => found,
    };
    let before = former(card).ok_or(NodeError::NoCluster)?;
    let Phase::Member { node, .. } = before.phase else { return Err(NodeError::NoCluster) };
    tracing::error!(
        %node,
        damage,
        "the store is damaged: the others are asked to let this directory be a new node"
    );
    let former = Former { node: node.0, incarnation: before.incarnation.0 };
    let members = asked(&known, node, start);
    let welcome = match joining::ask(options, card.incarnation, Some(former), &members).await {
        Ok(welcome) => welcome,
        Err(error) => {
            before.write(home)?;
            return Err(error);
        }
    };
    put_aside(home, node, &before)?;
    joining::settle(home, card.incarnation, &welcome)?;
    Ok(())
}

/// Whom a node asks, by their peer addresses: all others that it knows of, and then whom the operator names, as
/// they may all have moved since it heard of them.
fn asked(known: &Topology, node: NodeId, start: &Start) -> Vec<String> {
    let others = known.nodes().filter(|other| other.id != node);
    let mut asked: Vec<String> = others.map(|other| other.peer.to_string()).collect();
    if let Start::Join { member } = start
        && !asked.contains(member)
    {
        asked.push(member.clone());
    }
    asked
}

/// Moves the damaged store to where an operator may look at it, and let go of it.
fn put_aside(home: &Home, node: NodeId, card: &Card) -> Result<(), NodeError> {
    let (disk, directory) = (home.disk(), home.directory());
    let (from, to) = (directory.join(LOGS), directory.join(format!("damaged-node-{node}")));
    let put = || -> io::Result<()> {
        match disk.list(&from) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            listed => listed?,
        };
        disk.create_directory(&to)?;
        disk.rename(&from, &to.join(LOGS))?;
        // Both, before the card says that the directory is a new node: that must never find the old store again.
        disk.sync_directory(&to)?;
        disk.sync_directory(directory)
    };
    let failed = |error: io::Error| NodeError::System {
        operation: "put the damaged store aside",
        detail: format!("{}: {error}", to.display()),
    };
    put().map_err(failed)?;
    card.write(&Home::on(Arc::clone(disk), &to))?;
    tracing::warn!(
        directory = %to.display(),
        "the damaged store was put aside, with its {FILE}: remove it once nobody wants to look at it"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aryavarth::disk::sim::SimDisk;
    use aryavarth_cluster::{Change, ClusterId, NewNode, NodeSet, ReplicationFactor, ShardCount};

    use super::*;
    use crate::cluster::card::Holding;

    fn node(id: u64) -> NewNode {
        let address = |port: u64| format!("10.0.0.{id}:{port}").parse().unwrap();
        let (client, peer) = (address(6379), address(16379));
        NewNode { id: NodeId(id), incarnation: Incarnation(id), client, peer, zone: None }
    }

    #[test]
    fn who_goes_on_after_all_is_what_it_was_and_knows_of_its_damage() {
        let home = Home::on(Arc::new(SimDisk::new()), "/node");
        home.disk().create_directory(home.directory()).unwrap();
        let shards = ShardCount::new(2).unwrap();
        let mut known = Topology::found(ClusterId(7), shards, ReplicationFactor::Three, node(1));
        let voters = (1..=3).map(NodeId).collect();
        for id in 2..=3 {
            known.apply(&Change::AddNode(node(id))).unwrap();
        }
        for shard in shards.groups() {
            known.apply(&Change::AdoptVoters { shard, voters: NodeSet::clone(&voters) }).unwrap();
        }
        let shards = known.shards().sharding();
        for replicas in [Holding::Replicas, Holding::Damaged] {
            let phase = Phase::Member { cluster: ClusterId(7), node: NodeId(1), shards, replicas };
            let before = Card { incarnation: Incarnation(1), phase };
            let card = prepare(&home, before, &known).unwrap();
            assert_ne!(card.incarnation, before.incarnation);
            assert_eq!(Card::read(&home).unwrap().and_then(former), Some(before));
        }
    }

    #[test]
    fn all_others_are_asked_and_whom_the_operator_names() {
        let shards = ShardCount::new(2).unwrap();
        let mut known = Topology::found(ClusterId(7), shards, ReplicationFactor::Three, node(1));
        for id in 2..=3 {
            known.apply(&Change::AddNode(node(id))).unwrap();
        }
        let asked = |start: &Start| asked(&known, NodeId(2), start);
        let join = |member: &str| Start::Join { member: member.to_owned() };
        let others = ["10.0.0.1:16379", "10.0.0.3:16379"];
        assert_eq!(asked(&Start::Resume), others);
        assert_eq!(asked(&join(others[1])), others);
        let moved = "10.0.0.9:16379";
        assert_eq!(asked(&join(moved)), [others[0], others[1], moved]);
    }
}
