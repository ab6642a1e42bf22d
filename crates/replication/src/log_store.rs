//! A shard's log as openraft wants it.
//!
//! ```text
//!  append ──▶ the log: readable ──▶ the syncer: durable ──▶ openraft is told
//!        └──▶ the tail: read back from memory
//! ```
//!
//! Votes and truncations are durable before the call returns, appended entries when openraft is told so.
//! Since the log is one and the syncer completes in order, nothing is durable before what was written
//! earlier.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "simulation")]
use aryavarth::planted::{Planted, is_planted};
use openraft::OptionalSend;
use openraft::async_runtime::AsyncRuntime;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};

use crate::entry_log::{
    EntryId, EntryIndex, EntryLog, LoggedEntry, LoggedPayload, NewEntry, Payload,
};
use crate::gate::Gate;
use crate::rotten::Complaints;
use crate::runtime::Runtime;
use crate::syncer::Syncer;
use crate::tail::{Found, Tail, weight};
use crate::types::{Effects, Entry, EntryPayload, LogId, TypeConfig, Vote, entry_id, log_id};
use crate::{membership, vote};

/// About the bytes of entries that go to a follower in one message.
const MESSAGE_BYTES: u64 = 1 << 20;
/// How soon entries that could not be read are tried again.
const RETRY: Duration = Duration::from_millis(200);

#[derive(Clone, Debug)]
pub(crate) struct LogStore {
    pub log: Arc<dyn EntryLog>,
    pub syncer: Syncer,
    pub tail: Arc<Tail>,
    pub gate: Arc<Gate>,
    /// As it was saved last: the log may know better, which openraft would not expect.
    committed: Option<EntryId>,
    /// Where it is told that a follower needs entries that are damaged here.
    complaints: Complaints,
}

impl LogStore {
    /// The log of a shard.
    pub fn new(log: Arc<dyn EntryLog>, syncer: Syncer, complaints: Complaints) -> LogStore {
        let committed = log.state().committed;
        LogStore { log, syncer, tail: Arc::default(), gate: Arc::default(), committed, complaints }
    }

    fn next_index(&self) -> u64 {
        self.log.state().last.map_or(0, |last| last.index.0 + 1)
    }

    /// Entries of this range until they weigh `max_bytes`, without holes. The first one is later than
    /// `start` only if the log begins later.
    fn read(&self, start: u64, end: u64, max_bytes: u64) -> io::Result<Vec<Entry>> {
        let mut found: Vec<Entry> = Vec::new();
        let mut bytes = 0;
        let mut next = start;
        while next < end && (found.is_empty() || bytes < max_bytes) {
            let more = match self.tail.read(next, end, max_bytes - bytes) {
                Found::Entries(entries) => entries,
                Found::None => self.read_log(next, end, max_bytes - bytes)?,
                Found::From(kept) => {
                    let older = self.read_log(next, kept, max_bytes - bytes)?;
                    if older.is_empty() && found.is_empty() {
                        next = kept;
                        continue;
                    }
                    older
                }
            };
            let Some(first) = more.first().map(|entry| entry.log_id.index()) else { break };
            if first != next && !found.is_empty() {
                return Err(io::Error::other(format!("entry {next} is missing in the log")));
            }
            next = first + more.len() as u64;
            bytes = more.iter().map(weight).fold(bytes, u64::saturating_add).min(max_bytes);
            found.extend(more);
        }
        Ok(found)
    }

    fn read_log(&self, start: u64, end: u64, max_bytes: u64) -> io::Result<Vec<Entry>> {
        let entries = self.log.read(start..end, max_bytes.max(1)).map_err(io::Error::other)?;
        let first = entries.first().map_or(start, |entry| entry.id.index.0);
        for (index, logged) in (first..).zip(&entries) {
            if logged.id.index.0 != index {
                return Err(io::Error::other(format!("entry {index} is missing in the log")));
            }
        }
        entries.into_iter().map(entry).collect()
    }
}

/// Whether bytes of the log are lost: they have changed, or the device does not give them.
fn is_lost(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<aryavarth::Error>());
    cause.is_some_and(|cause| cause.is_damage() || matches!(cause, aryavarth::Error::Io { .. }))
}

fn entry(logged: LoggedEntry) -> io::Result<Entry> {
    let payload = match logged.payload {
        LoggedPayload::Blank => EntryPayload::Blank,
        LoggedPayload::Effects(batch) => EntryPayload::Normal(Effects::logged(batch)),
        LoggedPayload::Config(bytes) => {
            EntryPayload::Membership(membership::decode(&bytes).map_err(io::Error::other)?)
        }
    };
    Ok(Entry { log_id: log_id(logged.id), payload })
}

