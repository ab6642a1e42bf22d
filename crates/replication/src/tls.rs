//! Certificates, so that peers prove to each other who they are and nobody else can listen.

use std::fmt;

use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};

/// The certificates of a node. Both sides of a connection must show one of the same authority.
#[derive(Clone)]
pub struct Tls {
    /// The authority's certificate, PEM.
    pub authority: Vec<u8>,
    /// This node's certificate, PEM; its chain after it.
    pub certificate: Vec<u8>,
    /// The certificate's private key, PEM.
    pub key: Vec<u8>,
    /// The name that peers' certificates must bear; none: the host of the address that is called.
    pub peer_name: Option<String>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("peer_name", &self.peer_name).finish_non_exhaustive()
    }
}

impl Tls {
    fn identity(&self) -> Identity {
        Identity::from_pem(&self.certificate, &self.key)
    }

    pub(crate) fn client(&self) -> ClientTlsConfig {
        let config = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&self.authority))
            .identity(self.identity());
        match &self.peer_name {
            Some(name) => config.domain_name(name),
            None => config,
        }
    }

    pub(crate) fn server(&self) -> ServerTlsConfig {
        ServerTlsConfig::new()
            .identity(self.identity())
            .client_ca_root(Certificate::from_pem(&self.authority))
    }
}
