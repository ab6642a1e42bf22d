//! Names of Redis' settings that clients and tools ask for, over settings of ours or over nothing.
//!
//! A *face* shows a setting of ours the way Redis has it, and sets it. A *constant* is true of every
//! server of this kind; setting it to what it is does nothing, and to anything else is refused.

use std::time::Duration;

use aryavarth::Durability;

use super::refusal::Refusal;
use super::table::Config;
use super::types::{LogLevel, Switch};

/// A setting of ours under the name and in the words of Redis.
pub struct Face {
    /// The name in Redis.
    pub name: &'static str,
    /// The setting it shows.
    pub of: &'static str,
    /// How the words translate, for the documentation.
    pub help: &'static str,
    /// The setting, in the words of Redis.
    pub show: fn(&Config) -> String,
    /// Changes the setting.
    pub amend: fn(&mut Config, &str) -> Result<(), Refusal>,
}

/// Something that cannot be otherwise.
pub struct Constant {
    /// The name in Redis.
    pub name: &'static str,
    /// What it is.
    pub value: &'static str,
    /// Why, in one line.
    pub why: &'static str,
    /// What it is to `CONFIG SET` in Redis.
    pub change: Change,
}

/// What a constant is to `CONFIG SET` in Redis.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It can be set: here to what it is.
    SameOnly,
    /// It cannot be set.
    Never,
}

/// The faces.
pub const FACES: [Face; 3] = [
    Face {
        name: "appendfsync",
        of: "durability",
        help: "always is always, everysec is interval:1s, no is os; any interval is shown as everysec",
        show: |config| {
            let word = match config.durability {
                Durability::Always => "always",
                Durability::Interval(_) => "everysec",
                Durability::Os => "no",
            };
            word.to_owned()
        },
        amend: |config, text| {
            config.durability = match text.to_ascii_lowercase().as_str() {
                "always" => Durability::Always,
                "everysec" => Durability::Interval(Duration::from_secs(1)),
                "no" => Durability::Os,
                _ => return Err(Refusal::NotOneOf(&["everysec", "always", "no"])),
            };
            Ok(())
        },
    },
    Face {
        name: "cluster-enabled",
        of: "cluster",
        help: "the same",
        show: |config| config.cluster.word().to_owned(),
        amend: |config, text| {
            config.cluster = Switch::from_word(&text.to_ascii_lowercase())
                .ok_or(Refusal::NotOneOf(&["yes", "no"]))?;
            Ok(())
        },
    },
    Face {
        name: "loglevel",
        of: "log-level",
        help: "warning is warn, notice is info, verbose is debug; error is shown as warning, trace as \
               debug",
        show: |config| {
            let word = match config.log_level {
                LogLevel::Error | LogLevel::Warn => "warning",
                LogLevel::Info => "notice",
                LogLevel::Debug | LogLevel::Trace => "debug",
            };
            word.to_owned()
        },
        amend: |config, text| {
            config.log_level = match text.to_ascii_lowercase().as_str() {
                "verbose" => LogLevel::Debug,
                "notice" => LogLevel::Info,
                "warning" => LogLevel::Warn,
                word => LogLevel::from_word(word)
                    .ok_or(Refusal::NotOneOf(&["debug", "verbose", "notice", "warning"]))?,
            };
            Ok(())
        },
    },
];

/// The constants.
pub const CONSTANTS: [Constant; 9] = [
    Constant {
        name: "appendonly",
        value: "yes",
        why: "the log is the database: it cannot be switched off",
        change: Change::SameOnly,
    },
    Constant { name: "databases", value: "1", why: "there is one database", change: Change::Never },
    Constant {
        name: "maxmemory",
        value: "0",
        why: "values are on disk: their number is not bounded by memory",
        change: Change::SameOnly,
    },
    Constant {
        name: "maxmemory-policy",
        value: "noeviction",
        why: "nothing is evicted: what was stored stays",
        change: Change::SameOnly,
    },
    Constant {
        name: "maxmemory-samples",
        value: "5",
        why: "nothing is evicted: what was stored stays",
        change: Change::SameOnly,
    },
    Constant {
        name: "notify-keyspace-events",
        value: "",
        why: "there are no notifications of changes to keys",
        change: Change::SameOnly,
    },
    Constant {
        name: "replica-read-only",
        value: "yes",
        why: "no client writes to a replica",
        change: Change::SameOnly,
    },
    Constant {
        name: "save",
        value: "",
        why: "there are no snapshots: the log is the database",
        change: Change::SameOnly,
    },
    Constant {
        name: "slave-read-only",
        value: "yes",
        why: "no client writes to a replica",
        change: Change::SameOnly,
    },
];

/// The face of this name, whatever its case.
pub fn face(name: &str) -> Option<&'static Face> {
    const { &FACES }.iter().find(|face| face.name.eq_ignore_ascii_case(name))
}

/// The constant of this name, whatever its case.
pub fn constant(name: &str) -> Option<&'static Constant> {
    const { &CONSTANTS }.iter().find(|constant| constant.name.eq_ignore_ascii_case(name))
}

/// The setting that stands in files for what Redis calls `name`.
pub fn written_as(name: &str) -> Option<&'static str> {
    face(&name.replace('_', "-")).map(|face| face.of)
}
