//! What goes wrong, and when it is over.

use std::collections::BTreeSet;
use std::time::Duration;

use aryavarth::disk::sim::{CallKind, CrashPlan, FailedSync, Fault};
use aryavarth_replication::entry_log::EntryIndex;
use aryavarth_replication::simulation::Pace;
use aryavarth_replication::{NodeId, Standing};
use tokio::time::Instant;

use super::machine::MachineId;
use super::random::Random;
use super::weather::Climate;
use super::world::World;

/// Rates of clocks differ by less than what the lease allows for, in millionths.
const SLOWEST: u64 = 953_000;
const FASTEST: u64 = 1_047_000;

/// The end of something that went wrong.
#[derive(Clone, Copy, Debug)]
pub enum Relief {
    /// The machine starts again.
    Start(MachineId),
    /// It is stopped and started again.
    Restart(MachineId),
    /// It goes on.
    Resume(MachineId),
    /// The network is whole again.
    Mend,
    /// The disk is as quick as before.
    Quicken(MachineId),
}

/// What may go wrong, and how likely.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Crash,
    PowerCut,
    Pause,
    Partition,
    Climate,
    Clock,
    WallClock,
    SlowDisk,
    FailedSync,
    Purge,
    Compact,
    Checkpoint,
    Transfer,
    Farewell,
    Replace,
    Rot,
}

const TROUBLES: [(Trouble, u64); 16] = [
    (Trouble::Crash, 14),
    (Trouble::PowerCut, 3),
    (Trouble::Pause, 14),
    (Trouble::Partition, 16),
    (Trouble::Climate, 6),
    (Trouble::Clock, 5),
    (Trouble::WallClock, 4),
    (Trouble::SlowDisk, 4),
    (Trouble::FailedSync, 3),
    (Trouble::Purge, 12),
    (Trouble::Compact, 5),
    (Trouble::Checkpoint, 4),
    (Trouble::Transfer, 6),
    (Trouble::Farewell, 4),
    (Trouble::Replace, 4),
    (Trouble::Rot, 3),
];

/// How likely rot is where nodes are to replace themselves.
const OFTEN: u64 = 10;

fn plan(random: &mut Random) -> CrashPlan {
    match random.below(8) {
        0 => CrashPlan::KillProcess,
        1 => CrashPlan::KeepAll,
        2 => CrashPlan::KeepSubset(random.next()),
        3 => CrashPlan::TearEach(random.next()),
        4 => CrashPlan::TearSectors(random.next()),
        5 => CrashPlan::LoseNames,
        _ => CrashPlan::LoseUnsynced,
    }
}

impl World {
    /// Lets one thing go wrong.
    pub async fn trouble(&mut self) {
        let troubles = TROUBLES.map(|(trouble, weight)| match trouble {
            // Nodes that replace themselves need no operator.
            Trouble::Rot if self.replaces_itself() => (trouble, OFTEN),
            _ => (trouble, weight),
        });
        let total: u64 = troubles.iter().map(|(_, weight)| weight).sum();
        let mut place = self.random.below(total);
        let found = troubles.iter().find(|(_, weight)| {
            let here = place < *weight;
            place = place.saturating_sub(*weight);
            here
        });
        let Some((trouble, _)) = found else { return };
        self.trace.note(format_args!("trouble: {trouble:?}"));
        match trouble {
            Trouble::Crash => self.crash_some().await,
            Trouble::PowerCut => self.cut_power().await,
            Trouble::Pause => self.pause_some(),
            Trouble::Partition => self.partition(),
            Trouble::Climate => self.air.set_climate(Climate::any(&mut self.random)),
            Trouble::Clock => self.change_clock(),
            Trouble::WallClock => self.change_wall_clock(),
            Trouble::SlowDisk => self.slow_disk(),
            Trouble::FailedSync => self.fail_sync(),
            Trouble::Purge => self.purge(),
            Trouble::Compact => self.compact(),
            Trouble::Checkpoint => self.checkpoint(),
            Trouble::Transfer => self.transfer(),
            Trouble::Farewell => self.say_farewell(),
            Trouble::Replace => self.replace().await,
            Trouble::Rot => self.rot(),
        }
    }

