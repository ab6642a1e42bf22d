//! The one call of somebody who is no node yet: to ask a member to be let in.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::config::Timing;
use crate::error::{Error, Result};
use crate::identity::{
    Identity, Incarnation, NO_CLUSTER, NOBODY, PROTOCOL, Passport, Roster, Secret,
};
use crate::peers::{Peers, failure};
use crate::proto;
use crate::tls::Tls;

/// Who asks, and how.
#[derive(Clone, Debug)]
pub struct Introduction {
    /// Drawn by the directory that is to become a node's.
    pub incarnation: Incarnation,
    /// What all nodes of the cluster know.
    pub secret: Secret,
    /// Certificates, if peers talk over TLS.
    pub tls: Option<Tls>,
    /// Where the call leaves from.
    pub from: IpAddr,
    /// How long an answer may take.
    pub within: Duration,
}

/// Sends `body` to the member at `address`; returns who answered, and what.
///
/// # Errors
/// [`Error::Refused`]; [`Error::Unreachable`], after which it may have been heard.
pub fn introduce<'a>(
    introduction: Introduction,
    address: &'a str,
    body: Bytes,
) -> BoxFuture<'a, Result<(Identity, Bytes)>> {
    Box::pin(async move {
        let Introduction { incarnation, secret, tls, from, within } = introduction;
        let identity = Identity { cluster: NO_CLUSTER, node: NOBODY, incarnation };
        let passport =
            Arc::new(Passport { identity, secret, roster: Roster::default(), protocol: PROTOCOL });
        let tls = tls.as_ref().map(Tls::client);
        let peers = Peers::new(Arc::clone(&passport), Timing::default(), from, tls);
        let mut client = peers.client(NOBODY, address)?;
        let asked = client.introduce(proto::ForwardRequest { body });
        let reply = tokio::time::timeout(within, asked).await.map_err(|_| Error::Unreachable {
            address: address.to_owned(),
            cause: "no answer in time".into(),
        })?;
        let reply = reply.map_err(|status| failure(address, &status))?;
        let host = passport.check_host(reply.metadata())?;
        Ok((host, reply.into_inner().body))
    })
}
