//! `CONFIG GET` and `CONFIG SET`. The texts are those of a real server where it has the setting.

use std::time::Duration;

use aryavarth::Durability;

use super::super::{
    Changes, Config, Declined, LiveConfig, LogLevel, Place, Reach, SETTINGS, SetError, Sources,
    is_secret,
};
use super::Scratch;

fn live() -> LiveConfig {
    LiveConfig::new(Config::default(), &Sources::default())
}

fn set(live: &LiveConfig, pairs: &[(&str, &str)]) -> Result<Changes, SetError> {
    let pairs: Vec<_> =
        pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    live.set(&pairs, |_| Ok(()))
}

fn told(live: &LiveConfig, pairs: &[(&str, &str)]) -> String {
    set(live, pairs).unwrap_err().to_string()
}

/// The value of one name.
fn shown(live: &LiveConfig, name: &str) -> String {
    let found = live.get(&[name.as_bytes()], |_, _| panic!("no pattern"));
    assert_eq!(found.len(), 1, "{name}");
    found[0].1.clone()
}

/// A stand-in for the server's patterns: a prefix and a star.
fn prefix(pattern: &[u8], name: &[u8]) -> bool {
    pattern.strip_suffix(b"*").is_some_and(|prefix| name.starts_with(prefix))
}

#[test]
fn get_answers_as_redis_does() {
    let live = live();
    for (name, value) in [
        ("maxclients", "10000"),
        ("bind", "127.0.0.1 -::1"),
        ("protected-mode", "yes"),
        ("proto-max-bulk-len", "536870912"),
        ("client-output-buffer-limit", "normal 268435456 67108864 60"),
        ("unixsocketperm", "0"),
        ("unixsocket", ""),
        ("requirepass", ""),
        ("tls-protocols", "TLSv1.2 TLSv1.3"),
        ("durability", "always"),
        ("appendfsync", "always"),
        ("loglevel", "notice"),
        ("log-level", "info"),
        ("slowlog-log-slower-than", "10000"),
        ("admin-address", "127.0.0.1:9121"),
        ("auth-timeout", "1m"),
        ("save", ""),
        ("appendonly", "yes"),
        ("databases", "1"),
        ("maxmemory", "0"),
        ("maxmemory-policy", "noeviction"),
    ] {
        assert_eq!(shown(&live, name), value, "{name}");
    }
    let none: Vec<(String, String)> = Vec::new();
    assert_eq!(live.get(&[b"nosuch", b"user"], prefix), none);
    // As it was asked for, but patterns show the name itself; nothing twice.
    let found = live.get(&[b"MAXCLIENTS", b"MAXC*", b"slowlog*"], prefix);
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["MAXCLIENTS", "slowlog-log-slower-than", "slowlog-max-len"]);
    let all = live.get(&[b"*"], prefix);
    assert!(all.iter().any(|(name, _)| name == "requirepass"));
    assert!(all.iter().all(|(name, _)| name != "user"));
}

#[test]
fn set_changes_what_may_change() {
    let live = live();
    let changes = set(&live, &[("maxclients", "5"), ("TIMEOUT", "7"), ("tcp-keepalive", "300")]);
    let changes = changes.unwrap();
    assert_eq!(changes.names, ["timeout", "maxclients"]);
    assert_eq!(changes.set, ["maxclients", "timeout", "tcp-keepalive"]);
    assert!(changes.differ(|config| config.timeout));
    assert!(changes.differ(|config| (config.port, config.maxclients)));
    assert!(!changes.differ(|config| config.tcp_keepalive));
    assert_eq!((changes.before.maxclients, changes.after.maxclients), (10_000, 5));
    assert_eq!(live.current().maxclients, 5);
    assert_eq!(live.current().place_of("timeout"), Place::Client);
    assert_eq!(live.hot().max_clients(), 5);
    assert_eq!(live.hot().timeout(), Some(Duration::from_secs(7)));
}

