//! The bytes of one record: the unit the log is made of.
//!
//! ```text
//!  0        4          8                16         20       22      24     25      26       28
//!  +--------+----------+----------------+----------+--------+-------+------+-------+--------+
//!  | crc    | unsynced | sequence       | value    | key    | shard | kind | flags | zero   |
//!  | u32    | u32      | u64            | length   | length |  u16  |  u8  |  u8   | u16    |
//!  |        |          |                |  u32     | -1 u16 |       |      |       |        |
//!  +--------+----------+----------------+----------+--------+-------+------+-------+--------+
//!  | expiry u64, milliseconds of the wall clock (only with flag EXPIRES)                    |
//!  +-----------------+------------------+---------------------------------------------------+
//!  | key             | value            | zeros up to a multiple of 8                       |
//!  +-----------------+------------------+---------------------------------------------------+
//! ```
//!
//! Little-endian throughout. `crc` is CRC-32C (Castagnoli, as in RFC 3720) of all that follows it,
//! padding included, started from a value that depends on the store, the segment and the offset: a
//! good record in the wrong place does not pass. `unsynced` is how many 8-byte units before this
//! record the bytes known to be synced ended when it was written; recovery uses it to tell a torn
//! tail from damage. Flag MORE says that the next record belongs to the same batch.
//!
//! # Invariants
//! - A record starts at a multiple of 8 and is a multiple of 8 long.
//! - Kind 0 is never written, so that zeros are no record.
//! - The records of a batch stand next to each other in one segment; all have flag MORE but the last.

use crate::ids::{SegmentId, Sequence, ShardId, UnixMillis, align};
use crate::limits::{MAX_KEY_LENGTH, MAX_VALUE_LENGTH};

/// Bytes of the fixed part.
pub const HEADER_LENGTH: usize = 28;
const EXPIRY_LENGTH: usize = 8;
const FLAG_MORE: u8 = 1;
const FLAG_EXPIRES: u8 = 2;

/// What a record does to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The key has the value from here on.
    Set = 1,
    /// The key is gone from here on: a tombstone.
    Remove = 2,
    /// Heads an entry of a replicated log, whose effects are the rest of the batch. Of no key.
    Entry = 3,
    /// What a replicated log is to remember beside its entries. Of no key.
    State = 4,
}

/// Whether the next record belongs to the same batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// It does.
    Continues,
    /// This record is the last of its batch, or its only one.
    Ends,
}

/// One record, its key and value borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// What it does.
    pub kind: Kind,
    /// Whether the next one belongs to the same batch.
    pub batch: Batch,
    /// The shard of the key.
    pub shard: ShardId,
    /// Its place in the order of all writes.
    pub sequence: Sequence,
    /// When the key expires, if it does.
    pub expires_at: Option<UnixMillis>,
    /// The key.
    pub key: &'a [u8],
    /// The value; empty for a tombstone.
    pub value: &'a [u8],
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Only zeros where the header would be: nothing was written here.
    Empty,
    /// The bytes end before the record does.
    Short,
    /// A field has a value that is never written.
    Field(&'static str),
    /// The checksum does not match: other bytes than were written, or another place.
    Checksum,
}

impl Malformed {
    /// What to tell people.
    pub fn describe(self) -> String {
        match self {
            Malformed::Empty => "nothing is written where a record should be".to_owned(),
            Malformed::Short => "the record reaches past the end of the data".to_owned(),
            Malformed::Field(field) => format!("the record's {field} is not valid"),
            Malformed::Checksum => "the record's checksum does not match".to_owned(),
        }
    }
}

/// What a segment mixes into its records' checksums: where they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salt(u32);

impl Salt {
    /// The salt of segment `segment` of the store with id `store`.
    pub fn new(store: u64, segment: SegmentId) -> Salt {
        Salt(crc32c::crc32c_append(crc32c::crc32c(&store.to_le_bytes()), &segment.0.to_le_bytes()))
    }

    fn checksum(self, offset: u64, body: &[u8]) -> u32 {
        // Distinct starting values give distinct checksums of the same bytes.
        crc32c::crc32c_append(self.0 ^ (offset / 8) as u32, body)
    }
}

/// The bytes a record of these lengths takes.
pub fn encoded_length(key: usize, value: usize, expires_at: Option<UnixMillis>) -> u64 {
    let expiry = if expires_at.is_some() { EXPIRY_LENGTH } else { 0 };
    align((HEADER_LENGTH + expiry + key + value) as u64)
}

