//! The fields of a change: its number, then what the variant has, in its order.

use crate::encoding::bytes::{Reader, Writer};
use crate::error::Result;
use crate::node::Incarnation;
use crate::shards::ShardId;
use crate::topology::{Change, NewNode};

/// The version of changes.
pub(super) const VERSION: u8 = 1;

/// The numbers of the changes. They stand in logs: none is ever used for something else.
mod number {
    pub const ADD_NODE: u8 = 1;
    pub const SET_NODE_STATE: u8 = 2;
    pub const REMOVE_NODE: u8 = 3;
    pub const SET_ADDRESSES: u8 = 4;
    pub const SET_ZONE: u8 = 5;
    pub const BEGIN_MOVE: u8 = 6;
    pub const FINISH_MOVE: u8 = 7;
    pub const ABORT_MOVE: u8 = 8;
    pub const ADOPT_VOTERS: u8 = 9;
    pub const SET_WANTED_LEADER: u8 = 10;
    pub const SET_REPLICATION_FACTOR: u8 = 11;
    pub const SET_SETTING: u8 = 12;
    pub const SPLIT: u8 = 13;
}

pub(super) fn write(writer: &mut Writer, change: &Change) {
    writer.u8(number_of(change));
    match change {
        Change::AddNode(new) => {
            writer.node(new.id);
            writer.u64(new.incarnation.0);
            writer.address(&new.client);
            writer.address(&new.peer);
            writer.zone(new.zone.as_ref());
        }
        Change::SetNodeState { node, state } => {
            writer.node(*node);
            writer.state(*state);
        }
        Change::RemoveNode { node } => writer.node(*node),
        Change::SetAddresses { node, client, peer } => {
            writer.node(*node);
            writer.address(client);
            writer.address(peer);
        }
        Change::SetZone { node, zone } => {
            writer.node(*node);
            writer.zone(zone.as_ref());
        }
        Change::BeginMove { shard, step }
        | Change::FinishMove { shard, step }
        | Change::AbortMove { shard, step } => {
            writer.u16(shard.0);
            writer.step(step);
        }
        Change::AdoptVoters { shard, voters } => {
            writer.u16(shard.0);
            writer.set(voters);
        }
        Change::Split { shard, into } => {
            writer.u16(shard.0);
            writer.u16(into.0);
        }
        Change::SetWantedLeader { shard, leader } => {
            writer.u16(shard.0);
            writer.option(*leader, Writer::node);
        }
        Change::SetReplicationFactor(factor) => writer.factor(*factor),
        Change::SetSetting { name, value } => {
            writer.text(name);
            writer.option(value.as_deref(), Writer::text);
        }
    }
}

fn number_of(change: &Change) -> u8 {
    match change {
        Change::AddNode(_) => number::ADD_NODE,
        Change::SetNodeState { .. } => number::SET_NODE_STATE,
        Change::RemoveNode { .. } => number::REMOVE_NODE,
        Change::SetAddresses { .. } => number::SET_ADDRESSES,
        Change::SetZone { .. } => number::SET_ZONE,
        Change::BeginMove { .. } => number::BEGIN_MOVE,
        Change::FinishMove { .. } => number::FINISH_MOVE,
        Change::AbortMove { .. } => number::ABORT_MOVE,
        Change::AdoptVoters { .. } => number::ADOPT_VOTERS,
        Change::Split { .. } => number::SPLIT,
        Change::SetWantedLeader { .. } => number::SET_WANTED_LEADER,
        Change::SetReplicationFactor(_) => number::SET_REPLICATION_FACTOR,
        Change::SetSetting { .. } => number::SET_SETTING,
    }
}

pub(super) fn read(reader: &mut Reader<'_>) -> Result<Change> {
    Ok(match reader.u8()? {
        number::ADD_NODE => Change::AddNode(NewNode {
            id: reader.node()?,
            incarnation: Incarnation(reader.u64()?),
            client: reader.address()?,
            peer: reader.address()?,
            zone: reader.zone()?,
        }),
        number::SET_NODE_STATE => {
            Change::SetNodeState { node: reader.node()?, state: reader.state()? }
        }
        number::REMOVE_NODE => Change::RemoveNode { node: reader.node()? },
        number::SET_ADDRESSES => Change::SetAddresses {
            node: reader.node()?,
            client: reader.address()?,
            peer: reader.address()?,
        },
        number::SET_ZONE => Change::SetZone { node: reader.node()?, zone: reader.zone()? },
        number::BEGIN_MOVE => Change::BeginMove { shard: shard(reader)?, step: reader.step()? },
        number::FINISH_MOVE => Change::FinishMove { shard: shard(reader)?, step: reader.step()? },
        number::ABORT_MOVE => Change::AbortMove { shard: shard(reader)?, step: reader.step()? },
        number::ADOPT_VOTERS => {
            Change::AdoptVoters { shard: shard(reader)?, voters: reader.set()? }
        }
        number::SPLIT => Change::Split { shard: shard(reader)?, into: shard(reader)? },
        number::SET_WANTED_LEADER => {
            Change::SetWantedLeader { shard: shard(reader)?, leader: reader.option(Reader::node)? }
        }
        number::SET_REPLICATION_FACTOR => Change::SetReplicationFactor(reader.factor()?),
        number::SET_SETTING => Change::SetSetting {
            name: reader.text()?.to_owned(),
            value: reader.option(|reader| Ok(reader.text()?.to_owned()))?,
        },
        _ => return Err(reader.malformed("no number of a change")),
    })
}

fn shard(reader: &mut Reader<'_>) -> Result<ShardId> {
    Ok(ShardId(reader.u16()?))
}
