//! Compaction: giving back the space of values that are no longer current.
//!
//! ```text
//!  victim (sealed)                  survivors (open)             index
//!  ┌──┬──┬──┬──┬──┐   copy live     ┌──┬──┬──┐   swap, if it     K ─▶ victim    becomes
//!  │A │x │K │x │x │ ─────────────▶  │… │A │K │   still points    K ─▶ survivors
//!  └──┴──┴──┴──┴──┘                 └──┴──┴──┘   at the victim
//!        then: sync survivors ─▶ manifest without victim ─▶ remove its file
//! ```
//!
//! A step of many records is copied, written, and its pointers swapped at once; writers wait for no
//! more than the swap. A crash before the manifest is replaced leaves both copies, equal and of
//! equal sequence; after it, only the new one, which is synced.
//!
//! # Invariants
//! - Only sealed segments are victims, so what is copied is synced and whole.
//! - A tombstone is dropped only when every other segment was born after it: then no older record
//!   of its key is left that it would have to hide (see `Segment::born`). A set that has expired
//!   and is not in the index counts as a tombstone, for it may hide an older set too.
//! - Damage is never copied, and dropped only where it is proven that nothing is lost with it (see
//!   `is_worthless`): else the victim stays as it is.
//! - A segment with entries that a replicated log may have to read, or with the newest state of one, is no
//!   victim; of one that is, only the effects of applied entries are kept.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::checkpoint;
use crate::disk::Courtesy;
use crate::error::{Error, Result};
use crate::ids::{Location, SegmentId, Sequence};
use crate::index::KeyHash;
use crate::log::Segment;
use crate::log::append::{Active, Reserve};
use crate::log::scan::{Scanner, Step};
use crate::log::segment::HEADER_LENGTH;
use crate::manifest::Role;
use crate::options::Maintenance;
use crate::reclaim::pin;
use crate::record::{Batch, Kind, Record, encode, encoded_length};
use crate::store::core::Core;

/// Bytes of survivors after which a step ends.
const STEP_BYTES: usize = 256 << 10;
/// Pointers swapped while writers wait.
const SWAPS_AT_ONCE: usize = 64;
/// Percentage of the log that may be stale in a store that is idle.
const IDLE_TRIGGER: u64 = 8;
/// Stale bytes in the segment being written that are worth ending it when the store is idle.
const WORTHWHILE: u64 = 1 << 20;
/// Percentage of the log that tombstones may take before old segments are rewritten to be rid of
/// them.
const TOMBSTONE_TRIGGER: u64 = 10;
/// So many segments of less than a quarter of their size are merged.
const SMALL_SEGMENTS: usize = 8;

/// Segments' worth of stale bytes that a busy store puts up with, however small its log is: the longer
/// a segment waits, the less of it is left to be rewritten. An idle one cleans them up.
const BUSY_SEGMENTS: u64 = 4;

/// How hard compaction tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Up to what the options allow to be stale.
    Busy,
    /// Further, as there is nothing else to do.
    Idle,
    /// All there is.
    Full,
}

/// What compaction has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Segments rewritten.
    pub segments: u64,
    /// Bytes of records that are gone.
    pub bytes_freed: u64,
}

/// Work done, of work there is, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Done.
    pub done: u64,
    /// In all.
    pub total: u64,
}

/// The segment that survivors are written to. Kept between runs, so that many small runs do not
/// leave many small segments.
#[derive(Debug, Default)]
pub struct Survivors {
    output: Option<Active>,
    /// Filled, to be sealed when synced.
    filled: Vec<Arc<Segment>>,
    scratch: Vec<u8>,
    moves: Vec<Move>,
}

/// A record copied but not yet pointed at.
#[derive(Debug)]
struct Move {
    hash: KeyHash,
    old: Location,
    offset: u64,
    length: u64,
    sequence: Sequence,
    kind: Kind,
    expires: bool,
}

/// What is done with a record of a victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is copied.
    Keep,
    /// A tombstone without the value takes its place.
    KeepAsTombstone,
    /// Nothing needs it.
    Drop,
}

