//! `cluster status`: what `CLUSTER STATUS` answers, as tables or as it is.

use std::time::Duration;

use aryavarth_server::cluster::ClusterStatus;
use redis::{Value, cmd};

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
pub(super) fn look(link: &mut Link) -> Result<ClusterStatus> {
    parse(&ask(link)?)
}

fn parse(json: &str) -> Result<ClusterStatus> {
    serde_json::from_str(json).map_err(|error| {
        Failure::new(
            Exit::Refused,
            format!("the status of the cluster was not understood: {error}"),
        )
    })
}
