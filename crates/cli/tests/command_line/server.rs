//! Commands on a server.

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::{Value, json};

use crate::fake::{Fake, Fault};
use crate::{Place, error};

/// The arguments, with those that name the server before them.
fn at<'a>(address: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
    [&["--addr", address], arguments].concat()
}

struct Remote {
    place: Place,
    fake: Fake,
    address: String,
}

impl Remote {
    fn new() -> Remote {
        let fake = Fake::start();
        let address = fake.address();
        Remote { place: Place::new(), fake, address }
    }

    fn run(&self, arguments: &[&str]) -> assert_cmd::assert::Assert {
        self.command(arguments).assert()
    }

    fn command(&self, arguments: &[&str]) -> assert_cmd::Command {
        let mut command = crate::aryavarth();
        let arguments = at(&self.address, arguments);
        command.current_dir(self.place.directory.path()).args(arguments);
        command
    }

    fn text(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments).success().stderr("");
        String::from_utf8(done.get_output().stdout.clone()).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.text(&[&["--json"], arguments].concat())).unwrap()
    }
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn values_are_set_and_got_as_in_a_directory() {
    let remote = Remote::new();
    assert_eq!(remote.text(&["set", "k", "v"]), "");
    assert_eq!(remote.text(&["get", "k"]), "v\n");
    assert_eq!(remote.text(&["get", "k", "--raw"]), "v");
    remote.command(&["set", "in", "-"]).write_stdin(b"\x00\xff\r\n").assert().success();
    assert_eq!(remote.fake.get(b"in").unwrap().0, b"\x00\xff\r\n");
    assert_eq!(remote.text(&["get", "in", "--output", "copy"]), "");
    assert_eq!(remote.place.read("copy"), b"\x00\xff\r\n");
    remote.run(&["get", "absent"]).code(1).stderr("Key not found\n");
    remote.run(&["set", "k", "w", "--if-absent"]).code(1).stderr("Key already there\n");
    remote.run(&["set", "x", "w", "--if-present"]).code(1).stderr("Key not found\n");
    remote.text(&["set", "t", "v", "--ttl", "1h"]);
    assert_eq!(remote.fake.get(b"t").unwrap().1, Some(3_600_000));
    let entry = json!({ "key": "k", "value": "v", "version": null, "expires_at": null });
    assert_eq!(remote.json(&["get", "k"]), entry);
    remote.run(&["rm", "k", "x", "t"]).code(1).stderr("Key not found: x\n");
    assert_eq!(remote.text(&["list"]), "in\n");
    assert_eq!(remote.place.directory.path().read_dir().unwrap().count(), 1, "no store is made");
}

#[test]
fn the_address_may_come_from_the_environment() {
    let remote = Remote::new();
    remote.fake.put(b"k", b"v", None);
    let ask = |arguments: &[&str]| {
        let mut command = remote.place.aryavarth(arguments);
        command.env("ARYAVARTH_ADDR", &remote.address).assert()
    };
    // A directory that is typed goes first.
    ask(&["get", "k"]).code(8);
    let mut command = crate::aryavarth();
    command.env("ARYAVARTH_ADDR", remote.fake.url()).args(["get", "k"]).assert().stdout("v\n");
    remote.run(&["--dir", "x", "get", "k"]).code(2).stderr(contains("--dir and --addr"));
    remote
        .run(&["--durability", "os", "get", "k"])
        .code(2)
        .stderr(contains("a server has its own"));
    for wrong in ["", "h:x", "http://h", "redis://h/x"] {
        let mut command = crate::aryavarth();
        let told = command.current_dir(remote.place.directory.path()).args(at(wrong, &["count"]));
        told.assert().code(if wrong.is_empty() { 8 } else { 2 });
    }
}

#[test]
fn keys_are_listed_once_and_counted() {
    let remote = Remote::new();
    for key in ["a*1", "a*2", "ab", "b"] {
        remote.fake.put(key.as_bytes(), b"v\t", (key == "b").then_some(4_102_444_800_000));
    }
    assert_eq!(sorted(&remote.text(&["list"])), ["a*1", "a*2", "ab", "b"]);
    assert_eq!(
        sorted(&remote.text(&["list", "--prefix", "a*", "--values"])),
        ["a*1\tv\\t", "a*2\tv\\t"]
    );
    assert_eq!(remote.text(&["list", "--limit", "3"]).lines().count(), 3);
    assert_eq!(remote.json(&["list", "--prefix", "b"])["expires_at"], 4_102_444_800_000_u64);
    assert_eq!(remote.text(&["count"]), "4\n");
    assert_eq!(remote.text(&["count", "--prefix", "a*"]), "2\n");
    remote.fake.put_other(b"l", "list");
    let told = remote.run(&["list", "--values"]).success();
    told.stderr("aryavarth: warning: left out 1 key of other types than strings\n");
    remote.run(&["get", "l"]).code(9).stderr(contains("WRONGTYPE"));
}

