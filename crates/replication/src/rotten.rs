//! Entries that rotted in this node's log, and that a follower needs.
//!
//! ```text
//!  entries read for a follower ─ damage ─▶ silent: nobody hears that this node leads
//!                                             │ another node is elected: its entries may be intact
//!                                             ▼
//!                        heard again ◀─ purged: the records have all that was applied
//! ```
//!
//! A leader that cannot read an entry can neither send it nor what comes after it, not even to a follower that has
//! all of that: it does not know. So it must not lead before the entry is out of its log. Whoever needs
//! purged entries is sent a snapshot instead, from the records.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use openraft::raft::AppendEntriesRequest;
use tokio::sync::mpsc;

use crate::error::Result;
use crate::group::{Group, Shared};
use crate::status::Role;
use crate::types::TypeConfig;

/// Whether this node keeps from its followers that it leads a shard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Silence(Arc<AtomicBool>);

impl Silence {
    /// Whether a request is not to be sent: followers take one without entries for a heartbeat.
    pub fn withholds(&self, request: &AppendEntriesRequest<TypeConfig>) -> bool {
        request.entries.is_empty() && self.0.load(Ordering::SeqCst)
    }

    fn keep(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn end(&self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// Where it is told that entries cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct Complaints {
    silence: Silence,
    sender: mpsc::Sender<()>,
}

impl Complaints {
    /// Where a log complains, and what hears it.
    pub fn new() -> (Complaints, Silence, mpsc::Receiver<()>) {
        let silence = Silence::default();
        let (sender, receiver) = mpsc::channel(1);
        (Complaints { silence: silence.clone(), sender }, silence, receiver)
    }

    /// A follower needs entries that are damaged here.
    pub fn complain(&self) {
        self.silence.keep();
        // One that was not heard yet is as good.
        let _ = self.sender.try_send(());
    }
}

/// Sees to what a group's log complains of, until the log is gone.
pub(crate) async fn keep_purging(
    group: Weak<Shared>,
    silence: Silence,
    mut complaints: mpsc::Receiver<()>,
) {
    while complaints.recv().await.is_some() {
        let Some(group) = group.upgrade().map(Group::from) else { return };
        match purge(&group).await {
            Ok(()) => tracing::warn!(
                shard = %group.shard(),
                "damaged entries were purged: whoever needs them is sent a snapshot"
            ),
            Err(error) => {
                tracing::error!(shard = %group.shard(), %error, "damaged entries are not purged yet");
            }
        }
        silence.end();
    }
}

async fn purge(group: &Group) -> Result<()> {
    if let Err(error) = group.step_down().await {
        tracing::warn!(shard = %group.shard(), %error, "nobody takes over the lead yet");
    }
    group.wait_leadership(|now| now.role != Role::Leader).await?;
    match group.applied() {
        Some(applied) => group.purge(applied.index).await,
        None => Ok(()),
    }
}
