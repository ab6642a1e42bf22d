//! A batch of effects as bytes, for the wire.
//!
//! ```text
//!  each effect:  kind u8 · key length u32 · key                                        0 remove
//!                kind u8 · key length u32 · value length u32 · key · value               1 set
//!                kind u8 · key length u32 · value length u32 · until u64 · key · value   2 set, expires
//! ```
//!
//! All little-endian; `until` in milliseconds since 1970.

use aryavarth::limits::{MAX_KEY_LENGTH, MAX_VALUE_LENGTH, MIN_KEY_LENGTH};
use aryavarth::{Effect, UnixMillis, WriteBatch};
use bytes::{BufMut, Bytes, BytesMut};

const REMOVE: u8 = 0;
const SET: u8 = 1;
const SET_EXPIRING: u8 = 2;

/// The bytes are not a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("effects from a peer cannot be understood")]
pub(crate) struct Malformed;

pub(crate) fn encode(batch: &WriteBatch) -> Bytes {
    let length = usize::try_from(batch.bytes()).unwrap_or(0) + batch.len() * 17;
    let mut bytes = BytesMut::with_capacity(length);
    for number in 0..batch.len() {
        let operation = batch.operation(number);
        let key = operation.key;
        match operation.effect {
            Effect::Remove => {
                bytes.put_u8(REMOVE);
                bytes.put_u32_le(length32(key));
                bytes.put_slice(key);
            }
            Effect::Set { value, expires_at } => {
                bytes.put_u8(if expires_at.is_some() { SET_EXPIRING } else { SET });
                bytes.put_u32_le(length32(key));
                bytes.put_u32_le(length32(value));
                if let Some(UnixMillis(until)) = expires_at {
                    bytes.put_u64_le(until);
                }
                bytes.put_slice(key);
                bytes.put_slice(value);
            }
        }
    }
    bytes.freeze()
}

fn length32(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("the engine's limits are below 4 GiB")
}

pub(crate) fn decode(bytes: &[u8]) -> Result<WriteBatch, Malformed> {
    let mut batch = WriteBatch::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let [kind] = take(&mut rest)?;
        let key_length = u32::from_le_bytes(take(&mut rest)?) as usize;
        if !(MIN_KEY_LENGTH..=MAX_KEY_LENGTH).contains(&key_length) {
            return Err(Malformed);
        }
        if kind == REMOVE {
            let key = take_slice(&mut rest, key_length)?;
            batch.push(key, Effect::Remove);
            continue;
        }
        let value_length = u32::from_le_bytes(take(&mut rest)?) as usize;
        if value_length > MAX_VALUE_LENGTH {
            return Err(Malformed);
        }
        let expires_at = match kind {
            SET => None,
            SET_EXPIRING => Some(UnixMillis(u64::from_le_bytes(take(&mut rest)?))),
            _ => return Err(Malformed),
        };
        let key = take_slice(&mut rest, key_length)?;
        let value = take_slice(&mut rest, value_length)?;
        batch.push(key, Effect::Set { value, expires_at });
    }
    Ok(batch)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(Malformed)?;
    *rest = tail;
    Ok(*head)
}

fn take_slice<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Malformed> {
    let (head, tail) = rest.split_at_checked(length).ok_or(Malformed)?;
    *rest = tail;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Plain = (Vec<u8>, Option<(Vec<u8>, Option<u64>)>);

    fn plain(batch: &WriteBatch) -> Vec<Plain> {
        (0..batch.len())
            .map(|number| {
                let operation = batch.operation(number);
                let effect = match operation.effect {
                    Effect::Remove => None,
                    Effect::Set { value, expires_at } => {
                        Some((value.to_vec(), expires_at.map(|until| until.0)))
                    }
                };
                (operation.key.to_vec(), effect)
            })
            .collect()
    }

    proptest! {
        #[test]
        fn batches_survive_their_encoding(effects in proptest::collection::vec(
            (
                proptest::collection::vec(any::<u8>(), 1..9),
                proptest::option::of((
                    proptest::collection::vec(any::<u8>(), 0..9),
                    proptest::option::of(any::<u64>()),
                )),
            ),
            0..9,
        )) {
            let mut batch = WriteBatch::new();
            for (key, effect) in &effects {
                match effect {
                    None => batch.push(key, Effect::Remove),
                    Some((value, until)) => {
                        batch.push(key, Effect::Set { value, expires_at: until.map(UnixMillis) })
                    }
                };
            }
            let bytes = encode(&batch);
            prop_assert_eq!(plain(&decode(&bytes).unwrap()), effects);
            if !bytes.is_empty() {
                let cut = &bytes[..bytes.len() - 1];
                prop_assert!(decode(cut).map_or(true, |batch| encode(&batch).len() < bytes.len()));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(0_u8..5, 0..60)) {
            if let Ok(batch) = decode(&bytes) {
                prop_assert_eq!(&encode(&batch)[..], &bytes[..]);
            }
        }
    }
}
