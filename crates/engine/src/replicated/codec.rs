//! The bytes of what a replicated log writes beside effects.
//!
//! ```text
//!  record Entry   key:   term u64 | index u64 | committed u64 | payload u8      value: a configuration, or nothing
//!                        payload: 0 none, 1 effects (the rest of the batch), 2 a configuration
//!                        committed: one more than the newest index known to be committed; 0 for none
//!
//!  record State   key:   "state"
//!                 value: version u8 | flags u8 | vote length u8 | zero u8
//!                        | purged 17 bytes | committed 17 bytes | configuration 17 bytes, each: present u8, term u64, index u64
//!                        | configuration's length u32 | ranges of dead sequences u32
//!                        | vote | configuration | first u64, last u64 of each range
//!                 | of a pledge: vote length u8 | last entry 17 bytes | vote
//! ```
//!
//! Little-endian throughout.

use crate::error::{Error, Result};
use crate::ids::{EntryId, EntryIndex, Sequence, Term};
use crate::limits::{MAX_CONFIG_LENGTH, MAX_VOTE_LENGTH};

const VERSION: u8 = 1;
const FLAG_GONE: u8 = 1;
const FLAG_PLEDGE: u8 = 2;
const FLAG_CLEARED: u8 = 4;
const FIXED: usize = 4 + 3 * 17 + 8;
const ID_LENGTH: usize = 17;
/// The key of a [`State`] record.
pub const STATE_KEY: &[u8] = b"state";
/// Bytes of the key of an entry's head.
pub const HEAD_LENGTH: usize = 25;

/// What an entry carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// Nothing.
    Nothing = 0,
    /// Effects.
    Effects = 1,
    /// A configuration.
    Config = 2,
}

/// The head of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Which it is.
    pub id: EntryId,
    /// The newest index that was known to be committed when it was appended.
    pub committed: Option<EntryIndex>,
    /// What it carries.
    pub carries: Carries,
}

impl Head {
    /// The key of its record.
    pub fn encode(&self) -> [u8; HEAD_LENGTH] {
        let mut key = [0; HEAD_LENGTH];
        key[..8].copy_from_slice(&self.id.term.0.to_le_bytes());
        key[8..16].copy_from_slice(&self.id.index.0.to_le_bytes());
        let committed = self.committed.map_or(0, |index| index.0 + 1);
        key[16..24].copy_from_slice(&committed.to_le_bytes());
        key[24] = self.carries as u8;
        key
    }

    /// The head whose record has this key.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(key: &[u8]) -> std::result::Result<Head, &'static str> {
        if key.len() != HEAD_LENGTH {
            return Err("the entry's head has another length");
        }
        let carries = match key[24] {
            0 => Carries::Nothing,
            1 => Carries::Effects,
            2 => Carries::Config,
            _ => return Err("the entry carries something unknown"),
        };
        Ok(Head {
            id: EntryId { term: Term(u64_at(key, 0)), index: EntryIndex(u64_at(key, 8)) },
            committed: u64_at(key, 16).checked_sub(1).map(EntryIndex),
            carries,
        })
    }
}

/// Sequences whose records, of the shard, never take effect: they were truncated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dead {
    /// The first.
    pub first: Sequence,
    /// The last.
    pub last: Sequence,
}

/// Whether the node has a replica of the shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// It has.
    #[default]
    Here,
    /// It had one, and may still have keys of it.
    Gone,
    /// It had one, of which nothing is left.
    Cleared,
}

/// What earlier replicas of a shard on this node gave their word for: it binds later ones, which do not have what
/// those had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pledge {
    /// Their newest vote, in the caller's bytes; empty if there is none.
    pub vote: Vec<u8>,
    /// The newest entry that one of them had.
    pub last: Option<EntryId>,
}

