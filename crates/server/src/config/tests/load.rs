//! File, environment, flags, and everything that can be wrong with them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use aryavarth::Durability;

use super::super::{
    Absence, BindAddress, Bytes, ClientCertificates, Config, FileMode, LogFormat, LogLevel, Place,
    Seconds, Span, Switch, TlsVersion,
};
use super::{Scratch, differing, errors_of, from};

#[test]
fn nothing_given_is_the_default() {
    let config = Config::load(&from(&[("HOME", "/root"), ("PATH", "")], &[])).unwrap();
    assert_eq!(differing(&config, &Config::default()), Vec::<&str>::new());
    assert_eq!(config.place_of("port"), Place::Default);
}

#[test]
fn a_file_gives_every_kind_of_value() {
    let config = Scratch::new(
        r#"
        bind = ["-10.0.0.1", "*", "::1"]   # a list
        port = 7000
        tls-port = 0
        timeout = 30
        protected-mode = false
        unixsocket = "/run/a.sock"
        unixsocketperm = 700
        requirepass = "hunter2"
        user = ["alice on >x ~* +@all", "bob off"]
        tls-auth-clients = "optional"
        tls-protocols = ["TLSv1.3"]
        auth-timeout = "5s"
        proto-max-bulk-len = "1gb"
        maxmemory-clients = 1000000
        client-output-buffer-limit = "normal 1mb 0 0"
        dir = "/var/lib/aryavarth"
        durability = "interval:100ms"
        admin-address = ""
        log-level = "debug"
        log-format = "json"
        slowlog-log-slower-than = -1
        "#,
    )
    .load()
    .unwrap();
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let local = IpAddr::V6(Ipv6Addr::LOCALHOST);
    assert_eq!(
        config.bind,
        [
            BindAddress { address: "10.0.0.1".parse().unwrap(), absence: Absence::Skipped },
            BindAddress { address: any, absence: Absence::Fails },
            BindAddress { address: local, absence: Absence::Fails },
        ]
    );
    assert_eq!((config.port, config.tls_port, config.timeout), (7000, 0, Seconds(30)));
    assert_eq!(config.protected_mode, Switch::No);
    assert_eq!(config.unixsocket, Some(PathBuf::from("/run/a.sock")));
    assert_eq!(config.unixsocketperm, FileMode(0o700));
    assert_eq!(config.requirepass.reveal(), Some("hunter2"));
    assert_eq!(config.user[1].line, "bob off");
    assert!(matches!(config.user[1].place, Place::File { line: 10, column: 41, .. }));
    assert_eq!(config.tls_auth_clients, ClientCertificates::Optional);
    assert_eq!(config.tls_protocols, [TlsVersion::V13]);
    assert_eq!(config.auth_timeout, Span(Duration::from_secs(5)));
    assert_eq!(config.proto_max_bulk_len, Bytes(1 << 30));
    assert_eq!(config.maxmemory_clients, Bytes(1_000_000));
    assert_eq!(config.client_output_buffer_limit.hard, 1 << 20);
    assert_eq!(config.dir, PathBuf::from("/var/lib/aryavarth"));
    assert_eq!(config.durability, Durability::Interval(Duration::from_millis(100)));
    assert_eq!((config.admin_address, config.log_level), (None, LogLevel::Debug));
    assert_eq!(config.log_format, LogFormat::Json);
    assert_eq!(config.slowlog_log_slower_than.from_zero(), None);
    assert!(matches!(config.place_of("port"), Place::File { line: 3, column: 9, .. }));
}

#[test]
fn flags_override_the_environment_which_overrides_the_file() {
    let scratch = Scratch::new("port = 1\nmaxclients = 1\ntimeout = 1\n");
    let mut sources = from(
        &[("ARYAVARTH_MAXCLIENTS", "2"), ("ARYAVARTH_TIMEOUT", "2"), ("ARYAVARTH_DIR", "/d")],
        &[("timeout", "7"), ("timeout", "3")],
    );
    sources.file = Some(scratch.path());
    let config = Config::load(&sources).unwrap();
    assert_eq!((config.port, config.maxclients, config.timeout), (1, 2, Seconds(3)));
    assert_eq!(config.dir, PathBuf::from("/d"));
    assert_eq!(config.place_of("maxclients"), Place::Variable("ARYAVARTH_MAXCLIENTS".to_owned()));
    assert_eq!(config.place_of("timeout"), Place::Flag("timeout".to_owned()));
}

