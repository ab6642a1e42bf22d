//! Reading the log back into the index.

use std::sync::Arc;

use super::judge::{Before, Side, Verdict, judge};
use super::{OnDamage, Recovery};
use crate::checkpoint::Replay;
use crate::compaction::Progress;
use crate::disk::DiskFile;
use crate::error::{Error, Result};
use crate::ids::{Location, Sequence};
use crate::index::KeyHash;
use crate::log::scan::{BatchTracker, Beyond, Scanner, Step};
use crate::log::segment::{HEADER_LENGTH, Segment};
use crate::manifest::{Role, State};
use crate::reclaim::{Guard, pin};
use crate::record::{Kind, Malformed, Record};
use crate::replicated::codec::{self, Head};
use crate::replicated::each_effect;
use crate::replicated::replay::{Coverage, Spans, place};
use crate::replicated::tables::Place;

/// Whether a record is about a key.
fn is_of_key(record: &Record<'_>) -> bool {
    matches!(record.kind, Kind::Set | Kind::Remove)
}

/// How the scan of one segment ended.
enum Ending {
    /// With the last record that was written.
    Whole,
    /// In the middle of what was never synced.
    Torn {
        /// Where the first bad byte may be.
        offset: u64,
    },
}

impl Recovery<'_> {
    /// Replays every segment, oldest first.
    pub(super) fn replay_all(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<()> {
        let mut torn: Option<(Arc<Segment>, u64)> = None;
        let mut open: Option<Arc<Segment>> = None;
        let segments = self.segments.all();
        let total = segments.iter().map(|segment| segment.file().length()).sum();
        let mut done = 0;
        for segment in segments {
            done += segment.file().length();
            if segment.role == Role::Survivors {
                self.replay(&segment)?;
                continue;
            }
            if let Some(previous) = &open
                && torn.is_none()
                && !Self::continues(previous, &segment)?
            {
                torn = Some((Arc::clone(previous), previous.end()));
            }
            if let Some((first, offset)) = &torn {
                self.empty(&segment, first, *offset)?;
            } else if let Ending::Torn { offset } = self.replay(&segment)? {
                torn = Some((Arc::clone(&segment), offset));
            }
            let was_open = !segment.is_sealed() && self.on_damage == OnDamage::Refuse;
            open = was_open.then_some(segment);
            progress(Progress { done, total });
        }
        Ok(())
    }

    /// Whether the log goes on in `next` where it ends in `previous`, an open segment: where a whole
    /// end was lost nothing but the sequences tells. A segment without records goes on from
    /// anywhere.
    fn continues(previous: &Segment, next: &Segment) -> Result<bool> {
        let file = next.file();
        let mut scanner = Scanner::new(next, &*file, HEADER_LENGTH, file.length());
        next.set_end(file.length());
        let Step::Record { record, .. } = scanner.step()? else { return Ok(true) };
        let first = record.sequence;
        Ok(last_sequence(previous)?.is_some_and(|last| last.next() == first))
    }

    /// Replays one segment from where the checkpoint ends.
    fn replay(&mut self, segment: &Arc<Segment>) -> Result<Ending> {
        let known = self.checkpoint.get(&segment.id);
        let covered = known.map_or(HEADER_LENGTH, |record| record.covered);
        let from = match known.map(|record| record.replay) {
            Some(Replay::Whole) => HEADER_LENGTH,
            _ => covered,
        };
        let floor = segment.synced().max(known.map_or(0, |record| record.synced));
        let file = segment.file();
        let state = if segment.is_sealed() && self.on_damage == OnDamage::Refuse {
            State::Sealed
        } else {
            State::Open
        };
        let scan_end = if state == State::Sealed { floor } else { file.length() };
        if file.length() < floor {
            let detail =
                format!("the file has {} bytes of {floor} that were synced", file.length());
            self.damaged(Error::damaged(&segment.path, file.length(), detail))?;
        }
        if from >= scan_end {
            segment.set_end(floor.max(HEADER_LENGTH).min(file.length().max(HEADER_LENGTH)));
            segment.set_applied(segment.end());
            return Ok(Ending::Whole);
        }
        segment.set_end(file.length());
        let mut scanner = Scanner::new(segment, &*file, from, scan_end);
        let mut tracker = BatchTracker::new(from);
        let mut batch = Vec::new();
        let mut ending = Ending::Whole;
        loop {
            let why = match scanner.step()? {
                Step::Record { offset, length, record } => {
                    let whole = tracker.follow(&record, offset + length);
                    if whole && batch.is_empty() && is_of_key(&record) {
                        self.pass(segment, &record);
                        let coverage = Coverage::of(offset, covered);
                        if coverage == Coverage::Unknown || segment.role == Role::Survivors {
                            self.replay_record(segment, (offset, length), &record, coverage)?;
                        }
                        continue;
                    }
                    batch.push((offset, length));
                    if whole {
                        self.replay_batch(segment, &batch, covered)?;
                        batch.clear();
                    }
                    continue;
                }
                Step::End if batch.is_empty() => break,
                Step::End => Malformed::Short,
                Step::Bad(why) => why,
            };
            let (bad, cut) = (scanner.offset(), tracker.start());
            let side = if bad < floor { Side::Synced } else { Side::Unknown };
            let before = if bad == cut { Before::WholeBatch } else { Before::PartOfBatch };
            let verdict = judge(state, side, before, || {
                scanner.search_beyond(|_, synced_to| synced_to > cut)
            })?;
            if verdict == Verdict::Damage {
                self.damaged(Error::damaged(&segment.path, bad, why.describe()))?;
            }
            match verdict {
                Verdict::CleanEnd => break,
                Verdict::Cut => {
                    self.report.bytes_cut += file.length() - cut;
                    ending = Ending::Torn { offset: cut };
                    break;
                }
                Verdict::Damage => {
                    // Only where damage is skipped: on with the next whole record. This was
                    // synced, so its batch was whole: what is left of it counts.
                    self.replay_batch(segment, &batch, covered)?;
                    batch.clear();
                    tracker = BatchTracker::new(bad);
                    let Beyond::Record { offset, .. } = scanner.search_beyond(|_, _| true)? else {
                        break;
                    };
                    scanner.seek(offset);
                    tracker = BatchTracker::new(offset);
                }
            }
        }
        segment.set_synced(scanner.proven().min(tracker.start()));
        self.settle(segment, tracker.start())?;
        Ok(ending)
    }

    /// Fixes where the segment's records end, and makes that durable before anyone relies on it.
    fn settle(&mut self, segment: &Segment, end: u64) -> Result<()> {
        segment.set_end(end);
        segment.set_applied(self.replicated.reflected_end(segment, end));
        if self.on_damage == OnDamage::Skip || segment.is_sealed() {
            return Ok(());
        }
        let file = segment.file();
        let mut changed = end > segment.synced();
        if file.length() > end {
            file.truncate(end).map_err(|e| Error::io("truncate", &segment.path, e))?;
            changed = true;
        }
        rewrite(segment, &*file, segment.synced(), end)?;
        if changed {
            file.sync().map_err(|e| Error::io("sync", &segment.path, e))?;
        }
        segment.set_synced(end);
        Ok(())
    }

    /// Empties a segment that follows a torn one: its records were written after what is lost.
    fn empty(&mut self, segment: &Arc<Segment>, torn: &Segment, offset: u64) -> Result<()> {
        let file = segment.file();
        segment.set_end(file.length());
        let mut scanner = Scanner::new(segment, &*file, HEADER_LENGTH - 8, file.length());
        // Segments are synced in order: what was synced here proves that the torn one was.
        let claims = |_, synced_to| synced_to > HEADER_LENGTH;
        let found = scanner.search_beyond(claims)?;
        let proven = segment.synced() > HEADER_LENGTH || matches!(found, Beyond::Record { .. });
        if proven || found == Beyond::Unclear {
            let detail = "records are missing that were synced, as later ones show";
            self.damaged(Error::damaged(&torn.path, offset, detail))?;
            self.replay(segment)?;
            return Ok(());
        }
        self.report.bytes_cut += file.length() - HEADER_LENGTH.min(file.length());
        self.settle(segment, HEADER_LENGTH)
    }

    /// Replays a batch, whose records are at these places: at once, or when the entry is committed that
    /// it is.
    fn replay_batch(
        &mut self,
        segment: &Arc<Segment>,
        batch: &[(u64, u64)],
        covered: u64,
    ) -> Result<()> {
        let Some((offset, length)) = batch.first().copied() else { return Ok(()) };
        let coverage = Coverage::of(offset, covered);
        let guard = pin();
        let mut first = None;
        segment.record(&guard, offset, |_, record| {
            first = Some((record.kind, record.shard, record.sequence, Vec::new()));
            if !is_of_key(record) {
                let bytes = if record.kind == Kind::Entry { record.key } else { record.value };
                first = Some((record.kind, record.shard, record.sequence, bytes.to_vec()));
            }
        })?;
        let (kind, shard, sequence, bytes) = first.expect("the record was shown");
        let malformed = |detail| Error::damaged(&segment.path, offset, detail);
        match kind {
            Kind::Entry => {
                let head = match Head::decode(&bytes) {
                    Ok(head) => head,
                    Err(detail) => return self.damaged(malformed(detail)),
                };
                let end = batch.last().map_or(offset, |(offset, length)| offset + length);
                let spans = Spans { offset, head: length, length: end - offset };
                let place = place(&head, sequence, segment, spans);
                self.pass_all(segment, batch)?;
                let due = self.replicated.entry(shard, place, &head, coverage);
                self.replay_entries(&due)
            }
            Kind::State => {
                self.pass_all(segment, batch)?;
                for (offset, _) in batch {
                    self.replay_state(segment, *offset)?;
                }
                Ok(())
            }
            Kind::Set | Kind::Remove if coverage == Coverage::Reflected => {
                self.pass_all(segment, batch)
            }
            Kind::Set | Kind::Remove => {
                for (offset, length) in batch {
                    self.replay_again(segment, *offset, *length)?;
                }
                Ok(())
            }
        }
    }

    fn replay_state(&mut self, segment: &Arc<Segment>, offset: u64) -> Result<()> {
        let guard = pin();
        let mut decoded = None;
        segment.record(&guard, offset, |_, record| {
            decoded = Some((record.shard, codec::State::decode(record.value)));
        })?;
        let (shard, state) = decoded.expect("the record was shown");
        match state {
            Ok(state) => {
                let due = self.replicated.state(shard, state, segment.id);
                self.replay_entries(&due)
            }
            Err(detail) => self.damaged(Error::damaged(&segment.path, offset, detail)),
        }
    }

    /// Lets the index reflect the effects of entries that are committed.
    pub(super) fn replay_entries(&mut self, places: &[Place]) -> Result<()> {
        for place in places {
            each_effect(place, |record, offset, length| {
                self.replay_record(&place.segment, (offset, length), record, Coverage::Unknown)
            })?;
        }
        Ok(())
    }

    /// Takes note of records that the index is not to reflect now.
    fn pass_all(&mut self, segment: &Arc<Segment>, batch: &[(u64, u64)]) -> Result<()> {
        let guard = pin();
        for (offset, _) in batch {
            segment.record(&guard, *offset, |_, record| self.pass(segment, record))?;
        }
        Ok(())
    }

    fn pass(&mut self, segment: &Segment, record: &Record<'_>) {
        self.report.records_replayed += 1;
        self.newest = self.newest.max(record.sequence);
        if segment.role == Role::Log {
            self.last_in_log = Some((segment.id, record.sequence));
        }
    }

    fn replay_again(&mut self, segment: &Arc<Segment>, offset: u64, length: u64) -> Result<()> {
        let guard = pin();
        let mut outcome = Ok(());
        segment.record(&guard, offset, |_, record| {
            self.pass(segment, record);
            outcome = self.replay_record(segment, (offset, length), record, Coverage::Unknown);
        })?;
        outcome
    }

    /// Lets the index reflect a record, unless it reflects a newer one of the key already. One that it has
    /// reflected before, and does not have any more, hides what is older for the time of the replay.
    fn replay_record(
        &mut self,
        segment: &Arc<Segment>,
        (offset, length): (u64, u64),
        record: &Record<'_>,
        coverage: Coverage,
    ) -> Result<()> {
        let is_counted = coverage == Coverage::Reflected;
        if record.expires_at.is_some() && !is_counted {
            segment.add_expiring(1);
        }
        if record.kind == Kind::Remove && !is_counted {
            segment.add_tombstone(length, record.sequence);
        }
        let location = segment.location(offset);
        let hash = KeyHash::of(self.segments.hash_seed, record.key);
        let old = match self.newest_of(record, hash, location) {
            Ok(old) => old,
            Err(error) if error.is_damage() => {
                self.damaged(error)?;
                None
            }
            Err(error) => return Err(error),
        };
        let mut writer = self.index.writer();
        match old {
            Some(old) if old.location == location => return Ok(()),
            Some(old) if old.sequence >= record.sequence => {
                if record.kind == Kind::Set && !is_counted {
                    segment.add_stale(length);
                }
                return Ok(());
            }
            Some(old) => {
                let replaced = writer.replace(hash, old.location, location);
                assert!(replaced, "nobody else writes the index");
                if old.kind == Kind::Set {
                    let guard = pin();
                    let segment = self.segments.get(old.location, &guard);
                    segment.expect("it was just read").add_stale(old.length);
                }
            }
            None => writer.insert(hash, location),
        }
        if record.kind == Kind::Remove || coverage == Coverage::Reflected {
            self.tombstones.push((hash, location));
        }
        Ok(())
    }

    /// The record of the same key that the index points at by now.
    fn newest_of(&self, record: &Record<'_>, hash: KeyHash, own: Location) -> Result<Option<Old>> {
        let guard = pin();
        let mut old = None;
        self.index.find(&guard, hash, |location| {
            if location == own {
                let (sequence, kind) = (record.sequence, record.kind);
                old = Some(Old { location, length: 0, sequence, kind });
                return Ok::<_, Error>(true);
            }
            let segment =
                self.segments.get(location, &guard).expect("only what is there is indexed");
            let read = segment.record(&guard, location.offset(), |header, other| {
                let same = other.key == record.key;
                if same {
                    let (sequence, kind) = (other.sequence, other.kind);
                    old = Some(Old { location, length: header.record_length(), sequence, kind });
                }
                same
            });
            if !read.as_ref().is_err_and(Error::is_damage) || !self.precedes(location, &guard, own)
            {
                return read;
            }
            // Overwritten since, as writers may: they were told of no damage to the key itself.
            let found = segment.match_key(&guard, location.offset(), record.key)?;
            let (sequence, kind) = (Sequence(0), Kind::Set);
            old = found.map(|found| Old { location, length: found.length, sequence, kind });
            Ok(old.is_some())
        })?;
        Ok(old)
    }

    /// Whether what stands at `location`, known from the checkpoint, is certainly older than the
    /// record of the log at `own`, which the checkpoint does not cover.
    fn precedes(&self, location: Location, guard: &Guard, own: Location) -> bool {
        let segment = |location| self.segments.get(location, guard);
        let (Some(old), Some(new)) = (segment(location), segment(own)) else { return false };
        let covered = self.checkpoint.get(&old.id).map_or(0, |known| known.covered);
        new.role == Role::Log && location.offset() < covered
    }
}

