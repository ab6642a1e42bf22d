//! Batches of writes to a server: each a transaction, some of them under way at once.

use std::collections::VecDeque;

use redis::{Cmd, cmd};

use super::link::{Broken, Effect, Link};
use super::replies::refusal;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::formats::Operation;
use crate::store::{Batch, Outcome};

/// A server that is being filled.
pub struct RemoteIngest {
    link: Link,
    /// Sent and not yet answered.
    sent: VecDeque<Sent>,
    /// Nothing can be sent any more.
    broken: bool,
    /// No answers come any more.
    silent: bool,
}

struct Sent {
    records: u64,
    bytes: u64,
    /// None: it could not even be sent.
    failure: Option<Failure>,
}

impl RemoteIngest {
    /// Fills the server behind `link`.
    pub fn new(link: Link) -> RemoteIngest {
        RemoteIngest { link, sent: VecDeque::new(), broken: false, silent: false }
    }

    /// Sends a batch without waiting for those before it.
    pub fn submit(&mut self, batch: &Batch) {
        let (records, bytes) = (batch.len() as u64, batch.bytes());
        if self.broken {
            let failure = Some(self.link.lost(&Broken::Closed, Effect::Reads));
            return self.sent.push_back(Sent { records, bytes, failure });
        }
        let mut packed = cmd("MULTI").get_packed_command();
        for operation in batch.operations() {
            command(operation).write_packed_command(&mut packed);
        }
        cmd("EXEC").write_packed_command(&mut packed);
        let failure = match self.link.send(&packed) {
            Ok(()) => None,
            // Without its EXEC, none of it was done.
            Err(broken) => {
                self.broken = true;
                Some(self.link.lost(&broken, Effect::Reads))
            }
        };
        self.sent.push_back(Sent { records, bytes, failure });
    }

    /// Waits for the oldest batch that was sent; none if all are answered.
    pub fn wait(&mut self) -> Option<Outcome> {
        let Sent { records, bytes, failure } = self.sent.pop_front()?;
        let result = match failure {
            Some(failure) => Err(failure),
            None => self.answer(records),
        };
        Some(Outcome { records, bytes, result })
    }

    fn answer(&mut self, records: u64) -> Result<()> {
        if self.silent {
            return Err(self.link.lost(&Broken::Closed, Effect::Writes));
        }
        let commands = usize::try_from(records).expect("as many as were in memory");
        match self.link.executed(commands) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(refusal(&error, self.link.name())),
            Err(failure) => {
                if failure.is(Exit::OutcomeUnknown) {
                    (self.broken, self.silent) = (true, true);
                }
                Err(failure)
            }
        }
    }
}

/// What has a server do it.
pub(super) fn command(operation: &Operation) -> Cmd {
    match operation {
        Operation::Set { key, value, expires_at } => {
            let mut set = cmd("SET");
            set.arg(&key[..]).arg(&value[..]);
            if let Some(at) = expires_at {
                // The server counts in signed numbers, from 1.
                set.arg("PXAT").arg(at.0.clamp(1, i64::MAX as u64));
            }
            set
        }
        Operation::Remove { key } => cmd("DEL").arg(&key[..]).take(),
    }
}

#[cfg(test)]
mod tests {
    use aryavarth::UnixMillis;

    use super::*;

    #[test]
    fn expiry_is_kept_as_an_instant() {
        let set = |at| Operation::Set {
            key: b"k".to_vec(),
            value: b"\xff".to_vec(),
            expires_at: Some(UnixMillis(at)),
        };
        let packed = command(&set(1_800_000_000_000)).get_packed_command();
        let expected =
            b"*5\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\n\xff\r\n$4\r\nPXAT\r\n$13\r\n1800000000000\r\n";
        assert_eq!(packed, expected);
        assert!(command(&set(0)).get_packed_command().ends_with(b"$1\r\n1\r\n"));
    }
}
