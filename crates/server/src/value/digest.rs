//! `DIGEST` (Redis 8.4): the XXH3 hash of a value, 64 bits, no seed, as 16 lowercase hex digits.
//!
//! It is for `SET … IFDEQ` and `DELEX`, which compare a value without sending it. It is no
//! cryptographic hash: two values with the same digest can be made at will.

use xxhash_rust::xxh3::xxh3_64;

/// Length of a digest as text, in bytes.
pub const DIGEST_LENGTH: usize = 16;

/// The text given for a digest is not 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("digest must be exactly 16 hexadecimal characters")]
pub struct NotADigest;

/// The digest of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(u64);

impl Digest {
    /// Computes it.
    pub fn of(value: &[u8]) -> Digest {
        Digest(xxh3_64(value))
    }

    /// Reads one from a client, who may write its digits in either case.
    ///
    /// # Errors
    /// If `text` is not 16 hexadecimal digits.
    pub fn parse(text: &[u8]) -> Result<Digest, NotADigest> {
        if text.len() != DIGEST_LENGTH {
            return Err(NotADigest);
        }
        let digit = |byte: &u8| char::from(*byte).to_digit(16).map(u64::from);
        let hash = text.iter().try_fold(0, |hash, byte| Some(hash << 4 | digit(byte)?));
        hash.map(Digest).ok_or(NotADigest)
    }

    /// Its text: 16 lowercase digits.
    pub fn to_hex(self) -> [u8; DIGEST_LENGTH] {
        std::array::from_fn(|place| {
            let digit = (self.0 >> (60 - 4 * place)) as usize & 15;
            b"0123456789abcdef"[digit]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(value: &[u8]) -> String {
        Digest::of(value).to_hex().escape_ascii().to_string()
    }

    #[test]
    fn documented_digests() {
        // The example of Redis' documentation, then those of DragonflyDB's.
        assert_eq!(hex(b"Hello world"), "b6acb9d84a38ff74");
        assert_eq!(hex(b"Hello, Dragonfly!"), "063b4909128e92b7");
        assert_eq!(hex(b"test"), "9ec9f7918d7dfc40");
        assert_eq!(hex(b"foo"), "ab6e5f64077e7d8a");
        assert_eq!(hex(b""), "2d06800538d394c2");
    }

    #[test]
    fn parsing() {
        let digest = Digest::of(b"Hello world");
        assert_eq!(Digest::parse(&digest.to_hex()), Ok(digest));
        assert_eq!(Digest::parse(b"B6ACB9D84A38FF74"), Ok(digest));
        for text in [&b""[..], b"b6acb9d84a38ff7", b"b6acb9d84a38ff740", b"g6acb9d84a38ff74"] {
            assert_eq!(Digest::parse(text), Err(NotADigest));
        }
    }
}
