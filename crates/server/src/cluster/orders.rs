//! What the leader of a shard does on behalf of the leader of the meta group.
//!
//! ```text
//!  order: ordered in meta term 4, for shard term 9, membership of entry 120
//!    └─ meta term older than one that was heard of ─▶ refused: a deposed leader's
//!    └─ shard term or membership differ            ─▶ refused: it was decided on what is past
//! ```
//!
//! So an order that arrives late or twice does nothing the second time. One that was begun is finished though
//! whoever ordered it is gone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aryavarth_cluster::{NodeId, ShardId};
use aryavarth_replication::{Group, Removed, Role};

use super::error::NodeError;
use super::member::Member;
use super::messages::{Action, Answer, Order, Question};
use super::pulse::led;

/// How long the target of a move may take to have a group.
const PREPARING: Duration = Duration::from_secs(3);

impl Member {
    /// Does what is ordered, if it still makes sense.
    pub async fn obey(self: &Arc<Self>, order: Order) -> Answer {
        {
            let mut known = self.known();
            if order.meta_term < known.meta_term {
                return Answer::Refused("it was ordered by a leader that was deposed".into());
            }
            known.meta_term = order.meta_term;
        }
        let shard = order.action.shard();
        let known = shard.0 <= self.shards.get();
        let Some(group) = known.then(|| self.seats.seat(shard).group()).flatten() else {
            return Answer::Later(format!("shard {shard} is not here"));
        };
        if !is_current(&group, &order) {
            return Answer::Later("the group is not what it was when this was ordered".into());
        }
        let member = Arc::clone(self);
        // By itself, so that it is finished though nobody waits any more.
        let doing = tokio::spawn(async move {
            match member.act(&group, &order).await {
                Ok(()) => led(&group).map_or(Answer::Done, Answer::Acted),
                Err(error) => Answer::Later(error.to_string()),
            }
        });
        doing.await.unwrap_or_else(|_| Answer::Later("the node is stopping".into()))
    }

    async fn act(self: &Arc<Self>, group: &Group, order: &Order) -> Result<(), NodeError> {
        match &order.action {
            Action::AddLearner { shard, node, address } => {
                self.have_prepared(NodeId(*node), *shard, order.epoch).await?;
                Ok(group.add_learner(NodeId(*node), address).await?)
            }
            Action::ChangeVoters { voters, .. } => {
                let voters = voters.iter().copied().map(NodeId).collect();
                Ok(group.set_voters(&voters, Removed::Leave).await?)
            }
            Action::RemoveLearner { node, .. } => Ok(group.remove_learner(NodeId(*node)).await?),
            Action::Transfer { shard, to } => self.hand_over(ShardId(*shard), NodeId(*to)).await,
        }
    }

    /// Returns once a node has a group that it will keep.
    async fn have_prepared(
        self: &Arc<Self>,
        node: NodeId,
        shard: u16,
        epoch: u64,
    ) -> Result<(), NodeError> {
        let deadline = Instant::now() + PREPARING;
        loop {
            let asked = Question::Prepare { shard, epoch };
            let why = match self.ask(node, asked, PREPARING).await {
                Ok(Answer::Done) => return Ok(()),
                Ok(Answer::Later(why) | Answer::Refused(why)) => why,
                Ok(_) => "its answer makes no sense".into(),
                Err(error) => error.to_string(),
            };
            if Instant::now() >= deadline {
                return Err(NodeError::Refused(format!("node {node} is not ready: {why}")));
            }
            tokio::time::sleep(self.options.rhythm.look).await;
        }
    }

    /// Whether this node has a group for a shard, and keeps it as long as the topology names it.
    pub async fn prepare(self: &Arc<Self>, shard: ShardId, epoch: u64) -> Answer {
        // Nothing is dropped between here and the answer; afterwards the topology protects it.
        let Ok(_keeping) = tokio::time::timeout(PREPARING, self.keeping.lock()).await else {
            return Answer::Later("it is busy with other groups".into());
        };
        let Some(topology) = self.topology().filter(|topology| topology.epoch().0 >= epoch) else {
            self.pulse_now.notify_one();
            return Answer::Later("it has not heard of this yet".into());
        };
        let group = topology.replicas(shard);
        if !group.is_some_and(|group| group.holders().any(|holder| holder == self.myself)) {
            return Answer::Refused("the topology does not name it".into());
        }
        match self.seats.seat(shard).group() {
            Some(_) => Answer::Done,
            None => {
                self.replicas_now.notify_one();
                Answer::Later("its group is being made".into())
            }
        }
    }
}

/// Whether a group is what it was when something was ordered.
fn is_current(group: &Group, order: &Order) -> bool {
    let status = group.status();
    let leads = status.leadership.role == Role::Leader && status.leadership.ready;
    let same = status.config.map(|id| id.index.0) == order.config && !status.changing;
    // Handing over changes no membership, and depends on it only as far as the group itself checks.
    let same = same || matches!(order.action, Action::Transfer { .. });
    leads && status.leadership.term.0 == order.term && same
}
