//! What people and their supervisors do for machines of which the nodes have ended, or are of no use any more.
//!
//! ```text
//!  ends: damage hides keys, and it may go ─▶ started again: it replaces itself
//!        it was removed, or given up ──────▶ its disk is emptied, if the shards do without it, and it joins as a
//!                                            new node
//!  waits long to be let in ────────────────▶ is told to ask somebody else
//!  gone, and nobody can take its place ────▶ its disk is emptied, if the shards do without it
//! ```
//!
//! A node that was taken for lost and is back goes on with what it has, as long as anybody may need that.

use std::time::Duration;

use aryavarth::disk::sim::CrashPlan;
use aryavarth_cluster::{NodeState, Topology};
use aryavarth_replication::NodeId;
use aryavarth_server::config::OnDamage;
use tokio::time::Instant;

use super::machine::{Machine, MachineId};
use super::nemesis::Relief;
use super::operator::holds_places_only;
use super::world::World;

/// How long somebody is asked to let a machine in, before another one is.
const PERSISTENCE: Duration = Duration::from_secs(3);
/// How long it takes to start a process again that has ended, in milliseconds.
const AGAIN: u64 = 500;

impl World {
    /// Whether nodes with damage that cannot be mended replace themselves.
    pub(super) fn replaces_itself(&self) -> bool {
        self.around.settings.on_damage == OnDamage::Replace
    }

    /// Whether nodes that are silent are taken for lost.
    pub(super) fn takes_for_lost(&self) -> bool {
        self.around.settings.lost_after > 0
    }

    /// Sees to machines whose time has come to be started, or of which the processes have ended, and to those that ask
    /// somebody who is not there.
    pub(super) async fn look_after_machines(&mut self) {
        self.relieve_due(Instant::now()).await;
        for id in self.machines.keys().copied().collect::<Vec<_>>() {
            let Some(machine) = self.machines.get_mut(&id) else { continue };
            let finished = machine.finish_start().await;
            if finished != Ok(false) {
                self.note_start(id, finished.map(|_| ()));
            }
            let ended = self.machines[&id].process();
            let ended = ended.and_then(|process| process.running.server.ended_because());
            if let Some(why) = ended.map(str::to_owned) {
                self.trace.note(format_args!("m{id} ends: {why}"));
                self.crash(id, CrashPlan::KillProcess).await;
                self.see_to_end(id, &why).await;
            }
        }
        self.see_to_joining().await;
        self.see_to_gone().await;
        // Where nothing is left to be done for it, it is as good as new.
        if self.rotten.iter().any(|(id, node)| self.is_another(*id, *node))
            && self.unsettled().is_none()
        {
            let whereabouts = self.around.whereabouts.clone();
            self.rotten.retain(|id, node| whereabouts.newest(*id) == Some(*node));
        }
    }

    fn is_another(&self, id: MachineId, node: NodeId) -> bool {
        self.around.whereabouts.newest(id) != Some(node)
    }

    /// Has a process started again that was damaged or did not start, if that is to help.
    pub(super) fn start_again(&mut self, id: MachineId) {
        if self.replaces_itself() {
            self.start_soon(id);
        }
    }

    fn start_soon(&mut self, id: MachineId) {
        let off = self.random.millis(10..=AGAIN);
        self.relieve_in(off, Relief::Start(id));
    }

    /// Whether what is on a machine that has ended is not needed any more.
    fn is_spared(&self, id: MachineId) -> bool {
        let known = self.directory.newest().zip(self.around.whereabouts.newest(id));
        known.is_some_and(|(topology, node)| self.does_without(&topology, node))
    }

    async fn see_to_end(&mut self, id: MachineId, why: &str) {
        if !self.members.contains(&id) {
            // It was replaced.
            return;
        }
        let was_lost = why.contains("was removed from the cluster") || why.contains("given up");
        if self.takes_for_lost() && was_lost {
            match self.is_spared(id) {
                true => self.begin_anew(id).await,
                // What it has may be needed, as somebody else's disk is damaged, which the cluster may not know.
                false => self.start_soon(id),
            }
        } else if self.rotten.contains_key(&id) && why.contains("damage hides keys") {
            self.start_again(id);
        } else {
            self.trace.violation(format_args!("machine {id} ends: {why}"));
        }
    }

    /// Empties the disk of a machine, and has it join as a new node.
    async fn begin_anew(&mut self, id: MachineId) {
        let Some(machine) = self.machines.get_mut(&id) else { return };
        self.trace.note(format_args!("m{id} is emptied"));
        machine.wipe();
        self.joining.insert(id, Instant::now());
        self.start(id).await;
    }

    async fn see_to_joining(&mut self) {
        for (id, since) in self.joining.clone() {
            let machine = self.machines.get(&id);
            if machine.is_none_or(|machine| machine.joined().is_some()) {
                self.joining.remove(&id);
            } else if since.elapsed() > PERSISTENCE && machine.is_some_and(|it| !it.is_off()) {
                self.joining.insert(id, Instant::now());
                self.crash(id, CrashPlan::LoseUnsynced).await;
                self.start(id).await;
            }
        }
    }

    /// Empties machines of which the nodes were given up, where those only hold places that nobody else can take.
    async fn see_to_gone(&mut self) {
        if !self.takes_for_lost() {
            return;
        }
        let Some(topology) = self.directory.newest() else { return };
        for node in topology.nodes_in(NodeState::Gone) {
            let Some(id) = self.around.whereabouts.of(node) else { continue };
            let is_here = self.machines.get(&id).is_some_and(|it| it.joined() == Some(node));
            if is_here
                && self.members.contains(&id)
                && holds_places_only(&topology, node)
                && self.does_without(&topology, node)
            {
                self.crash(id, CrashPlan::LoseUnsynced).await;
                self.begin_anew(id).await;
            }
        }
    }

    /// Whether a majority of each group of a node is there and intact without it.
    fn does_without(&self, topology: &Topology, node: NodeId) -> bool {
        let is_there = |machine: &Machine, voter: NodeId| {
            machine.joined() == Some(voter) && !self.rotten.contains_key(&machine.id)
        };
        let stays = |voter: &&NodeId| {
            **voter != node && self.machines.values().any(|machine| is_there(machine, **voter))
        };
        let groups = topology.groups_of(node).filter_map(|shard| topology.replicas(shard));
        groups
            .into_iter()
            .all(|group| 2 * group.voters.iter().filter(stays).count() > group.voters.len())
    }
}
