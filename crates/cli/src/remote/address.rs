//! Where a server is: `HOST:PORT`, or a URL `redis[s]://[user:password@]host[:port][/database]`.

use std::fmt;

use redis::{ConnectionAddr, IntoConnectionInfo};

/// The port of Redis, where none is given.
pub const DEFAULT_PORT: u16 = 6379;

/// A server's place, and what a URL may say besides. Shown without the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// A name or an IP address, the latter without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// Whether the URL asks for TLS.
    pub wants_tls: bool,
    /// Whom to log in as.
    pub user: Option<String>,
    /// What to log in with.
    pub password: Option<String>,
    /// The number of the database.
    pub database: u64,
}

impl Address {
    /// This machine, the usual port.
    pub fn local() -> Address {
        Address::plain("127.0.0.1", DEFAULT_PORT)
    }

    /// What `text` says.
    ///
    /// # Errors
    /// What is wrong with it, without repeating it: there may be a password in it.
    pub fn parse(text: &str) -> Result<Address, String> {
        if text.contains("://") { from_url(text) } else { from_host_and_port(text) }
    }

    fn plain(host: &str, port: u16) -> Address {
        let (user, password) = (None, None);
        Address { host: host.to_owned(), port, wants_tls: false, user, password, database: 0 }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Address { host, port, .. } = self;
        if host.contains(':') {
            write!(formatter, "[{host}]:{port}")
        } else {
            write!(formatter, "{host}:{port}")
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Address({self})")
    }
}

fn from_url(text: &str) -> Result<Address, String> {
    if !["redis://", "rediss://"].iter().any(|scheme| text.starts_with(scheme)) {
        return Err("the URL must begin with redis:// or rediss://".to_owned());
    }
    let wrong = |error: redis::RedisError| {
        let detail = error.detail().map_or_else(String::new, |detail| format!(": {detail}"));
        format!("not a URL such as redis://user:password@host:6379/0{detail}")
    };
    let info = text.into_connection_info().map_err(wrong)?;
    let (host, port, wants_tls) = match info.addr() {
        ConnectionAddr::Tcp(host, port) => (host, *port, false),
        ConnectionAddr::TcpTls { insecure: true, .. } => {
            return Err("#insecure is not taken: name the authority with --cacert".to_owned());
        }
        ConnectionAddr::TcpTls { host, port, .. } => (host, *port, true),
        _ => return Err("only TCP is spoken".to_owned()),
    };
    let settings = info.redis_settings();
    let database =
        u64::try_from(settings.db()).map_err(|_| "a database has a number from 0 up".to_owned())?;
    Ok(Address {
        wants_tls,
        user: settings.username().map(str::to_owned),
        password: settings.password().map(str::to_owned),
        database,
        ..Address::plain(host, port)
    })
}

fn from_host_and_port(text: &str) -> Result<Address, String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("the ] after the address is missing")?;
            (host, port.strip_prefix(':').or(port.is_empty().then_some("")))
        }
        // More than one colon: an IPv6 address that brings no port.
        None if text.matches(':').count() > 1 => (text, Some("")),
        None => match text.split_once(':') {
            Some((host, port)) if !port.is_empty() => (host, Some(port)),
            Some(_) => (text, None),
            None => (text, Some("")),
        },
    };
    let port = match port {
        Some("") => DEFAULT_PORT,
        port => port
            .and_then(|port| port.parse().ok())
            .filter(|port| *port != 0)
            .ok_or("write HOST:PORT, with a port from 1 to 65535")?,
    };
    match host {
        "" => Err("the host is missing; write HOST:PORT".to_owned()),
        _ if host.contains(['/', '@', ' ']) => Err("write HOST:PORT or a redis:// URL".to_owned()),
        _ => Ok(Address::plain(host, port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> (String, u16) {
        let address = Address::parse(text).unwrap();
        (address.host, address.port)
    }

    #[test]
    fn hosts_and_ports_are_read() {
        for (text, host, port) in [
            ("localhost", "localhost", 6379),
            ("db.example:7000", "db.example", 7000),
            ("127.0.0.1:1", "127.0.0.1", 1),
            ("[::1]:7000", "::1", 7000),
            ("[::1]", "::1", 6379),
            ("fe80::1", "fe80::1", 6379),
        ] {
            assert_eq!(place(text), (host.to_owned(), port), "{text}");
        }
        for wrong in ["", ":1", "h:", "h:0", "h:65536", "h:x", "[::1", "[::1]7", "u@h:1", "h/0"] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn urls_are_read_and_passwords_not_shown() {
        let address = Address::parse("rediss://ann:p%40ss@db:7000/3").unwrap();
        assert_eq!(
            (address.user.as_deref(), address.password.as_deref()),
            (Some("ann"), Some("p@ss"))
        );
        assert!(address.wants_tls);
        assert_eq!(address.database, 3);
        assert_eq!(
            (address.to_string(), format!("{address:?}")),
            ("db:7000".into(), "Address(db:7000)".into())
        );
        let address = Address::parse("redis://:secret@[::1]").unwrap();
        assert_eq!((address.user, address.password.as_deref()), (None, Some("secret")));
        assert_eq!((address.host.as_str(), address.port, address.wants_tls), ("::1", 6379, false));
        for wrong in
            ["http://h", "redis://", "redis://h/x", "redis://h:99999", "rediss://h#insecure"]
        {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_are_shown_as_they_may_be_given() {
        for text in ["localhost:7000", "[::1]:6379"] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
    }
}
