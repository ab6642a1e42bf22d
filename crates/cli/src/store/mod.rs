//! What a command works on: a directory, or a server.
//!
//! The commands ask a [`Store`] and do not see which it is. What only one of the two can do is asked
//! of it by name, in the command.

mod ingest;

use std::time::Duration;

use aryavarth::{Entry, KvStore, SetOptions, SetOutcome, UnixMillis, WriteBatch};
use aryavarth_server::cluster::reserved::is_reserved;

pub use ingest::{Batch, Ingest, Outcome};

use crate::failure::Result;
use crate::remote::RemoteStore;

/// A key, its value and what else is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The key.
    pub key: Vec<u8>,
    /// The value; empty where it was not asked for.
    pub value: Vec<u8>,
    /// The version; a server tells none.
    pub version: Option<u64>,
    /// When it expires, if it does and that was asked for.
    pub expires_at: Option<UnixMillis>,
}

impl From<Entry> for Record {
    fn from(entry: Entry) -> Record {
        let Entry { key, value, version, expires_at } = entry;
        Record { key, value, version: Some(version.0), expires_at }
    }
}

/// What is wanted of a record besides its key. A directory gives all of it in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Nothing.
    Key,
    /// When it expires.
    Expiry,
    /// Its value.
    Value,
    /// Both.
    Everything,
}

impl Detail {
    /// Whether the value is wanted.
    pub fn has_values(self) -> bool {
        matches!(self, Detail::Value | Detail::Everything)
    }

    /// Whether the expiry is wanted.
    pub fn has_expiry(self) -> bool {
        matches!(self, Detail::Expiry | Detail::Everything)
    }
}

/// Whether a walk goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    Continue,
    /// It has seen enough.
    Stop,
}

/// Which records are listed.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// What their keys begin with.
    pub prefix: &'a [u8],
    /// What is wanted of them.
    pub detail: Detail,
}

/// When a value is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// In any case.
    Always,
    /// If the key has none.
    IfAbsent,
    /// If the key has one.
    IfPresent,
}

/// How a value is set.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// When.
    pub condition: Condition,
    /// For how long; none: for good.
    pub ttl: Option<Duration>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is set.
    Written,
    /// The condition did not hold.
    Declined,
}

/// A store that is open, here or elsewhere.
pub enum Store {
    /// In a directory, ours alone until it is closed.
    Directory(Box<KvStore>),
    /// Behind a server.
    Server(Box<RemoteStore>),
}

impl Store {
    /// What is under `key`.
    ///
    /// # Errors
    /// What the engine or the server gives, here and below.
    pub fn entry(&mut self, key: &[u8], detail: Detail) -> Result<Option<Record>> {
        match self {
            Store::Directory(store) => Ok(store.get_entry(key)?.map(Record::from)),
            Store::Server(server) => server.entry(key, detail),
        }
    }

    /// Gives `key` a value.
    pub fn set(&mut self, key: &[u8], value: &[u8], terms: Terms) -> Result<Settled> {
        match self {
            Store::Directory(store) => {
                let outcome = store.set_with(key, value, terms.options())?;
                Ok(match outcome {
                    SetOutcome::Written(_) => Settled::Written,
                    SetOutcome::Declined => Settled::Declined,
                })
            }
            Store::Server(server) => server.set(key, value, terms),
        }
    }

    /// Removes keys, all at once; which of them were there.
    pub fn remove(&mut self, keys: &[Vec<u8>]) -> Result<Vec<bool>> {
        match self {
            Store::Directory(store) => remove(store, keys),
            Store::Server(server) => server.remove(keys),
        }
    }

    /// How many keys there are, or begin with `prefix`.
    pub fn count(&mut self, prefix: Option<&[u8]>) -> Result<u64> {
        match (self, prefix) {
            (Store::Server(server), prefix) => server.count(prefix),
            (Store::Directory(store), Some(prefix)) => {
                Ok(store.iter_prefix(prefix).try_fold(0, |n, entry| {
                    entry.map(|entry| n + u64::from(!is_reserved(&entry.key)))
                })?)
            }
            (Store::Directory(store), None) if is_of_cluster(store) => {
                let count = |n, entry: aryavarth::Result<Entry>| {
                    entry.map(|entry| n + u64::from(!is_reserved(&entry.key)))
                };
                Ok(store.iter().try_fold(0, count)?)
            }
            (Store::Directory(store), None) => {
                store.sweep_expired()?;
                Ok(store.len())
            }
        }
    }

    /// Gives `each` the records asked for, in no particular order, each once. A server leaves out
    /// what is no string where values are asked for; how many those were.
    pub fn list(
        &mut self,
        query: &Query<'_>,
        each: &mut dyn FnMut(Record) -> Result<Flow>,
    ) -> Result<u64> {
        match self {
            Store::Directory(store) => {
                for entry in store.iter_prefix(query.prefix) {
                    let entry = entry?;
                    if !is_reserved(&entry.key) && each(entry.into())? == Flow::Stop {
                        break;
                    }
                }
                Ok(0)
            }
            Store::Server(server) => server.list(query, each),
        }
    }

    /// Closes a store that was written to.
    pub fn close(self) -> Result<()> {
        match self {
            Store::Directory(store) => Ok(store.close()?),
            Store::Server(_) => Ok(()),
        }
    }
}

/// Whether a store is that of a cluster's node: others have what is written to it.
pub fn is_of_cluster(store: &KvStore) -> bool {
    !store.replicated_shards().is_empty()
}

impl Terms {
    fn options(self) -> SetOptions {
        let options = match self.condition {
            Condition::Always => SetOptions::new(),
            Condition::IfAbsent => SetOptions::new().only_if_absent(),
            Condition::IfPresent => SetOptions::new().only_if_present(),
        };
        self.ttl.map_or(options, |ttl| options.expire_in(ttl))
    }
}

fn remove(store: &KvStore, keys: &[Vec<u8>]) -> Result<Vec<bool>> {
    let mut batch = WriteBatch::new();
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        // The store is ours alone until we close it, so nobody takes the key in between.
        let there = store.contains(key)?;
        if there {
            batch.remove(&key[..]);
        }
        found.push(there);
    }
    if !batch.is_empty() {
        store.write(&batch)?;
    }
    Ok(found)
}
