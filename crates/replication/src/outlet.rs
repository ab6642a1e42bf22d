//! How a leader sends a snapshot: read from the store in chunks, and sent as a stream of parts.
//!
//! ```text
//!  walk over the log ─▶ chunk ─▶ [part│part│part│part] ─▶ the peer writes it
//!        ▲                              a full queue waits
//!        └── rests, see pace
//! ```

use std::time::Duration;

use openraft::errors::{StreamingError, Unreachable};
use openraft::raft::SnapshotResponse;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::config::Timing;
use crate::entry_log::ShardId;
use crate::network::SnapshotOf;
use crate::pace::Pace;
use crate::peers::{Peer, say};
use crate::progress::Progress;
use crate::proto::{self, snapshot_part};
#[cfg(feature = "simulation")]
use crate::runtime;
use crate::snapshot::SnapshotData;
use crate::types::{TypeConfig, Vote, entry_id};
use crate::{membership, wire};

/// Parts on their way.
const PARTS: usize = 4;

/// Sends a snapshot to a peer and waits until it is installed there.
///
/// # Errors
/// If it could not be sent, or the peer did not take it.
pub(crate) async fn send_snapshot(
    peer: &Peer,
    shard: ShardId,
    vote: Vote,
    snapshot: SnapshotOf,
    timing: Timing,
    progress: Progress,
) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
    let broken = |message: String| StreamingError::Unreachable(Unreachable::from_string(message));
    let Some(base) = snapshot.meta.last_log_id else {
        return Err(broken("there is nothing to send a snapshot of".into()));
    };
    let members = &snapshot.meta.last_membership;
    let config = membership::encode(members.membership()).map_err(|e| broken(e.to_string()))?;
    let head = proto::SnapshotHead {
        shard: u32::from(shard.0),
        vote: wire::vote(&vote),
        base: Some(wire::id(entry_id(&base))),
        config_id: members.log_id().as_ref().map(|id| wire::id(entry_id(id))),
        config: config.into(),
        split_off: snapshot.snapshot.split_off().map(|shard| u32::from(shard.0)).collect(),
    };
    let (parts, outgoing) = mpsc::channel(PARTS);
    let idle = Duration::from_millis(timing.snapshot_idle);
    let outlet = Outlet { parts, progress };
    let reading = outlet.start(snapshot.snapshot, head);
    // The receiver gives up on a sender that is silent; this is for one that does not.
    let reply = peer.bulk.install_snapshot(outgoing, idle.saturating_mul(1_000)).await;
    // Dropping the stream ended the reader, if it had not ended by itself.
    match reading.await {
        Ok(Err(error)) => tracing::error!(%shard, %error, "a shard's records cannot be read"),
        Ok(Ok(())) => {}
        Err(error) => tracing::error!(%shard, %error, "reading a shard's records panicked"),
    }
    let reply = reply.map_err(|status| broken(say(&status)))?;
    let vote = wire::to_vote(reply.vote).map_err(|error| broken(error.to_string()))?;
    Ok(SnapshotResponse::new(vote))
}

/// Where the parts of a snapshot go.
struct Outlet {
    parts: mpsc::Sender<proto::SnapshotPart>,
    progress: Progress,
}

impl Outlet {
    /// Begins to read the records and to send them, which blocks on the disk and on a slow receiver.
    fn start(
        self,
        snapshot: SnapshotData,
        head: proto::SnapshotHead,
    ) -> JoinHandle<aryavarth::Result<()>> {
        #[cfg(feature = "simulation")]
        if crate::simulation::Host::current().is_some() {
            return runtime::spawn(async move {
                for part in parts(&snapshot, head)? {
                    let part = proto::SnapshotPart { part: Some(self.noted(part?)) };
                    if self.parts.send(part).await.is_err() {
                        break;
                    }
                }
                Ok(())
            });
        }
        tokio::task::spawn_blocking(move || {
            let mut pace = Pace::begin();
            for part in parts(&snapshot, head)? {
                let part = proto::SnapshotPart { part: Some(self.noted(part?)) };
                if self.parts.blocking_send(part).is_err() {
                    break;
                }
                pace.rest();
            }
            Ok(())
        })
    }

    fn noted(&self, part: OnePart) -> snapshot_part::Part {
        self.progress.add(part.bytes);
        part.part
    }
}

/// A part of a snapshot, and the bytes of keys and values in it.
struct OnePart {
    part: snapshot_part::Part,
    bytes: u64,
}

/// The parts of a snapshot. The records are read from this call on: nothing applied before it is missed.
fn parts(
    snapshot: &SnapshotData,
    head: proto::SnapshotHead,
) -> aryavarth::Result<impl Iterator<Item = aryavarth::Result<OnePart>> + Send + use<>> {
    let small = |part| Some(Ok(OnePart { part, bytes: 0 }));
    let mut head = Some(head);
    let mut chunks = snapshot.export()?.into_iter().flatten().fuse();
    let is_whole = snapshot.is_as_begun();
    let mut number = 0;
    let mut ended = false;
    Ok(std::iter::from_fn(move || {
        if let Some(head) = head.take() {
            return small(snapshot_part::Part::Head(head));
        }
        match chunks.next() {
            Some(Ok(records)) => {
                number += 1;
                let part = snapshot_part::Part::Chunk(wire::chunk(number - 1, &records));
                Some(Ok(OnePart { part, bytes: records.bytes() }))
            }
            Some(Err(error)) => {
                ended = true;
                Some(Err(error))
            }
            None if ended => None,
            None => {
                ended = true;
                match is_whole() {
                    Ok(true) => {}
                    // Keys that were the shard's at the base are missing. Without an end it counts for nothing.
                    Ok(false) => return None,
                    Err(error) => return Some(Err(error)),
                }
                small(snapshot_part::Part::End(proto::SnapshotEnd { chunks: number }))
            }
        }
    }))
}
