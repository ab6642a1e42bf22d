//! What clients asked and were told.

use std::sync::{Arc, Mutex, PoisonError};

use super::service::{Answer, Request};

/// A request, from when it was asked until it was answered, if it was.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who asked.
    pub client: u64,
    /// Of which key.
    pub key: Vec<u8>,
    /// For what.
    pub request: Request,
    /// When, in microseconds.
    pub begun: u64,
    /// What was answered, and when.
    pub end: Option<(Answer, u64)>,
}

impl Call {
    /// A request without an answer.
    pub fn begin(client: u64, key: &[u8], request: Request, now: u64) -> Call {
        Call { client, key: key.to_vec(), request, begun: now, end: None }
    }

    /// The same, answered.
    pub fn answered(self, answer: Answer, now: u64) -> Call {
        Call { end: Some((answer, now)), ..self }
    }

    /// What a client saw of it.
    fn seen(&self) -> aryavarth_check::Call<Vec<u8>> {
        let request = match self.request {
            Request::Read(_) => aryavarth_check::Request::Read,
            Request::Set(value) => aryavarth_check::Request::Set(value),
            Request::Add(more) => aryavarth_check::Request::Add(more),
            Request::Remove => aryavarth_check::Request::Remove,
        };
        let end = self.end.map(|(answer, at)| {
            let answer = match answer {
                Answer::Value(value) => aryavarth_check::Answer::Value(value),
                Answer::Done => aryavarth_check::Answer::Done,
                Answer::Sum(sum) => aryavarth_check::Answer::Sum(sum),
                Answer::Removed(was_there) => aryavarth_check::Answer::Removed(was_there),
            };
            (answer, at)
        });
        let (client, key, begun) = (self.client, self.key.clone(), self.begun);
        aryavarth_check::Call { client, key, request, begun, end }
    }
}

/// All calls of a run. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct History(Arc<Mutex<Vec<Call>>>);

impl History {
    /// Adds a call that has ended, or of which the end is unknown.
    pub fn add(&self, call: Call) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }

    /// All calls, as they are checked.
    pub fn seen(&self) -> Vec<aryavarth_check::Call<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(Call::seen).collect()
    }

    /// How many calls there were, and how many were answered.
    pub fn counts(&self) -> (usize, usize) {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (calls.len(), calls.iter().filter(|call| call.end.is_some()).count())
    }
}
