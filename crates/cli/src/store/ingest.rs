//! Filling a store with batches, without waiting for each.

use std::sync::mpsc::{self, Receiver, Sender};

use aryavarth::{KvStore, WriteBatch};

use crate::failure::Result;
use crate::formats::Operation;
use crate::remote::{ClusterIngest, RemoteIngest};

/// Most batches under way in a directory: one sync serves many of them.
const DIRECTORY_WINDOW: usize = 64;
/// Most batches under way to a server: enough to hide the way there and back.
const SERVER_WINDOW: usize = 4;

/// Writes that are done together or, after a crash, not at all.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    operations: Vec<Operation>,
    bytes: u64,
}

impl Batch {
    /// Adds a write.
    pub fn add(&mut self, operation: Operation) {
        self.bytes += (operation.key().len() + operation.value().len()) as u64;
        self.operations.push(operation);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Their keys and values, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Them, in order.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    fn into_write_batch(self) -> WriteBatch {
        let mut batch = WriteBatch::new();
        for operation in self.operations {
            match operation {
                Operation::Remove { key } => batch.remove(key),
                Operation::Set { key, value, expires_at: None } => batch.set(key, value),
                Operation::Set { key, value, expires_at: Some(at) } => {
                    batch.set_expiring(key, value, at)
                }
            };
        }
        batch
    }
}

/// How a batch ended.
pub struct Outcome {
    /// How many records it had.
    pub records: u64,
    /// Their keys and values, in bytes.
    pub bytes: u64,
    /// Whether they are stored.
    pub result: Result<()>,
}

/// A store that is being filled. Batches are stored in the order in which they are submitted.
pub enum Ingest {
    /// In a directory.
    Directory(DirectoryIngest),
    /// Behind a server.
    Server(Box<RemoteIngest>),
    /// In a cluster.
    Cluster(Box<ClusterIngest>),
}

/// A store in a directory that is being filled.
pub struct DirectoryIngest {
    store: KvStore,
    outcomes: (Sender<Outcome>, Receiver<Outcome>),
}

impl Ingest {
    /// Fills the store in a directory.
    pub fn into_directory(store: KvStore) -> Ingest {
        Ingest::Directory(DirectoryIngest { store, outcomes: mpsc::channel() })
    }

    /// Most batches that should be under way at once.
    pub fn window(&self) -> usize {
        match self {
            Ingest::Directory(_) => DIRECTORY_WINDOW,
            Ingest::Server(_) => SERVER_WINDOW,
            Ingest::Cluster(_) => 1,
        }
    }

    /// Begins to store a batch.
    pub fn submit(&mut self, batch: Batch) {
        match self {
            Ingest::Server(server) => server.submit(&batch),
            Ingest::Cluster(cluster) => cluster.submit(batch),
            Ingest::Directory(directory) => {
                let (records, bytes) = (batch.len() as u64, batch.bytes());
                let outcomes = directory.outcomes.0.clone();
                directory.store.submit(&batch.into_write_batch(), move |result| {
                    let result = result.map(drop).map_err(Into::into);
                    // Whoever fills the store waits for all outcomes, so somebody receives it.
                    let _ = outcomes.send(Outcome { records, bytes, result });
                });
            }
        }
    }

    /// How a batch ended, if one has and that can be told without waiting.
    pub fn poll(&mut self) -> Option<Outcome> {
        match self {
            Ingest::Directory(directory) => directory.outcomes.1.try_recv().ok(),
            Ingest::Server(_) | Ingest::Cluster(_) => None,
        }
    }

    /// How the next batch ends. To be called only while one is under way.
    pub fn wait(&mut self) -> Outcome {
        match self {
            Ingest::Directory(directory) => {
                directory.outcomes.1.recv().expect("a sender is held right here")
            }
            Ingest::Server(server) => server.wait().expect("a batch is under way"),
            Ingest::Cluster(cluster) => cluster.wait().expect("a batch is under way"),
        }
    }

    /// Closes the store.
    ///
    /// # Errors
    /// If what was written cannot be made durable.
    pub fn close(self) -> Result<()> {
        match self {
            Ingest::Directory(directory) => Ok(directory.store.close()?),
            Ingest::Server(_) | Ingest::Cluster(_) => Ok(()),
        }
    }
}
