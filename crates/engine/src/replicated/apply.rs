//! Applying entries of replicated logs once they are committed: the index is pointed at their effects.
//!
//! ```text
//!  an entry's records ─▶ gather ─▶ touch the buckets of all ─▶ touch the older records of all ─▶ the index
//! ```
//!
//! On keys that nobody asked for lately each effect would wait for memory three times. Gathered, they wait
//! together.
//!
//! Locks: the appender, then the tables.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::codec::{Carries, Head};
use super::each_effect;
use super::tables::{Place, Tables};
use crate::error::{Error, Result};
use crate::ids::{EntryIndex, Sequence, ShardId};
use crate::log::Segment;
use crate::log::commit::Change;
use crate::reclaim::{Guard, pin};
use crate::store::core::Core;

/// Entries applied before those who want to write get their turn.
const APPLIED_AT_ONCE: usize = 64;
/// Effects gathered: about as many misses as a processor has under way at once, and some.
const GATHERED: usize = 32;

/// Effects of an entry, on their way into the index.
#[derive(Default)]
struct Gathered {
    /// Their keys, one after the other.
    keys: Vec<u8>,
    changes: Vec<(Range<usize>, Change)>,
}

impl Gathered {
    fn push(&mut self, key: &[u8], change: Change) {
        let begin = self.keys.len();
        self.keys.extend_from_slice(key);
        self.changes.push((begin..self.keys.len(), change));
    }

    fn is_full(&self) -> bool {
        self.changes.len() >= GATHERED
    }

    /// Points the index at them, and has room again.
    fn apply(&mut self, core: &Core, guard: &Guard) -> Result<()> {
        core.warm(self.changes.iter().map(|(_, change)| change.hash), guard);
        let Gathered { keys, changes } = self;
        let outcome =
            core.apply(changes.drain(..).map(|(key, change)| (&keys[key], change)), guard);
        keys.clear();
        outcome
    }
}

impl Core {
    pub(super) fn apply_entries(&self, shard: ShardId, up_to: EntryIndex) -> Result<()> {
        self.check_open()?;
        loop {
            let mut places: Vec<Place> = {
                let mut tables = self.replicas.lock();
                let log = tables.here(shard)?;
                let next = log.applied.map_or(EntryIndex(0), |applied| applied.index.next());
                log.places(next, up_to.next()).take(APPLIED_AT_ONCE).cloned().collect()
            };
            if self.hides_keys.load(Ordering::Acquire)
                && let Some((free, hindrance)) = self.hindrance(&places)
            {
                if free == 0 {
                    return Err(hindrance);
                }
                places.truncate(free);
            }
            let Some(last) = places.last() else { return Ok(()) };
            let mut config = None;
            for place in &places {
                config = self.apply_entry(place)?.map(|bytes| (place.id, bytes)).or(config);
            }
            // While the appender is held: a checkpoint sees the entries of all segments or of none.
            let _appender = self.appender();
            let mut tables = self.replicas.lock();
            for place in &places {
                tables.reflect(place);
            }
            let log = tables.here(shard)?;
            log.applied = Some(last.id);
            log.state.committed = log.state.committed.max(log.applied);
            log.state.config = config.or(log.state.config.take());
            self.note_reflected(&tables, places.iter().map(|place| &place.segment));
        }
    }

    /// The first entry that cannot be applied, as what one of its keys has may be what a damaged place hides.
    fn hindrance(&self, places: &[Place]) -> Option<(usize, Error)> {
        let guard = pin();
        let free = |place: &Place| {
            each_effect(place, |record, _, _| {
                let is_key = |location| Ok(self.match_key(location, record.key, &guard)?.is_some());
                self.index.find(&guard, self.hash(record.key), is_key).map(drop)
            })
        };
        let mut outcomes = places.iter().map(free).enumerate();
        outcomes.find_map(|(index, outcome)| Some((index, outcome.err()?)))
    }

    /// Points the index at the effects of an entry; returns the configuration it carries, if it does.
    fn apply_entry(&self, place: &Place) -> Result<Option<Vec<u8>>> {
        let guard = pin();
        let mut config = None;
        place.segment.record(&guard, place.offset, |_, record| {
            let head = Head::decode(record.key).ok();
            let carries_config = head.is_some_and(|head| head.carries == Carries::Config);
            config = carries_config.then(|| record.value.to_vec());
        })?;
        let mut gathered = Gathered::default();
        let shown = each_effect(place, |record, offset, length| {
            let change = Change {
                hash: self.hash(record.key),
                location: place.segment.location(offset),
                length,
                sequence: record.sequence,
                kind: record.kind,
                old: None,
            };
            gathered.push(record.key, change);
            if gathered.is_full() { gathered.apply(self, &guard) } else { Ok(()) }
        });
        let applied = shown.and_then(|()| gathered.apply(self, &guard));
        applied.map_err(|error| {
            // A majority has it: this replica cannot go on without it.
            self.segments.fence.raise(&error);
            Error::OutcomeUnknown { cause: error.to_string() }
        })?;
        Ok(config)
    }

    /// Notes how far the index reflects segments, and the log as a whole.
    pub(super) fn note_reflected<'a>(
        &self,
        tables: &Tables,
        segments: impl Iterator<Item = &'a Arc<Segment>>,
    ) {
        let mut seen = BTreeSet::new();
        for segment in segments.filter(|segment| seen.insert(segment.id)) {
            segment.set_applied(tables.reflected_end(segment.id, segment.end()));
        }
        let last = Sequence(self.segments.next_sequence().0 - 1);
        self.segments.set_applied(tables.reflected(last));
    }
}