    pub(super) fn relieve_in(&mut self, span: Duration, relief: Relief) {
        self.reliefs.push((Instant::now() + span, relief));
    }

    fn running(&self) -> Vec<MachineId> {
        let running = self.machines.values().filter(|machine| machine.process().is_some());
        running.map(|machine| machine.id).collect()
    }

    /// Somebody of those who run; more often than not one that leads something.
    fn victim(&mut self) -> Option<MachineId> {
        let running = self.running();
        let leads = |id: &MachineId| self.machines[id].leads_any(&self.shards);
        let leaders: Vec<MachineId> = running.iter().copied().filter(leads).collect();
        let from = if !leaders.is_empty() && self.random.chance(600) { leaders } else { running };
        (!from.is_empty()).then(|| *self.random.pick(&from))
    }

    async fn crash_some(&mut self) {
        let Some(victim) = self.victim() else { return };
        let plan = plan(&mut self.random);
        self.crash(victim, plan).await;
        let off = self.random.millis(10..=2_500);
        self.relieve_in(off, Relief::Start(victim));
    }

    /// All machines lose their power at once.
    async fn cut_power(&mut self) {
        for victim in self.running() {
            let plan = plan(&mut self.random);
            self.crash(victim, plan).await;
            let off = self.random.millis(10..=600);
            self.relieve_in(off, Relief::Start(victim));
        }
    }

    fn pause_some(&mut self) {
        let Some(victim) = self.victim() else { return };
        self.machines[&victim].pause();
        let span = self.random.millis(50..=1_500);
        self.relieve_in(span, Relief::Resume(victim));
    }

    fn partition(&mut self) {
        let all: Vec<MachineId> = self.machines.keys().copied().collect();
        let both = |a: MachineId, b: MachineId| [(a, b), (b, a)];
        let between =
            |some: &[MachineId], others: &[MachineId]| -> BTreeSet<(MachineId, MachineId)> {
                let pairs = some.iter().flat_map(|a| others.iter().flat_map(|b| both(*a, *b)));
                pairs.collect()
            };
        let shuffled = self.random.choose(all.len(), &all);
        let cut = match self.random.below(5) {
            // Two camps.
            0 | 1 => {
                let (some, others) = shuffled.split_at(all.len() / 2);
                between(some, others)
            }
            // One hears nobody, or is heard by nobody.
            2 => {
                let Some(victim) = self.victim() else { return };
                let deaf = self.random.chance(500);
                let others = all.iter().filter(|other| **other != victim);
                others.map(|o| if deaf { (*o, victim) } else { (victim, *o) }).collect()
            }
            // Two camps, and one whom both hear.
            3 => {
                let rest = &shuffled[1..];
                let (some, others) = rest.split_at(rest.len() / 2);
                between(some, others)
            }
            // Some pairs, in one direction.
            _ => {
                let pairs: Vec<_> = all
                    .iter()
                    .flat_map(|a| all.iter().map(|b| (*a, *b)))
                    .filter(|(a, b)| a != b)
                    .collect();
                pairs.into_iter().filter(|_| self.random.chance(300)).collect()
            }
        };
        self.trace.note(format_args!("cut {cut:?}"));
        self.air.cut(cut);
        let span = self.random.millis(100..=3_000);
        self.relieve_in(span, Relief::Mend);
    }

    fn change_clock(&mut self) {
        let Some(victim) = self.victim() else { return };
        let rate = self.random.within(&(SLOWEST..=FASTEST));
        if let Some(machine) = self.machines.get_mut(&victim) {
            machine.set_rate(u32::try_from(rate).unwrap_or(1_000_000));
        }
    }

    fn change_wall_clock(&mut self) {
        let Some(victim) = self.victim() else { return };
        let disk = self.machines[&victim].disk();
        let now = aryavarth::disk::Disk::wall_clock(disk).0;
        let longest = *self.random.pick(&[10_000, 48 * 3_600_000]);
        let span = self.random.below(longest);
        let moved = if self.random.chance(500) { now + span } else { now.saturating_sub(span) };
        disk.set_wall_clock(aryavarth::UnixMillis(moved));
        self.note_clocks();
    }

