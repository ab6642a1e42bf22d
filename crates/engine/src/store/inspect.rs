//! The magnifying glass: every record of a store's log as it stands in the files.

use std::ops::ControlFlow;
use std::path::Path;

use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::ids::{EntryId, EntryIndex, Position, SegmentId, Sequence, ShardId, UnixMillis};
use crate::kvs1::{self, Command, Kvs1Log};
use crate::log::scan::{Beyond, Scanner, Step};
use crate::log::segment::HEADER_LENGTH;
use crate::names::Names;
use crate::options::{Create, Options};
use crate::record::{Batch, Kind, Record};
use crate::recovery::{self, OnDamage, Trust};
use crate::replicated::codec::{Carries, Head, Presence, State};

/// Where a record stands in its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchPlace {
    /// It is the only one.
    Single,
    /// Others follow.
    Continues,
    /// It is the last of several.
    Last,
}

/// What a record does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogOperation {
    /// Gives the key the value.
    Set {
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
    },
    /// Takes the key away.
    Remove {
        /// The key.
        key: Vec<u8>,
    },
    /// Heads an entry of a shard's replicated log; what follows in the batch are its effects.
    Entry {
        /// The shard.
        shard: ShardId,
        /// Which entry.
        id: EntryId,
        /// The newest entry that was known to be committed.
        committed: Option<EntryIndex>,
        /// The configuration it carries, if it does.
        config: Option<Vec<u8>>,
    },
    /// What a shard's replicated log remembers beside its entries.
    State {
        /// The shard.
        shard: ShardId,
        /// Whether there is a replica: if not, there was one.
        is_here: bool,
        /// The vote, in bytes of whoever votes.
        vote: Vec<u8>,
        /// The newest entry that is no longer kept.
        purged: Option<EntryId>,
        /// The newest entry known to be committed.
        committed: Option<EntryId>,
        /// Sequences, first and last, of truncated records that may still stand in the log.
        dead: Vec<(Sequence, Sequence)>,
    },
    /// A record of a replicated log that cannot be understood.
    Unclear {
        /// Why.
        detail: &'static str,
    },
}

impl LogOperation {
    fn of(record: &Record<'_>) -> LogOperation {
        let understood = match record.kind {
            Kind::Set => {
                let (key, value) = (record.key.to_vec(), record.value.to_vec());
                return LogOperation::Set { key, value };
            }
            Kind::Remove => return LogOperation::Remove { key: record.key.to_vec() },
            Kind::Entry => Head::decode(record.key).map(|head| LogOperation::Entry {
                shard: record.shard,
                id: head.id,
                committed: head.committed,
                config: (head.carries == Carries::Config).then(|| record.value.to_vec()),
            }),
            Kind::State => State::decode(record.value).map(|state| LogOperation::State {
                shard: record.shard,
                is_here: state.presence == Presence::Here,
                vote: state.vote,
                purged: state.purged,
                committed: state.committed,
                dead: state.dead.iter().map(|dead| (dead.first, dead.last)).collect(),
            }),
        };
        understood.unwrap_or_else(|detail| LogOperation::Unclear { detail })
    }
}

/// One record of the log, current or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Where it starts.
    pub position: Position,
    /// Bytes it takes.
    pub length: u64,
    /// Its place in the order of all writes.
    pub sequence: Sequence,
    /// Its place in its batch.
    pub batch: BatchPlace,
    /// When the key expires, if it does.
    pub expires_at: Option<UnixMillis>,
    /// What it does.
    pub operation: LogOperation,
    /// Its bytes.
    pub raw: Vec<u8>,
}

/// Shows every record of the store in `directory`, segment by segment, until `visit` breaks off.
/// Nothing is changed; a KVS1 store that was not yet converted shows its lines, each file as a
/// segment of its number.
///
/// # Errors
/// [`Error::NoStore`], [`Error::Locked`], [`Error::Io`]; [`Error::Damaged`] or [`Error::Kvs1`] for the
/// first damage, after all that is intact was shown.
pub fn read_log(
    directory: impl AsRef<Path>,
    options: &Options,
    mut visit: impl FnMut(LogRecord) -> ControlFlow<()>,
) -> Result<()> {
    let directory = directory.as_ref();
    let names = Names::new(directory);
    let options = options.clone().create(Create::Never);
    let _lock = recovery::lock(&options, directory, &names)?;
    let kvs1_logs = kvs1::unconverted(&*options.disk, &names)?;
    if !kvs1_logs.is_empty() {
        return read_kvs1(&*options.disk, &kvs1_logs, visit);
    }
    let found = recovery::recover(&options, &names, OnDamage::Skip, Trust::RecordsOnly)?;
    for segment in found.segments.all() {
        let file = segment.file();
        let mut scanner = Scanner::new(&segment, &*file, HEADER_LENGTH, segment.end());
        let mut in_batch = false;
        loop {
            match scanner.step()? {
                Step::Record { offset, length, record } => {
                    let batch = match (record.batch, in_batch) {
                        (Batch::Continues, _) => BatchPlace::Continues,
                        (Batch::Ends, true) => BatchPlace::Last,
                        (Batch::Ends, false) => BatchPlace::Single,
                    };
                    in_batch = record.batch == Batch::Continues;
                    let operation = LogOperation::of(&record);
                    let (sequence, expires_at) = (record.sequence, record.expires_at);
                    let raw = file.read_copy(offset, length as usize);
                    let raw = raw.map_err(|error| segment.read_error(offset, error))?;
                    let position = Position { segment: segment.id, offset };
                    let shown =
                        LogRecord { position, length, sequence, batch, expires_at, operation, raw };
                    if visit(shown).is_break() {
                        return Ok(());
                    }
                }
                Step::End => break,
                Step::Bad(_) => match scanner.search_beyond(|_, _| true)? {
                    Beyond::Record { offset, .. } => scanner.seek(offset),
                    _ => break,
                },
            }
        }
    }
    match found.damage.into_iter().next() {
        Some(damage) => Err(damage),
        None => Ok::<_, Error>(()),
    }
}

fn read_kvs1(
    disk: &dyn Disk,
    logs: &[Kvs1Log],
    mut visit: impl FnMut(LogRecord) -> ControlFlow<()>,
) -> Result<()> {
    let (mut sequence, mut damage) = (Sequence(0), Ok(()));
    let mut flow = ControlFlow::Continue(());
    for log in logs {
        let read = log.lines(disk, |line| {
            let operation = match line.command {
                Ok(command) => LogOperation::from(command),
                Err(error) => {
                    damage = damage.clone().and(Err(error));
                    return ControlFlow::Continue(());
                }
            };
            sequence = sequence.next();
            flow = visit(LogRecord {
                position: Position { segment: SegmentId(log.number()), offset: line.offset },
                length: line.bytes.len() as u64,
                sequence,
                batch: BatchPlace::Single,
                expires_at: None,
                operation,
                raw: line.bytes.to_vec(),
            });
            flow
        });
        if flow.is_break() {
            return Ok(());
        }
        damage = damage.and(read);
    }
    damage
}

impl From<Command> for LogOperation {
    fn from(command: Command) -> LogOperation {
        match command {
            Command::Set { key, value } => {
                LogOperation::Set { key: key.into_bytes(), value: value.into_bytes() }
            }
            Command::Remove { key } => LogOperation::Remove { key: key.into_bytes() },
        }
    }
}
