//! Who a peer is, and the proof that it belongs.
//!
//! Every call carries headers, and so does every answer:
//!
//! ```text
//!  aryavarth-protocol      the caller's protocol version
//!  aryavarth-cluster       16 hex digits
//!  aryavarth-node          the caller's node id
//!  aryavarth-incarnation   16 hex digits; drawn when a directory joins, so that a wiped disk shows
//!  aryavarth-to            the node the caller means; 0: whoever is there
//!  aryavarth-proof         HMAC-SHA-256 of all of these under the cluster's secret, in hex
//! ```
//!
//! So each side knows the other: a caller would otherwise take a wiped disk at a known address for
//! the node it was.
//!
//! The proof keeps out whoever does not know the secret, and a node that was configured for another
//! cluster. It is not encryption: on a network that others can listen to, use TLS as well.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

pub use aryavarth_cluster::{ClusterId, Incarnation, NodeId};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

/// The newest protocol this build speaks. Peers with a newer one are refused.
pub const PROTOCOL: u32 = 2;

/// The cluster of whoever has none yet.
pub(crate) const NO_CLUSTER: ClusterId = ClusterId(0);

/// Nobody: the node that a call is meant for if it is whoever answers.
pub(crate) const NOBODY: NodeId = NodeId(0);

/// What the nodes of a cluster know and nobody else. Never printed.
#[derive(Clone)]
pub struct Secret(Arc<[u8]>);

impl Secret {
    /// The secret with these bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Secret {
        Secret(bytes.into().into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Who a node says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its cluster.
    pub cluster: ClusterId,
    /// Its id there.
    pub node: NodeId,
    /// Its directory.
    pub incarnation: Incarnation,
}

/// Why a peer was refused. The words travel in a header, so that the refused one can say them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It said nothing of itself that could be understood. Connect nodes only.
    #[error("the caller did not say who it is: only nodes of the cluster may connect here")]
    NoIdentity,
    /// Upgrade this node first.
    #[error("the peer speaks a newer protocol: upgrade this node")]
    ProtocolTooNew,
    /// Check the address: it belongs to a node of another cluster.
    #[error("the peer belongs to another cluster: check addresses and directories")]
    AnotherCluster,
    /// Give both nodes the same secret.
    #[error("the peer's proof is wrong: the nodes' secrets differ")]
    WrongSecret,
    /// A node with this id has another directory. Join with a new id.
    #[error(
        "a node of this id is known with another directory: a wiped or copied directory must join anew"
    )]
    AnotherIncarnation,
    /// The address now belongs to another node.
    #[error("this address belongs to another node than the one that was called")]
    NotMe,
}

impl Refusal {
    const ALL: [(Refusal, &'static str); 6] = [
        (Refusal::NoIdentity, "no-identity"),
        (Refusal::ProtocolTooNew, "protocol-too-new"),
        (Refusal::AnotherCluster, "another-cluster"),
        (Refusal::WrongSecret, "wrong-secret"),
        (Refusal::AnotherIncarnation, "another-incarnation"),
        (Refusal::NotMe, "not-me"),
    ];
    const HEADER: &'static str = "aryavarth-refusal";

    fn word(self) -> &'static str {
        Refusal::ALL.iter().find(|(refusal, _)| *refusal == self).map_or("", |(_, word)| word)
    }

    /// The answer to a peer that is refused.
    pub(crate) fn into_status(self) -> Status {
        let mut status = Status::new(Code::PermissionDenied, self.to_string());
        status.metadata_mut().insert(Refusal::HEADER, MetadataValue::from_static(self.word()));
        status
    }

    /// Why a peer refused us, if it did.
    pub(crate) fn of(status: &Status) -> Option<Refusal> {
        let word = status.metadata().get(Refusal::HEADER)?.to_str().ok()?;
        Refusal::ALL.iter().find(|(_, known)| *known == word).map(|(refusal, _)| *refusal)
    }
}

/// The incarnations of the nodes that are known, and where those are that have moved. A node seen for the
/// first time is believed.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    incarnations: Arc<RwLock<HashMap<NodeId, Incarnation>>>,
    addresses: Arc<RwLock<HashMap<NodeId, String>>>,
}

impl Roster {
    /// Only this incarnation of `node` may speak from now on.
    pub fn expect(&self, node: NodeId, incarnation: Incarnation) {
        let mut known = self.incarnations.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(node, incarnation);
    }

    /// `node` is reached here from now on, whatever a group's configuration says.
    pub fn locate(&self, node: NodeId, address: String) {
        self.addresses.write().unwrap_or_else(PoisonError::into_inner).insert(node, address);
    }

