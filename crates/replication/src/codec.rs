//! Messages between nodes as bytes, with a checksum of each.
//!
//! ```text
//!  ┌ message, in Protocol Buffers ┐┌ CRC-32C of it, 4 bytes, little-endian ┐
//! ```
//!
//! TCP's own checksum lets one damaged segment in tens of thousands pass. A bit that was turned in an entry's
//! payload is a wrong value; in a commit index or in the number of an answer it breaks Raft. A message whose
//! checksum does not fit is refused with its stream, and what it asked for is asked again.

use std::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Bytes of a checksum.
const CHECKSUM: usize = 4;

/// Sends `T` and receives `U`.
#[derive(Debug)]
pub(crate) struct Checked<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Checked<T, U> {
    fn default() -> Checked<T, U> {
        Checked(PhantomData)
    }
}

impl<T, U> Codec for Checked<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Sealer<T>;
    type Decoder = Opener<U>;

    fn encoder(&mut self) -> Sealer<T> {
        Sealer { sealed: BytesMut::new(), message: PhantomData }
    }

    fn decoder(&mut self) -> Opener<U> {
        Opener(PhantomData)
    }
}

/// Encodes messages.
#[derive(Debug)]
pub(crate) struct Sealer<T> {
    sealed: BytesMut,
    message: PhantomData<T>,
}

impl<T: Message> Encoder for Sealer<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        seal(&message, &mut self.sealed);
        to.put_slice(&self.sealed);
        if self.sealed.len() > KEPT {
            self.sealed = BytesMut::new();
        }
        Ok(())
    }
}

/// Bytes that an encoder keeps for the next message.
const KEPT: usize = 1 << 20;

/// Decodes messages.
#[derive(Debug)]
pub(crate) struct Opener<U>(PhantomData<U>);

impl<U: Message + Default> Decoder for Opener<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        open(from.copy_to_bytes(from.remaining())).map(Some)
    }
}

/// Writes a message and its checksum over what is in `to`.
fn seal<T: Message>(message: &T, to: &mut BytesMut) {
    to.clear();
    to.reserve(message.encoded_len() + CHECKSUM);
    message.encode(to).expect("the buffer grows");
    let checksum = crc32c::crc32c(to);
    to.put_u32_le(checksum);
}

fn open<U: Message + Default>(mut bytes: Bytes) -> Result<U, Status> {
    let damaged = || Status::data_loss("the checksum of a message does not fit");
    let length = bytes.len().checked_sub(CHECKSUM).ok_or_else(damaged)?;
    let mut checksum = bytes.split_off(length);
    if crc32c::crc32c(&bytes) != checksum.get_u32_le() {
        tracing::warn!("a message from a peer was damaged on its way");
        return Err(damaged());
    }
    U::decode(bytes).map_err(|error| Status::internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{EntryId, ForwardRequest};

    fn sealed(message: &impl Message) -> Bytes {
        let mut bytes = BytesMut::from(&b"of the message before"[..]);
        seal(message, &mut bytes);
        bytes.freeze()
    }

    #[test]
    fn a_message_comes_back() {
        let id = EntryId { term: 3, index: 1 << 40 };
        assert_eq!(open::<EntryId>(sealed(&id)).unwrap(), id);
        let empty = EntryId::default();
        assert_eq!(sealed(&empty).len(), CHECKSUM);
        assert_eq!(open::<EntryId>(sealed(&empty)).unwrap(), empty);
        let request = ForwardRequest { body: Bytes::from(vec![7; 100_000]) };
        assert_eq!(open::<ForwardRequest>(sealed(&request)).unwrap(), request);
    }

    #[test]
    fn every_bit_that_is_turned_is_noticed_and_so_is_every_byte_that_lacks() {
        let whole = sealed(&EntryId { term: 3, index: 1 << 40 });
        for bit in 0..8 * whole.len() {
            let mut damaged = whole.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let error = open::<EntryId>(damaged.into()).unwrap_err();
            assert_eq!(error.code(), tonic::Code::DataLoss, "bit {bit}");
        }
        for length in 0..whole.len() {
            assert!(open::<EntryId>(whole.slice(..length)).is_err(), "{length} bytes");
        }
    }
}