/// Appends the record's bytes to `out`, for the place `offset` of the segment with `salt`.
/// `synced_to` is the offset in the same segment below which all is known to be synced.
pub fn encode(out: &mut Vec<u8>, record: &Record<'_>, salt: Salt, offset: u64, synced_to: u64) {
    assert!((1..=MAX_KEY_LENGTH).contains(&record.key.len()));
    assert!(record.value.len() <= MAX_VALUE_LENGTH);
    let length = encoded_length(record.key.len(), record.value.len(), record.expires_at) as usize;
    let start = out.len();
    out.reserve(length);
    let unsynced = u32::try_from((offset - synced_to) / 8).unwrap_or(u32::MAX);
    let mut flags = 0;
    if record.batch == Batch::Continues {
        flags |= FLAG_MORE;
    }
    if record.expires_at.is_some() {
        flags |= FLAG_EXPIRES;
    }
    let mut header = [0; HEADER_LENGTH];
    header[4..8].copy_from_slice(&unsynced.to_le_bytes());
    header[8..16].copy_from_slice(&record.sequence.0.to_le_bytes());
    header[16..20].copy_from_slice(&(record.value.len() as u32).to_le_bytes());
    header[20..22].copy_from_slice(&((record.key.len() - 1) as u16).to_le_bytes());
    header[22..24].copy_from_slice(&record.shard.0.to_le_bytes());
    header[24] = record.kind as u8;
    header[25] = flags;
    out.extend_from_slice(&header);
    if let Some(at) = record.expires_at {
        out.extend_from_slice(&at.0.to_le_bytes());
    }
    out.extend_from_slice(record.key);
    out.extend_from_slice(record.value);
    out.resize(start + length, 0);
    let checksum = salt.checksum(offset, &out[start + 4..]);
    out[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
}

/// The fixed part of a record, decoded and found plausible but not yet proven by its checksum.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    checksum: u32,
    unsynced: u32,
    sequence: Sequence,
    value_length: usize,
    key_length: usize,
    shard: ShardId,
    kind: Kind,
    flags: u8,
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

impl Header {
    /// Decodes the first [`HEADER_LENGTH`] bytes of a record.
    ///
    /// # Errors
    /// Anything but [`Malformed::Checksum`], which only the whole record can tell.
    pub fn decode(bytes: &[u8]) -> Result<Header, Malformed> {
        let bytes = bytes.get(..HEADER_LENGTH).ok_or(Malformed::Short)?;
        let kind = match bytes[24] {
            1 => Kind::Set,
            2 => Kind::Remove,
            3 => Kind::Entry,
            4 => Kind::State,
            0 if bytes.iter().all(|b| *b == 0) => return Err(Malformed::Empty),
            _ => return Err(Malformed::Field("kind")),
        };
        let flags = bytes[25];
        if flags & !(FLAG_MORE | FLAG_EXPIRES) != 0 || u16_at(bytes, 26) != 0 {
            return Err(Malformed::Field("flags"));
        }
        let value_length = u32_at(bytes, 16) as usize;
        if value_length > MAX_VALUE_LENGTH || (kind == Kind::Remove && value_length > 0) {
            return Err(Malformed::Field("value length"));
        }
        Ok(Header {
            checksum: u32_at(bytes, 0),
            unsynced: u32_at(bytes, 4),
            sequence: Sequence(u64_at(bytes, 8)),
            value_length,
            key_length: usize::from(u16_at(bytes, 20)) + 1,
            shard: ShardId(u16_at(bytes, 22)),
            kind,
            flags,
        })
    }

    /// The bytes of the whole record.
    pub fn record_length(&self) -> u64 {
        align((self.key_start() + self.key_length + self.value_length) as u64)
    }

    /// Where the key stands in the record.
    pub fn key_range(&self) -> std::ops::Range<usize> {
        self.key_start()..self.key_start() + self.key_length
    }

    /// Below which offset all was known to be synced when this record was written at `offset`.
    pub fn synced_to(&self, offset: u64) -> u64 {
        offset.saturating_sub(u64::from(self.unsynced) * 8)
    }

    fn key_start(&self) -> usize {
        HEADER_LENGTH + if self.flags & FLAG_EXPIRES != 0 { EXPIRY_LENGTH } else { 0 }
    }

    /// The sequence, and the expiry of the record that starts `bytes`, unproven.
    pub fn sequence_and_expiry(&self, bytes: &[u8]) -> (Sequence, Option<UnixMillis>) {
        let expires = self.flags & FLAG_EXPIRES != 0;
        (self.sequence, expires.then(|| UnixMillis(u64_at(bytes, HEADER_LENGTH))))
    }

    /// The record in `bytes`, which are exactly its own, without a look at the checksum.
    pub fn view<'a>(&self, bytes: &'a [u8]) -> Record<'a> {
        let (sequence, expires_at) = self.sequence_and_expiry(bytes);
        let value_start = self.key_range().end;
        Record {
            kind: self.kind,
            batch: if self.flags & FLAG_MORE != 0 { Batch::Continues } else { Batch::Ends },
            shard: self.shard,
            sequence,
            expires_at,
            key: &bytes[self.key_range()],
            value: &bytes[value_start..value_start + self.value_length],
        }
    }

    /// The record in `bytes` as it was when it had this key and this value; none if it never had, which its
    /// checksum tells.
    pub fn restored(
        &self,
        mut bytes: Vec<u8>,
        (key, value): (&[u8], &[u8]),
        salt: Salt,
        offset: u64,
    ) -> Option<Vec<u8>> {
        if (self.key_length, self.value_length) != (key.len(), value.len()) {
            return None;
        }
        let (key_range, value_start) = (self.key_range(), self.key_range().end);
        bytes.get_mut(key_range)?.copy_from_slice(key);
        let (value_bytes, padding) =
            bytes.get_mut(value_start..)?.split_at_mut_checked(value.len())?;
        value_bytes.copy_from_slice(value);
        padding.fill(0);
        self.check(&bytes, salt, offset).is_ok().then_some(bytes)
    }

    /// The record in `bytes`, which start where it does, proven by its checksum.
    ///
    /// # Errors
    /// [`Malformed::Short`] or [`Malformed::Checksum`].
    pub fn check<'a>(
        &self,
        bytes: &'a [u8],
        salt: Salt,
        offset: u64,
    ) -> Result<Record<'a>, Malformed> {
        let bytes = bytes.get(..self.record_length() as usize).ok_or(Malformed::Short)?;
        if salt.checksum(offset, &bytes[4..]) != self.checksum {
            return Err(Malformed::Checksum);
        }
        Ok(self.view(bytes))
    }
}