    /// Where `node` is reached, if that was said.
    pub(crate) fn address(&self, node: NodeId) -> Option<String> {
        self.addresses.read().unwrap_or_else(PoisonError::into_inner).get(&node).cloned()
    }

    /// `node` has left for good.
    pub fn forget(&self, node: NodeId) {
        self.incarnations.write().unwrap_or_else(PoisonError::into_inner).remove(&node);
        self.addresses.write().unwrap_or_else(PoisonError::into_inner).remove(&node);
    }

    fn admit(&self, node: NodeId, incarnation: Incarnation) -> Result<(), Refusal> {
        let known =
            self.incarnations.read().unwrap_or_else(PoisonError::into_inner).get(&node).copied();
        match known {
            Some(known) if known == incarnation => Ok(()),
            Some(_) => Err(Refusal::AnotherIncarnation),
            None => {
                let mut nodes = self.incarnations.write().unwrap_or_else(PoisonError::into_inner);
                match *nodes.entry(node).or_insert(incarnation) {
                    known if known == incarnation => Ok(()),
                    _ => Err(Refusal::AnotherIncarnation),
                }
            }
        }
    }
}

/// What a node needs to name itself and to judge others.
#[derive(Clone, Debug)]
pub(crate) struct Passport {
    pub identity: Identity,
    pub secret: Secret,
    pub roster: Roster,
    pub protocol: u32,
}

impl Passport {
    /// Puts our identity on a call to `to`.
    pub fn sign(&self, headers: &mut MetadataMap, to: NodeId) {
        let claim = Claim { protocol: self.protocol, identity: self.identity, to };
        let proof = hex(&claim.proof(&self.secret).finalize().into_bytes());
        let mut put = |name: &'static str, value: String| {
            let value = MetadataValue::try_from(value).expect("hex digits and decimals are ASCII");
            headers.insert(name, value);
        };
        put("aryavarth-protocol", claim.protocol.to_string());
        put("aryavarth-cluster", claim.identity.cluster.to_string());
        put("aryavarth-node", claim.identity.node.to_string());
        put("aryavarth-incarnation", claim.identity.incarnation.to_string());
        put("aryavarth-to", to.to_string());
        put("aryavarth-proof", proof);
    }

    /// Who called, if it may.
    pub fn check(&self, headers: &MetadataMap) -> Result<Identity, Refusal> {
        let claim = self.claim(headers, Whose::Ours)?;
        if claim.to != NOBODY && claim.to != self.identity.node {
            return Err(Refusal::NotMe);
        }
        if claim.identity.node == self.identity.node {
            // Two directories with one id, or a copy of ours.
            return Err(Refusal::AnotherIncarnation);
        }
        self.roster.admit(claim.identity.node, claim.identity.incarnation)?;
        Ok(claim.identity)
    }

    /// Who called, and belongs to no cluster yet.
    pub fn check_stranger(&self, headers: &MetadataMap) -> Result<Identity, Refusal> {
        let claim = self.claim(headers, Whose::Any)?;
        let stranger = claim.identity.cluster == NO_CLUSTER && claim.identity.node == NOBODY;
        if stranger { Ok(claim.identity) } else { Err(Refusal::AnotherCluster) }
    }

    /// Who answered, of whatever cluster it is.
    pub fn check_host(&self, headers: &MetadataMap) -> Result<Identity, Refusal> {
        Ok(self.claim(headers, Whose::Any)?.identity)
    }

    /// What the headers say, if it is proven.
    fn claim(&self, headers: &MetadataMap, whose: Whose) -> Result<Claim, Refusal> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let decimal = |name: &str| text(name).and_then(|text| text.parse::<u64>().ok());
        let hexadecimal =
            |name: &str| text(name).and_then(|text| u64::from_str_radix(text, 16).ok());
        let read = || {
            Some(Claim {
                protocol: u32::try_from(decimal("aryavarth-protocol")?).ok()?,
                identity: Identity {
                    cluster: ClusterId(hexadecimal("aryavarth-cluster")?),
                    node: NodeId(decimal("aryavarth-node")?),
                    incarnation: Incarnation(hexadecimal("aryavarth-incarnation")?),
                },
                to: NodeId(decimal("aryavarth-to")?),
            })
        };
        let claim = read().ok_or(Refusal::NoIdentity)?;
        if claim.protocol > self.protocol {
            return Err(Refusal::ProtocolTooNew);
        }
        if whose == Whose::Ours && claim.identity.cluster != self.identity.cluster {
            return Err(Refusal::AnotherCluster);
        }
        let proof = text("aryavarth-proof").and_then(unhex).ok_or(Refusal::WrongSecret)?;
        claim.proof(&self.secret).verify_slice(&proof).map_err(|_| Refusal::WrongSecret)?;
        Ok(claim)
    }
}

