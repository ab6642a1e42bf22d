//! Asking to be let in, as somebody who is no node yet.

use std::collections::BTreeSet;
use std::time::Duration;

use aryavarth_cluster::{ClusterId, Incarnation, NodeId, Topology, Zone};
use aryavarth_replication::{Error, Introduction, introduce};
use bytes::Bytes;

use super::card::{Card, Holding, Phase};
use super::error::NodeError;
use super::home::Home;
use super::messages::{Answer, Applicant, Former, Question, Welcome, decode, encode};
use super::node::ClusterOptions;
use super::saved;

/// How long a member may take to let a node in.
const WELCOME: Duration = Duration::from_secs(10);
/// How long it is waited before somebody is asked again.
const PAUSE: Duration = Duration::from_millis(500);
/// Reasons that are remembered as said.
const MOST_SAID: usize = 16;

/// Asks one of `members`, by their peer addresses, until one lets it in.
///
/// # Errors
/// Why it is refused for good.
pub(super) async fn ask(
    options: &ClusterOptions,
    incarnation: Incarnation,
    replaces: Option<Former>,
    members: &[String],
) -> Result<Welcome, NodeError> {
    // A peer that has to do with another certificate is cut off sooner or later: two texts in turn.
    let mut said = BTreeSet::new();
    for member in members.iter().cycle() {
        let error = match ask_once(options, incarnation, replaces, member).await {
            Ok(welcome) => return Ok(welcome),
            Err(error @ (NodeError::Refused(_) | NodeError::Replication(Error::Refused(_)))) => {
                return Err(error);
            }
            Err(error) => error.to_string(),
        };
        if !said.contains(&error) {
            tracing::warn!(member, error, "not let in yet; trying on");
            if said.len() == MOST_SAID {
                said.clear();
            }
            said.insert(error);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(NodeError::Refused("no member of the cluster is known".to_owned()))
}

async fn ask_once(
    options: &ClusterOptions,
    incarnation: Incarnation,
    replaces: Option<Former>,
    member: &str,
) -> Result<Welcome, NodeError> {
    let applicant = Applicant {
        incarnation: incarnation.0,
        client: options.client.to_string(),
        peer: options.peer.to_string(),
        zone: options.zone.as_ref().map(Zone::to_string),
        replaces,
    };
    let body = encode(&Question::Join(applicant));
    let answer = say(options, incarnation, member, body).await?;
    match decode(&answer) {
        Some(Answer::Welcome(welcome)) => Ok(welcome),
        Some(Answer::Refused(why)) => Err(NodeError::Refused(why)),
        Some(Answer::Later(why)) => Err(NodeError::Later(why)),
        _ => Err(NodeError::Refused("the member answered something else".to_owned())),
    }
}

/// Says something to a member, as somebody who is no node yet.
async fn say(
    options: &ClusterOptions,
    incarnation: Incarnation,
    member: &str,
    body: Bytes,
) -> Result<Bytes, Error> {
    #[cfg(feature = "simulated-cluster")]
    if let Some(simulated) = &options.simulated {
        return simulated.network.introduce(incarnation, member, body).await;
    }
    let introduced = introduce(introduction(options, incarnation, WELCOME), member, body).await;
    introduced.map(|(_, answer)| answer)
}

/// How it says who it is.
pub(super) fn introduction(
    options: &ClusterOptions,
    incarnation: Incarnation,
    within: Duration,
) -> Introduction {
    Introduction {
        incarnation,
        secret: options.secret.clone(),
        tls: options.tls.clone(),
        from: options.peer.ip(),
        within,
    }
}

/// Makes a directory that of the node which it was told to be.
pub(super) fn settle(
    home: &Home,
    incarnation: Incarnation,
    welcome: &Welcome,
) -> Result<(Card, Topology), NodeError> {
    let topology = Topology::decode(&welcome.topology)?;
    let (cluster, node) = (ClusterId(welcome.cluster), NodeId(welcome.node));
    let (shards, replicas) = (topology.shards().sharding(), Holding::Nothing);
    let card = Card { incarnation, phase: Phase::Member { cluster, node, shards, replicas } };
    // First, so that whoever is a member knows where others are.
    saved::write(home, &topology);
    card.write(home)?;
    tracing::info!(%cluster, %node, "joined the cluster");
    Ok((card, topology))
}