#[test]
fn a_variable_names_the_file_unless_a_flag_does() {
    let (one, other) = (Scratch::new("port = 1"), Scratch::new("port = 2"));
    let path = one.path();
    let mut sources = from(&[("ARYAVARTH_CONFIG", path.to_str().unwrap())], &[]);
    assert_eq!(Config::load(&sources).unwrap().port, 1);
    sources.file = Some(other.path());
    assert_eq!(Config::load(&sources).unwrap().port, 2);
    assert_eq!(Config::load(&from(&[("ARYAVARTH_CONFIG", "")], &[])).unwrap().port, 6379);
}

#[test]
fn all_errors_are_told_at_once_with_their_places() {
    let scratch = Scratch::new(
        "# comment\nmaxclients = 0\nprot = 1\n\n\ttimeout = \"5m\"\nprotected-mode = \"maybe\"\n",
    );
    let mut sources = from(
        &[("ARYAVARTH_MAXCLIENT", "2"), ("ARYAVARTH_LOG_LEVEL", "loud")],
        &[("port", "70000"), ("tcp_backlog", "1")],
    );
    sources.file = Some(scratch.path());
    let told = Config::load(&sources).unwrap_err().to_string();
    let told = told.replace(&format!("{}/", scratch.directory.path().display()), "");
    assert_eq!(
        told.lines().collect::<Vec<_>>(),
        [
            "a.toml:2:14: maxclients: `0` is out of bounds; allowed: whole number (clients), 1 to 1000000",
            "a.toml:3:1: no setting is called `prot`; did you mean `port`?",
            "a.toml:5:12: timeout: `5m`: a text in quotes cannot stand here; allowed: whole number \
             (seconds), 0 to 2147483647",
            "a.toml:6:18: protected-mode: `maybe` is neither yes nor no; allowed: yes or no; true or \
             false in the file",
            "ARYAVARTH_MAXCLIENT: no setting is called `MAXCLIENT`; did you mean \
             `ARYAVARTH_MAXCLIENTS`?",
            "ARYAVARTH_LOG_LEVEL: log-level: `loud` is not one of the words that can stand here; \
             allowed: error, warn, info, debug, trace",
            "--port: port: `70000` is out of bounds; allowed: whole number, 0 to 65535",
            "--tcp_backlog: no setting is called `tcp_backlog`; did you mean `--tcp-backlog`?",
        ]
    );
}

#[test]
fn columns_count_characters() {
    assert!(errors_of("\"é\" = 1\n").starts_with("a.toml:1:1: "));
    let told = errors_of("requirepass = \"ünïcödé\" # é\nlog-level = 'é'");
    assert!(told.starts_with("a.toml:2:13: log-level: `é` is not one"), "{told}");
}

#[test]
fn values_of_the_wrong_type_are_refused() {
    for (line, what) in [
        ("port = \"1\"", "port: `1`: a text in quotes cannot stand here"),
        ("port = 1.5", "port: a fraction cannot stand here"),
        ("port = true", "port: true or false cannot stand here"),
        ("port = [1]", "port: a list cannot stand here"),
        ("port = 1979-05-27", "port: a date cannot stand here"),
        ("dir = 1", "dir: `1`: a number without quotes cannot stand here"),
        ("bind = [1]", "bind: a number without quotes cannot stand here"),
        ("bind = 1", "bind: `1`: a number without quotes cannot stand here"),
        ("protected-mode = 1", "protected-mode: `1`: a number without quotes cannot stand here"),
        ("user = \"alice\"", "user: a text in quotes cannot stand here"),
        ("port = {}", "port: a table cannot stand here"),
    ] {
        let told = errors_of(line);
        assert!(told.contains(what), "{line}: {told}");
    }
}

