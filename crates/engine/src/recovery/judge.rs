//! What recovery does where the log holds no record: a decision table.
//!
//! A torn tail and damage look the same at the place itself, so other evidence decides. Wherever it
//! is certain that the bytes had been synced, it is damage; the rest was never promised to anybody.
//!
//! | segment | place below what is known to be synced | beyond it | verdict |
//! |---|---|---|---|
//! | sealed | – | – | damage: all of it was synced |
//! | open | yes | – | damage |
//! | open | no | a record that says this place was synced | damage |
//! | open | no | too unclear to search | damage |
//! | open | no | rubbish, or records that claim nothing | torn: cut |
//! | open | no | zeros only, and no batch is open | clean end |
//! | open | no | zeros only, but a batch is not whole | torn: cut |

use crate::log::scan::Beyond;
use crate::manifest::State;

/// Where the place lies with respect to what is known to be synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Below: its bytes were synced.
    Synced,
    /// At or above: nothing is known.
    Unknown,
}

/// What precedes the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// A whole batch, or the start of the segment.
    WholeBatch,
    /// The first records of a batch whose last is missing.
    PartOfBatch,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The log ends here, as it should.
    CleanEnd,
    /// The log ends with the last whole batch; what follows was never acknowledged as synced.
    Cut,
    /// Bytes that were synced are not there any more.
    Damage,
}

/// Judges a place without a record. `beyond` is what a search for records that claim this place to
/// be synced has found; it is asked for only where it matters.
///
/// # Errors
/// Those of the search.
pub fn judge<E>(
    state: State,
    side: Side,
    before: Before,
    beyond: impl FnOnce() -> Result<Beyond, E>,
) -> Result<Verdict, E> {
    if state == State::Sealed || side == Side::Synced {
        return Ok(Verdict::Damage);
    }
    Ok(match (beyond()?, before) {
        (Beyond::Record { .. } | Beyond::Unclear, _) => Verdict::Damage,
        (Beyond::Zeros, Before::WholeBatch) => Verdict::CleanEnd,
        (Beyond::Zeros, Before::PartOfBatch) | (Beyond::Rubbish, _) => Verdict::Cut,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table() {
        let record = Beyond::Record { offset: 8, synced_to: 8 };
        for state in [State::Open, State::Sealed] {
            for side in [Side::Synced, Side::Unknown] {
                for before in [Before::WholeBatch, Before::PartOfBatch] {
                    for beyond in [record, Beyond::Rubbish, Beyond::Zeros, Beyond::Unclear] {
                        let rows = [
                            (state == State::Sealed, Verdict::Damage),
                            (state == State::Open && side == Side::Synced, Verdict::Damage),
                            (
                                (state, side) == (State::Open, Side::Unknown)
                                    && matches!(beyond, Beyond::Record { .. } | Beyond::Unclear),
                                Verdict::Damage,
                            ),
                            (
                                (state, side) == (State::Open, Side::Unknown)
                                    && (beyond == Beyond::Rubbish
                                        || (beyond, before)
                                            == (Beyond::Zeros, Before::PartOfBatch)),
                                Verdict::Cut,
                            ),
                            (
                                (state, side, before, beyond)
                                    == (
                                        State::Open,
                                        Side::Unknown,
                                        Before::WholeBatch,
                                        Beyond::Zeros,
                                    ),
                                Verdict::CleanEnd,
                            ),
                        ];
                        let hit: Vec<_> = rows.iter().filter(|row| row.0).collect();
                        assert_eq!(hit.len(), 1, "{state:?} {side:?} {before:?} {beyond:?}");
                        let verdict = judge(state, side, before, || Ok::<_, ()>(beyond)).unwrap();
                        assert_eq!(verdict, hit[0].1, "{state:?} {side:?} {before:?} {beyond:?}");
                    }
                }
            }
        }
    }
}
