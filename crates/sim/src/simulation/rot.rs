//! Sectors that rot: bytes that were on a disk are other bytes, or cannot be read any more.
//!
//! ```text
//!  runs on ── a read: an error for that key │ a Raft log: its group stops │ nobody looks: nothing
//!  starts ─── refuses with the place │ its checkpoint spares it from looking
//!  in the end ─▶ turned off, as an operator would who scrubs, and replaced by a new node
//! ```
//!
//! Never more machines at a time than the cluster can do without.

use aryavarth::disk::sim::SimDisk;
use aryavarth_replication::NodeId;

use super::random::Random;
use super::world::World;

const SECTOR: u64 = 512;

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
        let whole: Vec<NodeId> = self.voters.difference(&self.rotten).copied().collect();
        let spared = (self.voters.len() - 1) / 2;
        if self.is_moving() || self.voters.len() - whole.len() >= spared {
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

    /// Turns off a machine that has rotted, and begins to replace its node.
    pub(super) async fn give_up_rotten(&mut self) -> Result<(), String> {
        while let Some(victim) = self.rotten.first().copied() {
            self.end_move().await?;
            if self.machines.contains_key(&victim) {
                self.crash(victim, aryavarth::disk::sim::CrashPlan::LoseUnsynced).await;
                self.replace_node(victim).await;
                self.end_move().await?;
            }
            self.rotten.remove(&victim);
        }
        Ok(())
    }
}

/// Has a place of a segment rot. It is one behind which more was written, as a machine can be expected to
/// have done since: the very last bytes of a log that was not closed cannot be told from a torn write.
fn decay(disk: &SimDisk, random: &mut Random) -> Option<String> {
    let segments = disk.files().into_iter().map(|(path, _)| path);
    let segments = segments.filter(|path| path.extension().is_some_and(|ending| ending == "log"));
    let segments: Vec<_> = segments.collect();
    let path = segments.get(usize::try_from(random.below(segments.len().max(1) as u64)).ok()?)?;
    let contents = disk.contents(path);
    let used = contents.iter().rposition(|byte| *byte != 0)? as u64;
    if used < 8 * SECTOR {
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
