//! `cluster`: many nodes as one store, for who runs them.
//!
//! `start` runs nodes of its own on this machine; all else talks to any node of a cluster that runs,
//! which carries it to whoever has to decide.

mod members;
mod report;
mod start;
mod tables;

use super::{Context, Target};
use crate::arguments::{Cluster, ClusterCommand};
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::remote::Link;

/// Runs the command.
///
/// # Errors
/// What keeps it from being done.
pub fn run(arguments: &Cluster, context: &Context, output: &mut Output) -> Result<()> {
    match &arguments.command {
        ClusterCommand::Start(start) => start::run(start, context.directory()?),
        ClusterCommand::Status(status) => report::run(status, context, output),
        ClusterCommand::Add(add) => members::add(add, context, output),
        ClusterCommand::Drain(drain) => members::drain(drain, context, output),
        ClusterCommand::Undrain(chosen) => members::undrain(chosen, context, output),
        ClusterCommand::Remove(remove) => members::remove(remove, context, output),
        ClusterCommand::Rebalance => members::rebalance(context, output),
        ClusterCommand::Transfer(transfer) => members::transfer(transfer, context, output),
        ClusterCommand::ReplicationFactor(factor) => members::factor(factor, context, output),
    }
}

/// A connection to the node that --addr names.
fn connect(context: &Context) -> Result<Link> {
    match context.target() {
        Target::Server(endpoint) => Link::open(endpoint),
        Target::Directory(_) => Err(Failure::new(
            Exit::Usage,
            "name a node of the cluster with --addr HOST:PORT".to_owned(),
        )),
    }
}
