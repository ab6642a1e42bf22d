//! Who leads a group, told to whoever waits for a change of it.

use std::sync::Arc;

use openraft::RaftMetrics;
use openraft::async_runtime::WatchReceiver;
use openraft::metrics::RaftServerMetrics;
use tokio::sync::watch;

use crate::runtime;
use crate::status::{Leadership, Role, leadership};
use crate::types::{ShardRaft, TypeConfig};

/// Tells who leads. The metrics of a group change with every entry, so it looks at them only where what
/// changes seldom has changed, or while a new leader gets ready.
pub(crate) fn watch_leadership(raft: &ShardRaft) -> watch::Receiver<Leadership> {
    let (mut metrics, mut servers) = (raft.metrics(), raft.server_metrics());
    let (sender, receiver) = watch::channel(leadership(&metrics.borrow_watched()));
    runtime::spawn(async move {
        loop {
            let is_settled = {
                let (server, metrics) = (servers.borrow_and_update(), metrics.borrow_and_update());
                let now = leadership(&metrics);
                let is_settled = is_up_to_date(&metrics, &server) && is_at_rest(&now);
                sender.send_if_modified(|known| {
                    let changed = *known != now;
                    *known = now;
                    changed
                });
                is_settled
            };
            let changed = match is_settled {
                true => servers.changed().await.is_ok(),
                false => metrics.changed().await.is_ok(),
            };
            if !changed || sender.is_closed() {
                sender.send_modify(|known| {
                    known.role = Role::Stopped;
                    known.ready = false;
                });
                return;
            }
        }
    });
    receiver
}

/// Whether metrics are at least as new as those of the server, which are sent before them.
fn is_up_to_date(
    metrics: &RaftMetrics<TypeConfig>,
    server: &RaftServerMetrics<TypeConfig>,
) -> bool {
    metrics.vote == server.vote
        && metrics.state == server.state
        && metrics.current_leader == server.current_leader
        && Arc::ptr_eq(&metrics.membership_config, &server.membership_config)
}

/// Whether a leadership changes only with what the server's metrics show.
fn is_at_rest(leadership: &Leadership) -> bool {
    leadership.role != Role::Leader || leadership.ready
}
