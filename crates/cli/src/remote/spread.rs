//! Batches of writes to a cluster: each write goes to the node that leads its key's slot.
//!
//! ```text
//!  batch ─┬─▶ node 1   SET SET …      a pipeline for each node
//!         ├─▶ node 2   SET …
//!         └─▶ node 3   SET SET …      MOVED, TRYAGAIN ─▶ once more, and what follows it on the same key
//! ```
//!
//! Invariants:
//! - A batch is answered before the next one is sent, so that writes of one key are done in their order.
//! - Nothing holds a batch together: after a crash, any of its writes may be there.

use std::collections::BTreeSet;
use std::time::Duration;

use redis::{ServerError, Value};

use super::cluster::{Leaders, moved_to};
use super::ingest::command;
use super::link::{Effect, Link};
use super::replies::refusal;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::formats::Operation;
use crate::store::{Batch, Outcome};

/// How often a write is tried again that nobody could take: for ten seconds.
const MOST_TRIES: usize = 100;
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(100);

/// A cluster that is being filled.
pub struct ClusterIngest {
    leaders: Leaders,
    /// One for each of the leaders' places.
    links: Vec<Link>,
    sent: Option<Sent>,
}

struct Sent {
    batch: Batch,
    /// One for each link.
    parts: Vec<Part>,
}

/// How it is with what was sent to one node.
enum Part {
    /// Its replies come, or have come. Why one of the writes was refused, if so.
    Heard(Option<Failure>),
    /// No more of them will come.
    Lost(Failure),
}

impl Part {
    fn failure(self) -> Option<Failure> {
        match self {
            Part::Heard(refused) => refused,
            Part::Lost(failure) => Some(failure),
        }
    }
}

impl ClusterIngest {
    /// Fills the cluster of the node behind `link`; none if it is in no cluster.
    ///
    /// # Errors
    /// As [`Leaders::of`]; if a node cannot be reached.
    pub fn of(link: &mut Link) -> Result<Option<ClusterIngest>> {
        let Some(leaders) = Leaders::of(link)? else { return Ok(None) };
        let open = leaders.places().iter().map(|place| link.beside(place));
        let links = open.collect::<Result<_>>()?;
        Ok(Some(ClusterIngest { leaders, links, sent: None }))
    }

    /// Sends a batch. The one before it has to be answered.
    pub fn submit(&mut self, batch: Batch) {
        assert!(self.sent.is_none(), "one batch at a time");
        let mut packed = vec![Vec::new(); self.links.len()];
        for operation in batch.operations() {
            let owner = self.leaders.owner(operation.key());
            command(operation).write_packed_command(&mut packed[owner]);
        }
        let send = |(link, packed): (&mut Link, Vec<u8>)| {
            let sent = if packed.is_empty() { Ok(()) } else { link.send(&packed) };
            match sent {
                Ok(()) => Part::Heard(None),
                Err(broken) => Part::Lost(link.lost(&broken, Effect::Writes)),
            }
        };
        let parts = self.links.iter_mut().zip(packed).map(send).collect();
        self.sent = Some(Sent { batch, parts });
    }

    /// Waits for the batch that was sent; none if it is answered.
    pub fn wait(&mut self) -> Option<Outcome> {
        let Sent { batch, mut parts } = self.sent.take()?;
        let (records, bytes) = (batch.len() as u64, batch.bytes());
        let postponed = self.read_replies(&batch, &mut parts);
        if !postponed.is_empty() {
            self.learn();
        }
        let result = match parts.into_iter().find_map(Part::failure) {
            Some(failure) => Err(failure),
            None => postponed.into_iter().try_for_each(|operation| self.insist(operation)),
        };
        Some(Outcome { records, bytes, result })
    }

    /// What was not done, and can be.
    fn read_replies<'b>(&mut self, batch: &'b Batch, parts: &mut [Part]) -> Vec<&'b Operation> {
        let (mut postponed, mut keys) = (Vec::new(), BTreeSet::new());
        for operation in batch.operations() {
            let owner = self.leaders.owner(operation.key());
            let Part::Heard(refused) = &mut parts[owner] else { continue };
            match self.links[owner].reply(Effect::Writes) {
                Ok(Value::ServerError(error)) if passes(&error) => {
                    keys.insert(operation.key());
                    postponed.push(operation);
                }
                Ok(Value::ServerError(error)) => {
                    refused.get_or_insert(refusal(&error, self.links[owner].name()));
                }
                // Else the earlier write of the key would be done after this one.
                Ok(_) if keys.contains(operation.key()) => postponed.push(operation),
                Ok(_) => {}
                Err(failure) => parts[owner] = Part::Lost(failure),
            }
        }
        postponed
    }

    /// Has one write done, whoever comes to lead.
    fn insist(&mut self, operation: &Operation) -> Result<()> {
        let mut tries = 0;
        loop {
            tries += 1;
            let owner = self.leaders.owner(operation.key());
            match self.links[owner].ask(&command(operation), Effect::Writes) {
                Ok(_) => return Ok(()),
                Err(failure) if failure.is(Exit::Unreachable) && tries < MOST_TRIES => {
                    std::thread::sleep(AGAIN);
                    self.learn();
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Asks anew who leads; any node may know.
    fn learn(&mut self) {
        let known = self.links.iter_mut().find_map(|link| ClusterIngest::of(link).ok().flatten());
        if let Some(known) = known {
            *self = known;
        }
    }
}

/// Whether it was not done, and may be another time or by another node.
fn passes(error: &ServerError) -> bool {
    moved_to(error).is_some() || matches!(error.code(), "TRYAGAIN" | "CLUSTERDOWN")
}
