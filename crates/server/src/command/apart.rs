//! Work on large values, on threads of its own, while the connection rests.
//!
//! ```text
//!  worker                      another thread
//!  how long is it? ── long ──▶ read ─▶ compute ─▶ settled? ─▶ reply
//!       └ short: here and now
//! ```
//!
//! `BITOP` writes what it computed. Others may have written to its sources meanwhile, so it watches
//! them as `WATCH` does, and begins again if so; after some attempts it keeps all others waiting.

use std::sync::Arc;
use std::time::Duration;

use aryavarth::{Effect, UnixMillis};

use super::context::{Context, Place, Sight, Value};
use super::error::{CommandError, CommandResult};
use crate::proposer::{Access, BatchId, Proposer, State, WatchFlag};
use crate::resp::Reply;
use crate::server::Server;
use crate::value::bits::{self, Operation};

/// Bytes from which on work on a value is done apart.
pub(super) const LARGE: usize = 4 << 20;
/// How often the sources of `BITOP` may change before all others wait for it.
const ATTEMPTS: usize = 3;
/// How long to wait before looking again whether a batch is settled.
const GLANCE: Duration = Duration::from_micros(100);
/// How long to wait for who writes alone.
const OTHERS: Duration = Duration::from_millis(1);

/// What becomes of a value that is read.
enum Way {
    Answered,
    Copied(Vec<u8>),
    ReadThere,
}

