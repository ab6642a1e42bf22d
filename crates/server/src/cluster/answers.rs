//! What this node answers to others: each question goes where it belongs.

use std::sync::{Arc, PoisonError, RwLock, Weak};

use aryavarth_cluster::{META_GROUP, NodeId, ShardId};
use aryavarth_replication::{Forwarded, Group, Incarnation, ReadPolicy, Role};
use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::error::NodeError;
use super::member::Member;
use super::messages::{self, Answer, News, Question, REQUESTS};
use super::pulse::led;

/// The ears of a node, which are there before the node is.
#[derive(Default)]
pub struct Ears(RwLock<Weak<Member>>);

impl Ears {
    /// Whose they are.
    pub fn belong_to(&self, member: &Arc<Member>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(member);
    }

    fn member(&self) -> Option<Arc<Member>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).upgrade()
    }
}

fn not_yet() -> Bytes {
    messages::encode(&Answer::Later("this node is starting or stopping".into()))
}

impl Forwarded for Ears {
    fn answer(&self, from: NodeId, body: Bytes) -> BoxFuture<'static, Bytes> {
        let Some(member) = self.member() else { return Box::pin(std::future::ready(not_yet())) };
        if body.first() == Some(&REQUESTS) {
            return match member.front.get() {
                Some(front) => front.requests(from, body),
                None => Box::pin(std::future::ready(not_yet())),
            };
        }
        Box::pin(async move {
            let answer = match messages::decode(&body) {
                Some(question) => member.answer(from, question).await,
                None => Answer::Refused("the question is not understood: upgrade this node".into()),
            };
            messages::encode(&answer)
        })
    }

    fn introduced(&self, incarnation: Incarnation, body: Bytes) -> BoxFuture<'static, Bytes> {
        let Some(member) = self.member() else { return Box::pin(std::future::ready(not_yet())) };
        Box::pin(async move {
            let answer = match messages::decode(&body) {
                Some(Question::Join(applicant)) if applicant.incarnation == incarnation.0 => {
                    member.introduce(applicant).await
                }
                _ => Answer::Refused("somebody who is no node may only ask to become one".into()),
            };
            messages::encode(&answer)
        })
    }
}

impl Member {
    /// Answers a question of a node.
    pub fn answer(self: Arc<Self>, from: NodeId, question: Question) -> BoxFuture<'static, Answer> {
        Box::pin(async move {
            match question {
                Question::Join(applicant) => self.admit(applicant).await,
                Question::Pulse(pulse) => {
                    let news = self.hear(from, *pulse);
                    self.refresh();
                    Answer::News(Box::new(news))
                }
                Question::Act(order) => self.obey(order).await,
                Question::Prepare { shard, epoch } => self.prepare(ShardId(shard), epoch).await,
                Question::Members(shard) => self.members(shard).await,
                Question::ReadIndex(shard) => self.read_index(shard).await,
                Question::Wish(wish) => self.grant(wish).await,
                Question::Heard => {
                    let known = self.known();
                    let heard = known.heard.pulses().map(|(node, pulse)| (node.0, pulse.clone()));
                    Answer::News(Box::new(News { heard: heard.collect(), ..News::default() }))
                }
            }
        })
    }

    /// A group that this node leads.
    fn led_group(&self, shard: u16) -> Result<Group, Answer> {
        let known = shard <= self.shards.get();
        let group = known.then(|| self.seats.seat(ShardId(shard)).group()).flatten();
        let group = group.filter(|group| group.leadership().borrow().role == Role::Leader);
        group.ok_or_else(|| Answer::Later(format!("this node does not lead shard {shard}")))
    }

    async fn members(&self, shard: u16) -> Answer {
        let group = match self.led_group(shard) {
            Ok(group) => group,
            Err(later) => return later,
        };
        // One that was deposed and does not know it must not say who is a member.
        if let Err(error) = group.read_barrier(ReadPolicy::ReadIndex).await {
            return Answer::Later(error.to_string());
        }
        led(&group).map_or_else(|| Answer::Later("it leads no longer".into()), Answer::Members)
    }

    async fn read_index(&self, shard: u16) -> Answer {
        match self.led_group(shard) {
            Ok(group) => match group.read_index().await {
                Ok(index) => Answer::Index(index.0),
                Err(error) => Answer::Later(error.to_string()),
            },
            Err(later) => later,
        }
    }

    /// A refusal if asking again is of no use, else an answer that says so.
    pub fn decline(&self, error: NodeError) -> Answer {
        match error {
            NodeError::Topology(_) | NodeError::Refused(_) | NodeError::NotNow { .. } => {
                Answer::Refused(error.to_string())
            }
            other => Answer::Later(other.to_string()),
        }
    }

    /// Whether this node leads the meta group, or why not.
    pub fn speaks_for_meta(&self) -> Result<(), Answer> {
        match self.leads_meta() {
            Some(_) => Ok(()),
            None => Err(Answer::Later(format!("this node does not lead group {META_GROUP}"))),
        }
    }
}