#[test]
fn the_server_tells_of_itself() {
    let remote = Remote::new();
    assert_eq!(remote.text(&["stats"]), "# Server\nredis_version:7.2.0\ntcp_port:1\n");
    let stats = json!({ "server": { "redis_version": "7.2.0", "tcp_port": 1 } });
    assert_eq!(remote.json(&["stats"]), stats);
}

#[test]
fn files_go_there_and_back() {
    let remote = Remote::new();
    let line = |n: u32| match n % 3 {
        0 => format!("{{\"cmd\":\"Set\",\"key\":\"{n:05}\",\"value\":\"v{n}\"}}\n"),
        1 => format!("{{\"cmd\":\"Set\",\"key\":\"{n:05}\",\"value_base64\":\"/w==\"}}\n"),
        _ => format!(
            "{{\"cmd\":\"Set\",\"key\":\"{n:05}\",\"value\":\"\",\"expires_at\":4102444800000}}\n"
        ),
    };
    let text: String = (0..5000).map(line).collect();
    remote.place.write("in.jsonl", &text);
    assert_eq!(remote.text(&["import", "in.jsonl", "--batch", "300"]), "imported 5,000 records\n");
    assert_eq!(remote.fake.len(), 5000);
    assert_eq!(remote.text(&["export", "out.jsonl"]), "exported 5,000 records\n");
    let out = String::from_utf8(remote.place.read("out.jsonl")).unwrap();
    assert!(sorted(&out) == sorted(&text));
    remote.place.write("bad.tsv", "k\tv\nbad\n");
    let told = remote.run(&["import", "bad.tsv"]).code(9);
    told.stderr(contains("bad.tsv:2").and(contains("1 record")));
    assert!(remote.fake.get(b"k").is_some());
}

#[test]
fn what_needs_the_files_says_so() {
    let remote = Remote::new();
    for arguments in [
        &["verify"][..],
        &["compact"],
        &["log"],
        &["restore", "x"],
        &["bench"],
        &["backup", "x"],
        &["export", "-", "--skip-damaged"],
    ] {
        let told = remote.run(arguments).code(2).stdout("");
        told.stderr(contains("works on the files of a store").and(contains("hint")));
    }
    remote.run(&["backup", "x"]).stderr(contains("BGSAVE TO DIR"));
    assert_eq!(remote.fake.asked(), Vec::<String>::new());
}

#[test]
fn a_server_that_is_not_there_is_code_13() {
    let mut command = crate::aryavarth();
    let told = command.args(["--json", "--addr", "127.0.0.1:1", "count"]).assert().code(13);
    let message = "no server at 127.0.0.1:1: connection refused";
    assert_eq!(error(&told), json!({ "kind": "unreachable", "message": message }));
}

#[test]
fn a_connection_that_breaks_leaves_reads_undone_and_writes_unknown() {
    let remote = Remote::new();
    remote.fake.put(b"k", b"v", None);
    remote.fake.fail("GET", 0, Fault::HangsUp);
    remote.fake.fail("SET", 0, Fault::HangsUp);
    remote.fake.fail("DBSIZE", 0, Fault::IsSilent);
    remote.run(&["get", "k"]).code(13).stderr(contains("closed the connection"));
    let told = remote.run(&["set", "k", "w"]).code(7);
    told.stderr(contains("closed the connection; the write may or may not be found later"));
    let told = remote.run(&["--wait", "100ms", "count"]).code(13);
    told.stderr(contains("no answer from").and(contains("within 100ms")));
    remote.run(&["--wait", "0s", "count"]).code(2);
    remote.fake.mend();
    remote.fake.fail("EXEC", 2, Fault::HangsUp);
    remote.place.write("a.tsv", "k\tv\n".repeat(100));
    let told = remote.run(&["import", "a.tsv", "--batch", "10"]).code(7);
    told.stderr(contains("after ").and(contains("may or may not be found later")));
}

#[test]
fn refusals_have_their_codes() {
    for (reply, code) in [
        ("MISCONF Errors writing to the disk", 5),
        ("OOM command not allowed", 5),
        ("READONLY You can't write against a read only replica.", 12),
        ("NOPERM this user has no permissions", 14),
        ("ERR unknown command", 14),
        ("LOADING Redis is loading the dataset in memory", 13),
        ("UNKNOWN the leadership was lost", 7),
    ] {
        let remote = Remote::new();
        remote.fake.fail("SET", 0, Fault::Refuses(reply));
        remote.run(&["set", "k", "v"]).code(code).stderr(contains(reply));
        remote.place.write("a.tsv", "k\tv\n");
        remote.run(&["import", "a.tsv"]).code(code).stderr(contains(reply));
    }
}

