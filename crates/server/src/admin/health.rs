//! How far the server is, and what ails it.

use std::sync::atomic::Ordering;

use aryavarth_replication::Group;

use super::Shown;
use crate::cluster::Clustered;
use crate::proposer::BatchError;
use crate::server::Server;

/// Shards that are named rather than counted.
const MOST_NAMED: usize = 16;

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
    /// Why a node of a cluster cannot answer for all its shards, if it cannot.
    pub apart: Option<String>,
}

/// Whether a question is answered with yes, and in a few words why not.
pub type Verdict = Result<&'static str, String>;

impl Health {
    /// That of the server shown, if there is one yet.
    pub fn of(shown: &Shown) -> Health {
        let Some(server) = shown.0.get() else {
            return Health { phase: Phase::Starting, trouble: None, apart: None };
        };
        let Some(server) = server.upgrade().filter(|server| !server.is_ending()) else {
            return Health { phase: Phase::Ending, trouble: None, apart: None };
        };
        let apart = server.cluster.as_ref().and_then(apart);
        Health { phase: Phase::Serving, trouble: trouble(&server), apart }
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
            Phase::Serving => match &self.apart {
                Some(reason) => Err(reason.clone()),
                None => self.is_well(),
            },
            phase => Err(phase.word().to_owned()),
        }
    }
}

/// What a node of a cluster has yet to have before clients should come: a cluster, and a leader of each
/// group that it is in.
fn apart(cluster: &Clustered) -> Option<String> {
    let view = cluster.views.newest();
    if view.for_clients().is_none() {
        return Some("it belongs to no cluster yet".to_owned());
    }
    let is_led = |group: &Group| group.leadership().borrow().leader.is_some();
    let leaderless: Vec<String> = cluster
        .seats
        .groups()
        .filter(|(_, group)| !is_led(group))
        .map(|(shard, _)| shard.to_string())
        .collect();
    let are_few = leaderless.len() <= MOST_NAMED;
    match leaderless.len() {
        0 => None,
        _ if are_few => Some(format!("no leader is known of shards {}", leaderless.join(" "))),
        number => Some(format!("no leader is known of {number} shards")),
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
        let health = Health { phase, trouble, apart: None };
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
        let apart = Some("alone".to_owned());
        let lonely = Health { phase: Phase::Serving, trouble: None, apart };
        assert!(lonely.is_well().is_ok());
        assert_eq!(lonely.is_ready(), Err("alone".to_owned()));
    }
}
