//! TLS as the settings ask for it: from files to what new connections are accepted with.
//!
//! ```text
//!  tls-cert-file ─┐
//!  tls-key-file ──┼─▶ load ─▶ ServerConfig ─▶ SharedTls ─▶ new connections
//!  tls-ca-cert-file                              ▲
//!                       SIGHUP, CONFIG SET ─ load ┘   old connections keep what they have
//! ```
//!
//! # Invariant
//! What new connections are accepted with was loaded whole: of files of which one is wrong, none is
//! used.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{InconsistentKeys, RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use webpki::{EndEntityCert, KeyUsage};

use crate::clock;
use crate::config::{ClientCertificates, Config, TlsVersion};
use crate::error::Error;
use crate::net::listener::SharedTls;
use crate::server::Server;

/// A moment that every certificate has run out at, in seconds since 1970: beyond the year 9999, which
/// a certificate cannot name.
const LATER_THAN_ALL: Duration = Duration::from_secs(300_000_000_000);

/// Why TLS cannot be spoken as the settings ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsProblem {
    /// The setting that names the file.
    pub setting: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub detail: String,
}

impl From<TlsProblem> for Error {
    fn from(problem: TlsProblem) -> Error {
        Error::Tls { path: problem.path, detail: problem.detail }
    }
}

/// What new connections are accepted with, and until when its certificate holds.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// For `rustls`.
    pub config: Arc<ServerConfig>,
    /// When the certificate runs out, in time since 1970, if it tells.
    pub expires: Option<Duration>,
}

/// What TLS is spoken with now.
pub struct Tls {
    shared: Option<SharedTls>,
    /// Seconds since 1970; 0 if not known.
    expires: AtomicU64,
}

impl Tls {
    /// What was loaded at the start; nothing if TLS is not spoken.
    pub fn new(loaded: Option<Loaded>) -> Tls {
        let tls = Tls {
            shared: loaded.as_ref().map(|loaded| Arc::new(RwLock::new(Arc::clone(&loaded.config)))),
            expires: AtomicU64::new(0),
        };
        tls.note_expiry(loaded.and_then(|loaded| loaded.expires));
        tls
    }

    /// For listeners: they see what comes later.
    pub fn shared(&self) -> Option<SharedTls> {
        self.shared.clone()
    }

    /// When the certificate runs out, in time since 1970, if there is one and it tells.
    pub fn expires(&self) -> Option<Duration> {
        let seconds = self.expires.load(Ordering::Relaxed);
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    /// From here on, new connections get this. Old ones go on with what they have.
    pub fn replace(&self, loaded: Loaded) {
        if let Some(shared) = &self.shared {
            self.note_expiry(loaded.expires);
            *shared.write().expect("no panic while held") = loaded.config;
            tracing::info!("new connections with TLS get the certificate that was read");
        }
    }

    fn note_expiry(&self, expires: Option<Duration>) {
        self.expires.store(expires.map_or(0, |time| time.as_secs()), Ordering::Relaxed);
    }
}

impl Server {
    /// Reads the files anew. If any is wrong, what there is stays.
    pub fn reload_tls(&self) {
        match load(&self.config.current()) {
            Ok(Some(loaded)) => self.tls.replace(loaded),
            Ok(None) => {}
            Err(TlsProblem { path, detail, .. }) => {
                let file = path.display();
                tracing::error!(%file, detail, "the certificate in use stays as it was");
            }
        }
    }
}

/// A file that a setting names.
#[derive(Clone, Copy)]
struct Named<'a> {
    setting: &'static str,
    path: &'a Path,
}

impl<'a> Named<'a> {
    fn of(setting: &'static str, path: Option<&'a PathBuf>) -> Named<'a> {
        Named { setting, path: path.map_or(Path::new(""), PathBuf::as_path) }
    }

    fn problem(self, detail: impl Display) -> TlsProblem {
        let (setting, path) = (self.setting, self.path.to_owned());
        TlsProblem { setting, path, detail: detail.to_string() }
    }

    fn pem(self, error: PemError, wanted: &str) -> TlsProblem {
        match error {
            PemError::Io(error) => self.problem(format!("cannot be read: {error}")),
            PemError::NoItemsFound => self.problem(format!("no {wanted} in PEM is in it")),
            other => self.problem(format!("not PEM: {other}")),
        }
    }

    fn certificates(self) -> Result<Vec<CertificateDer<'static>>, TlsProblem> {
        let wrong = |error| self.pem(error, "certificate");
        let found = CertificateDer::pem_file_iter(self.path).map_err(wrong)?;
        let found = found.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
        if found.is_empty() { Err(wrong(PemError::NoItemsFound)) } else { Ok(found) }
    }
}

