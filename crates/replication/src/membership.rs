//! Who is in a group, as bytes: what is kept on the disk and sent to peers.
//!
//! ```text
//!  version u8 = 1
//!  members u16:  each  node u64 · address length u8 · address (UTF-8)
//!  sets    u8:   each  voters u16: each  node u64
//! ```
//!
//! All little-endian. One set is a settled group; two are a group that is changing, and both must agree.
//! Members in no set are learners.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::{Member, Membership};

const VERSION: u8 = 1;
/// What the log takes as one configuration.
pub(crate) const MAX_LENGTH: usize = 32 << 10;

/// The bytes do not describe a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("a newer release wrote this configuration (version {0})")]
    Version(u8),
    #[error("the configuration ends too early or too late")]
    Length,
    #[error("an address in the configuration is not text")]
    Address,
    #[error("the configuration names voters that are no members, or none")]
    Voters,
}

/// An address is too long, or there are too many members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a group's configuration is at most {MAX_LENGTH} bytes, its addresses at most 255 each")]
pub(crate) struct TooLarge;

pub(crate) fn encode(membership: &Membership) -> Result<Vec<u8>, TooLarge> {
    let mut bytes = vec![VERSION];
    let members: Vec<_> = membership.nodes().collect();
    bytes.extend(count16(members.len())?);
    for (node, member) in members {
        let length = u8::try_from(member.address.len()).map_err(|_| TooLarge)?;
        bytes.extend(node.to_le_bytes());
        bytes.push(length);
        bytes.extend(member.address.as_bytes());
    }
    let sets = membership.get_joint_config();
    bytes.push(u8::try_from(sets.len()).map_err(|_| TooLarge)?);
    for voters in sets {
        bytes.extend(count16(voters.len())?);
        for node in voters {
            bytes.extend(node.to_le_bytes());
        }
    }
    if bytes.len() > MAX_LENGTH { Err(TooLarge) } else { Ok(bytes) }
}

fn count16(count: usize) -> Result<[u8; 2], TooLarge> {
    u16::try_from(count).map(u16::to_le_bytes).map_err(|_| TooLarge)
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Membership, Malformed> {
    let mut rest = bytes;
    match take(&mut rest)? {
        [VERSION] => {}
        [other] => return Err(Malformed::Version(other)),
    }
    let mut members = BTreeMap::new();
    for _ in 0..u16::from_le_bytes(take(&mut rest)?) {
        let node = u64::from_le_bytes(take(&mut rest)?);
        let [length] = take(&mut rest)?;
        let address = take_slice(&mut rest, usize::from(length))?;
        let address = std::str::from_utf8(address).map_err(|_| Malformed::Address)?;
        members.insert(node, Member { address: address.to_owned() });
    }
    let [sets] = take(&mut rest)?;
    let mut config = Vec::new();
    for _ in 0..sets {
        let mut voters = BTreeSet::new();
        for _ in 0..u16::from_le_bytes(take(&mut rest)?) {
            voters.insert(u64::from_le_bytes(take(&mut rest)?));
        }
        config.push(voters);
    }
    if !rest.is_empty() {
        return Err(Malformed::Length);
    }
    if config.is_empty() && members.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(config, members).map_err(|_| Malformed::Voters)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(Malformed::Length)?;
    *rest = tail;
    Ok(*head)
}

fn take_slice<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Malformed> {
    let (head, tail) = rest.split_at_checked(length).ok_or(Malformed::Length)?;
    *rest = tail;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn group(sets: &[&[u64]], members: &[(u64, &str)]) -> Membership {
        let sets = sets.iter().map(|voters| voters.iter().copied().collect()).collect();
        let members: BTreeMap<_, _> = members
            .iter()
            .map(|(node, address)| (*node, Member { address: (*address).to_owned() }))
            .collect();
        Membership::new(sets, members).unwrap()
    }

    #[test]
    fn the_bytes_are_these() {
        let bytes = encode(&group(&[&[1]], &[(1, "a:1"), (2, "")])).unwrap();
        let mut expected = vec![1, 2, 0];
        expected.extend([1, 0, 0, 0, 0, 0, 0, 0, 3, b'a', b':', b'1']);
        expected.extend([2, 0, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn groups_survive_their_encoding() {
        let members = [(1, "127.0.0.11:1"), (2, "b:2"), (3, "c:3"), (9, "d:4")];
        for sets in [&[&[1_u64, 2, 3][..]][..], &[&[1, 2], &[2, 3]], &[&[9]]] {
            let before = group(sets, &members);
            assert_eq!(decode(&encode(&before).unwrap()), Ok(before));
        }
    }

    #[test]
    fn what_is_no_group_is_refused_by_name() {
        let good = encode(&group(&[&[1]], &[(1, "a:1")])).unwrap();
        assert_eq!(decode(&[2]), Err(Malformed::Version(2)));
        assert_eq!(decode(&good[..good.len() - 1]), Err(Malformed::Length));
        assert_eq!(decode(&[&good[..], &[0]].concat()), Err(Malformed::Length));
        let mut bad = good.clone();
        bad[12] = 0xff;
        assert_eq!(decode(&bad), Err(Malformed::Address));
        let mut bad = good;
        let voter = bad.len() - 8;
        bad[voter] = 7;
        assert_eq!(decode(&bad), Err(Malformed::Voters));
    }

    #[test]
    fn an_address_that_does_not_fit_is_refused() {
        let long = "x".repeat(256);
        assert_eq!(encode(&group(&[&[1]], &[(1, &long)])), Err(TooLarge));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn no_bytes_after_a_good_start_make_it_panic(
            mut bytes in proptest::collection::vec(0_u8..4, 0..100),
        ) {
            bytes.insert(0, VERSION);
            if let Ok(membership) = decode(&bytes) {
                prop_assert_eq!(decode(&encode(&membership).unwrap()), Ok(membership));
            }
        }
    }
}
