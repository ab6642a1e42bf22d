//! Reading and writing of what fields are made of.

use crate::error::{Error, Result};
use crate::node::{Address, NodeId, NodeSet, NodeState, Zone};
use crate::topology::{Move, ReplicationFactor};

/// Appends fields.
pub(super) struct Writer(Vec<u8>);

/// Takes fields off the front.
pub(super) struct Reader<'b> {
    bytes: &'b [u8],
    offset: usize,
    what: &'static str,
}

impl Writer {
    pub fn new(start: [u8; 2]) -> Writer {
        Writer(start.to_vec())
    }

    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub fn u16(&mut self, value: u16) {
        self.0.extend(value.to_le_bytes());
    }

    pub fn u32(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    pub fn u64(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    /// How many of something follow.
    pub fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).expect("bounded far below"));
    }

    pub fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend(text.as_bytes());
    }

    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Writer, T)) {
        self.u8(value.is_some().into());
        if let Some(value) = value {
            write(self, value);
        }
    }

    pub fn node(&mut self, node: NodeId) {
        self.u64(node.0);
    }

    pub fn set(&mut self, nodes: &NodeSet) {
        self.count(nodes.len());
        nodes.iter().for_each(|&node| self.node(node));
    }

    pub fn step(&mut self, step: &Move) {
        self.set(&step.add);
        self.set(&step.remove);
    }

    pub fn address(&mut self, address: &Address) {
        self.text(address.host());
        self.u16(address.port());
    }

    pub fn zone(&mut self, zone: Option<&Zone>) {
        self.option(zone, |writer, zone| writer.text(zone.as_str()));
    }

    pub fn state(&mut self, state: NodeState) {
        self.u8(match state {
            NodeState::Joining => 1,
            NodeState::Active => 2,
            NodeState::Draining => 3,
            NodeState::Gone => 4,
        });
    }

    pub fn factor(&mut self, factor: ReplicationFactor) {
        self.u8(factor.get());
    }
}

impl<'b> Reader<'b> {
    pub fn new(bytes: &'b [u8], what: &'static str) -> Reader<'b> {
        Reader { bytes, offset: 0, what }
    }

    pub fn malformed(&self, detail: &'static str) -> Error {
        Error::Malformed { what: self.what, offset: self.offset, detail }
    }

    pub fn end(&self) -> Result<()> {
        match self.offset == self.bytes.len() {
            true => Ok(()),
            false => Err(self.malformed("more bytes than there should be")),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'b [u8]> {
        let rest = &self.bytes[self.offset..];
        let taken = rest.get(..length).ok_or_else(|| self.malformed("the end, too early"))?;
        self.offset += length;
        Ok(taken)
    }

    fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH]> {
        Ok(self.take(LENGTH)?.try_into().expect("as many as were asked for"))
    }

    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// As many as a count says. They are read one by one, so a count that lies costs nothing.
    pub fn each(&mut self, mut read: impl FnMut(&mut Reader<'b>) -> Result<()>) -> Result<()> {
        (0..self.u32()?).try_for_each(|_| read(self))
    }

    pub fn text(&mut self) -> Result<&'b str> {
        let length = self.u32()?;
        let bytes = self.take(length as usize)?;
        std::str::from_utf8(bytes).map_err(|_| self.malformed("text that is not UTF-8"))
    }

    pub fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        match self.u8()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(self.malformed("neither presence nor absence")),
        }
    }

    pub fn node(&mut self) -> Result<NodeId> {
        Ok(NodeId(self.u64()?))
    }

    pub fn set(&mut self) -> Result<NodeSet> {
        let mut nodes = NodeSet::new();
        self.each(|reader| {
            let node = reader.node()?;
            if nodes.last().is_some_and(|&last| last >= node) {
                return Err(reader.malformed("nodes out of order"));
            }
            nodes.insert(node);
            Ok(())
        })?;
        Ok(nodes)
    }

    pub fn step(&mut self) -> Result<Move> {
        Ok(Move { add: self.set()?, remove: self.set()? })
    }

    pub fn address(&mut self) -> Result<Address> {
        let (host, port) = (self.text()?, self.u16()?);
        Address::new(host, port).map_err(|_| self.malformed("no address"))
    }

    pub fn zone(&mut self) -> Result<Option<Zone>> {
        self.option(|reader| {
            Zone::new(reader.text()?).map_err(|_| reader.malformed("no label of a zone"))
        })
    }

    pub fn state(&mut self) -> Result<NodeState> {
        match self.u8()? {
            1 => Ok(NodeState::Joining),
            2 => Ok(NodeState::Active),
            3 => Ok(NodeState::Draining),
            4 => Ok(NodeState::Gone),
            _ => Err(self.malformed("no state of a node")),
        }
    }

    pub fn factor(&mut self) -> Result<ReplicationFactor> {
        ReplicationFactor::new(self.u8()?).map_err(|_| self.malformed("no replication factor"))
    }
}
