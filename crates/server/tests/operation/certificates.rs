//! Certificates of one test.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use super::service::write;

/// Who signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// Signs a certificate for this machine.
    pub fn sign(&self) -> Identity {
        self.sign_params(Authority::params())
    }

    /// Signs one that expired long ago.
    pub fn sign_expired(&self) -> Identity {
        let mut params = Authority::params();
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        self.sign_params(params)
    }

    fn params() -> CertificateParams {
        CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap()
    }

    fn sign_params(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Identity { certificate, key: key.serialize_pem() }
    }
}

impl Identity {
    /// The certificate as it is shown.
    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()
    }
}

/// Files for a server to read.
pub struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    /// The files of a server with this identity, which checks clients against `authority`.
    pub fn new(identity: &Identity, authority: &Authority) -> Files {
        let files = Files { directory: tempfile::tempdir().unwrap() };
        files.put(identity);
        write(&files.authority(), &authority.pem);
        files
    }

    /// Replaces certificate and key.
    pub fn put(&self, identity: &Identity) {
        write(&self.certificate(), &identity.certificate);
        write(&self.key(), &identity.key);
    }

    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("server.crt")
    }

    pub fn key(&self) -> PathBuf {
        self.directory.path().join("server.key")
    }

    pub fn authority(&self) -> PathBuf {
        self.directory.path().join("ca.crt")
    }

    /// The settings that name them, and others.
    pub fn settings(&self, others: &[(&str, &str)]) -> Vec<(String, String)> {
        let text = |path: &Path| path.display().to_string();
        let own = [
            ("tls-cert-file", text(&self.certificate())),
            ("tls-key-file", text(&self.key())),
            ("tls-ca-cert-file", text(&self.authority())),
        ];
        let others = others.iter().map(|(name, value)| (*name, (*value).to_owned()));
        own.into_iter().chain(others).map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// How a client speaks TLS.
pub fn client(
    trusted: &Authority,
    shown: Option<&Identity>,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let config = match shown {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![identity.der()], key).unwrap()
        }
    };
    Arc::new(config)
}
