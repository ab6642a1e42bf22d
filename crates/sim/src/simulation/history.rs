//! What clients asked and were told.

use std::sync::{Arc, Mutex, PoisonError};

use aryavarth_check::{Answer, Request};

/// A request of a key, as it is checked. Times are in microseconds.
pub type Call = aryavarth_check::Call<Vec<u8>>;

/// A request without an answer.
pub fn begin(client: u64, key: &[u8], request: Request, now: u64) -> Call {
    Call { client, key: key.to_vec(), request, begun: now, end: None }
}

/// The same, answered.
pub fn answered(call: Call, answer: Answer, now: u64) -> Call {
    Call { end: Some((answer, now)), ..call }
}

/// All calls of a run. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct History(Arc<Mutex<Vec<Call>>>);

impl History {
    /// Adds a call that has ended, or of which the end is unknown.
    pub fn add(&self, call: Call) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }

    /// All calls.
    pub fn seen(&self) -> Vec<Call> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many calls there were, and how many were answered.
    pub fn counts(&self) -> (usize, usize) {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (calls.len(), calls.iter().filter(|call| call.end.is_some()).count())
    }
}