/// Decodes and proves the record that starts `bytes`, which stand at `offset` of a segment.
///
/// # Errors
/// Why there is none.
#[cfg(any(test, feature = "simulation"))]
pub fn decode(bytes: &[u8], salt: Salt, offset: u64) -> Result<(Header, Record<'_>), Malformed> {
    let header = Header::decode(bytes)?;
    let record = header.check(bytes, salt, offset)?;
    Ok((header, record))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SALT: Salt = Salt(0x1234_5678);

    fn sample() -> Record<'static> {
        Record {
            kind: Kind::Set,
            batch: Batch::Ends,
            shard: ShardId(0),
            sequence: Sequence(7),
            expires_at: None,
            key: b"username",
            value: b"john",
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
    }

    /// The example of `docs/format.md`.
    #[test]
    fn the_drawing_is_the_bytes() {
        let mut out = Vec::new();
        encode(&mut out, &sample(), Salt::new(1, SegmentId(1)), 64, 64);
        let text = hex(&out);
        assert!(
            include_str!("../../../docs/format.md").contains(&text),
            "docs/format.md should show\n{text}"
        );
        assert_eq!(
            &text[12..],
            "00 00 00 00 07 00 00 00 00 00 00 00 04 00 00 00 07 00 00 00 01 00 00 00 \
             75 73 65 72 6e 61 6d 65 6a 6f 68 6e"
        );
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let mut out = Vec::new();
        let record = Record { expires_at: Some(UnixMillis(99)), ..sample() };
        encode(&mut out, &record, SALT, 64, 64);
        for bit in 0..out.len() * 8 {
            let mut bad = out.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bad, SALT, 64).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_record_elsewhere_is_no_record() {
        let mut out = Vec::new();
        encode(&mut out, &sample(), Salt::new(1, SegmentId(1)), 64, 64);
        assert!(decode(&out, Salt::new(1, SegmentId(1)), 64).is_ok());
        assert_eq!(decode(&out, Salt::new(1, SegmentId(1)), 72).unwrap_err(), Malformed::Checksum);
        assert_eq!(decode(&out, Salt::new(1, SegmentId(2)), 64).unwrap_err(), Malformed::Checksum);
        assert_eq!(decode(&out, Salt::new(2, SegmentId(1)), 64).unwrap_err(), Malformed::Checksum);
    }

    #[test]
    fn zeros_are_empty() {
        assert_eq!(decode(&[0; 64], SALT, 64).unwrap_err(), Malformed::Empty);
        assert_eq!(decode(&[0; 5], SALT, 64).unwrap_err(), Malformed::Short);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            key in prop::collection::vec(any::<u8>(), 1..300),
            value in prop::collection::vec(any::<u8>(), 0..3000),
            sequence in any::<u64>(), expiry in any::<Option<u64>>(),
            unsynced in 0u64..100, remove in any::<bool>(), more in any::<bool>(),
        ) {
            let record = Record {
                kind: if remove { Kind::Remove } else { Kind::Set },
                batch: if more { Batch::Continues } else { Batch::Ends },
                shard: ShardId(3),
                sequence: Sequence(sequence),
                expires_at: expiry.map(UnixMillis),
                key: &key,
                value: if remove { &[] } else { &value },
            };
            let mut out = vec![9; 16];
            encode(&mut out, &record, SALT, 800, 800 - unsynced * 8);
            let bytes = &out[16..];
            let (header, read) = decode(bytes, SALT, 800).unwrap();
            prop_assert_eq!(read, record);
            prop_assert_eq!(header.record_length() as usize, bytes.len());
            let length = encoded_length(read.key.len(), read.value.len(), read.expires_at);
            prop_assert_eq!(length as usize, bytes.len());
            prop_assert_eq!(header.synced_to(800), 800 - unsynced * 8);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes, SALT, 64);
        }
    }
}
