//! What clients asked and were told.

use std::collections::BTreeMap;
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
}

/// All calls of a run. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct History(Arc<Mutex<Vec<Call>>>);

impl History {
    /// Adds a call that has ended, or of which the end is unknown.
    pub fn add(&self, call: Call) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }

    /// All calls, by key.
    pub fn by_key(&self) -> BTreeMap<Vec<u8>, Vec<Call>> {
        let mut by_key: BTreeMap<Vec<u8>, Vec<Call>> = BTreeMap::new();
        for call in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            by_key.entry(call.key.clone()).or_default().push(call.clone());
        }
        by_key
    }

    /// How many calls there were, and how many were answered.
    pub fn counts(&self) -> (usize, usize) {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (calls.len(), calls.iter().filter(|call| call.end.is_some()).count())
    }
}
