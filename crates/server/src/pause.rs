//! `CLIENT PAUSE`: commands wait until a moment, all of them or only those that write.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock;
use crate::command::CommandId;
use crate::command::flags::Flags;
use crate::command::table::CommandSpec;
use crate::session::Session;

/// Which commands wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paused {
    /// All but those that could end the pause.
    All,
    /// Those that write.
    Writes,
}

/// Until when commands wait, in milliseconds of the monotonic clock; 0 for not at all.
#[derive(Debug, Default)]
pub struct Pause {
    all: AtomicU64,
    writes: AtomicU64,
}

impl Pause {
    /// Has commands wait for a while. A pause under way is made longer, never shorter.
    pub fn begin(&self, which: Paused, span: Duration) {
        let until = (clock::monotonic() + span).as_millis() as u64;
        match which {
            Paused::All => self.all.fetch_max(until, Ordering::AcqRel),
            Paused::Writes => self.writes.fetch_max(until, Ordering::AcqRel),
        };
    }

    /// Ends all pauses.
    pub fn end(&self) {
        self.all.store(0, Ordering::Release);
        self.writes.store(0, Ordering::Release);
    }

    /// Whether commands may have to wait.
    pub fn is_on(&self) -> bool {
        self.all.load(Ordering::Acquire) != 0 || self.writes.load(Ordering::Acquire) != 0
    }

    /// Until when this command waits, if it does.
    #[inline]
    pub fn until(&self, spec: &CommandSpec, session: &Session) -> Option<Duration> {
        let (all, writes) = (self.all.load(Ordering::Relaxed), self.writes.load(Ordering::Relaxed));
        if all == 0 && writes == 0 {
            return None;
        }
        let may_write = spec.flags.contains(Flags::WRITE)
            || (spec.id == CommandId::Exec && session.transaction.is_some());
        let until = if may_write { all.max(writes) } else { all };
        let exempt = matches!(spec.id, CommandId::ClientUnpause | CommandId::ClientPause);
        let now = clock::monotonic().as_millis() as u64;
        (until > now && !exempt).then(|| Duration::from_millis(until))
    }
}