#[test]
fn values_that_mean_nothing_are_refused() {
    for (line, what) in [
        ("bind = [\"localhost\"]", "`localhost` is not an IP address"),
        ("dir = \"\"", "empty"),
        ("unixsocketperm = 888", "not an octal number up to 777"),
        ("unixsocketperm = \"1000\"", "not an octal number up to 777"),
        ("unixsocketperm = 0x1ff", "a number without quotes cannot stand here"),
        ("tls-protocols = \"TLSv1.1\"", "`TLSv1.1` is not a version of TLS known here"),
        ("tls-protocols = []", "no version of TLS"),
        ("durability = \"never\"", "not always, interval:TIME or os"),
        ("durability = \"interval:2h\"", "1 to 3600000"),
        ("durability = \"interval:5\"", "not always, interval:TIME or os"),
        ("auth-timeout = \"60\"", "not a whole number and its unit"),
        (
            "auth-timeout = \"2d\"",
            "out of bounds; allowed: time, such as 500ms, 10s or 5m, 0s to 1d",
        ),
        ("segment-size = \"1gb\"", "`1gb` is out of bounds; allowed: size, 4kb to 128mb"),
        ("segment-size = \"big\"", "`big` is not a size"),
        ("segment-size = -1", "`-1` is out of bounds"),
        ("maxmemory-clients = \"5%\"", "`5%` is not a size"),
        ("admin-address = \"localhost\"", "not an address and a port"),
        ("log-level = \"notice\"", "not one of the words"),
        ("port = 99999999999999999999", "`99999999999999999999` is not a whole number"),
        ("client-output-buffer-limit = \"normal 1\"", "Wrong number of arguments"),
        ("client-output-buffer-limit = \"pubsub 1 1 1\"", "Invalid client class"),
        ("user = [\" \"]", "a line names no user"),
    ] {
        let told = errors_of(line);
        assert!(told.contains(what), "{line}: {told}");
    }
}

#[test]
fn names_have_one_spelling_and_slips_are_explained() {
    for (line, what) in [
        ("MAXCLIENTS = 1", "did you mean `maxclients`?"),
        ("tls_port = 1", "did you mean `tls-port`?"),
        ("loglevel = \"notice\"", "did you mean `log-level`?"),
        ("appendfsync = \"always\"", "did you mean `durability`?"),
        ("maxmemory = 1", "`maxmemory`; values are on disk: their number is not bounded by memory"),
        ("[network]\nport = 1", "write the settings without tables"),
        ("network.port = 1", "write the settings without tables"),
    ] {
        let told = errors_of(line);
        assert!(told.contains(what), "{line}: {told}");
    }
    let nothing_near = errors_of("zzzzzz = 1");
    assert_eq!(nothing_near, "a.toml:1:1: no setting is called `zzzzzz`");
}

#[test]
fn what_is_no_toml_is_told_line_by_line_among_the_rest() {
    let told = errors_of(
        "port = 1\nmaxclients 100\ntimeout = \nprot = 4\nport = 2\nsave é\n\nlog-level = 'x'\n[a\n",
    );
    let lines: Vec<&str> = told.lines().collect();
    for (line, begins) in lines.iter().zip([
        "a.toml:2:12: key with no value, expected `=`; the file is TOML, such as `maxclients = 100`",
        "a.toml:3:11: string values must be quoted",
        "a.toml:4:1: no setting is called `prot`",
        "a.toml:5:1: duplicate key",
        "a.toml:6:6: key with no value",
        "a.toml:8:13: log-level: `x` is not one",
        "a.toml:9:3: unclosed table",
    ]) {
        assert!(line.starts_with(begins), "{line}");
    }
    assert_eq!(lines.len(), 7, "{told}");
    for text in ["\"", "'''", "bind = [\n'::1'\n", "a = {", "=", "\u{0}", "a = \"\n\n\n", "\n\n["] {
        assert!(errors_of(text).contains("the file is TOML"), "{text}");
    }
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let scratch = Scratch::new("");
    scratch.write(b"port = 1\nrequirepass = \"\xff\"\n");
    assert_eq!(scratch.errors(), "a.toml:2:16: the bytes here are not UTF-8");
    let missing = super::Sources { file: Some(scratch.path().join("x")), ..Default::default() };
    let told = Config::load(&missing).unwrap_err().to_string();
    assert!(told.contains("a.toml/x: cannot be read: "), "{told}");
}