#[test]
fn a_command_goes_where_the_keys_are_but_not_for_ever() {
    let (one, other) = (Remote::new(), Remote::new());
    // A node that knows no better.
    let moved = format!("MOVED 1 {}", other.address).leak();
    for command in ["SET", "GET", "MULTI", "EXISTS"] {
        one.fake.fail(command, 0, Fault::Refuses(moved));
    }
    assert_eq!(one.text(&["set", "k", "v"]), "");
    assert_eq!(one.text(&["get", "k"]), "v\n");
    assert_eq!(one.text(&["cli", "get", "k"]), "v\n");
    assert_eq!((one.fake.len(), other.fake.len()), (0, 1));
    one.run(&["rm", "k"]).success();
    assert_eq!(other.fake.len(), 0);
    // Two that name each other.
    let back = format!("MOVED 1 {}", one.address).leak();
    other.fake.fail("SET", 0, Fault::Refuses(back));
    one.run(&["set", "k", "v"])
        .code(13)
        .stderr(contains("refused: MOVED").and(contains("try again")));
    one.run(&["cli", "set", "k", "v"]).code(1).stdout(contains("MOVED"));
}

#[test]
fn passwords_are_given_and_not_shown() {
    let remote = Remote::new();
    remote.fake.require("secret");
    remote.fake.put(b"k", b"v", None);
    let told = remote.run(&["get", "k"]).code(14);
    told.stderr(contains("NOAUTH").and(contains("ARYAVARTH_PASSWORD")));
    remote
        .command(&["get", "k"])
        .env("ARYAVARTH_PASSWORD", "secret")
        .assert()
        .stdout("v\n")
        .stderr("");
    let told = remote.command(&["get", "k"]).env("ARYAVARTH_PASSWORD", "wrong").assert().code(14);
    told.stderr(contains("WRONGPASS").and(contains("wrong").not()));
    remote.place.write("password", "secret\r\n");
    assert_eq!(remote.text(&["--password-file", "password", "get", "k"]), "v\n");
    remote.place.write("empty", "\n");
    remote.run(&["--password-file", "empty", "get", "k"]).code(2);
    remote.run(&["--user", "ann", "get", "k"]).code(2);
    for url in ["redis://:secret@", "redis://ann:secret@"] {
        let mut command = crate::aryavarth();
        let url = format!("{url}{}", remote.address);
        let told = command.args(["--addr", &url, "get", "k"]).assert().success().stdout("v\n");
        told.stderr(contains("warning").and(contains("secret").not()));
    }
    let told = remote.run(&["--password", "secret", "get", "k"]).success().stdout("v\n");
    told.stderr(contains("--password-file").and(contains("secret").not()));
}

// --- the copy ---

fn source() -> Fake {
    let fake = Fake::start();
    for number in 0..2500 {
        fake.put(format!("key {number}").as_bytes(), format!("value {number}").as_bytes(), None);
    }
    fake.put(b"bytes\xff\r\n", b"\x00\xff", None);
    fake.put(b"until", b"then", Some(4_102_444_800_123));
    fake
}

#[test]
fn a_live_server_is_copied_with_its_expiry() {
    let place = Place::new();
    let source = source();
    let url = source.url();
    let told = place.text(&["import", "--from", &url]);
    assert_eq!(
        told,
        format!("copied 2,503 keys from {}\n", source.address()),
        "one is given twice"
    );
    assert_eq!(place.text(&["count"]), "2502\n");
    assert_eq!(place.json(&["get", "until"])["expires_at"], 4_102_444_800_123_u64);
    place.run(&["get", "--key-base64", "Ynl0ZXP/DQo=", "--raw"]).stdout(&b"\x00\xff"[..]);
    // Once more, to a server, from which the copy has its keys.
    let remote = Remote::new();
    remote.text(&["import", "--from", &url, "--batch", "7"]);
    assert_eq!(remote.fake.len(), 2502);
    assert_eq!(remote.fake.get(b"until").unwrap().1, Some(4_102_444_800_123));
    assert_eq!(place.json(&["import", "--from", &url, "--match", "until*"])["records"], 1);
    assert_eq!(place.text(&["count"]), "2502\n");
}

#[test]
fn an_old_server_tells_how_long_a_key_has_left() {
    let place = Place::new();
    let source = source();
    source.fail("PEXPIRETIME", 0, Fault::Refuses("ERR unknown command `PEXPIRETIME`"));
    place.text(&["import", "--from", &source.url()]);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    let expires_at = place.json(&["get", "until"])["expires_at"].as_u64().unwrap();
    assert!((now + 3_500_000..=now + 3_600_000).contains(&expires_at), "{expires_at} {now}");
    assert_eq!(place.json(&["get", "key 1"])["expires_at"], json!(null));
}

