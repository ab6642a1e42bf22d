//! `cluster status`: what `CLUSTER STATUS` answers, as tables or as it is.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::{Value, cmd};
use serde::Deserialize;

use super::{connect, tables};
use crate::arguments::Status as Arguments;
use crate::commands::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::output::{Output, Style};
use crate::remote::{Effect, Link};

/// Between two looks of --watch.
const INTERVAL: Duration = Duration::from_secs(1);
/// Clears a terminal and goes to its beginning.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// The cluster.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Status {
    pub cluster: String,
    pub epoch: u64,
    pub state: String,
    pub replication_factor: u8,
    pub meta_leader: Option<u64>,
    pub nodes: Vec<Node>,
    pub shards: Vec<Shard>,
}

/// A node.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Node {
    pub id: u64,
    pub name: String,
    pub client: String,
    pub peer: String,
    pub zone: Option<String>,
    pub state: String,
    pub sight: String,
    pub myself: bool,
    pub shards: usize,
    pub leads: usize,
    pub keys: Option<u64>,
    pub disk_bytes: Option<u64>,
    pub index_bytes: Option<u64>,
    pub version: Option<String>,
}

/// What moves.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Moving {
    pub add: Vec<u64>,
    pub remove: Vec<u64>,
}

/// A group.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Shard {
    pub shard: u16,
    pub slots: Option<String>,
    pub leader: Option<u64>,
    pub term: Option<u64>,
    pub voters: Vec<u64>,
    pub learners: Vec<u64>,
    pub moving: Moving,
    pub pinned: Option<u64>,
    pub committed: Option<u64>,
    pub lag: BTreeMap<u64, u64>,
    pub log_held: Option<u64>,
    pub snapshot_bytes: BTreeMap<u64, u64>,
}

/// Runs the command.
///
/// # Errors
/// If no node answers, or it is in no cluster.
pub(super) fn run(arguments: &Arguments, context: &Context, output: &mut Output) -> Result<()> {
    let mut link = connect(context)?;
    loop {
        let json = ask(&mut link)?;
        let text = match output.style() {
            Style::Json => json,
            Style::Text => tables::show(&parse(&json)?),
        };
        if arguments.watch && output.style() == Style::Text {
            output.line(&format!("{CLEAR}{text}"))?;
        } else {
            output.line(text.trim_end())?;
        }
        output.flush()?;
        if !arguments.watch {
            return Ok(());
        }
        std::thread::sleep(INTERVAL);
    }
}

/// The status as JSON.
pub(super) fn ask(link: &mut Link) -> Result<String> {
    match link.ask(cmd("CLUSTER").arg("STATUS"), Effect::Reads)? {
        Value::BulkString(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Ok(text),
        other => Err(Failure::new(
            Exit::Refused,
            format!("{} answered CLUSTER STATUS with {other:?}", link.name()),
        )),
    }
}

/// The status.
pub(super) fn look(link: &mut Link) -> Result<Status> {
    parse(&ask(link)?)
}

fn parse(json: &str) -> Result<Status> {
    serde_json::from_str(json).map_err(|error| {
        Failure::new(
            Exit::Refused,
            format!("the status of the cluster was not understood: {error}"),
        )
    })
}
