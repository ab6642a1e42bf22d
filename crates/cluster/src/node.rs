//! Nodes: who they are, where they are, and on their way in or out.
//!
//! ```text
//!            seen                 drain
//!  Joining ───────▶ Active ◀──────────────▶ Draining ──▶ removed, once it holds nothing
//!     │               │       (changed mind)    │
//!     └───────────────┴──────▶ Gone ◀───────────┘     dead for good: its places are filled anew,
//!                               └──▶ removed          and it never comes back
//! ```
//!
//! # Invariants
//! - A [`NodeId`] is given once. A directory that lost its files is a new node.
//! - An [`Incarnation`] is drawn when a directory joins and is kept in it, so that a directory which has
//!   the id of another is found out.
//! - Addresses and zones hold no character that would break a line of `CLUSTER NODES`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The number of a node. Grows with each node that joins and is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// Some nodes.
pub type NodeSet = BTreeSet<NodeId>;

/// What a directory drew when it joined: the same id with another incarnation is another disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// What a cluster drew when it was made: nodes of another are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u64);

/// Where a node is on its way in or out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeState {
    /// Has an id, and was not seen at work yet.
    Joining,
    /// Takes replicas.
    Active,
    /// Works, but its replicas are moved elsewhere.
    Draining,
    /// Dead for good: it is not waited for.
    Gone,
}

/// A member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its number.
    pub id: NodeId,
    /// Its directory's.
    pub incarnation: Incarnation,
    /// Where clients find it.
    pub client: Address,
    /// Where other nodes find it.
    pub peer: Address,
    /// Where it is on its way.
    pub state: NodeState,
    /// What it shares a fate with, such as a rack. Without one it is on its own.
    pub zone: Option<Zone>,
}

/// A host, by number or name, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    host: String,
    port: u16,
}

/// What nodes share that fail together: a rack, a power line, a data centre.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zone(String);

/// The 40 hexadecimal digits by which Redis' clients know a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName([u8; 20]);

impl NodeState {
    /// Whether a node in this state may be put into that one.
    pub fn may_become(self, to: NodeState) -> bool {
        use NodeState::*;
        matches!(
            (self, to),
            (Joining, Active | Draining | Gone)
                | (Active, Draining | Gone)
                | (Draining, Active | Gone)
        )
    }
}

impl Address {
    /// The longest name of a host in the domain name system.
    pub const MAX_HOST: usize = 253;

    /// A host and a port.
    ///
    /// # Errors
    /// [`Error::Address`] if the host is no name or number, or the port is 0.
    pub fn new(host: &str, port: u16) -> Result<Address> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte);
        let good = (1..=Self::MAX_HOST).contains(&host.len()) && host.bytes().all(allowed);
        match good && port > 0 {
            true => Ok(Address { host: host.to_owned(), port }),
            false => Err(Error::Address { text: format!("{host}:{port}") }),
        }
    }

    /// The host, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Address> {
        let refuse = || Error::Address { text: text.to_owned() };
        let (host, port) = text.rsplit_once(':').ok_or_else(refuse)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if bare.is_none() && host.contains(':') {
            return Err(refuse());
        }
        Address::new(bare.unwrap_or(host), port.parse().map_err(|_| refuse())?)
            .map_err(|_| refuse())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Zone {
    /// The longest label, in bytes.
    pub const MAX_LENGTH: usize = 64;

    /// A zone by its label.
    ///
    /// # Errors
    /// [`Error::Text`] unless it is 1 to 64 letters, digits, dots, dashes and underscores.
    pub fn new(label: &str) -> Result<Zone> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        match (1..=Self::MAX_LENGTH).contains(&label.len()) && label.bytes().all(allowed) {
            true => Ok(Zone(label.to_owned())),
            false => Err(Error::Text {
                what: "zone",
                text: label.to_owned(),
                rule: "1 to 64 letters, digits, dots, dashes and underscores",
            }),
        }
    }

    /// Its label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl NodeName {
    /// The name of a node of a cluster. No two nodes of a cluster have the same.
    pub fn of(cluster: ClusterId, node: NodeId) -> NodeName {
        // `mix` is one to one, so that the first eight bytes differ already.
        let first = mix(node.0 ^ mix(cluster.0));
        let second = mix(first ^ cluster.0);
        let third = mix(second ^ node.0);
        let mut name = [0; 20];
        name[..8].copy_from_slice(&first.to_be_bytes());
        name[8..16].copy_from_slice(&second.to_be_bytes());
        name[16..].copy_from_slice(&third.to_be_bytes()[..4]);
        NodeName(name)
    }
}

/// The finaliser of SplitMix64: each bit of the result depends on all of the argument.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Zone {
    type Err = Error;

    fn from_str(label: &str) -> Result<Zone> {
        Zone::new(label)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            NodeState::Joining => "joining",
            NodeState::Active => "active",
            NodeState::Draining => "draining",
            NodeState::Gone => "gone",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_text() {
        for text in ["127.0.0.1:6379", "node-1.example:65535", "[::1]:6379", "[fe80::1%eth0]:1"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("[::1]:6379".parse::<Address>().unwrap().host(), "::1");
    }

    #[test]
    fn what_is_no_address() {
        for text in
            ["", "host", ":1", "host:", "host:0", "host:65536", "::1:6379", "a b:1", "a,b:1"]
        {
            let refused = text.parse::<Address>();
            assert_eq!(refused, Err(Error::Address { text: text.to_owned() }));
        }
        assert!(Address::new(&"h".repeat(254), 1).is_err());
        assert!(Address::new("host\nmaster", 1).is_err());
    }

    #[test]
    fn zones() {
        assert_eq!(Zone::new("rack-1.b_2").unwrap().as_str(), "rack-1.b_2");
        for label in ["", "rack 1", "rack,1", &"z".repeat(65)] {
            assert!(Zone::new(label).is_err(), "{label:?}");
        }
    }

    /// Clients remember these names, so they must never change.
    #[test]
    fn names_stay_what_they_are() {
        let name = |cluster, node| NodeName::of(ClusterId(cluster), NodeId(node)).to_string();
        assert_eq!(name(1, 1), "e9fd6049d65af21e7095beebd76575e4e22af074");
        assert_eq!(name(1, 2), "bcd9dbb49673066bb815246f417cade230c9db8f");
    }

    #[test]
    fn names_differ() {
        let mut names = BTreeSet::new();
        for cluster in [0, 1, u64::MAX] {
            for node in 0..1000 {
                assert!(names.insert(NodeName::of(ClusterId(cluster), NodeId(node))));
            }
        }
    }

    #[test]
    fn who_is_gone_stays_gone() {
        use NodeState::*;
        for state in [Joining, Active, Draining, Gone] {
            assert!(!Gone.may_become(state));
            assert!(!state.may_become(Joining));
            assert_eq!(state.may_become(Gone), state != Gone);
        }
        assert!(Draining.may_become(Active) && Active.may_become(Draining));
    }
}