/// Configurations as bytes, so that entries can borrow them.
fn configs(entries: &[Entry]) -> io::Result<Vec<Vec<u8>>> {
    entries
        .iter()
        .map(|entry| match &entry.payload {
            EntryPayload::Membership(group) => membership::encode(group).map_err(io::Error::other),
            EntryPayload::Blank | EntryPayload::Normal(_) => Ok(Vec::new()),
        })
        .collect()
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<R>(&mut self, range: R) -> io::Result<Vec<Entry>>
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let state = self.log.state();
        let first = state.purged.map_or(0, |purged| purged.index.0 + 1);
        let after_last = state.last.map_or(0, |last| last.index.0 + 1);
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        self.read(start.max(first), end.min(after_last), u64::MAX)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        let Some(bytes) = self.log.state().vote else { return Ok(None) };
        match vote::decode(&bytes) {
            Some(vote) => Ok(Some(vote)),
            None => Err(io::Error::other("the vote kept in the log cannot be understood")),
        }
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        let found = match self.read(start, end, MESSAGE_BYTES) {
            // An error would end the group. No entries are a heartbeat, which is not sent then.
            Err(error) if is_lost(&error) => {
                tracing::error!(%error, "entries that a follower needs are damaged here: another node is to lead");
                self.complaints.complain();
                Runtime::sleep(RETRY).await;
                return Ok(Vec::new());
            }
            read => read?,
        };
        let first = found.first().map(|entry| entry.log_id.index());
        if start < end && first != Some(start) {
            // Sent on, these would not follow what the follower has, or be taken for a heartbeat.
            return Err(io::Error::other(format!("entry {start} is missing in the log")));
        }
        Ok(found)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let state = self.log.state();
        Ok(LogState {
            last_purged_log_id: state.purged.map(log_id),
            last_log_id: state.last.map(log_id),
        })
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.log.save_vote(&vote::encode(vote)).map_err(io::Error::other)?;
        self.syncer.sync().await.map_err(io::Error::other)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        match committed {
            Some(id) => {
                self.committed = Some(entry_id(&id));
                self.log.save_committed(entry_id(&id)).map_err(io::Error::other)
            }
            None => Ok(()),
        }
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.committed.map(log_id))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        if let Some(first) = entries.first().map(|entry| entry.log_id.index()) {
            // They follow a snapshot that was accepted, whose installation has yet to reset the log.
            self.gate.wait_until(|| self.next_index() >= first).await;
            self.gate.entries_come(EntryIndex(first + entries.len() as u64 - 1)).await;
            let configs = configs(&entries)?;
            let new: Vec<_> = entries.iter().zip(&configs).map(new_entry).collect();
            self.log.append(&new).map_err(io::Error::other)?;
            entries.iter().for_each(note_logged);
            #[cfg(feature = "simulation")]
            if is_planted(Planted::AppliedBeforeCommitted)
                && let Some(last) = new.last()
            {
                self.log.apply(last.id.index).map_err(io::Error::other)?;
            }
            self.tail.push(entries);
        }
        self.syncer.after_sync(move |outcome| {
            callback.io_completed(outcome.map_err(|error| io::Error::other(error.clone())));
        });
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        self.tail.truncate_after(last.map(|last| last.index()));
        let last = last.as_ref().map(entry_id);
        self.log.truncate_after(last).map_err(io::Error::other)?;
        self.syncer.sync().await.map_err(io::Error::other)
    }

    async fn purge(&mut self, up_to: LogId) -> io::Result<()> {
        let up_to = entry_id(&up_to);
        if self.log.state().applied < Some(up_to) && !self.gate.is_open().await {
            // This is the purge that goes with a snapshot. Installing it purges too, but not before
            // its records are in.
            return Ok(());
        }
        self.tail.purge(up_to.index.0);
        self.log.purge(up_to).map_err(io::Error::other)
    }
}

/// Whoever proposed it may hand on what builds on it.
fn note_logged(entry: &Entry) {
    if let EntryPayload::Normal(effects) = &entry.payload {
        effects.note_logged();
    }
}

fn new_entry<'a>((entry, config): (&'a Entry, &'a Vec<u8>)) -> NewEntry<'a> {
    let payload = match &entry.payload {
        EntryPayload::Blank => Payload::Blank,
        EntryPayload::Normal(effects) => Payload::Effects(&effects.batch),
        EntryPayload::Membership(_) => Payload::Config(config),
    };
    NewEntry { id: entry_id(&entry.log_id), payload }
}

#[cfg(test)]
mod suite {
    //! Openraft's own suite for stores.

    use openraft::StorageError;
    use openraft::testing::log::{StoreBuilder, Suite};

    use super::*;
    use openraft::storage::RaftStateMachine;

    use crate::entry_log::ShardId;
    use crate::snapshot::SnapshotData;
    use crate::state_machine::ShardMachine;
    use crate::store::{NodeStore, ShardData};
    use crate::testing::SimStore;
    use crate::types::SnapshotMeta;

    struct Builder;