/// What the settings ask for; none if there is no `tls-port`. An expired certificate is used with a
/// warning: it is for clients to judge, and no server is worse.
///
/// # Errors
/// The file that is wrong, and what is.
pub fn load(config: &Config) -> Result<Option<Loaded>, TlsProblem> {
    if config.tls_port == 0 {
        return Ok(None);
    }
    let certificate = Named::of("tls-cert-file", config.tls_cert_file.as_ref());
    let key = Named::of("tls-key-file", config.tls_key_file.as_ref());
    let chain = certificate.certificates()?;
    let expires = judge_time(certificate, &chain[0]);
    let secret = PrivateKeyDer::from_pem_file(key.path)
        .map_err(|error| key.pem(error, "private key without a password"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(config))
        .map_err(|error| certificate.problem(error))?
        .with_client_cert_verifier(verifier(config)?);
    let built = builder.with_single_cert(chain, secret).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            key.problem(format!("not the key of the certificate in {}", certificate.path.display()))
        }
        rustls::Error::InvalidCertificate(error) => {
            certificate.problem(format!("not a usable certificate: {error}"))
        }
        other => key.problem(format!("not a usable key: {other}")),
    })?;
    Ok(Some(Loaded { config: Arc::new(built), expires }))
}

fn versions(config: &Config) -> Vec<&'static SupportedProtocolVersion> {
    let known = |spoken: &TlsVersion| match spoken {
        TlsVersion::V12 => &version::TLS12,
        TlsVersion::V13 => &version::TLS13,
    };
    config.tls_protocols.iter().map(known).collect()
}

/// Who checks the certificates of clients.
fn verifier(config: &Config) -> Result<Arc<dyn ClientCertVerifier>, TlsProblem> {
    if config.tls_auth_clients == ClientCertificates::No {
        return Ok(WebPkiClientVerifier::no_client_auth());
    }
    let authority = Named::of("tls-ca-cert-file", config.tls_ca_cert_file.as_ref());
    let mut roots = RootCertStore::empty();
    for certificate in authority.certificates()? {
        let unusable =
            |error| authority.problem(format!("holds a certificate that is not usable: {error}"));
        roots.add(certificate).map_err(unusable)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    if config.tls_auth_clients == ClientCertificates::Optional {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(|error| authority.problem(error))
}

/// Warns of a certificate that does not hold now; says when it runs out.
fn judge_time(named: Named<'_>, certificate: &CertificateDer<'_>) -> Option<Duration> {
    let path = named.path.display();
    match fault_at(certificate, clock::wall())? {
        webpki::Error::CertExpired { not_after, .. } => {
            let ago = clock::wall().saturating_sub(Duration::from_secs(not_after.as_secs()));
            let days = ago.as_secs() / 86_400;
            tracing::warn!(file = %path, days, "the certificate expired days ago: replace it");
        }
        webpki::Error::CertNotValidYet { .. } => {
            tracing::warn!(file = %path, "the certificate is not valid yet: is the clock right?");
        }
        _ => {}
    }
    match fault_at(certificate, LATER_THAN_ALL)? {
        webpki::Error::CertExpired { not_after, .. } => {
            Some(Duration::from_secs(not_after.as_secs()))
        }
        _ => None,
    }
}

/// Why a certificate does not hold at a moment. It is asked without roots, so that it always fails in
/// the end; its time is looked at first.
fn fault_at(certificate: &CertificateDer<'_>, moment: Duration) -> Option<webpki::Error> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let moment = UnixTime::since_unix_epoch(moment);
    let usage = KeyUsage::server_auth();
    certificate.verify_for_usage(&[], &[], &[], moment, usage, None, None).err()
}
