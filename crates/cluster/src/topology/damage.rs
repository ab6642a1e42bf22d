//! Nodes of which damage hides keys: they are to be replaced, one after the other.
//!
//! ```text
//!  (none) ─▶ waits: serves on, leads nothing if others can ─▶ goes: counts as gone ─▶ forgotten
//!     ▲────────────────────────────────────────────────────────┘ it stays after all
//! ```
//!
//! It stands among the settings that all nodes share.

use crate::node::NodeId;
use crate::topology::{Change, Topology};

/// How far a node with a damaged store is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It serves with what is intact, until the others can do without it.
    Waits,
    /// It was told that it may end: nobody counts on it any more.
    Goes,
}

impl Damage {
    fn text(self) -> &'static str {
        match self {
            Damage::Waits => "waits",
            Damage::Goes => "goes",
        }
    }
}

fn setting(node: NodeId) -> String {
    format!("damaged-node-{node}")
}

impl Topology {
    /// How far a node is on its way out, if its store is damaged.
    pub fn damage(&self, node: NodeId) -> Option<Damage> {
        let text = self.settings().get(&setting(node))?;
        // Whatever a newer release may say: nobody is to count on such a node.
        Some(if text == Damage::Waits.text() { Damage::Waits } else { Damage::Goes })
    }
}

impl Change {
    /// Notes how far a node is on its way out; or that its store is not damaged.
    pub fn note_damage(node: NodeId, damage: Option<Damage>) -> Change {
        let value = damage.map(|damage| damage.text().to_owned());
        Change::SetSetting { name: setting(node), value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::active;

    #[test]
    fn what_is_noted_is_known_of_that_node_alone() {
        let mut topology = active(1, 3, &[None; 3]);
        for damage in [Some(Damage::Waits), Some(Damage::Goes), None] {
            topology.apply(&Change::note_damage(NodeId(2), damage)).unwrap();
            assert_eq!(topology.damage(NodeId(2)), damage);
            assert_eq!(topology.damage(NodeId(1)), None);
        }
    }
}
