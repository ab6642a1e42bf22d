//! The card of a node: the file in its directory that says who it is.
//!
//! ```text
//!  (none) ─ --init ─▶ founding ──────────────────────▶ member ─ the store is damaged ─▶ replacing
//!     └──── --join ─▶ joining ─ a member gave an id ──────▲ ◀──── a member gave a new id ────┘
//! ```
//!
//! A member of which the store opens, though damage in it hides keys, stays one until the others let it go; a
//! node that is being replaced says no more as what it was.
//!
//! It is written whole or not at all: to another file, synced, and renamed.
//!
//! # Invariants
//! - The incarnation is drawn once and is on the disk before anybody hears of it.
//! - A card that says that there are replicas stands beside a store that has them, or the store was lost.

use aryavarth_cluster::{ClusterId, Incarnation, NodeId, ReplicationFactor, ShardCount, Sharding};
use serde::{Deserialize, Serialize};

use super::error::NodeError;
use super::home::Home;

/// The name of the file.
pub const FILE: &str = "cluster.toml";
/// The newest form of the file that is understood.
const FORMAT: u32 = 2;
/// The form of a card that does not say that the cluster grows.
const FIXED: u32 = 1;
const HEAD: &str =
    "# Who this node is in its cluster. Written by the server; never copy it elsewhere.\n";

/// Who a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Card {
    /// Tells this directory from any other.
    pub incarnation: Incarnation,
    /// How far it has come.
    pub phase: Phase,
}

/// How far a directory has come on its way to being a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has asked to be let in, or is about to.
    Joining,
    /// It founds a cluster, and has not finished.
    Founding {
        /// The cluster's id.
        cluster: ClusterId,
        /// How it is to come to its shards.
        shards: Sharding,
        /// On how many nodes each is to be.
        factor: ReplicationFactor,
    },
    /// It is a node.
    Member {
        /// Of this cluster.
        cluster: ClusterId,
        /// With this id.
        node: NodeId,
        /// Which came to its shards so.
        shards: Sharding,
        /// Whether its store holds replicas.
        replicas: Holding,
    },
    /// It was a node, its store is damaged, and it is to be a new one. The incarnation is the new
    /// one's.
    Replacing {
        /// Of this cluster.
        cluster: ClusterId,
        /// Which came to its shards so.
        shards: Sharding,
        /// With this id.
        former: NodeId,
        /// Whose incarnation was this.
        incarnation: Incarnation,
        /// And whose store held this, should it have to go on as what it was.
        replicas: Holding,
    },
}

/// Whether a node's store holds replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Holding {
    /// Not yet.
    Nothing,
    /// It does, or did.
    Replicas,
    /// It does, and damage hides some of their keys: the node wants to be replaced.
    Damaged,
}

/// The file, as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    phase: String,
    incarnation: String,
    cluster: Option<String>,
    node: Option<u64>,
    shards: Option<u16>,
    /// Whether these are the most that there may be, and it began with one.
    grows: Option<bool>,
    factor: Option<u8>,
    holds: Option<Holding>,
    former_incarnation: Option<String>,
}

impl Phase {
    /// How the cluster came to its shards, if it belongs to one.
    pub fn sharding(&self) -> Option<Sharding> {
        match self {
            Phase::Joining => None,
            Phase::Founding { shards, .. }
            | Phase::Member { shards, .. }
            | Phase::Replacing { shards, .. } => Some(*shards),
        }
    }
}

impl Card {
    /// The card in a directory, if there is one.
    ///
    /// # Errors
    /// [`NodeError::Card`] if it cannot be read or understood.
    pub fn read(home: &Home) -> Result<Option<Card>, NodeError> {
        let path = || home.directory().join(FILE);
        let wrong = |detail: String| NodeError::Card { path: path(), detail };
        let Some(bytes) = home.read(FILE)? else { return Ok(None) };
        let text = String::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
        let written: Written = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if written.format > FORMAT {
            return Err(wrong(format!(
                "format {} was written by a newer release: use that release",
                written.format
            )));
        }
        written.card().map(Some).ok_or_else(|| {
            wrong("it contradicts itself: restore it, or empty the directory and join anew".into())
        })
    }

    /// Puts the card into a directory, durably.
    ///
    /// # Errors
    /// [`NodeError::Card`]; then the one before is still there.
    pub fn write(&self, home: &Home) -> Result<(), NodeError> {
        let text = toml::to_string(&Written::of(self)).map_err(|error| NodeError::Card {
            path: home.directory().join(FILE),
            detail: error.to_string(),
        })?;
        home.replace(FILE, [HEAD, &text].concat().as_bytes())
    }

    /// A new one for a directory that is no node's yet.
    pub fn draw(home: &Home, phase: Phase) -> Card {
        Card { incarnation: Incarnation(home.draw()), phase }
    }
}

