//! `CONFIG REWRITE`.

use std::os::unix::fs::PermissionsExt;

use super::super::{Config, LiveConfig, RewriteError, Sources, Users};
use super::{Scratch, differing};

fn set(live: &LiveConfig, name: &str, value: &str) {
    live.set(&[(name.as_bytes(), value.as_bytes())], |_| Ok(())).unwrap();
}

const FILE: &str = "\
# The machine in the corner.
timeout = 5   # seconds

  maxclients = 100
proto-max-bulk-len = '1GiB'# much
# The end.
";

#[test]
fn what_changed_is_written_in_its_place() {
    let scratch = Scratch::new(FILE);
    let live = scratch.live();
    set(&live, "timeout", "7");
    set(&live, "proto-max-bulk-len", "512mb");
    live.rewrite(&Users::Keep).unwrap();
    let wanted = FILE.replace("timeout = 5 ", "timeout = 7 ").replace("'1GiB'", "\"512mb\"");
    assert_eq!(scratch.text(), wanted);
}

#[test]
fn what_is_new_is_added_at_the_end() {
    let scratch = Scratch::new(FILE);
    let live = scratch.live();
    set(&live, "requirepass", "a \"b\" \\ é");
    live.rewrite(&Users::Keep).unwrap();
    let first = format!("{FILE}\n# Written by CONFIG REWRITE\nrequirepass = 'a \"b\" \\ é'\n");
    assert_eq!(scratch.text(), first);
    set(&live, "appendfsync", "everysec");
    set(&live, "protected-mode", "no");
    live.rewrite(&Users::Keep).unwrap();
    let second = format!("{first}durability = \"interval:1s\"\nprotected-mode = false\n");
    assert_eq!(scratch.text(), second);
    let again = scratch.load().unwrap();
    assert_eq!(differing(&again, &live.current()), Vec::<&str>::new());
}

#[test]
fn files_without_settings_or_without_an_end_of_line_are_fine() {
    for (before, after) in [
        ("", "# Written by CONFIG REWRITE\ntimeout = 1\n"),
        ("# a\n#timeout = 0", "# a\n#timeout = 0\n\n# Written by CONFIG REWRITE\ntimeout = 1\n"),
        ("port = 1", "port = 1\n\n# Written by CONFIG REWRITE\ntimeout = 1\n"),
    ] {
        let scratch = Scratch::new(before);
        let live = scratch.live();
        set(&live, "timeout", "1");
        live.rewrite(&Users::Keep).unwrap();
        assert_eq!(scratch.text(), after);
    }
}

#[test]
fn what_did_not_change_is_left_alone() {
    let scratch = Scratch::new(FILE);
    let mut sources = super::from(&[("ARYAVARTH_REQUIREPASS", "hunter2")], &[("port", "7")]);
    sources.file = Some(scratch.path());
    let live = LiveConfig::new(Config::load(&sources).unwrap(), &sources);
    live.rewrite(&Users::Keep).unwrap();
    assert_eq!(scratch.text(), FILE);
    set(&live, "timeout", "6");
    set(&live, "timeout", "5");
    set(&live, "tcp-keepalive", "1");
    set(&live, "tcp-keepalive", "300");
    live.rewrite(&Users::Keep).unwrap();
    assert_eq!(scratch.text(), FILE);
}

#[test]
fn an_operators_edits_in_the_meantime_stay() {
    let scratch = Scratch::new("timeout = 1\n");
    let live = scratch.live();
    set(&live, "timeout", "2");
    scratch.write(b"maxclients = 7 # new\n");
    live.rewrite(&Users::Keep).unwrap();
    let wanted = "maxclients = 7 # new\n\n# Written by CONFIG REWRITE\ntimeout = 2\n";
    assert_eq!(scratch.text(), wanted);
}

#[test]
fn users_are_replaced_if_asked_for() {
    let scratch = Scratch::new("user = ['alice on'] # us\n");
    let live = scratch.live();
    live.rewrite(&Users::Replace(vec!["alice on".to_owned()])).unwrap();
    assert_eq!(scratch.text(), "user = ['alice on'] # us\n");
    let users = vec!["alice off".to_owned(), "bob on".to_owned()];
    live.rewrite(&Users::Replace(users)).unwrap();
    assert_eq!(scratch.text(), "user = [\"alice off\", \"bob on\"] # us\n");
}

#[test]
fn failures_leave_the_file_as_it_was() {
    let live = LiveConfig::new(Config::default(), &Sources::default());
    let error = live.rewrite(&Users::Keep).unwrap_err();
    assert_eq!(error.to_string(), "ERR The server is running without a config file");

    let scratch = Scratch::new("timeout = 1\n");
    let live = scratch.live();
    set(&live, "timeout", "2");
    scratch.write(b"timeout 1\n");
    let error = live.rewrite(&Users::Keep).unwrap_err();
    assert!(matches!(error, RewriteError::Syntax(_)));
    assert!(error.to_string().starts_with("ERR Rewriting config file: "), "{error}");
    assert_eq!(scratch.text(), "timeout 1\n");

    let gone = Scratch::new("");
    let live = gone.live();
    set(&live, "timeout", "2");
    drop(gone);
    let error = live.rewrite(&Users::Keep).unwrap_err();
    assert!(matches!(error, RewriteError::Io(_)));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the files of an operator")]
fn links_and_permissions_stay_and_nothing_is_left_behind() {
    let scratch = Scratch::new("timeout = 1\n");
    let permissions = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(scratch.path(), permissions).unwrap();
    let link = scratch.directory.path().join("link.toml");
    std::os::unix::fs::symlink(scratch.path(), &link).unwrap();
    let sources = Sources { file: Some(link.clone()), ..Sources::default() };
    let live = LiveConfig::new(Config::load(&sources).unwrap(), &sources);
    set(&live, "timeout", "2");
    live.rewrite(&Users::Keep).unwrap();
    assert_eq!(scratch.text(), "timeout = 2\n");
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    let mode = std::fs::metadata(scratch.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    assert_eq!(std::fs::read_dir(scratch.directory.path()).unwrap().count(), 2);
}
