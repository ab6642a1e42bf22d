//! A vote as bytes: what is kept on the disk.
//!
//! ```text
//!  byte   0        1 … 8    9 … 16   17
//!         version  term     node     0: given, 1: won by that node
//!         (1)      little-endian
//! ```

use crate::types::Vote;

const VERSION: u8 = 1;
const LENGTH: usize = 18;

pub(crate) fn encode(vote: &Vote) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    bytes[0] = VERSION;
    bytes[1..9].copy_from_slice(&vote.leader_id.term.to_le_bytes());
    bytes[9..17].copy_from_slice(&vote.leader_id.voted_for.to_le_bytes());
    bytes[17] = u8::from(vote.committed);
    bytes
}

pub(crate) fn decode(bytes: &[u8]) -> Option<Vote> {
    let bytes: &[u8; LENGTH] = bytes.try_into().ok()?;
    if bytes[0] != VERSION {
        return None;
    }
    let term = u64::from_le_bytes(bytes[1..9].try_into().ok()?);
    let node = u64::from_le_bytes(bytes[9..17].try_into().ok()?);
    match bytes[17] {
        0 => Some(Vote::new(term, node)),
        1 => Some(Vote::new_committed(term, node)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_survive_their_encoding() {
        for vote in [Vote::new(0, 0), Vote::new(u64::MAX, 3), Vote::new_committed(7, u64::MAX)] {
            assert_eq!(decode(&encode(&vote)), Some(vote));
        }
    }

    #[test]
    fn what_is_no_vote_is_refused() {
        let good = encode(&Vote::new(1, 2));
        assert_eq!(decode(&good[1..]), None);
        assert_eq!(decode(&[]), None);
        for (place, value) in [(0, 2), (17, 2)] {
            let mut bad = good;
            bad[place] = value;
            assert_eq!(decode(&bad), None);
        }
    }
}
