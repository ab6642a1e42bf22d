//! Sectors that rot: bytes that were on a disk are other bytes, or cannot be read any more.
//!
//! ```text
//!  runs on ── a read: an error for that key │ a Raft log: its group stops │ nobody looks: nothing
//!  starts ─── refuses with the place │ its checkpoint spares it from looking
//!  in the end ─▶ turned off, as an operator would who scrubs, and replaced by a new machine
//!     or, if nodes replace themselves: mended, or another node on the same machine
//! ```
//!
//! Never more machines at a time than the cluster can do without.

use std::collections::BTreeSet;
use std::time::Duration;

use aryavarth::LOGS;
use aryavarth::disk::sim::{CrashPlan, SimDisk};
use tokio::time::Instant;

use super::machine::{MachineId, home};
use super::random::Random;
use super::world::{LONG, TICK, World};

/// Bytes that go wrong together.
const SECTOR: u64 = 512;
/// Bytes of a segment below which it is spared.
const LEAST: u64 = 3 * SECTOR;

/// What becomes of a place.
#[derive(Clone, Copy, Debug)]
enum Decay {
    /// One bit is another one.
    Flipped,
    /// A sector is zeros.
    Zeroed,
    /// A sector is what another one was.
    Misplaced,
    /// A sector cannot be read.
    Unreadable,
}

const DECAYS: [Decay; 4] = [Decay::Flipped, Decay::Zeroed, Decay::Misplaced, Decay::Unreadable];

impl World {
    /// A place on one of the disks rots, if that is one that the cluster can do without.
    pub(super) fn rot(&mut self) {
        let whole = self.members.iter().copied().filter(|id| !self.rotten.contains_key(id));
        let whole: Vec<MachineId> = whole.collect();
        let spared = usize::from(self.factor.get() - 1) / 2;
        if self.is_replacing() || self.members.len() - whole.len() >= spared {
            return;
        }
        // Who came in place of one that was lost may not have yet what only that one had beside the victim.
        if self.takes_for_lost() && self.unsettled().is_some() {
            return;
        }
        let victim = *self.random.pick(&whole);
        let Some(machine) = self.machines.get(&victim) else { return };
        let Some(node) = self.around.whereabouts.newest(victim) else { return };
        let times = 1 + self.random.below(3);
        for _ in 0..times {
            if let Some(told) = decay(machine.disk(), &mut self.random) {
                self.trace.note(format_args!("m{victim} {told}"));
                self.rotten.insert(victim, node);
            }
        }
    }

    /// Sees the last of all rot: what is left is turned off and replaced, or replaces itself.
    pub(super) async fn end_rot(&mut self) -> Result<(), String> {
        match self.replaces_itself() {
            true => self.await_mended().await,
            false => self.give_up_rotten().await,
        }
    }

    /// Turns off the machines that have rotted, and replaces them.
    async fn give_up_rotten(&mut self) -> Result<(), String> {
        let rotten: Vec<MachineId> = self.rotten.keys().copied().collect();
        for victim in &rotten {
            self.crash(*victim, CrashPlan::LoseUnsynced).await;
        }
        let last = self.members.iter().rev().find(|member| !rotten.contains(member)).copied();
        if let Some(machine) = last {
            self.await_joined(machine).await?;
        }
        for victim in rotten {
            // One of them may be on its way out already.
            if self.members.contains(&victim) {
                self.replace_machine(victim).await;
                let newest = self.members.last().copied();
                self.await_joined(newest.unwrap_or(victim)).await?;
            }
        }
        self.end_replacements().await
    }

    /// Waits until each machine that has rotted is another node, or has mended all that it needs; that its store
    /// opens then, too, is tried.
    async fn await_mended(&mut self) -> Result<(), String> {
        let scrub = Duration::from_secs(2 * self.around.settings.scrub_period);
        let mut look = Instant::now() + scrub;
        let deadline = Instant::now() + LONG;
        let mut restarted = BTreeSet::new();
        while let Some((machine, node)) = self.rotten.first_key_value().map(|(m, n)| (*m, *n)) {
            if Instant::now() > deadline {
                let standing = self.standing();
                return Err(format!(
                    "machine {machine} is damaged still, though all is well: {standing}"
                ));
            }
            tokio::time::sleep(TICK).await;
            self.look_after_machines().await;
            self.check()?;
            if self.machines[&machine].joined().is_some_and(|now| now != node) {
                self.rotten.remove(&machine);
            } else if Instant::now() > look
                && self.machines[&machine].joined().is_some()
                && !self.machines[&machine].is_damaged()
            {
                if restarted.insert(machine) {
                    self.crash(machine, CrashPlan::LoseUnsynced).await;
                    self.start(machine).await;
                } else {
                    self.rotten.remove(&machine);
                }
                look = Instant::now() + scrub;
            }
        }
        Ok(())
    }
}

/// Has a place of a segment rot. It is not one of the newest, or in the first half of that, so that more was
/// written since: the very last bytes of a log that was not closed cannot be told from a torn write.
fn decay(disk: &SimDisk, random: &mut Random) -> Option<String> {
    let segments = disk.files().into_iter().map(|(path, _)| path);
    let segments = segments.filter(|path| path.extension().is_some_and(|ending| ending == "log"));
    // What was put aside is of no use to anybody.
    let segments = segments.filter(|path| path.starts_with(home().join(LOGS)));
    let mut segments: Vec<_> = segments.collect();
    segments.sort();
    if segments.len() > 1 {
        segments.pop();
    }
    let path = segments.get(usize::try_from(random.below(segments.len().max(1) as u64)).ok()?)?;
    let contents = disk.contents(path);
    let used = contents.iter().rposition(|byte| *byte != 0)? as u64;
    if used < LEAST {
        return None;
    }
    let place = random.below(used / 2);
    let sector = place / SECTOR * SECTOR;
    let decay = *random.pick(&DECAYS);
    match decay {
        Decay::Flipped => disk.flip_bit(path, place, u8::try_from(random.below(8)).ok()?),
        Decay::Zeroed => disk.overwrite(path, sector, &[0; SECTOR as usize]),
        Decay::Misplaced => {
            let from = usize::try_from(random.below(used / 2) / SECTOR * SECTOR).ok()?;
            let other = contents.get(from..from + SECTOR as usize)?.to_vec();
            disk.overwrite(path, sector, &other);
        }
        Decay::Unreadable => disk.break_media(path, sector, SECTOR),
    }
    Some(format!("rots: {decay:?} at {place} of {used} in {}", path.display()))
}