/// What a replicated log remembers beside its entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Whether there is a replica.
    pub presence: Presence,
    /// The caller's; empty if there is none.
    pub vote: Vec<u8>,
    /// The newest entry that is no longer kept.
    pub purged: Option<EntryId>,
    /// The newest entry known to be committed.
    pub committed: Option<EntryId>,
    /// The newest configuration that was applied.
    pub config: Option<(EntryId, Vec<u8>)>,
    /// What was truncated and may still stand in the log.
    pub dead: Vec<Dead>,
    /// What binds it from before, if there was a replica before.
    pub pledge: Option<Pledge>,
}

impl State {
    /// What a later replica is bound by when this one, whose last entry is this, goes.
    pub fn pledged(&mut self, last: Option<EntryId>) -> Pledge {
        let earlier = self.pledge.take().unwrap_or_default();
        let vote = std::mem::take(&mut self.vote);
        Pledge {
            vote: if vote.is_empty() { earlier.vote } else { vote },
            last: last.max(earlier.last),
        }
    }

    /// Whether a record of the shard never takes effect.
    pub fn is_dead(&self, sequence: Sequence) -> bool {
        self.dead.iter().any(|dead| (dead.first..=dead.last).contains(&sequence))
    }

    /// The value of its record.
    pub fn encode(&self) -> Vec<u8> {
        assert!(self.vote.len() <= MAX_VOTE_LENGTH);
        let config = self.config.as_ref().map_or(&[][..], |(_, bytes)| bytes);
        assert!(config.len() <= MAX_CONFIG_LENGTH);
        let mut flags = match self.presence {
            Presence::Here => 0,
            Presence::Gone => FLAG_GONE,
            Presence::Cleared => FLAG_GONE | FLAG_CLEARED,
        };
        if self.pledge.is_some() {
            flags |= FLAG_PLEDGE;
        }
        let mut out = vec![VERSION, flags, self.vote.len() as u8, 0];
        for id in [self.purged, self.committed, self.config.as_ref().map(|(id, _)| *id)] {
            push_id(&mut out, id);
        }
        out.extend_from_slice(&(config.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.dead.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.vote);
        out.extend_from_slice(config);
        for dead in &self.dead {
            out.extend_from_slice(&dead.first.0.to_le_bytes());
            out.extend_from_slice(&dead.last.0.to_le_bytes());
        }
        if let Some(Pledge { vote, last }) = &self.pledge {
            assert!(vote.len() <= MAX_VOTE_LENGTH);
            out.push(vote.len() as u8);
            push_id(&mut out, *last);
            out.extend_from_slice(vote);
        }
        out
    }

    /// The state whose record has this value.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(value: &[u8]) -> std::result::Result<State, &'static str> {
        let fixed = value.get(..FIXED).ok_or("the state is too short")?;
        if fixed[0] != VERSION
            || fixed[1] & !(FLAG_GONE | FLAG_PLEDGE | FLAG_CLEARED) != 0
            || fixed[3] != 0
        {
            return Err("the state is of an unknown version");
        }
        let (vote, config, dead) =
            (usize::from(fixed[2]), u32_at(fixed, 55) as usize, u32_at(fixed, 59) as usize);
        let length = dead.checked_mul(16).and_then(|ranges| ranges.checked_add(vote + config));
        let rest = length.and_then(|length| value[FIXED..].split_at_checked(length));
        let (rest, pledge) = rest.ok_or(OTHER_LENGTH)?;
        let (vote, rest) = rest.split_at(vote);
        let (config, ranges) = rest.split_at(config);
        let dead = ranges.chunks_exact(16).map(|range| Dead {
            first: Sequence(u64_at(range, 0)),
            last: Sequence(u64_at(range, 8)),
        });
        Ok(State {
            presence: match fixed[1] & (FLAG_GONE | FLAG_CLEARED) {
                0 => Presence::Here,
                FLAG_GONE => Presence::Gone,
                FLAG_CLEARED => return Err("the state contradicts itself"),
                _ => Presence::Cleared,
            },
            vote: vote.to_vec(),
            purged: id_at(fixed, 4)?,
            committed: id_at(fixed, 21)?,
            config: id_at(fixed, 38)?.map(|id| (id, config.to_vec())),
            dead: dead.collect(),
            pledge: match (fixed[1] & FLAG_PLEDGE, pledge) {
                (0, []) => None,
                (0, _) => return Err(OTHER_LENGTH),
                (_, pledge) => Some(Pledge::decode(pledge)?),
            },
        })
    }
}