/// Rewrites one segment if `effort` asks for it, within the budget of the options.
///
/// # Errors
/// [`Error::DiskFull`], after which nothing is lost; damage is not an error here but leaves its
/// segment alone; all else raises the fence.
pub fn run_background(core: &Core, effort: Effort) -> Result<Compacted> {
    if effort == Effort::Idle {
        end_stale_segments(core)?;
    }
    let mut survivors = core.maintenance.lock().expect("no panic during maintenance");
    let mut done = Compacted::default();
    let output = survivors.output.as_ref().map(|output| output.segment.id);
    if let Some(victim) = Survey::of(core).choose(core, output, effort, None) {
        survivors.compact(core, &victim, effort, &|| core.signals.is_stopping(), &mut done)?;
    }
    Ok(done)
}

/// Ends the segments that are being written if much of them is stale: in an idle store nobody
/// fills them, so it would stay for good.
fn end_stale_segments(core: &Core) -> Result<()> {
    let is_stale = |segment: &Segment| {
        let stale = segment.usage().stale;
        stale >= WORTHWHILE && stale * 100 >= segment.records_length() * IDLE_TRIGGER
    };
    let mut survivors = core.maintenance.lock().expect("no panic during maintenance");
    if survivors.output.as_ref().is_some_and(|output| is_stale(&output.segment)) {
        survivors.seal(core)?;
    }
    drop(survivors);
    let mut appender = core.appender();
    if appender.active().is_some_and(|active| is_stale(active)) {
        appender.retire_active_if_used();
    }
    drop(appender);
    core.seal_filled()
}

/// Compacts all there is, within the budget of the options, and says how far it is.
///
/// # Errors
/// As [`run_background`].
pub fn run_full(core: &Core, progress: &mut dyn FnMut(Progress)) -> Result<Compacted> {
    core.appender().retire_active_if_used();
    core.seal_filled()?;
    let first = compact_all(core, progress)?;
    // Tombstones that had to stay while older segments were there can go now.
    core.maintenance.lock().expect("no panic during maintenance").seal(core)?;
    let second = compact_all(core, progress)?;
    Ok(Compacted {
        segments: first.segments + second.segments,
        bytes_freed: first.bytes_freed + second.bytes_freed,
    })
}

/// Rewrites every segment of now that has something stale.
fn compact_all(core: &Core, progress: &mut dyn FnMut(Progress)) -> Result<Compacted> {
    let mut survivors = core.maintenance.lock().expect("no panic during maintenance");
    let stop = || core.signals.is_stopping();
    let newest = core.segments.all().last().map(|segment| segment.id);
    let (mut done, mut state) = (Compacted::default(), Progress::default());
    while !stop() {
        let Some(victim) = Survey::of(core).choose(core, None, Effort::Full, newest) else { break };
        let length = victim.records_length();
        state.total = state.done + length;
        progress(state);
        survivors.compact(core, &victim, Effort::Full, &stop, &mut done)?;
        state.done += length;
    }
    Ok(done)
}

/// All segments, and what a rewrite of each would free.
struct Survey {
    all: Vec<Arc<Segment>>,
    /// The lowest two births, to tell the lowest of all others.
    births: [Sequence; 2],
}

impl Survey {
    fn of(core: &Core) -> Survey {
        let all = core.segments.all();
        let mut births = [Sequence(u64::MAX); 2];
        for segment in &all {
            if segment.born < births[0] {
                births = [segment.born, births[0]];
            } else if segment.born < births[1] {
                births[1] = segment.born;
            }
        }
        Survey { all, births }
    }

    /// The sequence below which a tombstone in `victim` hides nothing any more: every other segment
    /// was born at it or later.
    fn tombstone_floor(&self, victim: &Segment) -> Sequence {
        let twins = self.all.iter().any(|s| s.id != victim.id && s.born == self.births[0]);
        if victim.born == self.births[0] && !twins { self.births[1] } else { self.births[0] }
    }

