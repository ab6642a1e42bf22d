//! Settings that are one of a few words, or several of them.

use super::super::declare::words;
use super::super::kind::{Kind, Written, each};
use super::super::refusal::Refusal;
use super::super::setting::Bounds;

words! {
    /// A switch.
    pub enum Switch {
        /// It is on.
        Yes = "yes",
        /// It is off.
        No = "no",
    }
}

words! {
    /// What is asked of clients that connect with TLS.
    pub enum ClientCertificates {
        /// No certificate.
        No = "no",
        /// A certificate is checked if there is one.
        Optional = "optional",
        /// A certificate.
        Yes = "yes",
    }
}

words! {
    /// A version of TLS.
    pub enum TlsVersion {
        /// TLS 1.2.
        V12 = "TLSv1.2",
        /// TLS 1.3.
        V13 = "TLSv1.3",
    }
}

words! {
    /// The least important messages that are logged.
    pub enum LogLevel {
        /// What stopped something.
        Error = "error",
        /// What may stop something.
        Warn = "warn",
        /// What happens seldom.
        Info = "info",
        /// What happens often.
        Debug = "debug",
        /// What happens always.
        Trace = "trace",
    }
}

words! {
    /// How messages are logged.
    pub enum LogFormat {
        /// For people.
        Text = "text",
        /// For programs: one JSON object a line.
        Json = "json",
    }
}

words! {
    /// What a node does with a command for a shard that another node leads.
    pub enum Routing {
        /// It answers `MOVED`, as clients of Redis Cluster expect.
        Redirect = "redirect",
        /// It passes the command on.
        Forward = "forward",
    }
}

words! {
    /// What a node does when its store is damaged and that cannot be mended in place.
    pub enum OnDamage {
        /// It has itself given up, and its directory becomes a new node.
        Replace = "replace",
        /// It does not start, or goes on with what is intact, until an operator has looked at it.
        Stop = "stop",
    }
}

words! {
    /// How a leader makes sure that it still leads when it answers a read.
    pub enum Reads {
        /// By its lease.
        Lease = "lease",
        /// By asking a majority.
        ReadIndex = "read-index",
    }
}

macro_rules! kinds_of_words {
    ($($type:ty),+) => {$(
        impl Kind for $type {
            const SHAPE: &'static str = "word";
            const CHOICES: &'static [&'static str] = <$type>::WORDS;

            fn parse(text: &str, _: Option<Bounds>) -> Result<Self, Refusal> {
                <$type>::from_word(text).ok_or(Refusal::NotOneOf(<$type>::WORDS))
            }

            fn show(&self) -> String {
                self.word().to_owned()
            }
        }
    )+};
}

kinds_of_words!(ClientCertificates, LogLevel, LogFormat, OnDamage, Reads, Routing);

impl Kind for Switch {
    const SHAPE: &'static str = "yes or no; true or false in the file";

    fn parse(text: &str, _: Option<Bounds>) -> Result<Switch, Refusal> {
        Switch::from_word(text).ok_or(Refusal::NotYesOrNo)
    }

    fn read(written: Written<'_>, bounds: Option<Bounds>) -> Result<Switch, Refusal> {
        match written.value.as_bool() {
            Some(true) => Ok(Switch::Yes),
            Some(false) => Ok(Switch::No),
            None => Switch::parse(written.text()?, bounds),
        }
    }

    fn show(&self) -> String {
        self.word().to_owned()
    }

    fn literal(&self) -> String {
        (*self == Switch::Yes).to_string()
    }
}

impl Kind for Vec<TlsVersion> {
    const SHAPE: &'static str = "TLSv1.2, TLSv1.3 or both, with a space between them";

    fn parse(text: &str, _: Option<Bounds>) -> Result<Vec<TlsVersion>, Refusal> {
        let mut versions = each(text, |word| {
            TlsVersion::from_word(word).ok_or_else(|| {
                Refusal::other(format!("`{word}` is not a version of TLS known here"))
            })
        })?;
        if versions.is_empty() {
            return Err(Refusal::other("no version of TLS"));
        }
        versions.sort_by_key(|version| version.word());
        versions.dedup();
        Ok(versions)
    }

    fn read(written: Written<'_>, bounds: Option<Bounds>) -> Result<Vec<TlsVersion>, Refusal> {
        Self::parse(&written.words()?, bounds)
    }

    fn show(&self) -> String {
        self.iter().map(|version| version.word()).collect::<Vec<_>>().join(" ")
    }
}