impl Written {
    fn of(card: &Card) -> Written {
        let mut written = Written {
            format: FIXED,
            phase: "joining".to_owned(),
            incarnation: card.incarnation.to_string(),
            cluster: None,
            node: None,
            shards: None,
            grows: None,
            factor: None,
            holds: None,
            former_incarnation: None,
        };
        match card.phase {
            Phase::Joining => {}
            Phase::Founding { cluster, shards, factor } => {
                written.phase = "founding".to_owned();
                written.cluster = Some(cluster.to_string());
                written.set_sharding(shards);
                written.factor = Some(factor.get());
            }
            Phase::Member { cluster, node, shards, replicas } => {
                written.phase = "member".to_owned();
                written.cluster = Some(cluster.to_string());
                written.node = Some(node.0);
                written.set_sharding(shards);
                written.holds = Some(replicas);
            }
            Phase::Replacing { cluster, shards, former, incarnation, replicas } => {
                written.phase = "replacing".to_owned();
                written.cluster = Some(cluster.to_string());
                written.node = Some(former.0);
                written.set_sharding(shards);
                written.former_incarnation = Some(incarnation.to_string());
                written.holds = Some(replicas);
            }
        }
        written
    }

    fn set_sharding(&mut self, sharding: Sharding) {
        self.shards = Some(sharding.most().get());
        if let Sharding::Growing(_) = sharding {
            self.format = FORMAT;
            self.grows = Some(true);
        }
    }

    fn sharding(&self) -> Option<Sharding> {
        let most = ShardCount::new(self.shards?).ok()?;
        Some(match self.grows {
            Some(true) => Sharding::Growing(most),
            _ => Sharding::Fixed(most),
        })
    }

    fn card(&self) -> Option<Card> {
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let cluster = || Some(ClusterId(number(self.cluster.as_deref()?)?));
        let node = || Some(NodeId(self.node.filter(|node| *node > 0)?));
        let phase = match self.phase.as_str() {
            "joining" => Phase::Joining,
            "founding" => Phase::Founding {
                cluster: cluster()?,
                shards: self.sharding()?,
                factor: ReplicationFactor::new(self.factor?).ok()?,
            },
            "member" => Phase::Member {
                cluster: cluster()?,
                node: node()?,
                shards: self.sharding()?,
                replicas: self.holds?,
            },
            "replacing" => Phase::Replacing {
                cluster: cluster()?,
                shards: self.sharding()?,
                former: node()?,
                incarnation: Incarnation(number(self.former_incarnation.as_deref()?)?),
                // Not every card says so; what is assumed then is never wrong.
                replicas: self.holds.unwrap_or(Holding::Damaged),
            },
            _ => return None,
        };
        Some(Card { incarnation: Incarnation(number(&self.incarnation)?), phase })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aryavarth::disk::sim::SimDisk;

    use super::*;

    fn home() -> Home {
        let home = Home::on(Arc::new(SimDisk::new()), "/node");
        home.disk().create_directory(home.directory()).unwrap();
        home
    }

    fn cards() -> [Card; 7] {
        let incarnation = Incarnation(0xfeed);
        let (cluster, shards) = (ClusterId(7), Sharding::DEFAULT);
        let fixed = Sharding::Fixed(ShardCount::new(16).unwrap());
        let member = |replicas| Phase::Member { cluster, node: NodeId(3), shards, replicas };
        [
            Phase::Joining,
            Phase::Founding { cluster, shards, factor: ReplicationFactor::Five },
            Phase::Founding { cluster, shards: fixed, factor: ReplicationFactor::Five },
            member(Holding::Nothing),
            member(Holding::Replicas),
            member(Holding::Damaged),
            Phase::Replacing {
                cluster,
                shards,
                former: NodeId(3),
                incarnation: Incarnation(0xfade),
                replicas: Holding::Replicas,
            },
        ]
        .map(|phase| Card { incarnation, phase })
    }

    #[test]
    fn what_is_written_is_read_and_none_is_none() {
        let home = home();
        assert_eq!(Card::read(&home).unwrap(), None);
        for card in cards() {
            card.write(&home).unwrap();
            assert_eq!(Card::read(&home).unwrap(), Some(card));
        }
    }

    #[test]
    fn a_card_that_does_not_say_what_was_held_counts_as_damaged() {
        let home = home();
        let text = "format = 1\nphase = \"replacing\"\nincarnation = \"1\"\ncluster = \"7\"\nnode = 3\nshards = 16\n\
                    former_incarnation = \"2\"\n";
        home.replace(FILE, text.as_bytes()).unwrap();
        let phase = Card::read(&home).unwrap().unwrap().phase;
        let Phase::Replacing { replicas, .. } = phase else { panic!("{phase:?}") };
        assert_eq!(replicas, Holding::Damaged);
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        let home = home();
        for (text, why) in [
            ("format = 3\nphase = \"joining\"\nincarnation = \"1\"", "newer release"),
            ("format = 1\nphase = \"member\"\nincarnation = \"1\"", "contradicts itself"),
            ("format = 1\nphase = \"retired\"\nincarnation = \"1\"", "contradicts itself"),
            ("rubbish", "expected"),
        ] {
            home.replace(FILE, text.as_bytes()).unwrap();
            let error = Card::read(&home).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains(FILE), "{error}");
        }
    }
}
