//! Addresses to listen on.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::kind::{Kind, Written, each, list};
use super::super::refusal::Refusal;
use super::super::setting::Bounds;

/// What to do if the machine does not have an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// The server does not start.
    Fails,
    /// The address is left out.
    Skipped,
}

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindAddress {
    /// The address.
    pub address: IpAddr,
    /// If the machine does not have it.
    pub absence: Absence,
}

impl BindAddress {
    /// `*`, `::*` or an address, each after a `-` if it may be absent.
    fn parse(text: &str) -> Option<BindAddress> {
        let (absence, address) = match text.strip_prefix('-') {
            Some(rest) => (Absence::Skipped, rest),
            None => (Absence::Fails, text),
        };
        let address = match address {
            "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            "::*" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            other => other.parse().ok()?,
        };
        Some(BindAddress { address, absence })
    }

    /// The addresses that only this machine can reach; not every one has the second.
    pub(in crate::config) fn loopback() -> Vec<BindAddress> {
        vec![
            BindAddress { address: IpAddr::V4(Ipv4Addr::LOCALHOST), absence: Absence::Fails },
            BindAddress { address: IpAddr::V6(Ipv6Addr::LOCALHOST), absence: Absence::Skipped },
        ]
    }
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minus = if self.absence == Absence::Skipped { "-" } else { "" };
        match self.address {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => write!(f, "{minus}*"),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => write!(f, "{minus}::*"),
            address => write!(f, "{minus}{address}"),
        }
    }
}

impl Kind for Vec<BindAddress> {
    const SHAPE: &'static str = "IP addresses, `*` for all of IPv4, `::*` for all of IPv6; a list \
                                 in the file, with spaces between them elsewhere";

    fn parse(text: &str, _: Option<Bounds>) -> Result<Vec<BindAddress>, Refusal> {
        each(text, |word| {
            BindAddress::parse(word)
                .ok_or_else(|| Refusal::other(format!("`{word}` is not an IP address")))
        })
    }

    fn read(written: Written<'_>, bounds: Option<Bounds>) -> Result<Vec<BindAddress>, Refusal> {
        Self::parse(&written.words()?, bounds)
    }

    fn show(&self) -> String {
        self.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    fn literal(&self) -> String {
        list(self.show().split_whitespace())
    }
}
