//! Replies that wait: for the client to take them, and for the batches they depend on.
//!
//! ```text
//!            sent │ may go out │ held for batch 7 │ held for batch 9
//!  bytes  ────────┼────────────┼──────────────────┼──────────────────
//!              written      held[0].start      held[1].start      end
//! ```
//!
//! # Invariants
//! - Batches may be of different lanes; a region is released by its own lane, after those before it.
//! - The starts in `held` ascend; a region of no replies may be empty.
//! - Every reply behind `held[0].start` is counted in the held region it stands in.

use std::collections::VecDeque;

use crate::proposer::{BatchId, BatchNumber, Lane, Proposers};
use crate::resp::{Protocol, Reply};

/// Memory kept by a connection that has nothing to send and had nothing of late.
const KEPT: usize = 512;
/// Memory kept between replies that follow each other.
const MOST_KEPT: usize = 256 << 10;
/// Sent bytes are dropped from the front once they are this many.
const DROPPED_AT: usize = 256 << 10;

/// The batch of replies that depend on none, and wait only for those before them.
const INDEPENDENT: BatchId = BatchId { lane: Lane::FIRST, number: BatchNumber(0) };

/// A region of replies that depend on the same batch.
#[derive(Clone, Copy, Debug)]
struct Held {
    start: usize,
    number: BatchNumber,
    replies: u32,
    lane: Lane,
}

impl Held {
    fn new(start: usize, batch: BatchId, replies: u32) -> Held {
        Held { start, number: batch.number, replies, lane: batch.lane }
    }

    #[inline]
    fn batch(&self) -> BatchId {
        BatchId { lane: self.lane, number: self.number }
    }
}

/// The replies of a connection that are not sent yet.
#[derive(Debug, Default)]
pub struct Output {
    bytes: Vec<u8>,
    written: usize,
    held: VecDeque<Held>,
    /// Whether anything was sent since it was last asked to settle down.
    used: bool,
}

impl Output {
    /// Gives back memory that was not used since the last call, as that of a client that has become
    /// silent.
    pub fn settle_down(&mut self) {
        if !std::mem::take(&mut self.used) && self.bytes.is_empty() && self.bytes.capacity() > KEPT
        {
            self.bytes = Vec::new();
        }
    }

