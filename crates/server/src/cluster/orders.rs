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

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use aryavarth_cluster::{META_GROUP, NodeId, ShardId};
use aryavarth_replication::{Group, Role, Term};
use tokio::time::Instant;

use super::error::NodeError;
use super::member::{Member, PROMPT};
use super::messages::{Action, Answer, Order, Question};
use crate::tasks::spawn;

/// How long the target of a move may take to have a group.
const PREPARING: Duration = Duration::from_secs(3);
/// Before a change that was not completed is taken up again.
const AGAIN: Duration = Duration::from_millis(500);
/// Between two questions whether it has.
const GLANCE: Duration = Duration::from_millis(50);

impl Member {
    /// Does what is ordered, if it still makes sense.
    pub(super) async fn obey(self: &Arc<Self>, order: Order) -> Result<(), NodeError> {
        let newest = self.known().leaders.get(&META_GROUP).map_or(0, |(term, _)| *term);
        if order.meta_term < newest {
            return Err(NodeError::Refused("it was ordered by a leader that was deposed".into()));
        }
        let group = self.node.group(order.action.shard())?;
        if !is_current(&group, &order) {
            let why = "the group is not what it was when this was ordered";
            return Err(NodeError::Refused(why.into()));
        }
        let acting = Acting::begin(self, group.shard())?;
        let member = Arc::clone(self);
        // By itself: when whoever ordered it waits no more, what was begun must not be left half done.
        let doing = spawn(async move {
            let _acting = acting;
            member.act(&group, order).await
        });
        doing.await.unwrap_or_else(|error| {
            Err(NodeError::System { operation: "carry out an order", detail: error.to_string() })
        })
    }

    async fn act(self: &Arc<Self>, group: &Group, order: Order) -> Result<(), NodeError> {
        match order.action {
            Action::AddLearner { shard, node, address } => {
                self.have_prepared(NodeId(node), shard, order.epoch).await?;
                Ok(group.add_learner(NodeId(node), &address).await?)
            }
            Action::ChangeVoters { voters, .. } => {
                let voters = voters.into_iter().map(NodeId).collect();
                let changed = group.set_voters(&voters).await;
                // Half of it may be done.
                self.finish_change(group).await;
                Ok(changed?)
            }
            Action::Split { into, .. } => {
                self.split_group(group, ShardId(into), Term(order.term)).await
            }
            Action::RemoveLearner { node, .. } => Ok(group.remove_learner(NodeId(node)).await?),
            Action::Transfer { shard, to } => self.hand_over(ShardId(shard), NodeId(to)).await,
        }
    }

    /// Completes a change of the voters that was left half done, as long as this node leads the group. Nobody else
    /// would: no order is given to a group whose membership is not settled.
    pub(super) async fn finish_change(&self, group: &Group) {
        while let Err(error) = group.finish_change().await {
            tracing::info!(shard = %group.shard(), %error, "a change of voters is not complete yet");
            if group.status().leadership.role != Role::Leader || self.is_stopping() {
                return;
            }
            self.rest(AGAIN).await;
        }
    }

    /// Returns once a node has a group that it will keep. Whoever learns must not drop what it has learnt,
    /// as it might be taken for a copy later.
    async fn have_prepared(&self, node: NodeId, shard: u16, epoch: u64) -> Result<(), NodeError> {
        let deadline = Instant::now() + PREPARING;
        loop {
            let why = match self.ask(node, &Question::Prepare { shard, epoch }, PROMPT).await {
                Ok(Answer::Done) => return Ok(()),
                Ok(Answer::Later(why) | Answer::Refused(why)) => why,
                Ok(_) => "its answer makes no sense".into(),
                Err(error) => error.to_string(),
            };
            if Instant::now() >= deadline {
                return Err(NodeError::Refused(format!("node {node} is not ready: {why}")));
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Whether this node has a group for a shard, and keeps it as long as the topology names it.
    pub(super) async fn prepare(&self, shard: ShardId, epoch: u64) -> Answer {
        // Nothing is dropped between here and the answer; afterwards the topology protects it.
        let Ok(_keeping) = tokio::time::timeout(PROMPT / 2, self.keeping.lock()).await else {
            return Answer::Later("it is busy with other groups".into());
        };
        let Some(topology) = self.topology().filter(|topology| topology.epoch().0 >= epoch) else {
            self.pulse_now.notify_one();
            return Answer::Later("it has not heard of this yet".into());
        };
        let group = topology.replicas(shard);
        if !group.is_some_and(|group| group.holders().any(|holder| holder == self.id())) {
            return Answer::Refused("the topology does not name it".into());
        }
        match self.around.seats.seat(shard).group() {
            Some(_) => Answer::Done,
            None => Answer::Later("its group is being made".into()),
        }
    }
}

/// An order that is carried out: the only one for its shard.
struct Acting {
    member: Arc<Member>,
    shard: ShardId,
}

impl Acting {
    fn begin(member: &Arc<Member>, shard: ShardId) -> Result<Acting, NodeError> {
        let mut acting = member.acting.lock().unwrap_or_else(PoisonError::into_inner);
        match acting.insert(shard) {
            true => Ok(Acting { member: Arc::clone(member), shard }),
            false => Err(NodeError::Refused("another order is being carried out".into())),
        }
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        self.member.acting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.shard);
    }
}

/// Whether a group is what it was when something was ordered.
fn is_current(group: &Group, order: &Order) -> bool {
    let status = group.status();
    let leads = status.leadership.role == Role::Leader && status.leadership.ready;
    // Handing over changes no membership; the group itself checks who may lead.
    let same = matches!(order.action, Action::Transfer { .. })
        || (status.config.map(|id| id.index.0) == order.config && !status.changing);
    leads && status.leadership.term.0 == order.term && same
}
