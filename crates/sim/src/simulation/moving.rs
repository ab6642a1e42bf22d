//! A node is replaced by another while all else goes on: learner, catch up, voter, and the old one leaves.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aryavarth_replication::{Group, NodeId, Removed, ShardId, Standing};

use super::clients::Directory;
use super::machine::address;
use super::trace::Trace;

/// How long one step may take.
const STEP: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(100);
/// Entries that a learner may be behind when it becomes a voter.
const BEHIND: u64 = 10;

/// The replacement of a node.
#[derive(Clone)]
pub struct Move {
    /// Who leaves.
    pub from: NodeId,
    /// Who comes.
    pub to: NodeId,
    /// All voters, once it is done.
    pub voters: BTreeSet<NodeId>,
    /// Whether it is done.
    pub done: Arc<AtomicBool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Going,
    Done,
}

impl Move {
    /// Goes on until it is done, whatever happens meanwhile.
    pub async fn run(self, shards: Vec<ShardId>, directory: Directory, trace: Trace) {
        for shard in shards {
            while self.step(shard, &directory).await == Progress::Going {
                tokio::time::sleep(PAUSE).await;
            }
            trace.note(format_args!("s{shard}: node {} is replaced by {}", self.from, self.to));
        }
        self.done.store(true, Ordering::SeqCst);
    }

    async fn step(&self, shard: ShardId, directory: &Directory) -> Progress {
        for node in directory.nodes() {
            let Some(running) = directory.get(node) else { continue };
            let Some(group) = running.group(shard).filter(Group::is_leader) else { continue };
            let this = self.clone();
            let stepping = running.host.spawn(async move { this.step_on(&group).await });
            if let Ok(Ok(Progress::Done)) = tokio::time::timeout(STEP, stepping).await {
                return Progress::Done;
            }
        }
        Progress::Going
    }

    /// One step, on the leader.
    async fn step_on(&self, group: &Group) -> Progress {
        let status = group.status();
        let standing = |node: NodeId| {
            let member = status.members.iter().find(|member| member.node == node);
            member.map(|member| member.standing)
        };
        // Whatever fails is tried again.
        match standing(self.to) {
            None => drop(group.add_learner(self.to, &address(self.to)).await),
            Some(Standing::Learner) => {
                let caught_up = group.wait_caught_up(self.to, BEHIND, Duration::from_secs(1)).await;
                if caught_up.is_ok() {
                    drop(group.set_voters(&self.voters, Removed::Leave).await);
                }
            }
            Some(Standing::Voter) if status.changing || standing(self.from).is_some() => {
                drop(group.set_voters(&self.voters, Removed::Leave).await);
            }
            Some(Standing::Voter) => {
                let settled = status.config <= status.committed;
                return if settled { Progress::Done } else { Progress::Going };
            }
        }
        Progress::Going
    }
}
