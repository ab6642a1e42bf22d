//! A shard's records as openraft wants them.
//!
//! Applying is cheap: the bytes are in the log already, and the index is told to point at them, for as many
//! entries at once as are committed. What openraft calls a snapshot is only a promise here: the records
//! are read when they are sent (see [`store`](crate::store)).

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use openraft::OptionalSend;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine, Snapshot};

use crate::entry_log::{EntryLog, ShardId};
use crate::gate::Gate;
use crate::log_store::LogStore;
use crate::membership;
use crate::runtime;
use crate::snapshot::SnapshotData;
use crate::store::ShardData;
use crate::tail::Tail;
use crate::types::{
    Entry, EntryPayload, LogId, Membership, SnapshotMeta, StoredMembership, TypeConfig, entry_id,
    log_id,
};

type SnapshotOf = openraft::type_config::alias::SnapshotOf<TypeConfig, SnapshotData>;

/// The most entries that are applied before those who wait for them are answered.
const APPLIED_AT_ONCE: usize = 1024;

pub(crate) struct ShardMachine {
    shard: ShardId,
    log: Arc<dyn EntryLog>,
    data: Arc<dyn ShardData>,
    gate: Arc<Gate>,
    tail: Arc<Tail>,
    applied: Applied,
    /// Whether a snapshot was ever asked for: from then on there always is one.
    promised: bool,
}

#[derive(Clone, Debug, Default)]
struct Applied {
    last: Option<LogId>,
    membership: StoredMembership,
}

impl ShardMachine {
    /// The records of `shard` as they stand.
    ///
    /// # Errors
    /// If the group's configuration in the log cannot be understood.
    pub fn open(
        shard: ShardId,
        logs: &LogStore,
        data: Arc<dyn ShardData>,
    ) -> io::Result<ShardMachine> {
        let state = logs.log.state();
        let membership = match state.config {
            None => StoredMembership::default(),
            Some((id, bytes)) => {
                let group = membership::decode(&bytes).map_err(io::Error::other)?;
                StoredMembership::new(Some(log_id(id)), group)
            }
        };
        Ok(ShardMachine {
            shard,
            log: Arc::clone(&logs.log),
            data,
            gate: Arc::clone(&logs.gate),
            tail: Arc::clone(&logs.tail),
            applied: Applied { last: state.applied.map(log_id), membership },
            promised: false,
        })
    }

    fn meta(&self) -> SnapshotMeta {
        SnapshotMeta {
            last_log_id: self.applied.last,
            last_membership: self.applied.membership.clone(),
        }
    }

    fn note(&mut self, entry: &Entry) {
        self.applied.last = Some(entry.log_id);
        if let EntryPayload::Membership(group) = &entry.payload {
            self.applied.membership = StoredMembership::new(Some(entry.log_id), group.clone());
        }
    }

    async fn apply_all(&mut self, batch: &mut Vec<EntryResponder<TypeConfig>>) -> io::Result<()> {
        let Some((last, _)) = batch.last() else { return Ok(()) };
        let up_to = entry_id(&last.log_id).index;
        self.gate.apply(self.log.as_ref(), up_to).await.map_err(io::Error::other)?;
        for (entry, responder) in batch.drain(..) {
            self.note(&entry);
            if let Some(responder) = responder {
                responder.send(());
            }
        }
        Ok(())
    }
}

impl RaftStateMachine<TypeConfig> for ShardMachine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Promise;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied.last, self.applied.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let mut batch = Vec::new();
        while let Some(entry) = entries.next().await {
            batch.push(entry?);
            if batch.len() >= APPLIED_AT_ONCE {
                self.apply_all(&mut batch).await?;
            }
        }
        self.apply_all(&mut batch).await
    }

    async fn get_snapshot_builder(&mut self) -> Promise {
        self.promised = true;
        let split_off = self.data.split_off(self.shard).map_err(io::Error::other);
        Promise { meta: self.meta(), data: Arc::clone(&self.data), shard: self.shard, split_off }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotData,
    ) -> io::Result<()> {
        let Some(last) = meta.last_log_id else { return Ok(()) };
        let base = entry_id(&last);
        let done = if self.log.holds(base) {
            // It came by the log in the meantime, and maybe more after it, which is not to be lost.
            drop(snapshot);
            let log = Arc::clone(&self.log);
            blocking(move || log.apply(base.index).and_then(|()| log.sync())).await
        } else {
            let config = encode(meta.last_membership.membership())?;
            let (shard, data, tail) = (self.shard, Arc::clone(&self.data), Arc::clone(&self.tail));
            blocking(move || {
                snapshot.install(data.as_ref(), shard, base, &config)?;
                tail.clear();
                Ok(())
            })
            .await
        };
        if done.is_ok() {
            self.applied = Applied { last: Some(last), membership: meta.last_membership.clone() };
            self.promised = true;
        }
        self.gate.installed().await;
        done
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf>> {
        if !self.promised {
            return Ok(None);
        }
        let snapshot = SnapshotData::promise(&self.data, self.shard).map_err(io::Error::other)?;
        Ok(Some(Snapshot { meta: self.meta(), snapshot }))
    }
}

async fn blocking(work: impl FnOnce() -> aryavarth::Result<()> + Send + 'static) -> io::Result<()> {
    let done = runtime::blocking(work).await.map_err(io::Error::other)?;
    done.map_err(io::Error::other)
}

fn encode(group: &Membership) -> io::Result<Vec<u8>> {
    membership::encode(group).map_err(io::Error::other)
}

/// A snapshot that need not be built.
pub(crate) struct Promise {
    meta: SnapshotMeta,
    data: Arc<dyn ShardData>,
    shard: ShardId,
    split_off: io::Result<BTreeSet<ShardId>>,
}

impl RaftSnapshotBuilder<TypeConfig> for Promise {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf> {
        let split_off = std::mem::replace(&mut self.split_off, Ok(BTreeSet::new()))?;
        let (data, shard) = (Arc::clone(&self.data), self.shard);
        let snapshot = SnapshotData::Local { data, shard, split_off };
        Ok(Snapshot { meta: self.meta.clone(), snapshot })
    }
}