#[test]
fn variables_have_one_spelling_too() {
    for (name, what) in [
        ("ARYAVARTH_maxclients", "did you mean `ARYAVARTH_MAXCLIENTS`?"),
        ("ARYAVARTH_LOG-LEVEL", "did you mean `ARYAVARTH_LOG_LEVEL`?"),
        ("ARYAVARTH_APPENDFSYNC", "did you mean `ARYAVARTH_DURABILITY`?"),
        ("ARYAVARTH_", "no setting is called ``"),
    ] {
        let told = Config::load(&from(&[(name, "1")], &[])).unwrap_err().to_string();
        assert!(told.contains(what), "{name}: {told}");
    }
    let mut sources = from(&[], &[]);
    let bytes = std::ffi::OsString::from_vec(vec![0xff]);
    sources.environment.push(("ARYAVARTH_DIR".into(), bytes));
    let told = Config::load(&sources).unwrap_err().to_string();
    assert_eq!(told, "ARYAVARTH_DIR: dir: the value is not UTF-8");
}

#[test]
fn what_is_for_the_client_is_passed_over() {
    let variables = ["ARYAVARTH_ADDR", "ARYAVARTH_USER", "ARYAVARTH_PASSWORD"];
    let config = Config::load(&from(&variables.map(|name| (name, "x")), &[])).unwrap();
    assert_eq!(differing(&config, &Config::default()), Vec::<&str>::new());
    let told = Config::load(&from(&[], &[("user", "alice on")])).unwrap_err().to_string();
    assert_eq!(told, "--user: user: can be given in the file only");
}

#[test]
fn secrets_are_in_no_error() {
    let told = errors_of("requirepass = 12345\nuser = 67890\n");
    assert!(!told.contains("12345") && !told.contains("67890"), "{told}");
    assert!(told.contains("requirepass: a number without quotes cannot stand here"), "{told}");
    let users = Scratch::new("user = [\"alice on >hunter2\"]").load().unwrap().user;
    let shown = format!("{users:?}");
    assert!(shown.contains("alice") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn settings_must_go_together() {
    for (text, what) in [
        ("port = 0", "a.toml:1:1: port: there is nothing to listen on"),
        ("bind = []", "by default: port: there is nothing to listen on"),
        ("tls-port = 6379", "a.toml:1:1: tls-port: the same as `port`"),
        ("tls-port = 1\ntls-key-file = 'k'", "there is no certificate to show"),
        ("tls-port = 1\ntls-cert-file = 'c'", "there is no key of the certificate"),
        ("tls-port = 1", "by default: tls-auth-clients: there is nothing to check"),
        (
            "aclfile = 'a'\nuser = ['alice']",
            "a.toml:2:1: user: there are users here and an `aclfile`",
        ),
    ] {
        let told = errors_of(text);
        assert!(told.contains(what), "{text}: {told}");
    }
    for text in [
        "port = 0\nunixsocket = '/s'",
        "bind = []\nunixsocket = '/s'",
        "tls-port = 1\ntls-key-file = 'k'\ntls-cert-file = 'c'\ntls-auth-clients = 'no'",
        "tls-port = 1\ntls-key-file = 'k'\ntls-cert-file = 'c'\ntls-ca-cert-file = 'a'\nport = 0",
        "aclfile = 'a'",
        "",
    ] {
        assert!(Scratch::new(text).load().is_ok(), "{text}");
    }
}

#[test]
fn lists_are_words_outside_the_file() {
    let flags = [("bind", "127.0.0.1  -::1"), ("tls-protocols", "TLSv1.3 TLSv1.2")];
    let config = Config::load(&from(&[], &flags)).unwrap();
    assert_eq!(differing(&config, &Config::default()), Vec::<&str>::new());
}
