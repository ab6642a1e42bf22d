//! The fields of a topology.
//!
//! ```text
//!  epoch u64 | cluster u64 | shards u16 | [the open ones but the first: number u16] | factor u8 | next node u64
//!  | nodes: id u64, incarnation u64, client, peer, state u8, zone
//!  | groups, one for each shard and the meta group: voters, move if any, pinned leader if any
//!  | settings: name, value
//! ```
//!
//! Which shards are open is told of a cluster that grows, in what has version 2; whoever knows version 1 alone could
//! not be part of one.

use std::collections::BTreeMap;

use crate::encoding::bytes::{Reader, Writer};
use crate::error::Result;
use crate::node::{ClusterId, Incarnation, Node};
use crate::shard_map::{ShardMap, Sharding};
use crate::shards::{ShardCount, ShardId};
use crate::topology::{Epoch, Replicas, Topology};

pub(super) fn write(writer: &mut Writer, topology: &Topology) {
    writer.u64(topology.epoch.0);
    writer.u64(topology.cluster.0);
    let shards = topology.shards;
    writer.u16(shards.most().get());
    if let Sharding::Growing(_) = shards.sharding() {
        writer.count(shards.count() - 1);
        shards.shards().skip(1).for_each(|shard| writer.u16(shard.0));
    }
    writer.factor(topology.factor);
    writer.node(topology.next_node);
    writer.count(topology.nodes.len());
    for node in topology.nodes() {
        writer.node(node.id);
        writer.u64(node.incarnation.0);
        writer.address(&node.client);
        writer.address(&node.peer);
        writer.state(node.state);
        writer.zone(node.zone.as_ref());
    }
    for (_, group) in topology.groups() {
        writer.set(&group.voters);
        writer.option(group.running.as_ref(), Writer::step);
        writer.option(group.pinned, Writer::node);
    }
    writer.count(topology.settings.len());
    for (name, value) in &topology.settings {
        writer.text(name);
        writer.text(value);
    }
}

/// The version that says all of it.
pub(super) fn version(topology: &Topology) -> u8 {
    match topology.shards.sharding() {
        Sharding::Fixed(_) => 1,
        Sharding::Growing(_) => 2,
    }
}

pub(super) fn read(reader: &mut Reader<'_>, version: u8) -> Result<Topology> {
    let epoch = Epoch(reader.u64()?);
    let cluster = ClusterId(reader.u64()?);
    let most = reader.u16()?;
    let most = ShardCount::new(most).map_err(|_| reader.malformed("no number of shards"))?;
    let shards = match version {
        1 => ShardMap::from(most),
        _ => open_shards(reader, most)?,
    };
    let factor = reader.factor()?;
    let next_node = reader.node()?;
    let nodes = nodes(reader)?;
    let groups = shards.groups();
    let groups = groups.map(|shard| Ok((shard, group(reader)?))).collect::<Result<_>>()?;
    let settings = settings(reader)?;
    Ok(Topology { epoch, cluster, shards, factor, next_node, nodes, groups, settings })
}

fn open_shards(reader: &mut Reader<'_>, most: ShardCount) -> Result<ShardMap> {
    let (mut shards, mut last) = (Sharding::Growing(most).first(), ShardId(1));
    reader.each(|reader| {
        let shard = ShardId(reader.u16()?);
        if shard <= last || shard.0 > most.get() {
            return Err(reader.malformed("a shard out of order"));
        }
        last = shard;
        shards.open(shard);
        Ok(())
    })?;
    Ok(shards)
}

fn nodes(reader: &mut Reader<'_>) -> Result<BTreeMap<crate::node::NodeId, Node>> {
    let mut nodes = BTreeMap::new();
    reader.each(|reader| {
        let node = Node {
            id: reader.node()?,
            incarnation: Incarnation(reader.u64()?),
            client: reader.address()?,
            peer: reader.address()?,
            state: reader.state()?,
            zone: reader.zone()?,
        };
        in_order(reader, &nodes, &node.id)?;
        nodes.insert(node.id, node);
        Ok(())
    })?;
    Ok(nodes)
}

fn group(reader: &mut Reader<'_>) -> Result<Replicas> {
    Ok(Replicas {
        voters: reader.set()?,
        running: reader.option(Reader::step)?,
        pinned: reader.option(Reader::node)?,
    })
}

fn settings(reader: &mut Reader<'_>) -> Result<BTreeMap<String, String>> {
    let mut settings = BTreeMap::new();
    reader.each(|reader| {
        let (name, value) = (reader.text()?.to_owned(), reader.text()?.to_owned());
        in_order(reader, &settings, &name)?;
        settings.insert(name, value);
        Ok(())
    })?;
    Ok(settings)
}

/// Whether the key comes behind all that were read.
fn in_order<K: Ord, V>(reader: &Reader<'_>, before: &BTreeMap<K, V>, key: &K) -> Result<()> {
    match before.last_key_value().is_some_and(|(last, _)| last >= key) {
        true => Err(reader.malformed("entries out of order")),
        false => Ok(()),
    }
}