#[test]
fn set_refuses_in_the_words_of_redis() {
    let live = live();
    for (name, value, why) in [
        ("maxclients", "0", "argument must be between 1 and 1000000 inclusive"),
        ("maxclients", "abc", "argument couldn't be parsed into an integer"),
        ("maxclients", "", "argument couldn't be parsed into an integer"),
        ("maxclients", "+5", "argument couldn't be parsed into an integer"),
        ("proto-max-bulk-len", "abc", "argument must be a memory value"),
        ("client-query-buffer-limit", "-2mb", "argument must be a memory value"),
        (
            "proto-max-bulk-len",
            "1",
            "argument must be between 1048576 and 9223372036854775807 inclusive",
        ),
        (
            "slowlog-log-slower-than",
            "-5",
            "argument must be between -1 and 9223372036854775807 inclusive",
        ),
        ("timeout", "2147483648", "argument must be between 0 and 2147483647 inclusive"),
        ("port", "5", "can't set immutable config"),
        ("databases", "1", "can't set immutable config"),
        ("protected-mode", "maybe", "argument must be 'yes' or 'no'"),
        (
            "loglevel",
            "loud",
            "argument(s) must be one of the following: debug, verbose, notice, warning",
        ),
        ("appendfsync", "x", "argument(s) must be one of the following: everysec, always, no"),
        (
            "client-output-buffer-limit",
            "normal 1",
            "Wrong number of arguments in buffer limit configuration.",
        ),
        (
            "client-output-buffer-limit",
            "foo 1 1 1",
            "Invalid client class specified in buffer limit configuration.",
        ),
        (
            "client-output-buffer-limit",
            "normal x 1 1",
            "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
        ),
        ("appendonly", "no", "the log is the database: it cannot be switched off"),
        ("save", "3600 1", "there are no snapshots: the log is the database"),
        ("maxmemory-policy", "allkeys-lru", "nothing is evicted: what was stored stays"),
    ] {
        let text = format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}");
        assert_eq!(told(&live, &[(name, value)]), text);
    }
}

#[test]
fn unknown_fixed_and_repeated_names_are_told_as_redis_does() {
    let live = live();
    let unknown = "ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'";
    let failed = |name: &str, why: &str| {
        format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}")
    };
    assert_eq!(told(&live, &[("nosuch", "1")]), unknown);
    assert_eq!(told(&live, &[("nosuch", "1"), ("port", "3")]), unknown);
    assert_eq!(told(&live, &[("timeout", "x"), ("nosuch", "1")]), unknown);
    let fixed = "can't set immutable config";
    assert_eq!(told(&live, &[("PORT", "3"), ("nosuch", "1")]), failed("PORT", fixed));
    let twice = [("timeout", "5"), ("TIMEOUT", "6")];
    assert_eq!(told(&live, &twice), failed("TIMEOUT", "duplicate parameter"));
    let twice = [("durability", "os"), ("appendfsync", "no")];
    assert_eq!(told(&live, &twice), failed("appendfsync", "duplicate parameter"));
    assert!(told(&live, &[("user", "alice")]).starts_with("ERR Unknown option"));
    let split = live.set(&[(b"a\r\nb", b"1")], |_| Ok(())).unwrap_err().to_string();
    assert!(!split.contains(['\r', '\n']), "{split}");
    let bytes = live.set(&[(b"requirepass", b"\xff")], |_| Ok(())).unwrap_err().to_string();
    assert_eq!(bytes, failed("requirepass", "argument must be UTF-8"));
}

#[test]
fn set_changes_all_or_nothing() {
    let live = live();
    let pairs = [("maxclients", "5"), ("timeout", "x")];
    assert!(told(&live, &pairs).contains("'timeout'"));
    assert_eq!((live.current().maxclients, live.hot().max_clients()), (10_000, 10_000));

    let decline = |changes: &Changes| {
        assert_eq!((changes.after.maxclients, changes.after.timeout.0), (5, 6));
        Err(Declined { setting: "maxclients", why: "too few files".to_owned() })
    };
    let declined = live.set(&[(b"timeout", b"6"), (b"MaxClients", b"5")], decline).unwrap_err();
    let text = "ERR CONFIG SET failed (possibly related to argument 'MaxClients') - too few files";
    assert_eq!(declined.to_string(), text);
    assert_eq!((live.current().maxclients, live.hot().max_clients()), (10_000, 10_000));
    assert_eq!(live.current().timeout.0, 0);
}

#[test]
fn set_looks_whether_settings_go_together() {
    let scratch = Scratch::new(
        "tls-port = 1\ntls-key-file = 'k'\ntls-cert-file = 'c'\ntls-auth-clients = 'no'\n",
    );
    let live = scratch.live();
    let text = told(&live, &[("timeout", "1"), ("tls-auth-clients", "yes")]);
    assert!(text.contains("'tls-auth-clients') - there is nothing to check"), "{text}");
    let both = [("tls-auth-clients", "yes"), ("tls-ca-cert-file", "a")];
    let changes = set(&live, &both).unwrap();
    assert_eq!(changes.names, ["tls-ca-cert-file", "tls-auth-clients"]);
}