/// The sequence of the last record of a segment whose end is known. What is damaged before it, where the
/// checkpoint covers the segment, is left to whoever reads it.
///
/// # Errors
/// [`Error::Damaged`] if it is that record which is.
pub(super) fn last_sequence(segment: &Segment) -> Result<Option<Sequence>> {
    let file = segment.file();
    let mut scanner = Scanner::new(segment, &*file, HEADER_LENGTH, segment.end());
    let (mut last, mut damage) = (None, None);
    loop {
        match scanner.step()? {
            Step::Record { record, .. } => (last, damage) = (Some(record.sequence), None),
            Step::Bad(why) => {
                let place = scanner.offset();
                damage = Some(Error::damaged(&segment.path, place, why.describe()));
                let behind = scanner.behind_damage()?;
                scanner.seek(behind);
            }
            Step::End => return damage.map_or(Ok(last), Err),
        }
    }
}

/// Writes what stands in a file once more. If the last process met a failed sync, the system may
/// show bytes that it takes for clean and that are not on the disk: a sync alone would not save them.
fn rewrite(segment: &Segment, file: &dyn DiskFile, from: u64, end: u64) -> Result<()> {
    const CHUNK: u64 = 1 << 20;
    let mut offset = from;
    while offset < end {
        let length = CHUNK.min(end - offset);
        let bytes = file.read_copy(offset, length as usize);
        let bytes = bytes.map_err(|error| segment.read_error(offset, error))?;
        file.write_at(offset, &bytes).map_err(|e| Error::io("write", &segment.path, e))?;
        offset += length;
    }
    Ok(())
}

/// A record found through the index.
struct Old {
    location: Location,
    length: u64,
    sequence: Sequence,
    kind: Kind,
}
