//! What a node of a cluster has to be told: where it is, what it shares with others, and how fast it looks
//! around.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aryavarth_cluster::{Address, Limits, Zone};
use aryavarth_replication::{Secret, Timing, Tls};

use super::error::NodeError;
use crate::config::Config;

/// What a node of a cluster has to be told.
#[derive(Clone)]
pub struct ClusterOptions {
    /// The directory of the store, where the node's card is, too.
    pub directory: PathBuf,
    /// Where other nodes reach it, and where its own connections leave from.
    pub peer: SocketAddr,
    /// Where clients reach it.
    pub client: Address,
    /// What it shares a fate with.
    pub zone: Option<Zone>,
    /// What all nodes of the cluster know.
    pub secret: Secret,
    /// Certificates, if nodes talk over TLS.
    pub tls: Option<Tls>,
    /// The times of Raft.
    pub timing: Timing,
    /// The times of the rest.
    pub rhythm: Rhythm,
    /// How much may be copied at once.
    pub limits: Limits,
    /// What may be set while the node runs; asked each time it is needed.
    pub policy: Arc<dyn Fn() -> Policy + Send + Sync>,
}

/// How often a node looks around.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// Between two pulses.
    pub pulse: Duration,
    /// Silence after which a node counts as unreachable.
    pub reachable: Duration,
    /// Between two looks of the reconciler, and of whoever keeps the replicas.
    pub look: Duration,
    /// How long a shard is left alone after a step of it failed.
    pub rest: Duration,
    /// Between two purges.
    pub purge: Duration,
    /// How long a node that is let in may be waited for.
    pub join: Duration,
}

/// What may be set while a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Silence after which a node is taken for dead; none for never.
    pub lost_after: Option<Duration>,
    /// Entries of a shard's log that are kept for followers that fall behind.
    pub log_keep: u64,
}

impl Default for Rhythm {
    fn default() -> Rhythm {
        Rhythm {
            pulse: Duration::from_millis(500),
            reachable: Duration::from_secs(2),
            look: Duration::from_millis(200),
            rest: Duration::from_secs(1),
            purge: Duration::from_secs(3),
            join: Duration::from_secs(60),
        }
    }
}

impl Rhythm {
    /// For tests on one machine.
    pub fn quick() -> Rhythm {
        Rhythm {
            pulse: Duration::from_millis(100),
            reachable: Duration::from_millis(1_000),
            look: Duration::from_millis(50),
            rest: Duration::from_millis(200),
            purge: Duration::from_millis(200),
            join: Duration::from_secs(20),
        }
    }
}

impl Policy {
    /// What the settings say.
    pub fn of(config: &Config) -> Policy {
        Policy {
            lost_after: config.node_lost_after.above_zero(),
            log_keep: u64::from(config.raft_log_keep),
        }
    }
}

impl fmt::Debug for ClusterOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterOptions")
            .field("directory", &self.directory)
            .field("peer", &self.peer)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

impl ClusterOptions {
    /// What the settings say, with the policy as it is now.
    ///
    /// # Errors
    /// [`NodeError::Setting`] if one is missing or a file cannot be read.
    pub fn of(config: &Config) -> Result<ClusterOptions, NodeError> {
        let missing = |setting, detail: &str| NodeError::Setting { setting, detail: detail.into() };
        let peer = config.peer_address.ok_or_else(|| {
            missing("peer-address", "a node of a cluster needs one, as 10.0.0.1:16379")
        })?;
        if peer.ip().is_unspecified() {
            let detail = "other nodes are told this address, so it must be one that they can reach";
            return Err(missing("peer-address", detail));
        }
        let client = match (&config.announce_address, config.bind.first()) {
            (Some(address), _) => address.clone(),
            (None, Some(bind)) if !bind.address.is_unspecified() => {
                Address::new(&bind.address.to_string(), config.port)?
            }
            (None, _) => Address::new(&peer.ip().to_string(), config.port)?,
        };
        let secret = match &config.cluster_secret_file {
            Some(path) => read("cluster-secret-file", path)?.trim_ascii().to_vec(),
            None => Vec::new(),
        };
        if secret.is_empty() && !peer.ip().is_loopback() {
            tracing::warn!("no `cluster-secret-file`: whoever reaches {peer} can join the cluster");
        }
        let policy = Policy::of(config);
        Ok(ClusterOptions {
            directory: config.dir.clone(),
            peer,
            client,
            zone: config.zone.clone(),
            secret: Secret::new(secret),
            tls: tls(config)?,
            timing: Timing::default(),
            rhythm: Rhythm::default(),
            limits: Limits::default(),
            policy: Arc::new(move || policy),
        })
    }

    /// The same, with a policy that is asked each time.
    #[must_use]
    pub fn policy(mut self, policy: impl Fn() -> Policy + Send + Sync + 'static) -> ClusterOptions {
        self.policy = Arc::new(policy);
        self
    }
}

fn tls(config: &Config) -> Result<Option<Tls>, NodeError> {
    let files = [
        ("peer-tls-cert-file", &config.peer_tls_cert_file),
        ("peer-tls-key-file", &config.peer_tls_key_file),
        ("peer-tls-ca-cert-file", &config.peer_tls_ca_cert_file),
    ];
    if files.iter().all(|(_, path)| path.is_none()) {
        return Ok(None);
    }
    let [certificate, key, authority] = files.map(|(setting, path)| match path {
        Some(path) => read(setting, path),
        None => Err(NodeError::Setting {
            setting,
            detail: "of the three files for TLS between nodes one is missing".into(),
        }),
    });
    let (certificate, key, authority) = (certificate?, key?, authority?);
    Ok(Some(Tls { authority, certificate, key, peer_name: None }))
}

fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, NodeError> {
    fs::read(path).map_err(|error| NodeError::Setting {
        setting,
        detail: format!("cannot read {}: {error}", path.display()),
    })
}
