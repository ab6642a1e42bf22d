//! Joining: a directory asks a member to be let in.
//!
//! ```text
//!  joiner: card "joining" with its incarnation ─▶ member ─▶ leader of the meta group: AddNode
//!          topology, then card "member"        ◀── id ◀────────────────┘
//! ```
//!
//! The incarnation is on the disk before anybody hears of it, so whoever asks twice, or crashed before the
//! answer, gets the same id.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aryavarth_cluster::{
    Change, ClusterId, Incarnation, NewNode, NodeId, NodeState, Topology, Zone,
};
use aryavarth_replication::{Error as ReplicationError, Introduction, introduce};

use super::cache;
use super::card::{Card, Holding, Phase};
use super::error::NodeError;
use super::member::Member;
use super::messages::{self, Answer, Applicant, Question, Welcome};
use super::options::ClusterOptions;

/// How long one try may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(200);

/// Joins by way of `member`. Returns the card of the node, which is on the disk.
///
/// # Errors
/// [`NodeError::Refused`] by name; [`NodeError::Replication`] if nobody answers in time.
pub async fn join(
    options: &ClusterOptions,
    incarnation: Incarnation,
    member: &str,
) -> Result<Card, NodeError> {
    let applicant = Applicant {
        incarnation: incarnation.0,
        client: options.client.to_string(),
        peer: options.peer.to_string(),
        zone: options.zone.as_ref().map(|zone| zone.as_str().to_owned()),
    };
    let question = messages::encode(&Question::Join(applicant));
    let deadline = Instant::now() + options.rhythm.join;
    loop {
        let introduction = Introduction {
            incarnation,
            secret: options.secret.clone(),
            tls: options.tls.clone(),
            from: options.peer.ip(),
            within: PATIENCE,
        };
        let failed = match introduce(introduction, member, question.clone()).await {
            Ok((_, answer)) => match messages::decode(&answer) {
                Some(Answer::Welcome(welcome)) => return settle(options, incarnation, &welcome),
                Some(Answer::Later(why)) => {
                    NodeError::Refused(format!("{member} cannot let this node in yet: {why}"))
                }
                Some(Answer::Refused(why)) => return Err(NodeError::Refused(why)),
                _ => {
                    let why = format!("what {member} answers is not understood: upgrade this node");
                    return Err(NodeError::Refused(why));
                }
            },
            Err(error @ ReplicationError::Unreachable { .. }) => NodeError::from(error),
            Err(error) => return Err(error.into()),
        };
        if Instant::now() >= deadline {
            return Err(failed);
        }
        tracing::info!(member, error = %failed, "not let in yet; trying again");
        tokio::time::sleep(AGAIN).await;
    }
}

fn settle(
    options: &ClusterOptions,
    incarnation: Incarnation,
    welcome: &Welcome,
) -> Result<Card, NodeError> {
    let topology = Topology::decode(&welcome.topology)?;
    // First, so that a member always knows where others are.
    cache::write(&options.directory, &topology).map_err(|error| NodeError::System {
        operation: "keep the topology",
        detail: error.to_string(),
    })?;
    let phase = Phase::Member {
        cluster: ClusterId(welcome.cluster),
        node: NodeId(welcome.node),
        shards: topology.shards(),
        replicas: Holding::Nothing,
    };
    let card = Card { incarnation, phase };
    card.write(&options.directory)?;
    Ok(card)
}

impl Member {
    /// Somebody asks this node to be let in: the leader of the meta group is asked.
    pub async fn introduce(self: &Arc<Self>, applicant: Applicant) -> Answer {
        match self.ask_meta(Question::Join(applicant), PATIENCE - AGAIN).await {
            Ok(answer) => answer,
            Err(error) => self.decline(error),
        }
    }

    /// On the leader of the meta group: lets somebody in, or says under which id it was.
    pub async fn admit(&self, applicant: Applicant) -> Answer {
        if let Err(later) = self.speaks_for_meta() {
            return later;
        }
        let incarnation = Incarnation(applicant.incarnation);
        let changed = self.change(|topology| Ok(Change::AddNode(newcomer(topology, applicant)?)));
        if let Err(error) = changed.await {
            return self.decline(error);
        }
        let Some(topology) = self.topology() else {
            return Answer::Later("the topology is not known".into());
        };
        match topology.nodes().find(|node| node.incarnation == incarnation) {
            Some(node) => Answer::Welcome(Welcome {
                cluster: self.cluster.0,
                node: node.id.0,
                topology: topology.encode(),
            }),
            None => Answer::Later("it was let in and removed at once".into()),
        }
    }
}

/// Who asks, as a node: the one that it is already, or a new one.
fn newcomer(topology: &Topology, applicant: Applicant) -> Result<NewNode, NodeError> {
    let incarnation = Incarnation(applicant.incarnation);
    let known = topology.nodes().find(|node| node.incarnation == incarnation);
    if let Some(gone) = known.filter(|node| node.state == NodeState::Gone) {
        return Err(NodeError::Refused(format!(
            "node {} was given up: let it join anew, with an empty directory",
            gone.id
        )));
    }
    Ok(NewNode {
        id: known.map_or(topology.next_node(), |node| node.id),
        incarnation,
        client: applicant.client.parse()?,
        peer: applicant.peer.parse()?,
        zone: applicant.zone.as_deref().map(Zone::new).transpose()?,
    })
}