    /// Bytes of `segment` that a rewrite would free.
    fn garbage(&self, segment: &Segment) -> u64 {
        let usage = segment.usage();
        let droppable =
            usage.tombstones > 0 && usage.newest_tombstone < self.tombstone_floor(segment);
        let tombstones = if droppable { usage.tombstones } else { 0 };
        (usage.stale + tombstones).min(segment.records_length())
    }

    /// The same, in thousandths of its records.
    fn garbage_share(&self, segment: &Segment) -> u64 {
        self.garbage(segment) * 1000 / segment.records_length().max(1)
    }

    fn records_length(&self) -> u64 {
        self.all.iter().map(|segment| segment.records_length()).sum()
    }

    /// The next segment to rewrite, if any is worth it.
    fn choose(
        &self,
        core: &Core,
        output: Option<SegmentId>,
        effort: Effort,
        up_to: Option<SegmentId>,
    ) -> Option<Arc<Segment>> {
        let eligible = |segment: &&Arc<Segment>| {
            segment.is_at_rest()
                && !segment.is_quarantined()
                && core.replicas.may_lose_states_of(segment)
                && up_to.is_none_or(|id| segment.id <= id)
        };
        let stale: u64 = self.all.iter().map(|segment| self.garbage(segment)).sum();
        let (trigger, least_share) = match effort {
            Effort::Busy => (u64::from(core.options.compaction_trigger), 50),
            Effort::Idle => (IDLE_TRIGGER.min(u64::from(core.options.compaction_trigger)), 50),
            Effort::Full => (0, 1),
        };
        let worthwhile = match effort {
            Effort::Busy => core.options.segment_size * BUSY_SEGMENTS,
            Effort::Idle | Effort::Full => 0,
        };
        let most = self.all.iter().filter(eligible).max_by_key(|s| self.garbage_share(s));
        if let Some(most) = most
            && stale * 100 > self.records_length() * trigger
            && stale >= worthwhile
            && self.garbage_share(most) >= least_share
        {
            return Some(Arc::clone(most));
        }
        if effort == Effort::Full {
            return None;
        }
        self.oldest_for_tombstones(core).or_else(|| {
            let small = core.options.segment_size / 4;
            let is_small = |s: &&Arc<Segment>| s.records_length() < small && Some(s.id) != output;
            let small: Vec<_> = self.all.iter().filter(eligible).filter(is_small).collect();
            (small.len() > SMALL_SEGMENTS).then(|| Arc::clone(small[0]))
        })
    }

    /// Where tombstones pile up that an old segment keeps alive: that segment. Rewritten, it is
    /// young.
    fn oldest_for_tombstones(&self, core: &Core) -> Option<Arc<Segment>> {
        let tombstones: u64 = self.all.iter().map(|segment| segment.usage().tombstones).sum();
        let allowed = self.records_length() * TOMBSTONE_TRIGGER / 100;
        if tombstones <= allowed + core.options.segment_size / 4 {
            return None;
        }
        let sealed = self.all.iter().filter(|s| {
            s.is_at_rest() && !s.is_quarantined() && core.replicas.may_lose_states_of(s)
        });
        let oldest = sealed.min_by_key(|segment| segment.born)?;
        let hides = |s: &&Arc<Segment>| s.id != oldest.id && s.usage().tombstones > 0;
        self.all.iter().any(|s| hides(&s)).then(|| Arc::clone(oldest))
    }
}

impl Survivors {
    /// Rewrites one segment, unless it is damaged.
    fn compact(
        &mut self,
        core: &Core,
        victim: &Arc<Segment>,
        effort: Effort,
        stop: &dyn Fn() -> bool,
        done: &mut Compacted,
    ) -> Result<()> {
        let rewritten = self.rewrite(core, victim, effort, stop);
        // What a rewrite that was cut left unwritten is meant for its place in this output alone.
        self.discard();
        if let Some(copied) = rewritten? {
            self.finish(core, victim)?;
            done.segments += 1;
            done.bytes_freed += victim.records_length().saturating_sub(copied);
        }
        Ok(())
    }

