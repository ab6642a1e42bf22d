//! How a server is reached.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::duration::parse as parse_span;

/// Where it shows the options that say how to reach a server.
const SERVER: &str = "Options to work with a server";

/// How a server is reached.
#[derive(Clone, Debug, Args)]
pub struct Server {
    /// Work with the server there instead of a directory; also redis://[USER:PASSWORD@]HOST and
    /// rediss:// (with TLS)
    #[arg(
        long,
        global = true,
        help_heading = SERVER,
        env = "ARYAVARTH_ADDR",
        hide_env_values = true,
        value_name = "HOST:PORT"
    )]
    pub addr: Option<String>,

    /// Log in as this user
    #[arg(long, global = true, help_heading = SERVER, env = "ARYAVARTH_USER", value_name = "NAME")]
    pub user: Option<String>,

    /// Log in with the password on the first line of a file; without it, the one in the variable
    /// ARYAVARTH_PASSWORD
    #[arg(
        long,
        global = true,
        help_heading = SERVER,
        value_name = "FILE",
        conflicts_with = "password"
    )]
    pub password_file: Option<PathBuf>,

    /// Log in with this password; others on the machine can read it here
    #[arg(long, global = true, help_heading = SERVER)]
    pub password: Option<OsString>,

    /// Encrypt the connection
    #[arg(long, global = true, help_heading = SERVER)]
    pub tls: bool,

    /// Certificates of who may vouch for the server [default: those the system trusts]
    #[arg(long, global = true, help_heading = SERVER, value_name = "FILE")]
    pub cacert: Option<PathBuf>,

    /// Our own certificate, if the server wants one
    #[arg(long, global = true, help_heading = SERVER, value_name = "FILE", requires = "tls_key")]
    pub cert: Option<PathBuf>,

    /// The key of our own certificate
    #[arg(
        id = "tls_key",
        long = "key",
        global = true,
        help_heading = SERVER,
        value_name = "FILE",
        requires = "cert"
    )]
    pub tls_key: Option<PathBuf>,

    /// Give up on a server that does not answer for this long
    #[arg(
        long,
        global = true,
        help_heading = SERVER,
        default_value = "30s",
        value_name = "TIME",
        value_parser = parse_patience
    )]
    pub wait: Duration,
}

/// A wait that is one.
fn parse_patience(text: &str) -> std::result::Result<Duration, String> {
    let patience = parse_span(text)?;
    if patience.is_zero() { Err("at least 1ms".to_owned()) } else { Ok(patience) }
}