    /// Where replies are written, at its end.
    #[inline]
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Where the next reply will start.
    #[inline]
    pub fn end(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes not sent yet.
    pub fn pending(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// Memory it takes.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.held.capacity() * size_of::<Held>()
    }

    /// Whether some reply depends on a batch that may not be settled.
    #[inline]
    pub fn is_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Takes back all that was written from `start` on.
    pub fn truncate(&mut self, start: usize) {
        self.bytes.truncate(start);
    }

    /// Notes that a reply from `start` on was written, which depends on `batch` if there is one.
    #[inline]
    pub fn replied(&mut self, start: usize, batch: Option<BatchId>) {
        let batch = batch.unwrap_or(INDEPENDENT);
        match self.held.back_mut() {
            None if batch == INDEPENDENT => {}
            Some(last) if last.batch() == batch => last.replies += 1,
            _ => self.held.push_back(Held::new(start, batch, 1)),
        }
    }

    /// Notes that a command whose reply the client does not want depends on `batch`. What follows must
    /// see that batch, and waits for it, all the same.
    pub fn depends_silently(&mut self, batch: BatchId) {
        if self.held.back().is_none_or(|last| last.batch() != batch) {
            self.held.push_back(Held::new(self.bytes.len(), batch, 0));
        }
    }

    /// The bytes that may be sent now.
    pub fn sendable(&mut self, proposers: &Proposers, protocol: Protocol) -> &[u8] {
        if self.is_held() {
            self.release(proposers, protocol);
        }
        let end = self.held.front().map_or(self.bytes.len(), |held| held.start);
        &self.bytes[self.written..end]
    }

    /// Notes that so many of them were sent.
    pub fn sent(&mut self, bytes: usize) {
        self.written += bytes;
        if self.written == self.bytes.len() {
            // Only regions without replies can be behind.
            self.held.iter_mut().for_each(|held| held.start = 0);
            self.written = 0;
            self.bytes.clear();
            self.used = true;
            if self.bytes.capacity() > MOST_KEPT {
                self.bytes = Vec::new();
            }
        } else if self.written >= DROPPED_AT {
            self.bytes.drain(..self.written);
            self.held.iter_mut().for_each(|held| held.start -= self.written);
            self.written = 0;
        }
    }

    fn release(&mut self, proposers: &Proposers, protocol: Protocol) {
        while let Some(held) = self.held.front().copied() {
            let outcomes = proposers.of(held.lane).outcomes();
            if held.number > outcomes.settled() {
                return;
            }
            self.held.pop_front();
            if let Some(error) = outcomes.failure(held.number) {
                self.replace(held, &error.to_string(), protocol);
            }
        }
    }

    /// Puts errors in the place of replies that did not come true.
    fn replace(&mut self, held: Held, error: &str, protocol: Protocol) {
        let end = self.held.front().map_or(self.bytes.len(), |next| next.start);
        let mut errors = Vec::new();
        for _ in 0..held.replies {
            Reply::new(&mut errors, protocol).error(error);
        }
        let length = errors.len();
        self.bytes.splice(held.start..end, errors);
        for later in &mut self.held {
            later.start = later.start - end + held.start + length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proposer::BatchError;
    use crate::proposer::fake::proposers;

    fn reply(output: &mut Output, text: &str, batch: Option<u64>) {
        let start = output.end();
        Reply::new(output.buffer(), Protocol::Two).simple(text);
        output.replied(start, batch.map(first));
    }

    fn first(number: u64) -> BatchId {
        BatchId { lane: Lane::FIRST, number: BatchNumber(number) }
    }

    fn sendable(output: &mut Output, proposers: &Proposers) -> String {
        let text = output.sendable(proposers, Protocol::Two).escape_ascii().to_string();
        text.replace("\\r\\n", " ")
    }

    #[test]
    fn replies_wait_for_their_batch_and_for_each_other() {
        let (mut output, proposers) = (Output::default(), proposers(1));
        let outcomes = proposers.of(Lane::FIRST).outcomes();
        reply(&mut output, "a", None);
        reply(&mut output, "b", Some(1));
        reply(&mut output, "c", None);
        reply(&mut output, "d", Some(2));
        assert_eq!(sendable(&mut output, &proposers), "+a ");
        outcomes.settle(BatchNumber(1));
        assert_eq!(sendable(&mut output, &proposers), "+a +b +c ");
        output.sent(12);
        outcomes.settle(BatchNumber(2));
        assert_eq!(sendable(&mut output, &proposers), "+d ");
        assert!(!output.is_held());
    }

    #[test]
    fn what_is_not_answered_holds_what_follows() {
        let (mut output, proposers) = (Output::default(), proposers(1));
        let outcomes = proposers.of(Lane::FIRST).outcomes();
        reply(&mut output, "a", None);
        output.depends_silently(first(1));
        output.depends_silently(first(1));
        assert_eq!(sendable(&mut output, &proposers), "+a ");
        output.sent(4);
        assert!(output.is_held());
        reply(&mut output, "b", Some(1));
        output.depends_silently(first(2));
        reply(&mut output, "c", None);
        assert_eq!(sendable(&mut output, &proposers), "");
        outcomes.fail(
            BatchNumber(2)..=BatchNumber(2),
            BatchError::Refused("nobody is told".to_owned()),
        );
        outcomes.settle(BatchNumber(2));
        assert_eq!(sendable(&mut output, &proposers), "+b +c ");
        assert!(!output.is_held());
    }

    #[test]
    fn what_depends_on_a_failed_batch_becomes_an_error() {
        let (mut output, proposers) = (Output::default(), proposers(1));
        let outcomes = proposers.of(Lane::FIRST).outcomes();
        reply(&mut output, "a", None);
        reply(&mut output, "b", Some(1));
        reply(&mut output, "c", None);
        reply(&mut output, "d", Some(2));
        reply(&mut output, "e", Some(3));
        let no = || BatchError::Refused("no".to_owned());
        outcomes.fail(BatchNumber(1)..=BatchNumber(1), no());
        outcomes.fail(BatchNumber(3)..=BatchNumber(3), no());
        outcomes.settle(BatchNumber(3));
        assert_eq!(sendable(&mut output, &proposers), "+a -ERR no +c +d -ERR no ");
    }
}