    /// Copies what must stay of `victim` and swaps its pointers. Returns the bytes copied; none
    /// if it was stopped, or the victim is damaged and was left alone.
    fn rewrite(
        &mut self,
        core: &Core,
        victim: &Arc<Segment>,
        effort: Effort,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<u64>> {
        let floor = Survey::of(core).tombstone_floor(victim);
        if victim.usage().stale == 0 {
            // A rewrite for the sake of tombstones elsewhere must make the segment younger.
            self.end_output();
        }
        let file = victim.file();
        let mut scanner = Scanner::new(victim, &*file, HEADER_LENGTH, victim.end());
        let (mut copied, mut pace) = (0, Pace::of_compaction(core, effort));
        loop {
            match scanner.step()? {
                Step::Record { offset, length, record } => {
                    let location = victim.location(offset);
                    let fate = fate(core, &record, location, floor);
                    pace.spend(length);
                    if fate != Fate::Drop {
                        copied += self.keep(core, &record, fate, location)?;
                        pace.spend(length);
                    }
                }
                Step::End => break,
                Step::Bad(_) => {
                    let part = scanner.offset()..scanner.behind_damage()?;
                    if !is_worthless(core, victim, part.clone(), floor) {
                        victim.quarantine();
                        return Ok(None);
                    }
                    scanner.seek(part.end);
                }
            }
            if self.scratch.len() >= STEP_BYTES || pace.is_due() {
                self.flush(core)?;
                pace.rest();
                if core.options.maintenance == Maintenance::Background && checkpoint::is_due(core) {
                    // It cannot wait: meanwhile the log grows, and with it the next opening.
                    checkpoint::write_amid(core, self)?;
                }
                if stop() {
                    return Ok(None);
                }
            }
        }
        self.flush(core)?;
        Ok(Some(copied))
    }

    /// Adds a record to the step; returns the bytes it will take.
    fn keep(&mut self, core: &Core, record: &Record<'_>, fate: Fate, old: Location) -> Result<u64> {
        let record = match fate {
            Fate::KeepAsTombstone => Record {
                kind: Kind::Remove,
                batch: Batch::Ends,
                expires_at: None,
                value: &[],
                ..*record
            },
            _ => Record { batch: Batch::Ends, ..*record },
        };
        let length = encoded_length(record.key.len(), record.value.len(), record.expires_at);
        self.make_room(core, length)?;
        let output = self.output.as_ref().expect("room was made");
        let offset = output.offset + self.scratch.len() as u64;
        let (salt, synced) = (output.segment.salt, output.segment.synced());
        encode(&mut self.scratch, &record, salt, offset, synced.min(offset));
        let (hash, kind) = (core.hash(record.key), record.kind);
        let expires = record.expires_at.is_some();
        let sequence = record.sequence;
        self.moves.push(Move { hash, old, offset, length, sequence, kind, expires });
        Ok(length)
    }

    fn make_room(&mut self, core: &Core, length: u64) -> Result<()> {
        if let Some(output) = &self.output
            && output.offset + self.scratch.len() as u64 + length > output.segment.capacity
        {
            self.flush(core)?;
            self.end_output();
        }
        if self.output.is_none() {
            let capacity = core.options.segment_size.max(HEADER_LENGTH + length);
            let segment = core.segments.create(Role::Survivors, capacity)?;
            segment.set_applied(HEADER_LENGTH);
            self.output = Some(Active::new(segment));
        }
        Ok(())
    }

    fn end_output(&mut self) {
        if let Some(output) = self.output.take() {
            self.filled.push(output.segment);
        }
    }

    fn discard(&mut self) {
        self.scratch.clear();
        self.moves.clear();
    }

    /// Writes the step's records and points the index at those that are still current.
    fn flush(&mut self, core: &Core) -> Result<()> {
        if self.moves.is_empty() {
            return Ok(());
        }
        let written = self.write(core);
        if written.is_err() {
            self.discard();
            return written;
        }
        core.counters.compacted.fetch_add(self.scratch.len() as u64, Ordering::Relaxed);
        let output = self.output.as_ref().expect("there is something to flush");
        for moves in self.moves.chunks(SWAPS_AT_ONCE) {
            self.swap(core, output, moves);
        }
        self.moves.clear();
        output.segment.set_applied(output.offset);
        self.scratch.clear();
        Ok(())
    }

    fn swap(&self, core: &Core, output: &Active, moves: &[Move]) {
        // A look beforehand brings the slots into the cache while writers are not yet kept waiting.
        let guard = pin();
        let there = moves.iter().filter(|m| core.index.contains(&guard, m.hash, m.old)).count();
        std::hint::black_box(there);
        let mut index = core.index.writer();
        for entry in moves {
            let new = output.segment.location(entry.offset);
            match entry.kind {
                Kind::Set if index.replace(entry.hash, entry.old, new) => {
                    output.segment.add_expiring(u64::from(entry.expires));
                }
                // Overwritten or removed since it was looked up: the copy is stale already.
                Kind::Set => output.segment.add_stale(entry.length),
                Kind::Remove => output.segment.add_tombstone(entry.length, entry.sequence),
                Kind::Entry | Kind::State => unreachable!("these are never kept"),
            }
        }
    }

    fn write(&mut self, core: &Core) -> Result<()> {
        let output = self.output.as_mut().expect("there is something to write");
        output.extend(output.offset + self.scratch.len() as u64, 0, Reserve::Keep)?;
        output.write(&self.scratch, &core.segments.fence)
    }

    /// Makes the survivors durable, then lets go of the victim.
    fn finish(&mut self, core: &Core, victim: &Arc<Segment>) -> Result<()> {
        self.sync(core)?;
        let filled = std::mem::take(&mut self.filled);
        core.segments.seal(&filled)?;
        core.segments.retire(std::slice::from_ref(victim))
    }

    /// Syncs what was written to the survivors.
    ///
    /// # Errors
    /// [`Error::Io`], and the fence is up.
    pub fn sync(&mut self, core: &Core) -> Result<()> {
        core.segments.fence.check()?;
        let open = self.output.as_ref().map(|output| &output.segment);
        for segment in self.filled.iter().chain(open) {
            let end = segment.end();
            if segment.synced() >= end {
                continue;
            }
            segment.file().sync().map_err(|error| {
                let error = Error::io("sync", &segment.path, error);
                core.segments.fence.raise(&error);
                error
            })?;
            segment.set_synced(end);
        }
        Ok(())
    }

    /// Ends, syncs and seals the output, as before a backup or on closing.
    ///
    /// # Errors
    /// As [`sync`](Survivors::sync), and of the manifest.
    pub fn seal(&mut self, core: &Core) -> Result<()> {
        self.end_output();
        self.sync(core)?;
        let filled = std::mem::take(&mut self.filled);
        core.segments.seal(&filled)
    }
}

/// Whether nothing is lost with a damaged part of a segment at rest, whatever stood there.
///
/// | what may have stood there | is not needed, as |
/// |---|---|
/// | a set that is current | the index points at none |
/// | a set that is not | a newer record of its key hides what is older |
/// | a tombstone | no tombstone that was ever counted in this segment hides anything any more |
/// | a set that has expired, and was taken out of the index | no record with an expiry was ever counted in it |
/// | entries and states of replicated logs | none is needed of a segment that may be a victim |
fn is_worthless(core: &Core, victim: &Segment, part: Range<u64>, floor: Sequence) -> bool {
    let usage = victim.usage();
    let hides_nothing = usage.tombstones == 0 || usage.newest_tombstone < floor;
    hides_nothing && usage.expiring == 0 && core.alive_within(victim, part).next().is_none()
}

fn fate(core: &Core, record: &Record<'_>, location: Location, floor: Sequence) -> Fate {
    // Entries that are still needed keep their segment from being rewritten, and newer states stand
    // elsewhere. What was truncated must never come true.
    if matches!(record.kind, Kind::Entry | Kind::State)
        || core.replicas.is_dead(record.shard, record.sequence)
    {
        return Fate::Drop;
    }
    let hides_nothing = record.sequence < floor;
    if record.kind == Kind::Remove {
        return if hides_nothing { Fate::Drop } else { Fate::Keep };
    }
    let hash = core.hash(record.key);
    let expired = core.is_expired(record.expires_at);
    let live = core.index.contains(&pin(), hash, location);
    match (live, expired) {
        (true, true) if hides_nothing => {
            core.index.writer().remove(hash, location);
            Fate::Drop
        }
        (true, _) => Fate::Keep,
        (false, true) if !hides_nothing => Fate::KeepAsTombstone,
        (false, _) => Fate::Drop,
    }
}

/// Keeps work in the background to a budget of bytes a second.
pub(crate) struct Pace<'a> {
    core: &'a Core,
    budget: u64,
    started: Duration,
    spent: u64,
    unchecked: u64,
    /// Which part of the rests that courtesy asks for is taken; with no part, none is looked for.
    patience: f64,
    courtesy: Courtesy,
}

