//! What to do, from the command line.

use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// A cluster that speaks the Redis protocol and says `MOVED`.
    Cluster,
    /// One server that speaks the Redis protocol.
    Redis,
    /// etcd, version 3 of its interface.
    Etcd,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Work {
    /// Sets keys drawn at random.
    Put,
    /// Gets keys drawn at random.
    Get,
    /// Sets every key once, in order, and ends.
    Fill,
}

/// Puts load on a cluster and prints what came of it as one line of JSON.
#[derive(Clone, Debug, Parser)]
pub struct Options {
    #[arg(long, value_enum)]
    pub peer: Peer,
    #[arg(long, value_enum)]
    pub work: Work,
    /// HOST:PORT, one or more.
    #[arg(long, value_delimiter = ',', required = true)]
    pub endpoints: Vec<String>,
    #[arg(long, default_value_t = 64)]
    pub clients: usize,
    /// Requests of a client that are sent together. They go to one node of a cluster.
    #[arg(long, default_value_t = 1)]
    pub pipeline: usize,
    /// Keys that may be asked for.
    #[arg(long, default_value_t = 100_000)]
    pub keys: u64,
    /// Bytes of a key: 16 to 32.
    #[arg(long, default_value_t = 24)]
    pub key_size: usize,
    /// Bytes of a value.
    #[arg(long, default_value_t = 128)]
    pub value_size: usize,
    /// Seconds that count. A fill ends when all is set, and fails if that takes longer.
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Seconds before, which do not count.
    #[arg(long, default_value_t = 0.0)]
    pub warm_up: f64,
    /// End as soon as the standard input does, if that is before the time is over.
    #[arg(long)]
    pub until_eof: bool,
    /// Milliseconds until an attempt counts as failed.
    #[arg(long, default_value_t = 3_000)]
    pub timeout: u64,
    /// Milliseconds until a request that fails is given up, and counts as an error.
    #[arg(long, default_value_t = 15_000)]
    pub patience: u64,
    /// Threads of this program.
    #[arg(long, default_value_t = 2)]
    pub threads: usize,
    /// Processes whose use of the machine is reported.
    #[arg(long = "pid", value_delimiter = ',')]
    pub pids: Vec<u32>,
    /// Add the number of successes in each interval of so many milliseconds.
    #[arg(long)]
    pub timeline: Option<u64>,
    /// Where the random numbers begin.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Options {
    /// What can't be, or can't be meant.
    pub fn check(&self) -> Result<(), String> {
        let rules = [
            (self.clients > 0, "there must be a client"),
            (self.pipeline > 0, "a batch has one request at least"),
            (self.pipeline == 1 || self.peer != Peer::Etcd, "etcd has no pipelines"),
            (self.keys > 0, "there must be a key"),
            ((16..=32).contains(&self.key_size), "keys have 16 to 32 bytes"),
            (self.keys < 1_000_000_000_000, "so many keys have no names"),
            (
                self.seconds > 0.0 && self.seconds <= 36_000.0,
                "it takes some time, and ten hours at most",
            ),
            (self.warm_up >= 0.0 && self.warm_up <= 3_600.0, "warming up takes an hour at most"),
            (self.threads > 0, "there must be a thread"),
            (self.timeline != Some(0), "an interval has a millisecond at least"),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(rule.to_owned()),
            None => Ok(()),
        }
    }

    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout)
    }

    pub fn patience(&self) -> Duration {
        Duration::from_millis(self.patience)
    }
}
