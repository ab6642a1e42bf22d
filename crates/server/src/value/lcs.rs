//! `LCS`: the longest common subsequence of two values.
//!
//! The table of dynamic programming: `L(i, j)`, the length for the first `i` bytes of one value
//! and the first `j` of the other, is `L(i-1, j-1) + 1` if bytes `i` and `j` are the same, else the
//! larger of `L(i-1, j)` (up) and `L(i, j-1)` (left). The way back from the far corner goes over
//! pairs of same bytes, and elsewhere up only if up is larger. There may be several longest ones:
//! this order of preference is what makes it the one that Redis answers, and its runs of adjacent
//! pairs the ranges of `IDX`, last first.
//!
//! Redis keeps the table, 4 bytes an entry. The way back needs one bit of each, so here it is one
//! row and the bits: a 32nd of the memory, but the limit is on what Redis would need, so that the
//! same requests are refused.

use std::ops::RangeInclusive;

/// Most bytes Redis' table may take unless set otherwise: its `proto-max-bulk-len` (512 MiB).
pub const DEFAULT_TABLE_LIMIT: u64 = 512 << 20;

/// The table for two values would be too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")]
pub struct TooLarge;

/// A run of bytes that both values have, where it is in each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// In the first.
    pub first: RangeInclusive<usize>,
    /// In the second.
    pub second: RangeInclusive<usize>,
}

impl Match {
    /// Bytes it is long, at least one.
    pub fn length(&self) -> usize {
        self.first.end() - self.first.start() + 1
    }
}

/// What `LCS … IDX` answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matches {
    /// The runs, the last first.
    pub matches: Vec<Match>,
    /// Bytes of the whole subsequence, whatever runs were left out.
    pub length: u32,
}

/// The length of the longest common subsequence. `limit` is the most bytes of a table.
///
/// # Errors
/// [`TooLarge`].
pub fn length(first: &[u8], second: &[u8], limit: u64) -> Result<u32, TooLarge> {
    check(first.len(), second.len(), limit)?;
    Ok(fill(first, second, |_, _| ()))
}

/// The longest common subsequence. `limit` is the most bytes of a table.
///
/// # Errors
/// [`TooLarge`].
pub fn sequence(first: &[u8], second: &[u8], limit: u64) -> Result<Vec<u8>, TooLarge> {
    let Matches { mut matches, length } = matches(first, second, 0, limit)?;
    matches.reverse();
    let mut sequence = Vec::with_capacity(length as usize);
    for run in matches {
        sequence.extend_from_slice(&first[run.first]);
    }
    Ok(sequence)
}

/// Where the bytes of the longest common subsequence are, in runs of at least `shortest` bytes.
/// `limit` is the most bytes of a table.
///
/// # Errors
/// [`TooLarge`].
pub fn matches(
    first: &[u8],
    second: &[u8],
    shortest: usize,
    limit: u64,
) -> Result<Matches, TooLarge> {
    check(first.len(), second.len(), limit)?;
    let mut ups = Bits::of(first.len() * second.len());
    let length = fill(first, second, |place, up| ups.put(place, up));
    let mut matches = Vec::new();
    walk_back(first, second, &ups, |run| {
        if run.length() >= shortest {
            matches.push(run);
        }
    });
    Ok(Matches { matches, length })
}

/// Checks that the table for values of these lengths, in bytes, takes at most `limit` bytes.
///
/// # Errors
/// [`TooLarge`].
pub fn check(first: usize, second: usize, limit: u64) -> Result<(), TooLarge> {
    let entries = (first as u64 + 1).checked_mul(second as u64 + 1);
    let bytes = entries.and_then(|entries| entries.checked_mul(4));
    match bytes {
        // Lengths are counted in 32 bits.
        Some(bytes) if bytes <= limit && first.max(second) < u32::MAX as usize => Ok(()),
        _ => Err(TooLarge),
    }
}

