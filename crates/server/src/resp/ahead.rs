//! Requests understood ahead of their turn, so that what they will need can be fetched for all of them
//! at once.
//!
//! # Invariants
//! - While requests are kept here, the decoder stands behind the last of them.

use super::args::{Args, OwnedRequest, Range};
use super::request::{Decoded, Decoder, Limits, ProtocolError};

/// A few whole requests from the start of some bytes.
#[derive(Default)]
pub struct Ahead {
    ranges: Vec<Range>,
    requests: Vec<Request>,
}

struct Request {
    start: usize,
    length: usize,
    first: usize,
    count: usize,
    /// The words of one that is a line: they do not stand in the bytes as they are.
    line: Option<OwnedRequest>,
}

impl Ahead {
    /// Understands as many requests as there are at the start of `bytes`, but no more than `most`.
    ///
    /// # Errors
    /// If what stands behind them is no request. Those before it are kept all the same.
    pub fn fill(
        &mut self,
        decoder: &mut Decoder,
        bytes: &[u8],
        limits: &Limits,
        most: usize,
    ) -> Result<(), ProtocolError> {
        self.ranges.clear();
        self.requests.clear();
        let mut start = 0;
        while self.requests.len() < most {
            let rest = &bytes[start..];
            let Decoded::Request(length) = decoder.decode(rest, limits)? else { break };
            let first = self.ranges.len();
            self.ranges.extend_from_slice(decoder.ranges());
            let count = self.ranges.len() - first;
            let line = decoder.is_line().then(|| OwnedRequest::copy(decoder.args(rest)));
            self.requests.push(Request { start, length, first, count, line });
            start += length;
        }
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// The bytes that request `number` takes.
    pub fn length(&self, number: usize) -> usize {
        self.requests[number].length
    }

    /// The words of request `number` of those found in `bytes`.
    #[inline]
    pub fn args<'a>(&'a self, number: usize, bytes: &'a [u8]) -> Args<'a> {
        let request = &self.requests[number];
        match &request.line {
            Some(line) => line.args(),
            None => Args::new(
                &bytes[request.start..request.start + request.length],
                &self.ranges[request.first..request.first + request.count],
            ),
        }
    }
}
