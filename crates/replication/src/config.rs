//! Openraft's settings, and the few times that are ours to choose.
//!
//! ```text
//!  leader dies          lease ends       election begins     new leader
//!     ├─── up to `election_max` ──┤├── `election_min..max` ──┤├─ votes, one sync each ─┤
//! ```
//!
//! What must not stay at openraft's default, and why:
//!
//! - *pre-vote*: a node that was cut off must not depose a leader when it returns.
//! - *quorum-loss probe*: without it, a leader that hears only some of the others keeps them from
//!   electing one that all can hear.
//! - *no leader restored at restart*: it may have sent entries to others that it lost itself, and would give
//!   their ids to other entries in the same term.
//! - *snapshots never by themselves, nothing purged by itself*: a snapshot costs nothing until it is sent,
//!   and the log is the store: how much of it stays is decided elsewhere.

use std::sync::Arc;
use std::time::Duration;

use openraft::{Config, SnapshotPolicy, StepDownPolicy};

use crate::entry_log::ShardId;
use crate::error::{Error, Result};

/// The times of a cluster, the same on all of its nodes. In milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How often a leader lets its followers know that it lives.
    pub heartbeat: u64,
    /// The least a follower waits before it wants to lead. More than two heartbeats.
    pub election_min: u64,
    /// The most. Also how long a leader may answer reads without asking anybody.
    pub election_max: u64,
    /// How long a follower may take to store entries before the leader sends them anew.
    pub append: u64,
    /// How long a snapshot may go without progress.
    pub snapshot_idle: u64,
    /// How long connecting to a peer may take.
    pub connect: u64,
}

impl Default for Timing {
    /// For disks that sync in some milliseconds. A lost leader is replaced within 2 seconds.
    fn default() -> Timing {
        Timing {
            heartbeat: 170,
            election_min: 500,
            election_max: 800,
            append: 5_000,
            snapshot_idle: 30_000,
            connect: 1_000,
        }
    }
}

impl Timing {
    /// For tests on one machine.
    pub fn quick() -> Timing {
        Timing {
            heartbeat: 50,
            election_min: 200,
            election_max: 400,
            append: 2_000,
            snapshot_idle: 5_000,
            connect: 300,
        }
    }

    /// How long a follower gives its word to no other leader.
    pub(crate) fn lease(self) -> Duration {
        Duration::from_millis(self.election_max)
    }

    /// What a leader makes of that: clocks may differ by a tenth in their rates.
    pub(crate) fn trusted_lease(self) -> Duration {
        Duration::from_millis(self.election_max - self.election_max.div_ceil(10))
    }

    /// How long a leader waits until entries are stored.
    pub(crate) fn append_patience(self) -> Duration {
        Duration::from_millis(self.append)
    }

    /// How long a follower may not know that an entry is committed, while its leader has no other to send.
    pub(crate) fn news(self) -> Duration {
        Duration::from_millis((self.heartbeat / 8).max(1))
    }

    /// Openraft's settings for a shard's group.
    ///
    /// # Errors
    /// If the times contradict each other.
    pub(crate) fn config(self, shard: ShardId) -> Result<Arc<Config>> {
        let config = Config {
            cluster_name: format!("shard {shard}"),
            // A group looks at the time once in a heartbeat: it is due by then, though the last one was late.
            heartbeat_interval: self.heartbeat * 7 / 8,
            heartbeat_min_interval: Some(self.heartbeat / 2),
            election_timeout_min: self.election_min,
            election_timeout_max: self.election_max,
            enable_pre_vote: Some(true),
            quorum_loss_probe_interval: Some(2 * self.election_max + self.heartbeat),
            enable_leader_restore: Some(false),
            allow_log_reversion: Some(false),
            removed_leader_step_down: StepDownPolicy::After(2 * self.heartbeat),
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: u64::MAX,
            replication_lag_threshold: 64,
            max_payload_entries: 1024,
            install_snapshot_timeout: self.snapshot_idle,
            backoff: "20ms 40ms 80ms ...500ms".into(),
            ..Config::default()
        };
        config.validate().map(Arc::new).map_err(|error| Error::Timing(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_timings_are_sound() {
        for timing in [Timing::default(), Timing::quick()] {
            let config = timing.config(ShardId(3)).unwrap();
            assert_eq!(config.enable_pre_vote, Some(true));
            assert_eq!(config.enable_leader_restore, Some(false));
            assert_eq!(config.allow_log_reversion, Some(false));
            assert_eq!(config.snapshot_policy, SnapshotPolicy::Never);
            assert!(config.quorum_loss_probe_interval >= Some(2 * timing.election_max));
            assert!(timing.trusted_lease() < timing.lease());
        }
        let timing = Timing::default();
        let worst = 2 * timing.election_max + 2 * timing.heartbeat;
        assert!(worst < 2_000, "a lost leader is replaced within 2 seconds");
    }

    #[test]
    fn times_that_contradict_each_other_are_refused() {
        let timing = Timing { heartbeat: 600, ..Timing::default() };
        assert!(matches!(timing.config(ShardId(1)), Err(Error::Timing(_))));
    }
}