/// Of which cluster somebody has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Ours,
    Any,
}

/// What the headers say.
struct Claim {
    protocol: u32,
    identity: Identity,
    to: NodeId,
}

impl Claim {
    fn proof(&self, secret: &Secret) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret.0).expect("any length of key serves");
        mac.update(b"aryavarth peer");
        mac.update(&self.protocol.to_be_bytes());
        mac.update(&self.identity.cluster.0.to_be_bytes());
        mac.update(&self.identity.node.0.to_be_bytes());
        mac.update(&self.identity.incarnation.0.to_be_bytes());
        mac.update(&self.to.0.to_be_bytes());
        mac
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passport(node: u64, secret: &str) -> Passport {
        Passport {
            identity: Identity {
                cluster: ClusterId(7),
                node: NodeId(node),
                incarnation: Incarnation(node * 100),
            },
            secret: Secret::new(secret),
            roster: Roster::default(),
            protocol: PROTOCOL,
        }
    }

    fn call(from: &Passport, to: u64, at: &Passport) -> Result<Identity, Refusal> {
        let mut headers = MetadataMap::new();
        from.sign(&mut headers, NodeId(to));
        at.check(&headers)
    }

    #[test]
    fn a_member_is_admitted_and_named() {
        let (one, two) = (passport(1, "s"), passport(2, "s"));
        assert_eq!(call(&one, 2, &two), Ok(one.identity));
        assert_eq!(call(&one, 0, &two), Ok(one.identity));
    }

    #[test]
    fn each_stranger_is_refused_by_name() {
        let at = passport(2, "s");
        assert_eq!(at.check(&MetadataMap::new()), Err(Refusal::NoIdentity));
        assert_eq!(call(&passport(1, "other"), 2, &at), Err(Refusal::WrongSecret));
        assert_eq!(call(&passport(1, "s"), 3, &at), Err(Refusal::NotMe));
        assert_eq!(call(&passport(2, "s"), 2, &at), Err(Refusal::AnotherIncarnation));
        let mut newer = passport(1, "s");
        newer.protocol = PROTOCOL + 1;
        assert_eq!(call(&newer, 2, &at), Err(Refusal::ProtocolTooNew));
        let mut foreign = passport(1, "s");
        foreign.identity.cluster = ClusterId(8);
        assert_eq!(call(&foreign, 2, &at), Err(Refusal::AnotherCluster));
    }

    #[test]
    fn a_wiped_directory_does_not_pass_for_its_node() {
        let at = passport(2, "s");
        let mut peer = passport(1, "s");
        assert!(call(&peer, 2, &at).is_ok());
        peer.identity.incarnation = Incarnation(5);
        assert_eq!(call(&peer, 2, &at), Err(Refusal::AnotherIncarnation));
        at.roster.expect(NodeId(1), Incarnation(5));
        assert!(call(&peer, 2, &at).is_ok());
    }

    #[test]
    fn a_stranger_may_introduce_itself_and_nothing_else() {
        let at = passport(2, "s");
        let mut stranger = passport(9, "s");
        stranger.identity =
            Identity { cluster: NO_CLUSTER, node: NOBODY, incarnation: Incarnation(5) };
        let mut headers = MetadataMap::new();
        stranger.sign(&mut headers, NOBODY);
        assert_eq!(at.check_stranger(&headers), Ok(stranger.identity));
        assert_eq!(at.check(&headers), Err(Refusal::AnotherCluster));
        let mut answer = MetadataMap::new();
        at.sign(&mut answer, NOBODY);
        assert_eq!(stranger.check_host(&answer), Ok(at.identity));
        assert_eq!(passport(9, "t").check_host(&answer), Err(Refusal::WrongSecret));
        let mut member = MetadataMap::new();
        passport(1, "s").sign(&mut member, NOBODY);
        assert_eq!(at.check_stranger(&member), Err(Refusal::AnotherCluster));
    }

    #[test]
    fn every_header_is_under_the_proof() {
        let (one, two) = (passport(1, "s"), passport(2, "s"));
        for name in
            ["aryavarth-node", "aryavarth-incarnation", "aryavarth-to", "aryavarth-protocol"]
        {
            let mut headers = MetadataMap::new();
            one.sign(&mut headers, NodeId(2));
            headers.insert(name, MetadataValue::from_static("0"));
            assert_eq!(two.check(&headers), Err(Refusal::WrongSecret), "{name}");
        }
    }

    #[test]
    fn refusals_survive_the_wire() {
        for (refusal, _) in Refusal::ALL {
            assert_eq!(Refusal::of(&refusal.into_status()), Some(refusal));
        }
    }
}
