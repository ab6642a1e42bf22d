//! How a proposal learns that it stands in its leader's log, before anybody else has it.
//!
//! Openraft tells a proposal only its end. A proposal that others build on must not be overtaken by them
//! if it is refused, so whoever hands them on waits for what comes first: the entry reaches the log, or
//! the answer comes without that.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// What became of a proposal at its leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acceptance {
    /// It stands in the leader's log.
    Accepted,
    /// It was answered without ever standing there.
    Refused,
}

/// Travels with the proposal's effects. What is told first counts.
#[derive(Debug)]
pub(crate) struct Ticket(Mutex<Option<oneshot::Sender<Acceptance>>>);

impl Ticket {
    /// A ticket, and what is told by it.
    pub fn new() -> (Arc<Ticket>, impl Future<Output = Acceptance>) {
        let (sender, receiver) = oneshot::channel();
        let acceptance = async move { receiver.await.unwrap_or(Acceptance::Refused) };
        (Arc::new(Ticket(Mutex::new(Some(sender)))), acceptance)
    }

    /// The entry stands in the leader's log.
    pub fn logged(&self) {
        self.tell(Acceptance::Accepted);
    }

    /// The proposal was answered.
    pub fn answered(&self) {
        self.tell(Acceptance::Refused);
    }

    fn tell(&self, acceptance: Acceptance) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // Whoever proposed without building on it does not wait.
            let _ = sender.send(acceptance);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_told_first_counts() {
        let (ticket, acceptance) = Ticket::new();
        ticket.logged();
        ticket.answered();
        assert_eq!(acceptance.await, Acceptance::Accepted);
        let (ticket, acceptance) = Ticket::new();
        ticket.answered();
        ticket.logged();
        assert_eq!(acceptance.await, Acceptance::Refused);
        let (ticket, acceptance) = Ticket::new();
        drop(ticket);
        assert_eq!(acceptance.await, Acceptance::Refused);
    }
}
