//! Memory that clients make the server take, added up over all of them.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;

use crate::clients::{Client, Clients};
use crate::clock;

/// How long nobody is looked for after there was nobody to find: all that is too much belongs to
/// clients that may not be evicted, or that are on their way out.
const RESPITE: Duration = Duration::from_millis(5);

/// The sum of the memory of all clients' buffers, as of the last look at each.
#[derive(Debug, Default)]
pub struct ClientMemory {
    total: AtomicUsize,
    /// Until when nobody is looked for. Held by who looks.
    resting_until: Mutex<Duration>,
    /// Clients disconnected because all of them together took too much.
    pub evicted: AtomicU64,
}

impl ClientMemory {
    /// Notes that a client takes `now` instead of `before`.
    pub fn change(&self, before: usize, now: usize) {
        if now >= before {
            self.total.fetch_add(now - before, Ordering::Relaxed);
        } else {
            self.total.fetch_sub(before - now, Ordering::Relaxed);
        }
    }

    /// The sum, in bytes.
    pub fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// Dooms the clients with the largest buffers until the others are within `limit`; returns them.
    /// If somebody else is at it, nobody.
    pub fn choose(&self, clients: &Clients, limit: usize) -> Vec<Arc<Client>> {
        let mut resting_until = match self.resting_until.try_lock() {
            Ok(until) => until,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Vec::new(),
        };
        let now = clock::monotonic();
        if now < *resting_until {
            return Vec::new();
        }
        let chosen = heaviest(clients.all(), limit);
        if chosen.is_empty() {
            *resting_until = now + RESPITE;
        }
        for client in &chosen {
            client.doomed.store(true, Ordering::Relaxed);
        }
        self.evicted.fetch_add(chosen.len() as u64, Ordering::Relaxed);
        chosen
    }
}

/// The clients with the largest buffers, so many that the others are within `limit`. Those that are
/// doomed already count as gone.
fn heaviest(clients: Vec<Arc<Client>>, limit: usize) -> Vec<Arc<Client>> {
    let memory = |client: &Client| client.memory.load(Ordering::Relaxed);
    let stays = |client: &Arc<Client>| !client.doomed.load(Ordering::Relaxed);
    let mut weighed: Vec<(usize, Arc<Client>)> =
        clients.into_iter().filter(stays).map(|client| (memory(&client), client)).collect();
    let mut total: usize = weighed.iter().map(|(bytes, _)| bytes).sum();
    weighed.retain(|(bytes, client)| *bytes > 0 && !client.no_evict.load(Ordering::Relaxed));
    weighed.sort_by_key(|(bytes, _)| Reverse(*bytes));
    let mut chosen = Vec::new();
    for (bytes, client) in weighed {
        if total <= limit {
            break;
        }
        total -= bytes;
        chosen.push(client);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::Origin;

    fn clients(memory: &[usize]) -> (Clients, Vec<Arc<Client>>) {
        let clients = Clients::default();
        let all = memory.iter().map(|bytes| {
            let client = clients.add(Origin::File("s".into()), 0, 0);
            client.memory.store(*bytes, Ordering::Relaxed);
            client
        });
        let all = all.collect();
        (clients, all)
    }

    fn numbers(chosen: &[Arc<Client>]) -> Vec<u64> {
        chosen.iter().map(|client| client.id.0).collect()
    }

    #[test]
    fn the_heaviest_go_and_no_more_than_have_to() {
        let memory = ClientMemory::default();
        let (clients, _) = clients(&[10, 50, 40, 5]);
        assert_eq!(numbers(&memory.choose(&clients, 60)), [2]);
        // The one chosen is on its way: it is not chosen again, nor is another in its place.
        assert!(memory.choose(&clients, 60).is_empty());
        assert_eq!(memory.evicted.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn who_may_not_be_evicted_stays() {
        let memory = ClientMemory::default();
        let (clients, all) = clients(&[10, 50, 40, 0]);
        all[1].no_evict.store(true, Ordering::Relaxed);
        assert_eq!(numbers(&memory.choose(&clients, 20)), [3, 1]);
        assert!(memory.choose(&clients, 20).is_empty());
    }
}
