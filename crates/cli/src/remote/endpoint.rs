//! Everything needed to connect: address, login, certificates, patience.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::address::Address;
use super::cluster::NodeAddress;
use super::link::Link;
use crate::arguments::Server;
use crate::exit::Exit;
use crate::failure::{Failure, Result, warn};
use crate::files::{Place, Source};
use crate::output::Style;

/// Where a password may be left for the program, so that it stands on no command line.
const PASSWORD_VARIABLE: &str = "ARYAVARTH_PASSWORD";
/// The same for the server that is copied.
const FROM_PASSWORD_VARIABLE: &str = "ARYAVARTH_FROM_PASSWORD";

/// Who somebody says to be.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user; none: the default one.
    pub user: Option<String>,
    /// The password.
    pub password: Vec<u8>,
}

/// A server, and how to get in.
#[derive(Clone)]
pub struct Endpoint {
    /// Where it is.
    pub address: Address,
    /// Whom to log in as, if at all.
    pub login: Option<Login>,
    /// How to encrypt, if at all.
    pub tls: Option<Arc<ClientConfig>>,
    /// How long to wait for each answer.
    pub patience: Duration,
}

impl Endpoint {
    /// The server that `arguments` name.
    ///
    /// # Errors
    /// [`Exit::Usage`] if they are wrong; whatever reading the named files gives.
    pub fn of(arguments: &Server, address: Address, style: Style) -> Result<Endpoint> {
        let login = login(arguments, &address, style)?;
        Endpoint::with_login(arguments, address, login)
    }

    /// The server that a URL names, its login too; `arguments` give the certificates alone.
    ///
    /// # Errors
    /// As [`of`](Endpoint::of).
    pub fn of_url(arguments: &Server, address: Address) -> Result<Endpoint> {
        let password = match &address.password {
            Some(password) => Some(password.clone().into_bytes()),
            None => variable(FROM_PASSWORD_VARIABLE),
        };
        let login = password.map(|password| Login { user: address.user.clone(), password });
        let foreign = Server { tls: false, ..arguments.clone() };
        Endpoint::with_login(&foreign, address, login)
    }

    fn with_login(arguments: &Server, address: Address, login: Option<Login>) -> Result<Endpoint> {
        let tls = (arguments.tls || address.wants_tls).then(|| tls(arguments)).transpose()?;
        Ok(Endpoint { address, login, tls, patience: arguments.wait })
    }

    /// Another node of the same cluster, where whoever may enter here may enter, too.
    pub fn at(&self, place: &NodeAddress) -> Endpoint {
        let mut other = self.clone();
        if !place.host.is_empty() {
            other.address.host.clone_from(&place.host);
        }
        other.address.port = place.port;
        other
    }

    /// Connects and logs in.
    ///
    /// # Errors
    /// [`Exit::Unreachable`] if nobody answers; [`Exit::Refused`] if the login is not taken.
    pub fn connect(&self) -> Result<Link> {
        Link::open(self)
    }
}

fn login(arguments: &Server, address: &Address, style: Style) -> Result<Option<Login>> {
    let password = match (&arguments.password, &arguments.password_file) {
        (Some(password), _) => {
            warn_of_password("--password", style);
            Some(password.clone().into_encoded_bytes())
        }
        (None, Some(path)) => Some(password_in(path)?),
        (None, None) => match &address.password {
            Some(password) => Some(password.clone().into_bytes()),
            None => variable(PASSWORD_VARIABLE),
        },
    };
    let user = arguments.user.clone().or_else(|| address.user.clone());
    match (user, password) {
        (user, Some(password)) => Ok(Some(Login { user, password })),
        (Some(_), None) => {
            let message = "--user needs a password: --password-file, or the variable \
                           ARYAVARTH_PASSWORD";
            Err(Failure::new(Exit::Usage, message))
        }
        (None, None) => Ok(None),
    }
}

fn variable(name: &str) -> Option<Vec<u8>> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(OsString::into_encoded_bytes)
}

/// A command line is read by everybody on the machine.
pub fn warn_of_password(place: &str, style: Style) {
    let instead = match place {
        "--from" => format!("the variable {FROM_PASSWORD_VARIABLE} hides it"),
        _ => format!("--password-file or the variable {PASSWORD_VARIABLE} hide it"),
    };
    let message = format!("others on this machine can read a password in {place}; {instead}");
    warn(style, Exit::Usage, &message);
}

/// The first line of a file.
fn password_in(path: &Path) -> Result<Vec<u8>> {
    let bytes = read(path)?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        let message = format!("{}: its first line should be a password", path.display());
        return Err(Failure::new(Exit::Usage, message));
    }
    Ok(line.to_vec())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    Source::open(&Place::File(path.to_owned()))?.read_value()
}

// --- certificates ---

fn tls(arguments: &Server) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider speaks the versions that rustls does")
        .with_root_certificates(authorities(arguments.cacert.as_deref())?);
    let config = match (&arguments.cert, &arguments.tls_key) {
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate)?;
            let secret = PrivateKeyDer::from_pem_slice(&read(key)?)
                .map_err(|error| unusable(key, &error.to_string()))?;
            builder
                .with_client_auth_cert(chain, secret)
                .map_err(|error| unusable(certificate, &error.to_string()))?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// Whom to believe that a server is who it says: those in the file, or those the system trusts.
fn authorities(file: Option<&Path>) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    match file {
        Some(path) => {
            for certificate in certificates(path)? {
                store.add(certificate).map_err(|error| unusable(path, &error.to_string()))?;
            }
        }
        // Those that cannot be read are not needed as long as another vouches for the server.
        None => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let bytes = read(path)?;
    let read: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let chain = read.map_err(|error| unusable(path, &error.to_string()))?;
    if chain.is_empty() { Err(unusable(path, "no certificate in it")) } else { Ok(chain) }
}

fn unusable(path: &Path, detail: &str) -> Failure {
    Failure::new(Exit::Usage, format!("cannot use {}: {detail}", path.display()))
}