impl Pledge {
    fn decode(bytes: &[u8]) -> std::result::Result<Pledge, &'static str> {
        let (length, rest) = bytes.split_first().ok_or(OTHER_LENGTH)?;
        let (last, vote) = rest.split_at_checked(ID_LENGTH).ok_or(OTHER_LENGTH)?;
        if vote.len() != usize::from(*length) {
            return Err(OTHER_LENGTH);
        }
        Ok(Pledge { vote: vote.to_vec(), last: id_at(last, 0)? })
    }
}

const OTHER_LENGTH: &str = "the state has another length";

fn push_id(out: &mut Vec<u8>, id: Option<EntryId>) {
    out.push(u8::from(id.is_some()));
    let id = id.unwrap_or_default();
    out.extend_from_slice(&id.term.0.to_le_bytes());
    out.extend_from_slice(&id.index.0.to_le_bytes());
}

fn id_at(bytes: &[u8], at: usize) -> std::result::Result<Option<EntryId>, &'static str> {
    match bytes[at] {
        0 => Ok(None),
        1 => Ok(Some(EntryId {
            term: Term(u64_at(bytes, at + 1)),
            index: EntryIndex(u64_at(bytes, at + 9)),
        })),
        _ => Err("the state names an entry wrongly"),
    }
}

/// Refuses what does not fit.
///
/// # Errors
/// [`Error::TooLarge`].
pub fn check_length(what: &'static str, actual: usize, maximum: usize) -> Result<()> {
    if actual <= maximum {
        return Ok(());
    }
    let (actual, maximum) = (actual as u64, maximum as u64);
    Err(Error::TooLarge { what, actual, minimum: 0, maximum })
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry_id() -> impl Strategy<Value = Option<EntryId>> {
        prop::option::of(
            (any::<u64>(), 0..u64::MAX)
                .prop_map(|(term, index)| EntryId { term: Term(term), index: EntryIndex(index) }),
        )
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            vote in prop::collection::vec(any::<u8>(), 0..MAX_VOTE_LENGTH),
            purged in entry_id(), committed in entry_id(), config in entry_id(),
            bytes in prop::collection::vec(any::<u8>(), 0..100),
            presence in prop::sample::select(vec![Presence::Here, Presence::Gone, Presence::Cleared]),
            dead in prop::collection::vec((any::<u64>(), any::<u64>()), 0..5),
            pledge in prop::option::of(
                (prop::collection::vec(any::<u8>(), 0..MAX_VOTE_LENGTH), entry_id())
                    .prop_map(|(vote, last)| Pledge { vote, last }),
            ),
        ) {
            let state = State {
                presence, vote, purged, committed,
                config: config.map(|id| (id, bytes)),
                dead: dead.iter().map(|(first, last)| Dead {
                    first: Sequence(*first), last: Sequence(*last),
                }).collect(),
                pledge,
            };
            prop_assert_eq!(State::decode(&state.encode()).unwrap(), state);
            let head = Head {
                id: purged.unwrap_or_default(),
                committed: committed.map(|id| id.index),
                carries: Carries::Config,
            };
            prop_assert_eq!(Head::decode(&head.encode()).unwrap(), head);
        }

        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Head::decode(&bytes);
            if let Some(version) = bytes.first_mut() {
                *version = VERSION;
            }
            let _ = State::decode(&bytes);
        }
    }
}
