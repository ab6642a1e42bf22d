//! An operator who has a node removed while all else goes on, as another one has come in its place.
//!
//! ```text
//!  a new machine joins ─▶ `cluster remove`, of anybody who answers, until it is granted ─▶ the node is empty,
//!                         or `remove --lost`, if it is off                                  and no member any more,
//!                                                                                           or given up
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aryavarth_cluster::{Node, NodeState, Topology};
use aryavarth_replication::NodeId;
use aryavarth_server::cluster::Wish;

use super::clients::{Directory, Running};
use super::machine::{MachineId, address};
use super::trace::Trace;

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(6);
const PAUSE: Duration = Duration::from_millis(100);

/// The replacement of a machine.
#[derive(Clone)]
pub struct Replacement {
    /// Which leaves.
    pub from: MachineId,
    /// Which comes.
    pub to: MachineId,
    /// Whether it is done.
    pub done: Arc<AtomicBool>,
}

impl Replacement {
    /// Goes on until it is done, whatever happens meanwhile.
    pub async fn run(self, directory: Directory, trace: Trace) {
        while !self.is_done(&directory) {
            for machine in directory.machines() {
                let Some(running) = directory.get(machine) else { continue };
                // Whatever is refused is asked again.
                if self.ask(running, &directory).await {
                    break;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        trace.note(format_args!("machine {} is replaced by {}", self.from, self.to));
        self.done.store(true, Ordering::SeqCst);
    }

    async fn ask(&self, running: Running, directory: &Directory) -> bool {
        let Some(known) = directory.newest() else { return false };
        let mut there = nodes_on(&known, self.from);
        let Some(from) = there.find(|node| node.state != NodeState::Gone) else { return true };
        let wish = match directory.get(self.from) {
            Some(_) => Wish::Remove(from.id.0),
            None => Wish::RemoveLost(from.id.0),
        };
        let Running { host, server } = running;
        let asked = host.spawn(async move { server.wish(wish).await.is_ok() });
        matches!(tokio::time::timeout(ANSWER, asked).await, Ok(Ok(true)))
    }

    fn is_done(&self, directory: &Directory) -> bool {
        let newest = directory.newest();
        newest.is_some_and(|known| {
            let is_out =
                |node: &Node| node.state == NodeState::Gone && holds_places_only(&known, node.id);
            nodes_on(&known, self.from).all(is_out)
                && nodes_on(&known, self.to).any(|node| node.state == NodeState::Active)
        })
    }
}

/// The nodes that a machine is, or was.
fn nodes_on(topology: &Topology, machine: MachineId) -> impl Iterator<Item = &Node> {
    let address = address(machine).to_string();
    topology.nodes().filter(move |node| node.peer.to_string() == address)
}

/// Whether a node that was given up stands only where no other node could take its place.
pub fn holds_places_only(topology: &Topology, gone: NodeId) -> bool {
    let active = topology.nodes_in(NodeState::Active);
    topology.groups_of(gone).filter_map(|shard| topology.replicas(shard)).all(|group| {
        group.running.is_none() && active.iter().all(|node| group.voters.contains(node))
    })
}