#[test]
fn names_of_redis_show_and_set_ours() {
    let live = live();
    set(&live, &[("appendfsync", "everysec")]).unwrap();
    assert_eq!(live.current().durability, Durability::Interval(Duration::from_secs(1)));
    assert_eq!(shown(&live, "durability"), "interval:1s");
    set(&live, &[("durability", "interval:5ms")]).unwrap();
    assert_eq!(shown(&live, "appendfsync"), "everysec");
    let changes = set(&live, &[("appendfsync", "NO")]).unwrap();
    assert_eq!(changes.names, ["durability"]);
    assert_eq!(
        (shown(&live, "durability"), shown(&live, "appendfsync")),
        ("os".into(), "no".into())
    );
    for (word, level, back) in [
        ("verbose", LogLevel::Debug, "debug"),
        ("NOTICE", LogLevel::Info, "notice"),
        ("warning", LogLevel::Warn, "warning"),
        ("debug", LogLevel::Debug, "debug"),
        ("error", LogLevel::Error, "warning"),
        ("trace", LogLevel::Trace, "debug"),
    ] {
        set(&live, &[("loglevel", word)]).unwrap();
        assert_eq!(live.current().log_level, level);
        assert_eq!(shown(&live, "loglevel"), back);
    }
}

#[test]
fn constants_may_be_set_to_what_they_are() {
    let live = live();
    let pairs = [("save", ""), ("appendonly", "YES"), ("maxmemory-policy", "noeviction")];
    assert_eq!(set(&live, &pairs).unwrap().names, Vec::<&str>::new());
}

#[test]
fn classes_of_clients_that_there_are_not_are_passed_over() {
    let live = live();
    let name = "client-output-buffer-limit";
    set(&live, &[(name, "replica 1 1 1 pubsub 2 2 2")]).unwrap();
    assert_eq!(shown(&live, name), "normal 268435456 67108864 60");
    set(&live, &[(name, "slave 1 1 1 NORMAL 1mb 2kb 3")]).unwrap();
    assert_eq!(shown(&live, name), "normal 1048576 2048 3");
    assert_eq!(live.hot().output_limit(), live.current().client_output_buffer_limit);
}

#[test]
fn what_is_read_often_follows() {
    let live = live();
    let second = Some(Duration::from_secs(1));
    set(
        &live,
        &[
            ("tcp-keepalive", "1"),
            ("timeout", "1"),
            ("maxclients", "2"),
            ("proto-max-bulk-len", "3mb"),
            ("client-query-buffer-limit", "4mb"),
            ("max-arguments", "50"),
            ("max-inline-length", "6kb"),
            ("maxmemory-clients", "8mb"),
            ("max-multi-commands", "9"),
            ("slowlog-log-slower-than", "1000000"),
            ("slowlog-max-len", "11"),
            ("latency-monitor-threshold", "1000"),
        ],
    )
    .unwrap();
    let hot = live.hot();
    assert_eq!((hot.keepalive(), hot.timeout(), hot.max_clients()), (second, second, 2));
    assert_eq!((hot.max_argument_length(), hot.query_buffer_limit()), (3 << 20, 4 << 20));
    assert_eq!((hot.max_arguments(), hot.max_inline_length()), (50, 6 << 10));
    assert_eq!(hot.clients_memory(), Some(8 << 20));
    assert_eq!((hot.max_queued_commands(), hot.slow_commands()), (9, 11));
    assert_eq!((hot.slow_from(), hot.delay_from()), (second, second));
    set(&live, &[("tcp-keepalive", "0"), ("timeout", "0"), ("maxmemory-clients", "0")]).unwrap();
    set(&live, &[("slowlog-log-slower-than", "-1"), ("latency-monitor-threshold", "0")]).unwrap();
    assert_eq!((hot.keepalive(), hot.timeout(), hot.clients_memory()), (None, None, None));
    assert_eq!((hot.slow_from(), hot.delay_from()), (None, None));
    set(&live, &[("slowlog-log-slower-than", "0")]).unwrap();
    assert_eq!(hot.slow_from(), Some(Duration::ZERO));
}

#[test]
fn every_live_setting_can_be_set_to_what_it_is() {
    let live = live();
    for setting in SETTINGS.iter().filter(|setting| setting.reach == Reach::Live) {
        let value = shown(&live, setting.name);
        let changes = set(&live, &[(setting.name, &value)]).unwrap();
        assert_eq!(changes.names, Vec::<&str>::new(), "{}", setting.name);
    }
}

#[test]
fn secrets_are_known_by_name() {
    assert!(is_secret(b"REQUIREPASS"));
    assert!(!is_secret(b"maxclients") && !is_secret(b"nosuch") && !is_secret(b"\xff"));
}
