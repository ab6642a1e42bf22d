//! Sectors that rot: bytes that were on a disk are other bytes, or cannot be read any more.
//!
//! ```text
//!  runs on ── a read: an error for that key │ a Raft log: its group stops │ nobody looks: nothing
//!  starts ─── refuses with the place │ its checkpoint spares it from looking
//!  in the end ─▶ turned off, as an operator would who scrubs, and replaced by a new node
//! ```
//!
//! Never more machines at a time than the cluster can do without.

use aryavarth::disk::sim::{CrashPlan, SimDisk};
use aryavarth_replication::NodeId;

use super::random::Random;
use super::world::World;

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
        let whole: Vec<NodeId> = self.members.difference(&self.rotten).copied().collect();
        let spared = usize::from(self.factor.get() - 1) / 2;
        if self.is_replacing() || self.members.len() - whole.len() >= spared {
            return;
        }
        let victim = *self.random.pick(&whole);
        let Some(machine) = self.machines.get(&victim) else { return };
        let times = 1 + self.random.below(3);
        for _ in 0..times {
            if let Some(told) = decay(machine.disk(), &mut self.random) {
                self.trace.note(format_args!("n{victim} {told}"));
                self.rotten.insert(victim);
            }
        }
    }

    /// Turns off the machines that have rotted, and replaces their nodes.
    pub(super) async fn give_up_rotten(&mut self) -> Result<(), String> {
        for victim in self.rotten.clone() {
            self.crash(victim, CrashPlan::LoseUnsynced).await;
        }
        if let Some(node) = self.members.difference(&self.rotten).last().copied() {
            self.await_joined(node).await?;
        }
        // One of them may be on its way out already.
        for victim in self.rotten.intersection(&self.members).copied().collect::<Vec<_>>() {
            self.replace_node(victim).await;
            let newest = self.members.last().copied();
            self.await_joined(newest.unwrap_or(victim)).await?;
        }
        self.end_replacements().await
    }
}

/// Has a place of a segment rot. It is not one of the newest, or in the first half of that, so that more was
/// written since: the very last bytes of a log that was not closed cannot be told from a torn write.
fn decay(disk: &SimDisk, random: &mut Random) -> Option<String> {
    let segments = disk.files().into_iter().map(|(path, _)| path);
    let segments = segments.filter(|path| path.extension().is_some_and(|ending| ending == "log"));
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