#[test]
fn what_cannot_be_copied_is_counted() {
    let place = Place::new();
    let source = Fake::start();
    source.put(b"k", b"v", None);
    source.put(b"", b"v", None);
    source.put(&[b'x'; 70_000], b"v", None);
    // After the last page's first key, which is given twice.
    source.put_other(b"\x01h1", "hash");
    source.put_other(b"y", "list");
    source.put_other(b"z", "zset");
    let url = source.url();
    let told = place.run(&["import", "--from", &url]).success();
    let skipped = "skipped 1 hash, 1 list, 1 sorted set, 1 key too long, 1 empty key";
    told.stdout(contains(skipped)).stderr(contains("warning: 5 keys cannot be stored here"));
    let told = place.run(&["--json", "import", "--from", &url, "--strict"]).code(9);
    assert_eq!(error(&told)["kind"], "input");
    let report: Value = serde_json::from_slice(&told.get_output().stdout).unwrap();
    assert_eq!(report["skipped"]["types"], json!({ "hash": 1, "list": 1, "zset": 1 }));
    assert_eq!(place.text(&["list"]), "k\n");
}

#[test]
fn a_copy_that_is_cut_leaves_what_it_has() {
    let place = Place::new();
    let source = source();
    let url = source.url();
    source.fail("GET", 1500, Fault::HangsUp);
    let told = place.run(&["import", "--from", &url, "--batch", "100"]).code(13);
    told.stderr(contains("keys, which stay").and(contains("closed the connection")));
    // Replies that were under way are lost with the connection; those of the first page are not.
    let copied: u64 = place.text(&["count"]).trim().parse().unwrap();
    assert!((1251..1500).contains(&copied), "{copied}");
    source.mend();
    place.text(&["import", "--from", &url]);
    assert_eq!(place.text(&["count"]), "2502\n");
}

#[test]
fn a_source_that_is_none_is_told() {
    let place = Place::new();
    for (url, code) in [
        ("127.0.0.1:1", 2),
        ("http://127.0.0.1:1", 2),
        ("redis://", 2),
        ("redis://127.0.0.1:1", 13),
    ] {
        place.run(&["import", "--from", url]).code(code).stdout("").stderr(contains("--from"));
    }
    let source = source();
    source.require("secret");
    place.run(&["import", "--from", &source.url()]).code(14).stderr(contains("NOAUTH"));
    let url = format!("redis://ann:wrong@{}", source.address());
    let told = place.run(&["import", "--from", &url]).code(14);
    told.stderr(contains("WRONGPASS").and(contains("ann:wrong").not()));
    let mut command = place.aryavarth(&["import", "--from", &source.url()]);
    command.env("ARYAVARTH_FROM_PASSWORD", "secret").assert().success();
    place.run(&["import", "a.txt", "--from", "redis://h"]).code(2);
    place.run(&["import"]).code(2);
    place.run(&["import", "a.txt", "--strict"]).code(2);
}

// --- the console ---

#[test]
fn one_command_is_sent() {
    let remote = Remote::new();
    assert_eq!(remote.text(&["cli", "set", "k", "two words"]), "OK\n");
    assert_eq!(remote.text(&["cli", "get", "k"]), "two words\n");
    assert_eq!(remote.text(&["cli", "--formatted", "get", "k"]), "\"two words\"\n");
    assert_eq!(remote.text(&["cli", "--formatted", "get", "x"]), "(nil)\n");
    assert_eq!(remote.text(&["--json", "cli", "get", "x"]), "null\n");
    assert_eq!(remote.text(&["cli", "-r", "3", "-i", "1ms", "ping"]), "PONG\nPONG\nPONG\n");
    let told = remote.command(&["cli", "-x", "set", "in"]).write_stdin("a\nb").assert();
    told.success().stdout("OK\n");
    assert_eq!(remote.fake.get(b"in").unwrap().0, b"a\nb");
    let told = remote.run(&["cli", "--formatted", "frobnicate", "--json"]).code(1).stderr("");
    told.stdout("(error) ERR unknown command 'FROBNICATE'\n");
    remote.fake.fail("SET", 0, Fault::HangsUp);
    remote.run(&["cli", "set", "k", "v"]).code(7);
}

#[test]
fn lines_are_commands() {
    let remote = Remote::new();
    let lines = "set k \"a\\x00\\n\"\n\n get k\nnonsense\nset 'k\nget k\nquit\nget k\n";
    let told = remote.command(&["cli", "--formatted"]).write_stdin(lines).assert().code(1);
    let shown = "OK\n\"a\\x00\\n\"\n(error) ERR unknown command 'NONSENSE'\n\"a\\x00\\n\"\n";
    told.stdout(shown).stderr(contains("<stdin>:5"));
    let told = remote.command(&["cli"]).write_stdin("ping\nPING").assert();
    told.success().stdout("PONG\nPONG\n").stderr("");
}
