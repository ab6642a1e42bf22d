//! How far the server is, and what ails it.

use std::sync::atomic::Ordering;

use super::Shown;
use crate::proposer::BatchError;
use crate::server::Server;

/// How far the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The store is being opened.
    Starting,
    /// Clients are served.
    Serving,
    /// What was accepted is being finished.
    Ending,
}

impl Phase {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Serving => "serving",
            Phase::Ending => "ending",
        }
    }
}

/// What keeps writes from being taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The disk is full. It passes by itself when there is room.
    DiskFull(String),
    /// The store takes no writes until it is opened anew.
    Fenced(String),
}

/// The state of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// How far it is.
    pub phase: Phase,
    /// What ails it.
    pub trouble: Option<Trouble>,
}

/// Whether a question is answered with yes, and in a few words why not.
pub type Verdict = Result<&'static str, String>;

impl Health {
    /// That of the server shown, if there is one yet.
    pub fn of(shown: &Shown) -> Health {
        let Some(server) = shown.0.get() else {
            return Health { phase: Phase::Starting, trouble: None };
        };
        let Some(server) = server.upgrade().filter(|server| !server.is_ending()) else {
            return Health { phase: Phase::Ending, trouble: None };
        };
        Health { phase: Phase::Serving, trouble: trouble(&server) }
    }

    /// Whether the process should be left to live: writes are possible, or will be.
    pub fn is_well(&self) -> Verdict {
        match &self.trouble {
            Some(Trouble::Fenced(reason)) => Err(reason.clone()),
            _ => Ok(self.phase.word()),
        }
    }

    /// Whether clients should be sent to it.
    pub fn is_ready(&self) -> Verdict {
        match self.phase {
            Phase::Serving => self.is_well(),
            phase => Err(phase.word().to_owned()),
        }
    }
}

/// What keeps a server from taking writes.
pub fn trouble(server: &Server) -> Option<Trouble> {
    let mut lanes = server.proposers.lanes();
    match lanes.find_map(|lane| server.proposers.of(lane).hold().trouble()) {
        Some(BatchError::DiskFull) => {
            return Some(Trouble::DiskFull(BatchError::DiskFull.to_string()));
        }
        Some(error) => return Some(Trouble::Fenced(error.to_string())),
        None => {}
    }
    // Where no write waits for a sync, only the next one meets the fence.
    let failed = server.log_metrics.failed_syncs.load(Ordering::Relaxed);
    (failed > 0)
        .then(|| Trouble::Fenced(BatchError::Fenced("a sync failed".to_owned()).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(phase: Phase, trouble: Option<Trouble>) -> (bool, bool) {
        let health = Health { phase, trouble };
        (health.is_well().is_ok(), health.is_ready().is_ok())
    }

    #[test]
    fn what_ails_a_server_decides_who_hears_of_it() {
        let full = || Some(Trouble::DiskFull("full".to_owned()));
        let fenced = || Some(Trouble::Fenced("fenced".to_owned()));
        assert_eq!(health(Phase::Starting, None), (true, false));
        assert_eq!(health(Phase::Serving, None), (true, true));
        assert_eq!(health(Phase::Serving, full()), (true, true));
        assert_eq!(health(Phase::Serving, fenced()), (false, false));
        assert_eq!(health(Phase::Ending, None), (true, false));
    }
}
