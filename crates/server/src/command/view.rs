//! What a command that goes over all keys sees of writes that are not settled.
//!
//! ```text
//!  sees only what is settled    the store as it is
//!  sees everything, alone       the store, once what was written before is settled
//!  in a transaction             the store, and over it every unsettled effect of its lane: it may
//!                               not wait, nor let go of its lane to look into others
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use aryavarth::{Effect, UnixMillis};

use super::context::{Context, Place};
use crate::proposer::BatchId;
use crate::server::Server;

/// What unsettled effects make of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It has a value, until a deadline if there is one.
    Set(Option<UnixMillis>),
    /// It is gone.
    Removed,
}

impl Fate {
    fn of(effect: Effect<'_>) -> Fate {
        match effect {
            Effect::Set { expires_at, .. } => Fate::Set(expires_at),
            Effect::Remove => Fate::Removed,
        }
    }

    fn is_there(self, now: UnixMillis) -> bool {
        matches!(self, Fate::Set(expires_at) if expires_at.is_none_or(|at| at > now))
    }
}

/// How the keys look to one command. May go to another thread with its job.
#[derive(Debug, Default)]
pub(super) struct View {
    /// One at most for each lane.
    after: Vec<BatchId>,
    unsettled: HashMap<Vec<u8>, Fate>,
}

impl View {
    /// That of this command. In a transaction its reply depends on what is in it.
    pub(super) fn of(cx: &mut Context<'_, '_>) -> View {
        let mut view = View::default();
        match cx.place {
            _ if !cx.sees_unsettled() => {}
            Place::Alone => view.after = cx.propose_gathered(),
            Place::Transaction => cx.each_unsettled(|operation| {
                let fate = Fate::of(operation.effect);
                match view.unsettled.get_mut(operation.key) {
                    Some(older) => *older = fate,
                    None => _ = view.unsettled.insert(operation.key.to_vec(), fate),
                }
            }),
        }
        view
    }

    /// Whether nothing that is not settled has to be laid over the store.
    pub(super) fn is_bare(&self) -> bool {
        self.unsettled.is_empty()
    }

    /// Whether it is there only after a wait, which no worker may do.
    pub(super) fn has_to_wait(&self) -> bool {
        !self.after.is_empty()
    }

    /// Waits until the store can be looked at. What failed is not in it, as its own reply says.
    pub(super) fn await_settled(&self, server: &Arc<Server>) {
        for batch in &self.after {
            let _ = server.await_settled(*batch);
        }
    }

    /// What unsettled effects make of `key`, which the store may have; none if there are none.
    pub(super) fn fate(&self, key: &[u8], now: UnixMillis) -> Option<bool> {
        if self.unsettled.is_empty() {
            return None;
        }
        self.unsettled.get(key).map(|fate| fate.is_there(now))
    }

    /// The keys that are there by unsettled effects.
    pub(super) fn unsettled(&self, now: UnixMillis) -> impl Iterator<Item = &[u8]> {
        let there = self.unsettled.iter().filter(move |(_, fate)| fate.is_there(now));
        there.map(|(key, _)| key.as_slice())
    }
}
