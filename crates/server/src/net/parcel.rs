//! Requests that another node passes on: to a worker they look like a connection whose client sends them,
//! and then says that it has no more.
//!
//! ```text
//!  another node ─ requests ─▶ Parcel ─ as a connection's ─▶ worker ─▶ replies, held for their batches
//!               ◀──────────────── all of them, once the last is there ◀──────────┘
//! ```
//!
//! If the worker drops it before that, whoever waits learns only that the outcome is unknown.

use std::io;

use tokio::sync::oneshot;

/// Requests, and the replies to them.
#[derive(Debug)]
pub struct Parcel {
    requests: Vec<u8>,
    read: usize,
    replies: Vec<u8>,
    answer: Option<oneshot::Sender<Vec<u8>>>,
}

impl Parcel {
    /// These requests, and where all replies will be.
    pub fn new(requests: Vec<u8>) -> (Parcel, oneshot::Receiver<Vec<u8>>) {
        let (answer, replies) = oneshot::channel();
        (Parcel { requests, read: 0, replies: Vec::new(), answer: Some(answer) }, replies)
    }

    /// Reads requests; 0 bytes when there are no more.
    pub(super) fn read(&mut self, into: &mut [u8]) -> usize {
        let rest = &self.requests[self.read..];
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        self.read += count;
        count
    }

    /// Takes bytes of replies: all of them.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.replies.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// All requests were answered.
    pub(super) fn finish(&mut self) {
        if let Some(answer) = self.answer.take() {
            // Whoever waited may have given up.
            let _ = answer.send(std::mem::take(&mut self.replies));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_handed_over_whole_or_not_at_all() {
        let (mut parcel, mut replies) = Parcel::new(b"PING".to_vec());
        let mut bytes = [0; 3];
        assert_eq!((parcel.read(&mut bytes), &bytes), (3, b"PIN"));
        assert_eq!((parcel.read(&mut bytes), bytes[0]), (1, b'G'));
        assert_eq!(parcel.read(&mut bytes), 0);
        parcel.write(b"+PO").unwrap();
        assert!(replies.try_recv().is_err());
        parcel.write(b"NG").unwrap();
        parcel.finish();
        assert_eq!(replies.try_recv().unwrap(), b"+PONG");
        let (parcel, mut replies) = Parcel::new(Vec::new());
        drop(parcel);
        assert_eq!(replies.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }
}
