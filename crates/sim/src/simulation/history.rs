//! What clients asked and were told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aryavarth_check::{Answer, Request};

use super::expiry::{Deadline, Deadlines};

/// Values of keys that expire are above this, and no others.
const FIRST: u64 = 1 << 40;

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
pub struct History(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    calls: Vec<Call>,
    deadlines: Deadlines,
    /// Values that were given to keys that expire.
    values: u64,
}

impl History {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a call that has ended, or of which the end is unknown.
    pub fn add(&self, call: Call) {
        self.state().calls.push(call);
    }

    /// Adds a call of a key that expires.
    ///
    /// # Errors
    /// If its value has another deadline than before.
    pub fn add_until(&self, call: Call, deadline: Option<Deadline>) -> Result<(), String> {
        let mut state = self.state();
        let answer = call.end.map(|(answer, _)| answer);
        state.deadlines.note((call.request, answer), deadline)?;
        state.calls.push(call);
        Ok(())
    }

    /// A value that no key ever had.
    pub fn new_value(&self) -> u64 {
        let mut state = self.state();
        state.values += 1;
        FIRST + state.values
    }

    /// The deadlines of values that expire.
    pub fn deadlines(&self) -> Deadlines {
        self.state().deadlines.clone()
    }

    /// All calls.
    pub fn seen(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// How many calls there were, and how many were answered.
    pub fn counts(&self) -> (usize, usize) {
        let calls = &self.state().calls;
        (calls.len(), calls.iter().filter(|call| call.end.is_some()).count())
    }
}
