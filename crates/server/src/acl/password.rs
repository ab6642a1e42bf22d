//! Passwords: only their SHA-256 digests are kept, and compared in a time that tells nothing.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The SHA-256 digest of a password; shown as 64 lowercase hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordDigest([u8; 32]);

impl PasswordDigest {
    /// A digest for which no password is known.
    pub(super) const NOBODYS: PasswordDigest = PasswordDigest([0; 32]);

    /// That of a password.
    pub fn of(password: &[u8]) -> PasswordDigest {
        PasswordDigest(Sha256::digest(password).into())
    }

    /// From its text; none if that is not exactly 64 lowercase hexadecimal digits.
    pub fn from_hex(text: &[u8]) -> Option<PasswordDigest> {
        let mut digest = [0; 32];
        let (pairs, rest) = text.as_chunks::<2>();
        if pairs.len() != digest.len() || !rest.is_empty() {
            return None;
        }
        for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Some(PasswordDigest(digest))
    }

    /// Whether it is the same, in a time that does not depend on where the two differ.
    pub fn matches(&self, other: &PasswordDigest) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for PasswordDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PasswordDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordDigest(..)")
    }
}

/// Why no password is generated. The text follows `ERR ` in the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GenerateError {
    /// The number of bits is out of range.
    Bits,
    /// The machine gave no random bytes; try again later.
    Random,
}

impl fmt::Display for GenerateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GenerateError::Bits => {
                "ACL GENPASS argument must be the number of bits for the output password, a \
                 positive number up to 4096"
            }
            GenerateError::Random => "the machine gave no random bytes",
        })
    }
}

impl std::error::Error for GenerateError {}

/// A random password for `ACL GENPASS`: hexadecimal digits, enough for so many bits (256 unless
/// told).
pub fn generate_password(bits: Option<i64>) -> Result<String, GenerateError> {
    let bits = bits.unwrap_or(256);
    if !(1..=4096).contains(&bits) {
        return Err(GenerateError::Bits);
    }
    let digits = (bits as usize).div_ceil(4);
    let mut random = vec![0; digits.div_ceil(2)];
    getrandom::fill(&mut random).map_err(|_| GenerateError::Random)?;
    let mut text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    text.truncate(digits);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_redis() {
        let digest = PasswordDigest::of(b"p1");
        let text = "f64551fcd6f07823cb87971cfb91446425da18286b3ab1ef935e0cbd7a69f68a";
        assert_eq!(digest.to_string(), text);
        let read = PasswordDigest::from_hex(digest.to_string().as_bytes()).unwrap();
        assert!(bool::from(read.matches(&digest)));
        assert!(!bool::from(PasswordDigest::of(b"p2").matches(&digest)));
    }

    #[test]
    fn a_digest_is_64_lowercase_digits() {
        let good = PasswordDigest::of(b"x").to_string();
        assert!(PasswordDigest::from_hex(good.as_bytes()).is_some());
        for bad in [good.to_uppercase(), good[1..].to_owned(), format!("{good}0"), "g".repeat(64)] {
            assert!(PasswordDigest::from_hex(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn passwords_are_as_long_as_asked() {
        let length = |bits| generate_password(bits).map(|text| text.len());
        assert_eq!(length(None), Ok(64));
        assert_eq!(length(Some(1)), Ok(1));
        assert_eq!(length(Some(5)), Ok(2));
        assert_eq!(length(Some(4096)), Ok(1024));
        assert_eq!(length(Some(0)), Err(GenerateError::Bits));
        assert_eq!(length(Some(4097)), Err(GenerateError::Bits));
        assert_ne!(generate_password(None), generate_password(None));
    }
}