/// Answers from the value of `key`, none if it has none.
///
/// # Errors
/// If it cannot be read.
pub(super) fn with_value(
    cx: &mut Context<'_, '_>,
    key: &[u8],
    reply: &mut Reply<'_>,
    answer: impl Fn(Option<&[u8]>, &mut Reply<'_>) + Send + 'static,
) -> CommandResult {
    let start = reply.buffer().len();
    let (place, sight) = (cx.place, cx.sight);
    let way = cx.read(key, |entry| {
        if place == Place::Alone && entry.value.len() >= LARGE {
            return match sight {
                Sight::Settled => Way::ReadThere,
                Sight::Everything => Way::Copied(entry.value.to_vec()),
            };
        }
        reply.buffer().truncate(start);
        answer(Some(entry.value), reply);
        Way::Answered
    })?;
    match way {
        Some(Way::Answered) => {}
        None => answer(None, reply),
        Some(Way::Copied(value)) => {
            return run(cx, reply, move |_, reply| {
                answer(Some(&value), reply);
                Ok(())
            });
        }
        Some(Way::ReadThere) => {
            let key = key.to_vec();
            return run(cx, reply, move |server, reply| {
                let start = reply.buffer().len();
                let found = server.store.reader().read(&key, |entry| {
                    reply.buffer().truncate(start);
                    answer(Some(entry.value), reply);
                })?;
                if found.is_none() {
                    answer(None, reply);
                }
                Ok(())
            });
        }
    }
    Ok(())
}

/// Has `work` write the reply on another thread, which is sent once what the command saw is settled.
/// Not for transactions, which hold what it would wait for.
pub(super) fn run(
    cx: &mut Context<'_, '_>,
    reply: &mut Reply<'_>,
    work: impl FnOnce(&Arc<Server>, &mut Reply<'_>) -> CommandResult + Send + 'static,
) -> CommandResult {
    debug_assert_eq!(cx.place, Place::Alone);
    let depends = cx.depends;
    cx.run_elsewhere(reply, move |server, reply| {
        work(server, reply)?;
        depends.map_or(Ok(()), |batch| await_settled(server, batch))
    })
}

/// Waits until a batch is settled.
fn await_settled(server: &Server, batch: BatchId) -> CommandResult {
    let proposer = server.proposers.of(batch.lane);
    proposer.flush();
    let outcomes = proposer.outcomes();
    while outcomes.settled() < batch.number {
        std::thread::sleep(GLANCE);
    }
    outcomes.failure(batch.number).map_or(Ok(()), |error| Err(error.into()))
}

/// A `BITOP` to be done.
pub(super) struct Combination {
    pub(super) operation: Operation,
    pub(super) target: Vec<u8>,
    pub(super) sources: Vec<Vec<u8>>,
}

impl Combination {
    /// Does it; returns the length of the result, in bytes.
    ///
    /// # Errors
    /// If something cannot be read or written.
    pub(super) fn perform(&self, server: &Server) -> Result<usize, CommandError> {
        for _ in 0..ATTEMPTS {
            let flag = WatchFlag::default();
            let done = self.attempt(server, &flag);
            let mut state = self.proposer(server).hold();
            self.sources.iter().for_each(|key| state.unwatch(key, &flag));
            drop(state);
            if let Some((length, batch)) = done? {
                return await_settled(server, batch).map(|()| length);
            }
        }
        let (length, batch) = server.alone(|| {
            let values = self.read(server, Vec::new())?;
            let result = self.combine(&values);
            let mut state = self.proposer(server).hold();
            let batch = self.write(&mut state, &result)?;
            Ok::<_, CommandError>((result.len(), batch))
        })?;
        await_settled(server, batch).map(|()| length)
    }

    /// Where it is evaluated: all its keys are in one lane.
    fn proposer<'s>(&self, server: &'s Server) -> &'s Proposer {
        server.proposers.of(server.proposers.lane_of(&self.target))
    }

    /// Does it unless a source changes meanwhile.
    fn attempt(
        &self,
        server: &Server,
        flag: &WatchFlag,
    ) -> Result<Option<(usize, BatchId)>, CommandError> {
        let unsettled = self.watch(server, flag);
        let values = self.read(server, unsettled)?;
        let result = self.combine(&values);
        let mut state = self.proposer(server).hold();
        while state.access() == Access::Exclusive {
            drop(state);
            std::thread::sleep(OTHERS);
            state = self.proposer(server).hold();
        }
        let now = server.store.now();
        let is_over = |value: &Value| value.expires_at.is_some_and(|at| at <= now);
        if flag.is_raised() || values.iter().flatten().any(is_over) {
            return Ok(None);
        }
        let batch = self.write(&mut state, &result)?;
        Ok(Some((result.len(), batch)))
    }

    /// Watches the sources from here on; returns what is not settled of them, none for others.
    fn watch(&self, server: &Server, flag: &WatchFlag) -> Vec<Option<Unsettled>> {
        let mut state = self.proposer(server).hold();
        let now = server.store.now();
        let watch = |key: &Vec<u8>| {
            state.watch(key, flag);
            state.find(key).map(|found| unsettled(found.effect, now))
        };
        self.sources.iter().map(watch).collect()
    }

    /// The values of the sources: what is not settled, or else what the store has.
    fn read(
        &self,
        server: &Server,
        unsettled: Vec<Option<Unsettled>>,
    ) -> Result<Vec<Option<Value>>, CommandError> {
        let reader = server.store.reader();
        let mut unsettled = unsettled.into_iter();
        let read = |key: &Vec<u8>| match unsettled.next().flatten() {
            Some(Unsettled(value)) => Ok(value),
            None => Ok(reader.read(key, |entry| Value {
                bytes: entry.value.to_vec(),
                expires_at: entry.expires_at,
            })?),
        };
        self.sources.iter().map(read).collect()
    }

    fn combine(&self, values: &[Option<Value>]) -> Vec<u8> {
        let bytes = values.iter().map(|value| value.as_ref().map(|value| value.bytes.as_slice()));
        let sources: Vec<&[u8]> = bytes.map(Option::unwrap_or_default).collect();
        bits::combine(self.operation, &sources)
    }

    fn write(&self, state: &mut State, result: &[u8]) -> Result<BatchId, CommandError> {
        if let Some(error) = state.refusal() {
            return Err(error.into());
        }
        let effect = match result {
            [] => Effect::Remove,
            value => Effect::Set { value, expires_at: None },
        };
        state.stage(&self.target, effect);
        let batch = state.open_batch();
        state.flush();
        Ok(batch)
    }
}

/// What an unsettled effect leaves of a key.
struct Unsettled(Option<Value>);

fn unsettled(effect: Effect<'_>, now: UnixMillis) -> Unsettled {
    Unsettled(match effect {
        Effect::Set { value, expires_at } if expires_at.is_none_or(|at| at > now) => {
            Some(Value { bytes: value.to_vec(), expires_at })
        }
        _ => None,
    })
}
