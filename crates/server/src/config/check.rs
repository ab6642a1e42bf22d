//! Settings that are right one by one and wrong together.

use aryavarth::Options;

use super::error::Problem;
use super::table::Config;
use super::types::ClientCertificates;

/// Settings that do not go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The setting to change, most likely.
    pub setting: &'static str,
    /// What does not go together.
    pub what: &'static str,
    /// What to do.
    pub advice: &'static str,
}

impl Mismatch {
    /// The same as a problem at start.
    pub fn problem(&self, config: &Config) -> Problem {
        Problem {
            place: config.place_of(self.setting),
            setting: Some(self.setting.to_owned()),
            what: self.what.to_owned(),
            advice: Some(self.advice.to_owned()),
        }
    }
}

/// All that does not go together.
pub fn check(config: &Config) -> Vec<Mismatch> {
    let with_tls = config.tls_port != 0;
    let with_tcp = !config.bind.is_empty() && (config.port != 0 || with_tls);
    let authenticates = config.tls_auth_clients != ClientCertificates::No;
    let rules = [
        (
            !with_tcp && config.unixsocket.is_none(),
            Mismatch {
                setting: "port",
                what: "there is nothing to listen on",
                advice: "give `bind` and `port` or `tls-port`, or `unixsocket`",
            },
        ),
        (
            with_tls && config.port == config.tls_port,
            Mismatch {
                setting: "tls-port",
                what: "the same as `port`",
                advice: "take another, or set `port` to 0",
            },
        ),
        (
            with_tls && config.tls_cert_file.is_none(),
            Mismatch {
                setting: "tls-port",
                what: "there is no certificate to show",
                advice: "give `tls-cert-file`",
            },
        ),
        (
            with_tls && config.tls_key_file.is_none(),
            Mismatch {
                setting: "tls-port",
                what: "there is no key of the certificate",
                advice: "give `tls-key-file`",
            },
        ),
        (
            with_tls && authenticates && config.tls_ca_cert_file.is_none(),
            Mismatch {
                setting: "tls-auth-clients",
                what: "there is nothing to check the certificates of clients against",
                advice: "give `tls-ca-cert-file`, or set `tls-auth-clients` to no",
            },
        ),
        (
            config.aclfile.is_some() && !config.user.is_empty(),
            Mismatch {
                setting: "user",
                what: "there are users here and an `aclfile`",
                advice: "keep them in one of the two",
            },
        ),
    ];
    rules.into_iter().filter_map(|(broken, mismatch)| broken.then_some(mismatch)).collect()
}

impl Config {
    /// How the store is to be opened.
    pub fn store_options(&self) -> Options {
        Options::default()
            .durability(self.durability)
            .segment_size(self.segment_size.0)
            .compaction_trigger(self.compaction_trigger)
            .compaction_budget(self.compaction_budget.0)
            .checkpoint_interval(self.checkpoint_interval.0)
            .max_key_length(self.max_key_length.length())
            .max_value_length(self.max_value_length.length())
    }
}
