//! Who waits for a proposal, and is always told.

use openraft::raft::responder::Responder;

use crate::types::TypeConfig;

/// Called once with the outcome, or with none if it will never be known here.
pub(crate) struct Answer<T>(Option<Box<dyn FnOnce(Option<T>) + Send>>);

impl<T> Answer<T> {
    /// Calls `done` from wherever the outcome becomes known: it must be quick and must not block.
    pub fn new(done: impl FnOnce(Option<T>) + Send + 'static) -> Answer<T> {
        Answer(Some(Box::new(done)))
    }
}

impl<T: Send + 'static> Responder<TypeConfig, T> for Answer<T> {
    fn on_complete(mut self, outcome: T) {
        if let Some(done) = self.0.take() {
            done(Some(outcome));
        }
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            done(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn exactly_one_answer_is_given() {
        let (sender, answers) = mpsc::channel();
        let given = sender.clone();
        Answer::new(move |outcome| given.send(outcome).unwrap()).on_complete(7);
        drop(Answer::<u32>::new(move |outcome| sender.send(outcome).unwrap()));
        assert_eq!(answers.iter().collect::<Vec<_>>(), [Some(7), None]);
    }
}