/// How far it is from where compaction begins, at 0, to where half is stale, at 1.
fn progress(stale: u64, total: u64, trigger: u8) -> f64 {
    let (share, trigger) = (stale as f64 / total.max(1) as f64, f64::from(trigger) / 100.0);
    let progress = if trigger < 0.5 { (share - trigger) / (0.5 - trigger) } else { 1.0 };
    progress.clamp(0.0, 1.0)
}

impl<'a> Pace<'a> {
    /// That of compaction. With little to do it gives way to everybody; the more it is, the less.
    fn of_compaction(core: &'a Core, effort: Effort) -> Pace<'a> {
        let survey = Survey::of(core);
        let total = survey.records_length();
        let stale: u64 = survey.all.iter().map(|segment| segment.usage().stale).sum();
        let urgent = stale * 2 > total && total > 4 * core.options.segment_size;
        let budget = if urgent { u64::MAX } else { core.options.compaction_budget };
        let patience = match effort {
            Effort::Busy => 1.0 - progress(stale, total, core.options.compaction_trigger),
            Effort::Idle | Effort::Full => 0.0,
        };
        Pace { patience, ..Pace::new(core, budget) }
    }

    /// As many bytes a second, without courtesy.
    pub(crate) fn new(core: &'a Core, budget: u64) -> Pace<'a> {
        let started = core.options.disk.monotonic();
        let courtesy = Courtesy::begin();
        Pace { core, budget, started, spent: 0, unchecked: 0, patience: 0.0, courtesy }
    }

    /// The same, giving way to everybody.
    pub(crate) fn patient(core: &'a Core, budget: u64) -> Pace<'a> {
        Pace { patience: 1.0, ..Pace::new(core, budget) }
    }

    /// Work on so many bytes was done.
    pub(crate) fn spend(&mut self, bytes: u64) {
        self.spent += bytes;
        self.unchecked += bytes;
    }

    /// Whether enough was done to look at the clock.
    pub(crate) fn is_due(&self) -> bool {
        self.unchecked >= STEP_BYTES as u64
    }

    /// Sleeps as courtesy asks for, and until the budget allows what was spent.
    pub(crate) fn rest(&mut self) {
        self.unchecked = 0;
        let gives_way =
            self.patience > 0.0 && self.core.options.maintenance == Maintenance::Background;
        if gives_way {
            self.nap(self.courtesy.owed().mul_f64(self.patience));
        }
        if self.budget < u64::MAX {
            let allowed = Duration::from_secs_f64(self.spent as f64 / self.budget as f64);
            let passed = self.core.options.disk.monotonic().saturating_sub(self.started);
            self.nap(allowed.saturating_sub(passed));
        }
        if gives_way {
            self.courtesy = Courtesy::begin();
        }
    }

    /// Sleeps, but not beyond the end of the store.
    fn nap(&self, mut left: Duration) {
        while left > Duration::ZERO && !self.core.signals.is_stopping() {
            let nap = left.min(Duration::from_millis(100));
            std::thread::sleep(nap);
            left -= nap;
        }
    }
}

#[cfg(test)]
mod tests;
