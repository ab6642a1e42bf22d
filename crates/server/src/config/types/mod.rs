//! The values that settings have, where a number or a path does not say enough.

mod addresses;
mod numbers;
mod output;
mod secrets;
mod words;

pub use addresses::{Absence, BindAddress};
pub use numbers::{Bytes, FileMode, Microseconds, Milliseconds, Seconds, Span};
pub use output::OutputLimit;
pub use secrets::{Secret, UserLine};
pub use words::{
    ClientCertificates, LogFormat, LogLevel, OnDamage, Reads, Routing, Switch, TlsVersion,
};
