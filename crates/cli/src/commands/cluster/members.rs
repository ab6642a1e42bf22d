//! The commands that change who is in a cluster and who does what.

use std::time::Duration;

use aryavarth_server::cluster::ClusterStatus;
use aryavarth_server::cluster::status::NodeStatus;
use redis::cmd;
use serde_json::json;

use super::connect;
use super::report::look;
use crate::arguments::{Add, Chosen, Drain, Factor, Remove, Transfer};
use crate::commands::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result, tell};
use crate::output::Output;
use crate::remote::{Effect, Endpoint, Link};

/// Between two looks whether something is done.
const INTERVAL: Duration = Duration::from_millis(500);

/// `cluster add`
pub(super) fn add(arguments: &Add, context: &Context, output: &mut Output) -> Result<()> {
    let mut member = connect(context)?;
    let status = look(&mut member)?;
    let known = status.nodes.iter().find(|node| node.myself).or(status.nodes.first());
    let peer =
        known.map(|node| node.peer.clone()).ok_or_else(|| usage("the cluster has no nodes"))?;
    let (host, port) = peer.rsplit_once(':').ok_or_else(|| usage("the member tells no address"))?;
    let address = crate::commands::address("HOST:PORT", &arguments.node, output.style())?;
    let endpoint = Endpoint::of(context.server(), address, output.style())?;
    let mut waiting = Link::open(&endpoint)?;
    waiting.ask(cmd("CLUSTER").arg("MEET").arg(host).arg(port), Effect::Writes)?;
    let before: Vec<u64> = status.nodes.iter().map(|node| node.id).collect();
    for _ in 0..arguments.within.as_millis().div_ceil(INTERVAL.as_millis()) {
        std::thread::sleep(INTERVAL);
        if waiting.ask(&cmd("PING"), Effect::Reads).is_err() {
            let text = format!("{} has ended, or was refused: see what it logs", arguments.node);
            return Err(Failure::new(Exit::Refused, text));
        }
        let status = look(&mut member)?;
        let new =
            status.nodes.iter().find(|node| !before.contains(&node.id) && node.state == "active");
        if let Some(node) = new {
            let text = format!("node {} has joined; its replicas are made now", node.id);
            return output.result(&json!({"node": node.id}), &text);
        }
    }
    let text = format!(
        "{} has not joined within {:?}: see what it logs; it goes on trying, and `aryavarth cluster \
         status` shows whether it did",
        arguments.node, arguments.within
    );
    Err(Failure::new(Exit::Io, text))
}

/// `cluster drain`
pub(super) fn drain(arguments: &Drain, context: &Context, output: &mut Output) -> Result<()> {
    let (chosen, mut link) = (&arguments.chosen, connect(context)?);
    let how = arguments.force.then_some("FORCE");
    let id = order(&mut link, "DRAIN", &chosen.node, how)?;
    if chosen.until_done {
        wait(&mut link, |status| node_left(status, id))?;
    }
    output.result(&json!({"node": id}), &format!("node {id} is drained{}", pending(chosen)))
}

/// `cluster undrain`
pub(super) fn undrain(chosen: &Chosen, context: &Context, output: &mut Output) -> Result<()> {
    let mut link = connect(context)?;
    let id = order(&mut link, "UNDRAIN", &chosen.node, None)?;
    output.result(&json!({"node": id}), &format!("node {id} takes replicas again"))
}

/// `cluster remove`
pub(super) fn remove(arguments: &Remove, context: &Context, output: &mut Output) -> Result<()> {
    let mut link = connect(context)?;
    let how = match (arguments.force, arguments.lost) {
        (true, _) => Some("FORCE"),
        (_, true) => Some("LOST"),
        _ => None,
    };
    let id = order(&mut link, "REMOVE", &arguments.chosen.node, how)?;
    if arguments.chosen.until_done {
        wait(&mut link, |status| {
            let left = node_left(status, id);
            status.nodes.iter().any(|node| node.id == id).then(|| left.unwrap_or_default())
        })?;
    }
    let text = format!("node {id} is removed{}", pending(&arguments.chosen));
    output.result(&json!({"node": id}), &text)
}

/// `cluster rebalance`
pub(super) fn rebalance(context: &Context, output: &mut Output) -> Result<()> {
    let mut link = connect(context)?;
    link.ask(cmd("CLUSTER").arg("REBALANCE"), Effect::Writes)?;
    output.result(&json!({"done": true}), "the balance decides again who leads")
}

/// `cluster transfer`
pub(super) fn transfer(arguments: &Transfer, context: &Context, output: &mut Output) -> Result<()> {
    let mut link = connect(context)?;
    let id = find(&look(&mut link)?, &arguments.node)?.id;
    let shard = arguments.shard.to_ascii_uppercase();
    if shard != "ALL" && shard.parse::<u16>().is_err() {
        return Err(usage("a shard is named by its number, or all"));
    }
    link.ask(cmd("CLUSTER").arg("TRANSFER").arg(&shard).arg(id), Effect::Writes)?;
    output.result(&json!({"node": id}), &format!("node {id} leads"))
}

/// `cluster replication-factor`
pub(super) fn factor(arguments: &Factor, context: &Context, output: &mut Output) -> Result<()> {
    let mut link = connect(context)?;
    let factor = &arguments.factor;
    link.ask(cmd("CLUSTER").arg("REPLICATION-FACTOR").arg(factor), Effect::Writes)?;
    let text = format!("each shard will be on {factor} nodes, if there are so many");
    output.result(&json!({"replication_factor": factor}), &text)
}

/// Orders something of a node; returns its id. `how` is one more word of the order.
fn order(link: &mut Link, what: &str, node: &str, how: Option<&str>) -> Result<u64> {
    let id = find(&look(link)?, node)?.id;
    link.ask(cmd("CLUSTER").arg(what).arg(id).arg(how), Effect::Writes)?;
    Ok(id)
}

fn pending(chosen: &Chosen) -> &'static str {
    if chosen.until_done { "" } else { " (under way; `aryavarth cluster status` shows it)" }
}

/// What a node still has, if it has something.
fn node_left(status: &ClusterStatus, id: u64) -> Option<String> {
    let node = status.nodes.iter().find(|node| node.id == id)?;
    (node.shards > 0).then(|| format!("node {id} still has {} replicas", node.shards))
}

/// Waits until nothing is left, and says meanwhile what is.
fn wait(link: &mut Link, left: impl Fn(&ClusterStatus) -> Option<String>) -> Result<()> {
    let mut said = String::new();
    while let Some(text) = left(&look(link)?) {
        if text != said {
            tell(&text);
            said = text;
        }
        std::thread::sleep(INTERVAL);
    }
    Ok(())
}

/// The node that somebody names: by its id, the beginning of its name, or where clients reach it.
fn find<'s>(status: &'s ClusterStatus, named: &str) -> Result<&'s NodeStatus> {
    let exact = |node: &&NodeStatus| node.id.to_string() == named || node.client == named;
    if let Some(node) = status.nodes.iter().find(exact) {
        return Ok(node);
    }
    let named_so: Vec<&NodeStatus> = status
        .nodes
        .iter()
        .filter(|node| named.len() >= 4 && node.name.starts_with(named))
        .collect();
    match named_so[..] {
        [node] => Ok(node),
        [] => {
            Err(usage(&format!("there is no node {named}; `aryavarth cluster status` shows them")))
        }
        _ => Err(usage(&format!("several nodes have names that begin with {named}"))),
    }
}

fn usage(text: &str) -> Failure {
    Failure::new(Exit::Usage, text.to_owned())
}
