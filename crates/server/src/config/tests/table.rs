//! The table itself.

use std::collections::BTreeSet;
use std::time::Duration;

use aryavarth::{Durability, Options};

use super::super::faces::{CONSTANTS, FACES};
use super::super::kind::Kind;
use super::super::setting::{Bounds, Reach, Setting, flags};
use super::super::table::FIELDS;
use super::super::types::Span;
use super::super::{Bytes, Config, SETTINGS, Secret};
use super::differing;

#[test]
fn names_are_unique_and_fields_are_called_like_them() {
    let mut names = BTreeSet::new();
    for (setting, field) in SETTINGS.iter().zip(FIELDS) {
        assert_eq!(setting.name.replace('-', "_"), *field);
        assert!(names.insert(setting.name), "{}", setting.name);
        assert!(!setting.help.is_empty() && !setting.help.ends_with('.'), "{}", setting.name);
    }
    assert_eq!(SETTINGS.len(), FIELDS.len());
    let others = FACES.iter().map(|face| face.name);
    for name in others.chain(CONSTANTS.iter().map(|constant| constant.name)) {
        assert!(names.insert(name), "{name}");
        assert_eq!(name, name.to_ascii_lowercase());
    }
    for face in &FACES {
        let reach = Setting::find(face.of).map(|setting| setting.reach);
        assert!(matches!(reach, Some(Reach::Live | Reach::Restart)), "{}", face.name);
    }
}

#[test]
fn every_default_can_be_written_and_read() {
    let default = Config::default();
    for setting in SETTINGS.iter().filter(|setting| setting.reach != Reach::FileOnly) {
        let mut config = Config::default();
        (setting.parse)(&mut config, &(setting.show)(&default), setting.bounds)
            .unwrap_or_else(|refusal| panic!("{}: {refusal:?}", setting.name));
        assert_eq!(differing(&default, &config), Vec::<&str>::new(), "{}", setting.name);
    }
}

#[test]
fn bounds_hold_and_are_told() {
    for setting in SETTINGS {
        let Some(Bounds { least, most }) = setting.bounds else { continue };
        let mut config = Config::default();
        let written = |number: i64| {
            // A time needs its unit; sizes and numbers are numbers.
            if setting.shape == <Span as Kind>::SHAPE {
                format!("{number}ms")
            } else {
                number.to_string()
            }
        };
        let mut take = |number: i64| {
            (setting.parse)(&mut config, &written(number), Some(Bounds { least, most }))
        };
        assert_eq!(take(least), Ok(()), "{}", setting.name);
        assert_eq!(take(most), Ok(()), "{}", setting.name);
        assert!(take(least - 1).is_err(), "{}", setting.name);
        if most < i64::MAX {
            assert!(take(most + 1).is_err(), "{}", setting.name);
        }
    }
}

#[test]
fn the_store_has_the_defaults_of_the_engine() {
    let ours = format!("{:?}", Config::default().store_options());
    assert_eq!(ours, format!("{:?}", Options::default()));
}

#[test]
fn the_store_has_the_bounds_of_the_engine() {
    type Amend = fn(&mut Config, u64);
    let amends: [(&str, Amend); 6] = [
        ("segment-size", |config, number| config.segment_size = Bytes(number)),
        ("compaction-trigger", |config, number| {
            config.compaction_trigger = u8::try_from(number).unwrap();
        }),
        ("compaction-budget", |config, number| config.compaction_budget = Bytes(number)),
        ("checkpoint-interval", |config, number| config.checkpoint_interval = Bytes(number)),
        ("max-key-length", |config, number| config.max_key_length = Bytes(number)),
        ("max-value-length", |config, number| config.max_value_length = Bytes(number)),
    ];
    for (name, amend) in amends {
        let bounds = Setting::find(name).and_then(|setting| setting.bounds).unwrap();
        let valid = |number: i64| {
            let mut config = Config::default();
            amend(&mut config, u64::try_from(number).unwrap());
            config.store_options().validate().is_ok()
        };
        assert!(valid(bounds.least) && valid(bounds.most), "{name}");
        assert!(bounds.least == 0 || !valid(bounds.least - 1), "{name}");
        assert!(bounds.most == i64::MAX || !valid(bounds.most + 1), "{name}");
    }
    let config =
        Config { durability: Durability::Interval(Duration::from_millis(7)), ..Config::default() };
    assert!(format!("{:?}", config.store_options()).contains("Interval(7ms)"));
}

#[test]
fn secrets_do_not_show_themselves() {
    let config = Config { requirepass: Secret::new("hunter2"), ..Config::default() };
    let shown = format!("{config:?}");
    assert!(!shown.contains("hunter2") && shown.contains("***"), "{shown}");
    assert_eq!(config.requirepass.reveal(), Some("hunter2"));
    assert_eq!(Config::default().requirepass.reveal(), None);
}

#[test]
fn flags_say_what_they_are() {
    let flags: Vec<_> = flags().collect();
    let find = |name: &str| flags.iter().find(|flag| flag.name == name);
    let maxclients = find("maxclients").unwrap();
    assert_eq!(maxclients.help, "Most clients connected at once");
    assert_eq!(maxclients.allowed, "whole number (clients), 1 to 1000000");
    assert_eq!(maxclients.variable, "ARYAVARTH_MAXCLIENTS");
    assert_eq!(maxclients.default, "10000");
    assert_eq!(maxclients.heading, "Network");
    assert_eq!(find("proto-max-bulk-len").unwrap().allowed, "size, at least 1mb");
    assert_eq!(find("proto-max-bulk-len").unwrap().default, "512mb");
    assert_eq!(find("log-level").unwrap().allowed, "error, warn, info, debug, trace");
    assert_eq!(find("bind").unwrap().default, "127.0.0.1 -::1");
    assert_eq!(find("protected-mode").unwrap().default, "yes");
    assert_eq!(find("requirepass").unwrap().default, "");
    assert!(find("user").is_none());
}