    fn slow_disk(&mut self) {
        let Some(victim) = self.victim() else { return };
        if let Some(machine) = self.machines.get_mut(&victim) {
            machine.set_pace(Pace { sync: 20..=250, work: 0..=100 });
        }
        let span = self.random.millis(200..=3_000);
        self.relieve_in(span, Relief::Quicken(victim));
    }

    fn fail_sync(&mut self) {
        let Some(victim) = self.victim() else { return };
        let fault = Fault::SyncFails(FailedSync::Dropped);
        self.machines[&victim].disk().fail_next(CallKind::Sync, fault);
        let span = self.random.millis(200..=1_500);
        self.relieve_in(span, Relief::Restart(victim));
    }

    fn purge(&mut self) {
        let Some(victim) = self.victim() else { return };
        let kept = self.random.below(20);
        let machine = &self.machines[&victim];
        let Some(process) = machine.process() else { return };
        for shard in &self.shards {
            let Some(group) = machine.group(*shard) else { continue };
            let applied = group.applied().map_or(0, |applied| applied.index.0);
            process.running.host.spawn(async move {
                // It may have stopped.
                let _ = group.purge(EntryIndex(applied.saturating_sub(kept))).await;
            });
        }
    }

    fn compact(&mut self) {
        let Some(victim) = self.victim() else { return };
        let Some(process) = self.machines[&victim].process() else { return };
        let done = process.running.host.enter(|| process.store.compact());
        self.trace.note(format_args!("m{victim} compacted: {}", done.is_ok()));
    }

    fn checkpoint(&mut self) {
        let Some(victim) = self.victim() else { return };
        let Some(process) = self.machines[&victim].process() else { return };
        let done = process.running.host.enter(|| process.store.checkpoint());
        self.trace.note(format_args!("m{victim} checkpoint: {}", done.is_ok()));
    }

    fn transfer(&mut self) {
        let shard = *self.random.pick(&self.shards);
        let leader = self.machines.values().find(|machine| machine.leads_any(&[shard]));
        let Some((id, process, group)) = leader.and_then(|machine| {
            Some((machine.joined()?, machine.process()?, machine.group(shard)?))
        }) else {
            return;
        };
        let members = group.status().members.into_iter();
        let voters = members.filter(|member| member.standing == Standing::Voter);
        let others: Vec<NodeId> = voters.map(|m| m.node).filter(|to| *to != id).collect();
        if others.is_empty() {
            return;
        }
        let to = *self.random.pick(&others);
        process.running.host.spawn(async move {
            // It may not come to lead.
            let _ = group.transfer(to).await;
        });
    }

    /// A node hands over what it leads, and is started anew.
    fn say_farewell(&mut self) {
        let Some(victim) = self.victim() else { return };
        let Some(process) = self.machines[&victim].process() else { return };
        let server = std::sync::Arc::clone(&process.running.server);
        process.running.host.spawn(async move { server.hand_over().await });
        let span = self.random.millis(200..=3_000);
        self.relieve_in(span, Relief::Restart(victim));
    }

    /// What went wrong is over.
    pub async fn relieve(&mut self, relief: Relief) {
        self.trace.note(format_args!("relief: {relief:?}"));
        match relief {
            Relief::Start(node) => self.start(node).await,
            Relief::Restart(node) => {
                let plan = plan(&mut self.random);
                self.crash(node, plan).await;
                self.start(node).await;
            }
            Relief::Resume(node) => {
                if let Some(machine) = self.machines.get(&node) {
                    machine.resume();
                }
            }
            Relief::Mend => self.air.cut(BTreeSet::new()),
            Relief::Quicken(node) => {
                if let Some(machine) = self.machines.get_mut(&node) {
                    machine.set_pace(Pace { sync: 1..=4, work: 0..=5 });
                }
            }
        }
    }
}
