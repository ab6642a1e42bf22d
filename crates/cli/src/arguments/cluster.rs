//! What may stand after `aryavarth cluster`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::duration::parse as parse_span;
use crate::examples;

/// Arguments of `cluster`.
#[derive(Debug, Args)]
pub struct Cluster {
    /// What to do.
    #[command(subcommand)]
    pub command: ClusterCommand,
}

/// What to do with a cluster.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Start a cluster on this machine, for trying things; Ctrl-C stops it
    #[command(after_help = examples::CLUSTER_START)]
    Start(Start),
    /// Show nodes, shards and what is under way
    Status(Status),
    /// Let a node that waits (`serve --cluster`) join the cluster of --addr
    Add(Add),
    /// Move all replicas away from a node; it stays a member
    Drain(Drain),
    /// Let a drained node have replicas again
    Undrain(Chosen),
    /// Drain a node and remove it once it is empty
    Remove(Remove),
    /// Let the balance decide again who leads which shard
    Rebalance,
    /// Let a node lead a shard, or all of which it has a replica
    Transfer(Transfer),
    /// Have each shard on 1, 3 or 5 nodes
    ReplicationFactor(Factor),
}

/// Arguments of `cluster start`.
#[derive(Debug, Args)]
pub struct Start {
    /// How many nodes
    #[arg(long, default_value = "3", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=16))]
    pub nodes: u16,
    /// How many shards, when the cluster is made [default: one, split until each node has one]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub shards: Option<u16>,
    /// The port of the first node for clients; the others have the next ones, and each has one for
    /// other nodes 10,000 above
    #[arg(long, default_value = "7001", value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=55_000))]
    pub port: u16,
}

/// Arguments of `cluster status`.
#[derive(Debug, Args)]
pub struct Status {
    /// Show it anew each second until Ctrl-C
    #[arg(long)]
    pub watch: bool,
}

/// Arguments of `cluster add`.
#[derive(Debug, Args)]
pub struct Add {
    /// Where clients reach the node that waits
    #[arg(value_name = "HOST:PORT")]
    pub node: String,
    /// How long to wait until it has joined; it goes on trying after that
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_span)]
    pub within: Duration,
}

/// A node.
#[derive(Debug, Args)]
pub struct Chosen {
    /// The node: its id, the beginning of its name, or where clients reach it
    pub node: String,
    /// Wait until it is done, and say meanwhile what is left
    #[arg(long)]
    pub until_done: bool,
}

/// Arguments of `cluster drain`.
#[derive(Debug, Args)]
pub struct Drain {
    /// Which one.
    #[command(flatten)]
    pub chosen: Chosen,
    /// Even if too few nodes are left for as many copies as there are
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `cluster remove`.
#[derive(Debug, Args)]
pub struct Remove {
    /// Which one.
    #[command(flatten)]
    pub chosen: Chosen,
    /// Even if too few nodes are left for as many copies as there are
    #[arg(long, conflicts_with = "lost")]
    pub force: bool,
    /// It will not come back: make its replicas anew elsewhere, from the others
    #[arg(long)]
    pub lost: bool,
}

/// Arguments of `cluster transfer`.
#[derive(Debug, Args)]
pub struct Transfer {
    /// The shard's number, or all
    pub shard: String,
    /// The node: its id, the beginning of its name, or where clients reach it
    pub node: String,
}

/// Arguments of `cluster replication-factor`.
#[derive(Debug, Args)]
pub struct Factor {
    /// On how many nodes
    #[arg(value_parser = ["1", "3", "5"])]
    pub factor: String,
}

impl Start {
    /// The directory of one of the nodes, from 1.
    pub fn directory(&self, all: &std::path::Path, number: u16) -> PathBuf {
        all.join(format!("node-{number}"))
    }
}