    impl StoreBuilder<TypeConfig, LogStore, ShardMachine> for Builder {
        async fn build(&self) -> Result<((), LogStore, ShardMachine), StorageError<TypeConfig>> {
            let store = SimStore::new(ShardId(1), std::time::Duration::ZERO);
            let data = Arc::new(store.clone());
            let syncer = {
                let store = store.clone();
                Syncer::start(move || store.sync()).unwrap()
            };
            let (complaints, ..) = Complaints::new();
            let logs = LogStore::new(store.log(ShardId(1)).unwrap(), syncer, complaints);
            let machine = ShardMachine::open(ShardId(1), &logs, data).unwrap();
            Ok(((), logs, machine))
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn openrafts_suite_passes() {
        Suite::test_all(Builder).await.unwrap();
    }

    async fn filled(entries: u64) -> LogStore {
        let ((), mut logs, _) = Builder.build().await.unwrap();
        for index in 0..entries {
            let log_id = log_id(EntryId::new(1, index));
            let entry = Entry { log_id, payload: EntryPayload::Blank };
            logs.append([entry], IOFlushed::noop()).await.unwrap();
        }
        logs
    }

    fn indexes(entries: &[Entry]) -> Vec<u64> {
        entries.iter().map(|entry| entry.log_id.index()).collect()
    }

    #[tokio::test]
    async fn what_a_follower_needs_and_the_log_lacks_is_an_error_and_no_empty_message() {
        let mut logs = filled(10).await;
        logs.purge(log_id(EntryId::new(1, 4))).await.unwrap();
        assert_eq!(indexes(&logs.limited_get_log_entries(5, 8).await.unwrap()), [5, 6, 7]);
        assert!(logs.limited_get_log_entries(4, 8).await.is_err());
        assert!(logs.limited_get_log_entries(10, 11).await.is_err());
        assert!(logs.limited_get_log_entries(8, 8).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_the_tail_no_longer_keeps_is_read_from_the_log() {
        let mut logs = filled(10).await;
        logs.tail.purge(6);
        assert_eq!(indexes(&logs.try_get_log_entries(3..9).await.unwrap()), [3, 4, 5, 6, 7, 8]);
        logs.tail.clear();
        assert_eq!(logs.try_get_log_entries(..).await.unwrap().len(), 10);
    }

    #[tokio::test]
    async fn a_truncation_is_seen_by_readers_at_once() {
        let mut logs = filled(10).await;
        let mut reader = logs.get_log_reader().await;
        logs.truncate_after(Some(log_id(EntryId::new(1, 3)))).await.unwrap();
        assert_eq!(indexes(&reader.try_get_log_entries(2..9).await.unwrap()), [2, 3]);
        let log_id = log_id(EntryId::new(2, 4));
        let entry = Entry { log_id, payload: EntryPayload::Blank };
        logs.append([entry], IOFlushed::noop()).await.unwrap();
        let read = reader.try_get_log_entries(4..9).await.unwrap();
        assert_eq!(read[0].log_id, log_id);
    }

    /// An entry that sets `key` to its own index.
    async fn set(logs: &mut LogStore, index: u64, key: &str) {
        let mut batch = aryavarth::WriteBatch::new();
        batch.set(key, index.to_string());
        let payload = EntryPayload::Normal(Effects::logged(batch));
        let entry = Entry { log_id: log_id(EntryId::new(1, index)), payload };
        logs.append([entry], IOFlushed::noop()).await.unwrap();
    }

    #[tokio::test]
    async fn a_snapshot_that_came_by_the_log_too_takes_no_entry_away() {
        let store = SimStore::new(ShardId(1), Duration::ZERO);
        let syncer = {
            let store = store.clone();
            Syncer::start(move || store.sync()).unwrap()
        };
        let (complaints, ..) = Complaints::new();
        let mut logs = LogStore::new(store.log(ShardId(1)).unwrap(), syncer, complaints);
        let data = Arc::new(store.clone());
        let mut machine = ShardMachine::open(ShardId(1), &logs, data).unwrap();
        let mut chunk = aryavarth::WriteBatch::new();
        chunk.set("a", "2").set("old", "1");
        let mut install = store.begin_install(ShardId(1)).unwrap();
        install.chunk(&chunk).unwrap();
        for (index, key) in (0..).zip(["gone", "old", "a", "new", "a"]) {
            set(&mut logs, index, key).await;
        }

        let base = log_id(EntryId::new(1, 2));
        let meta = SnapshotMeta { last_log_id: Some(base), ..SnapshotMeta::default() };
        let snapshot = SnapshotData::Received(install);
        machine.install_snapshot(&meta, snapshot).await.unwrap();
        assert_eq!(machine.applied_state().await.unwrap().0, Some(base));
        assert_eq!(indexes(&logs.try_get_log_entries(..).await.unwrap()), [0, 1, 2, 3, 4]);
        logs.log.apply(EntryIndex(4)).unwrap();
        let after = store.crashed(ShardId(1));
        let log = after.log(ShardId(1)).unwrap();
        assert_eq!(log.state().last, Some(EntryId::new(1, 4)), "a leader may count on them");
        log.apply(EntryIndex(4)).unwrap();
        for records in [store.records(), after.records()] {
            let records = records.iter().map(|(k, v)| [&k[..], b"=", v].concat());
            let records: Vec<_> = records.map(|r| String::from_utf8(r).unwrap()).collect();
            assert_eq!(records, ["a=4", "gone=0", "new=3", "old=1"]);
        }
    }
}