/// Fills the table row by row and returns its last entry. Tells of each entry, in order, whether
/// up is larger than left.
fn fill(first: &[u8], second: &[u8], mut tell: impl FnMut(usize, u64)) -> u32 {
    let mut row = vec![0u32; second.len() + 1];
    let mut place = 0;
    for byte in first {
        let (mut corner, mut left) = (0, 0);
        for (other, entry) in second.iter().zip(&mut row[1..]) {
            let up = *entry;
            let same = byte == other;
            tell(place, u64::from(!same && up > left));
            left = if same { corner + 1 } else { up.max(left) };
            corner = up;
            *entry = left;
            place += 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// Tells the runs from the last to the first.
fn walk_back(first: &[u8], second: &[u8], ups: &Bits, mut tell: impl FnMut(Match)) {
    let (mut i, mut j) = (first.len(), second.len());
    while i > 0 && j > 0 {
        let (end, other_end) = (i, j);
        while i > 0 && j > 0 && first[i - 1] == second[j - 1] {
            (i, j) = (i - 1, j - 1);
        }
        if i < end {
            tell(Match { first: i..=end - 1, second: j..=other_end - 1 });
        } else if ups.get((i - 1) * second.len() + j - 1) {
            i -= 1;
        } else {
            j -= 1;
        }
    }
}

/// A row of bits.
struct Bits {
    words: Vec<u64>,
}

impl Bits {
    fn of(length: usize) -> Bits {
        Bits { words: vec![0; length.div_ceil(64)] }
    }

    fn put(&mut self, place: usize, bit: u64) {
        self.words[place / 64] |= bit << (place % 64);
    }

    fn get(&self, place: usize) -> bool {
        self.words[place / 64] >> (place % 64) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: u64 = DEFAULT_TABLE_LIMIT;

    fn run(first: RangeInclusive<usize>, second: RangeInclusive<usize>) -> Match {
        Match { first, second }
    }

    #[test]
    fn documented_example() {
        let (one, other) = (b"ohmytext", b"mynewtext");
        assert_eq!(sequence(one, other, LIMIT).unwrap(), b"mytext");
        assert_eq!(length(one, other, LIMIT), Ok(6));
        let both = vec![run(4..=7, 5..=8), run(2..=3, 0..=1)];
        assert_eq!(matches(one, other, 0, LIMIT), Ok(Matches { matches: both, length: 6 }));
        let long = vec![run(4..=7, 5..=8)];
        assert_eq!(matches(one, other, 4, LIMIT), Ok(Matches { matches: long, length: 6 }));
        assert_eq!(matches(one, other, 5, LIMIT), Ok(Matches { matches: vec![], length: 6 }));
    }

    #[test]
    fn nothing_in_common() {
        for (one, other) in [(&b""[..], &b""[..]), (b"abc", b""), (b"", b"abc"), (b"abc", b"xyz")] {
            assert_eq!(sequence(one, other, LIMIT).unwrap(), b"");
            let none = Matches { matches: vec![], length: 0 };
            assert_eq!(matches(one, other, 0, LIMIT), Ok(none));
        }
    }

    #[test]
    fn ties_go_as_in_redis() {
        assert_eq!(sequence(b"ab", b"ba", LIMIT).unwrap(), b"b");
        assert_eq!(sequence(b"abcabc", b"cbacba", LIMIT).unwrap(), b"cbc");
        assert_eq!(matches(b"ab", b"ba", 0, LIMIT).unwrap().matches, [run(1..=1, 0..=0)]);
    }

    #[test]
    fn limit() {
        // (3 + 1) × (4 + 1) entries of 4 bytes.
        assert_eq!(length(b"abc", b"abcd", 80), Ok(3));
        assert_eq!(length(b"abc", b"abcd", 79), Err(TooLarge));
        assert_eq!(sequence(b"abc", b"abcd", 79), Err(TooLarge));
        let long = vec![0; 20_000];
        assert_eq!(matches(&long, &long, 0, LIMIT), Err(TooLarge));
    }

    /// With the whole table, as Redis has it.
    fn slowly(first: &[u8], second: &[u8]) -> Matches {
        let mut table = vec![vec![0u32; second.len() + 1]; first.len() + 1];
        for i in 1..=first.len() {
            for j in 1..=second.len() {
                table[i][j] = if first[i - 1] == second[j - 1] {
                    table[i - 1][j - 1] + 1
                } else {
                    table[i - 1][j].max(table[i][j - 1])
                };
            }
        }
        let (mut i, mut j) = (first.len(), second.len());
        let mut matches: Vec<Match> = Vec::new();
        while i > 0 && j > 0 {
            if first[i - 1] != second[j - 1] {
                if table[i - 1][j] > table[i][j - 1] {
                    i -= 1
                } else {
                    j -= 1
                }
                continue;
            }
            (i, j) = (i - 1, j - 1);
            match matches.last_mut() {
                Some(last) if *last.first.start() == i + 1 && *last.second.start() == j + 1 => {
                    *last = run(i..=*last.first.end(), j..=*last.second.end());
                }
                _ => matches.push(run(i..=i, j..=j)),
            }
        }
        Matches { matches, length: table[first.len()][second.len()] }
    }

    proptest! {
        #[test]
        fn agrees_with_the_table(first in "[abc]{0,40}", second in "[abcd]{0,40}") {
            let (first, second) = (first.as_bytes(), second.as_bytes());
            let expected = slowly(first, second);
            prop_assert_eq!(length(first, second, LIMIT), Ok(expected.length));
            prop_assert_eq!(sequence(first, second, LIMIT).unwrap().len(), expected.length as usize);
            prop_assert_eq!(matches(first, second, 0, LIMIT), Ok(expected));
        }
    }
}
