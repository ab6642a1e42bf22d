//! What users may do, and what is said of them: the expected lines are those of Redis.

use super::*;
use crate::command::table;

/// A store with the user `alice` of these rules.
fn alice(rules: &str) -> AclStore {
    let store = AclStore::new();
    set(&store, rules).unwrap();
    store
}

fn set(store: &AclStore, rules: &str) -> Result<(), SetUserError> {
    let rules: Vec<&str> = rules.split(' ').collect();
    store.set_user(b"alice", &rules)
}

fn line(store: &AclStore) -> String {
    let line = String::from_utf8(store.get(b"alice").unwrap().line()).unwrap();
    line.strip_prefix("user alice ").unwrap().to_owned()
}

/// `ok`, or what is denied.
fn run(store: &AclStore, request: &str) -> String {
    let words: Vec<&str> = request.split(' ').collect();
    let spec = table::resolve(words.as_slice()).unwrap();
    match store.get(b"alice").unwrap().permits(spec, words.as_slice()) {
        Ok(()) => "ok".to_owned(),
        Err(denial) => String::from_utf8(denial.object(spec, words.as_slice()).to_vec()).unwrap(),
    }
}

#[test]
fn lines_are_those_of_redis() {
    let cases = [
        ("", "off sanitize-payload resetchannels -@all"),
        ("on nopass +@all allkeys allchannels", "on nopass sanitize-payload ~* &* +@all"),
        ("on +get ~a* %R~b* %w~c*", "on sanitize-payload ~a* %R~b* %W~c* resetchannels -@all +get"),
        ("%R~a %W~a", "off sanitize-payload ~a resetchannels -@all"),
        ("%rw~a", "off sanitize-payload ~a resetchannels -@all"),
        ("&news.* &x &x", "off sanitize-payload resetchannels &news.* &x -@all"),
        ("+@all -@dangerous +KEYS", "off sanitize-payload resetchannels +@all -@dangerous +keys"),
        ("+config|get +config", "off sanitize-payload resetchannels -@all +config"),
        ("+config -config|set", "off sanitize-payload resetchannels -@all +config -config|set"),
        ("+get -get +get", "off sanitize-payload resetchannels -@all +get"),
        ("+@read -@read", "off sanitize-payload resetchannels -@all -@read"),
        ("+select|0 +SELECT|1", "off sanitize-payload resetchannels -@all +select|0 +select|1"),
        ("+get nocommands", "off sanitize-payload resetchannels -@all"),
        (
            "+get ~a (+set ~b) (+del %W~c)",
            "off sanitize-payload ~a resetchannels -@all +get (~b resetchannels -@all +set) \
             (%W~c resetchannels -@all +del)",
        ),
        ("skip-sanitize-payload", "off skip-sanitize-payload resetchannels -@all"),
        ("on +@all ~* (+get) reset", "off sanitize-payload resetchannels -@all"),
        ("(+get) clearselectors", "off sanitize-payload resetchannels -@all"),
    ];
    for (rules, expected) in cases {
        assert_eq!(line(&alice(rules)), expected, "{rules}");
    }
}

#[test]
fn the_default_user_is_as_in_redis() {
    let store = AclStore::new();
    assert_eq!(store.lines(), [b"user default on nopass sanitize-payload ~* &* +@all"]);
    assert!(store.get(b"default").unwrap().is_unrestricted());
    assert!(store.default_login().needs_no_authentication());
    store.set_default_password(Some(b"secret"));
    assert!(!store.default_login().needs_no_authentication());
    assert!(store.authenticate(b"default", b"secret").is_ok());
    store.set_default_password(None);
    assert!(store.authenticate(b"default", b"anything").is_ok());
}

#[test]
fn a_line_gives_the_same_user_again() {
    let rules = "on >p1 >p2 ~a %R~b &c +@all -@write +set -config|set (~x +get) (%W~y &z +@write)";
    let first = line(&alice(rules));
    assert_eq!(line(&alice(&first)), first);
}

#[test]
fn errors_are_those_of_redis() {
    let cases = [
        ("+nothing", "Unknown command or category name in ACL"),
        ("+@nothing", "Unknown command or category name in ACL"),
        ("-config|nothing", "Unknown command or category name in ACL"),
        ("+config|nothing", "Unknown command or category name in ACL"),
        ("-get|x", "Unknown command or category name in ACL"),
        ("+config|get|x", "Allowing first-arg of a subcommand is not supported"),
        ("+select|", "Syntax error"),
        ("nothing", "Syntax error"),
        ("%~a", "Syntax error"),
        ("%R", "Syntax error"),
        ("%RR~a", "Syntax error"),
        ("~a\tb", "Syntax error"),
        ("(on)", "Syntax error"),
        ("<p", "The password you are trying to remove from the user does not exist"),
        (
            "#ABC",
            "The password hash must be exactly 64 characters and contain only lowercase \
             hexadecimal characters",
        ),
    ];
    for (rule, text) in cases {
        let error = set(&AclStore::new(), rule).unwrap_err().to_string();
        assert_eq!(error, format!("Error in ACL SETUSER modifier '{rule}': {text}"));
    }
    let error = set(&AclStore::new(), "~* ~a").unwrap_err().to_string();
    assert!(error.ends_with(
        "'~a': Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does \
         not have any effect. Try 'resetkeys' to start with an empty list of patterns"
    ));
    let error = set(&AclStore::new(), "on (+get ~a").unwrap_err().to_string();
    assert_eq!(error, "Unmatched parenthesis in acl selector starting at '(+get'.");
    let error = AclStore::new().set_user(b"a b", &["on"]).unwrap_err().to_string();
    assert_eq!(error, "Usernames can't contain spaces or null characters");
}

#[test]
fn a_bad_rule_changes_nothing() {
    let store = alice("on +get");
    let before = line(&store);
    assert!(set(&store, "+set ~a +nothing").is_err());
    assert_eq!(line(&store), before);
    assert!(AclStore::new().set_user(b"bob", &["+nothing"]).is_err());
    assert!(store.get(b"bob").is_none());
}

#[test]
fn commands_are_checked() {
    let store = alice("~* +get +config|get +select|0 +@transaction -exec");
    for (request, expected) in [
        ("get k", "ok"),
        ("set k v", "set"),
        ("config get x", "ok"),
        ("config set x y", "config|set"),
        ("select 0", "ok"),
        ("select 1", "select"),
        ("multi", "ok"),
        ("exec", "exec"),
        ("auth p", "ok"),
        ("hello", "ok"),
    ] {
        assert_eq!(run(&store, request), expected, "{request}");
    }
    let store = alice("~* +@all -config|set");
    assert_eq!(run(&store, "config set x y"), "config|set");
    assert_eq!(run(&store, "config get x"), "ok");
}

#[test]
fn keys_are_checked() {
    let store = alice("+@all %R~r* %W~w* ~b*");
    for (request, expected) in [
        ("get r1", "ok"),
        ("get w1", "w1"),
        ("set w1 v", "ok"),
        ("set w1 v get", "w1"),
        ("set r1 v", "r1"),
        ("set b1 v get", "ok"),
        ("copy r1 w1", "ok"),
        ("copy w1 r1", "w1"),
        ("copy r1 r2", "r2"),
        ("mget r1 b1 x1", "x1"),
        ("mset w1 v x1 v", "x1"),
        ("bitop or w1 r1 b1", "ok"),
        ("bitop or r1 w1", "r1"),
        ("bitfield r1 get u8 0", "ok"),
        ("bitfield r1 set u8 0 1", "r1"),
        ("getex r1", "r1"),
        ("getex b1", "ok"),
        // What reveals nothing of the value needs a pattern, whatever it gives.
        ("exists w1", "ok"),
        ("exists x1", "x1"),
        ("msetex 2 w1 v x1 v", "x1"),
        ("object encoding x1", "x1"),
        ("keys x*", "ok"),
    ] {
        assert_eq!(run(&store, request), expected, "{request}");
    }
}

#[test]
fn one_selector_must_allow_all_of_a_request() {
    let store = alice("+get ~a* (+set ~b*) (+get +set ~c*)");
    for (request, expected) in [
        ("get a", "ok"),
        ("set b v", "ok"),
        ("get b", "b"),
        ("set a v", "a"),
        ("get c", "ok"),
        ("set c v", "ok"),
        ("del a", "del"),
    ] {
        assert_eq!(run(&store, request), expected, "{request}");
    }
}

#[test]
fn channels_are_checked() {
    let user = alice("&news.* (&x)").get(b"alice").unwrap();
    assert!(user.permits_channel(b"news.1") && user.permits_channel(b"x"));
    assert!(!user.permits_channel(b"y"));
}

#[test]
fn denials_are_put_as_redis_does() {
    let store = alice("+get ~a");
    let user = store.get(b"alice").unwrap();
    let message = |request: &str| {
        let words: Vec<&str> = request.split(' ').collect();
        let spec = table::resolve(words.as_slice()).unwrap();
        let denial = user.permits(spec, words.as_slice()).unwrap_err();
        (denial.message(&user, spec), denial.reason().name())
    };
    assert_eq!(
        message("CONFIG SET a b"),
        ("NOPERM User alice has no permissions to run the 'config|set' command".into(), "command")
    );
    assert_eq!(message("get b"), ("NOPERM No permissions to access a key".into(), "key"));
}

#[test]
fn dry_runs() {
    let store = alice("+get +ping ~a");
    let dry = |user: &str, request: &str| {
        let words: Vec<&str> = request.split(' ').collect();
        dry_run(&store, user.as_bytes(), words.as_slice()).map_err(|error| error.to_string())
    };
    assert_eq!(dry("alice", "get a"), Ok(None));
    let denied = "User alice has no permissions to access the 'b' key";
    assert_eq!(dry("alice", "get b"), Ok(Some(denied.to_owned())));
    let denied = "User alice has no permissions to run the 'set' command";
    assert_eq!(dry("alice", "SET a v"), Ok(Some(denied.to_owned())));
    assert_eq!(dry("bob", "get a"), Err("User 'bob' not found".to_owned()));
    assert_eq!(dry("alice", "no"), Err("Command 'no' not found".to_owned()));
    assert_eq!(dry("alice", "config no"), Err("Command 'config' not found".to_owned()));
    let arity = "wrong number of arguments for 'get' command";
    assert_eq!(dry("alice", "get"), Err(arity.to_owned()));
}

#[test]
fn logging_in_takes_the_right_password() {
    let store = alice("on >p1 >p2");
    let login = |name: &str, password: &str| {
        store.authenticate(name.as_bytes(), password.as_bytes()).is_ok()
    };
    assert!(login("alice", "p1") && login("alice", "p2"));
    assert!(!login("alice", "p3") && !login("alice", "") && !login("bob", "p1"));
    set(&store, "<p1").unwrap();
    assert!(!login("alice", "p1") && login("alice", "p2"));
    set(&store, "off").unwrap();
    assert!(!login("alice", "p2"));
    set(&store, "on nopass").unwrap();
    assert!(login("alice", "whatever"));
    set(&store, "resetpass").unwrap();
    assert!(!login("alice", "whatever"));
}

#[test]
fn a_connection_sees_changes_and_deletion() {
    let store = alice("on nopass +get ~*");
    let mut login = store.authenticate(b"alice", b"").unwrap();
    let get = table::find(b"get").unwrap();
    let may = |login: &mut Login| {
        login.user(&store).map(|user| user.permits(get, ["get", "k"].as_slice()).is_ok())
    };
    assert_eq!(may(&mut login), Some(true));
    set(&store, "-get").unwrap();
    assert_eq!(may(&mut login), Some(false));
    assert_eq!(store.delete_users(&["alice", "bob"]), Ok(1));
    assert_eq!(may(&mut login), None);
    set(&store, "on nopass +@all ~*").unwrap();
    assert_eq!(may(&mut login), None, "another user of the same name");
    assert_eq!(store.delete_users(&["alice", "default"]), Err(DeleteDefaultError));
    assert!(store.get(b"alice").is_some());
}

#[test]
fn a_description_has_the_fields_of_getuser() {
    let store = alice("on >p ~a %R~b &c +get (+set ~d)");
    let description = store.get(b"alice").unwrap().description();
    assert_eq!(description.flags, ["on", "sanitize-payload"]);
    assert_eq!(description.passwords, [PasswordDigest::of(b"p").to_string()]);
    assert_eq!(description.root.commands, b"-@all +get");
    assert_eq!(description.root.keys, b"~a %R~b");
    assert_eq!(description.root.channels, b"&c");
    assert_eq!(description.selectors.len(), 1);
    assert_eq!(description.selectors[0].commands, b"-@all +set");
    assert_eq!(description.selectors[0].channels, b"");
}

#[test]
fn categories_list_their_commands() {
    let transaction = commands_in(b"TRANSACTION").unwrap();
    assert_eq!(transaction, ["multi", "exec", "discard", "watch", "unwatch"]);
    assert!(commands_in(b"read").unwrap().contains(&"object|encoding"));
    assert_eq!(commands_in(b"hash").unwrap(), Vec::<&str>::new());
    assert!(commands_in(b"nothing").is_none());
}

#[test]
fn a_file_keeps_the_users() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("users.acl");
    let store = alice("on >p ~a +get (+set ~b)");
    store.save(&path).unwrap();
    let other = AclStore::new();
    other.load(&path).unwrap();
    assert_eq!(other.lines(), store.lines());
    store.set_user(b"bob", &["on"]).unwrap();
    store.save(&path).unwrap();
    other.load(&path).unwrap();
    assert_eq!(other.lines(), store.lines());
    assert_eq!(directory.path().read_dir().unwrap().count(), 1, "no temporary file stays");
    let missing = directory.path().join("missing");
    assert!(matches!(other.load(&missing), Err(FileError::Io(..))));
}

#[test]
fn a_file_keeps_the_connections_of_users_it_names() {
    let store = alice("on nopass");
    store.set_user(b"bob", &["on", "nopass"]).unwrap();
    let mut alice = store.authenticate(b"alice", b"").unwrap();
    let mut bob = store.authenticate(b"bob", b"").unwrap();
    let mut default = store.default_login();
    store.replace(file::parse(b"user alice on +ping\n\n").unwrap());
    assert!(alice.user(&store).is_some() && default.user(&store).is_some());
    assert!(bob.user(&store).is_none());
    assert_eq!(store.lines().len(), 2);
}

#[test]
fn a_bad_file_is_refused_with_its_lines() {
    let text = b"user a on\n\nuser a off\n# no\r\nuser b +nothing\nuser c (+get\n  user d on \r\n";
    let errors = file::parse(text).unwrap_err();
    let text = FileError::Lines("/etc/users.acl".into(), errors).to_string();
    assert_eq!(
        text,
        "/etc/users.acl:3: duplicate user 'a'. /etc/users.acl:4: should start with user keyword \
         followed by the username. /etc/users.acl:5: '+nothing': Unknown command or category name \
         in ACL. /etc/users.acl:6: unmatched parenthesis in selector definition starting at \
         '(+get'. WARNING: ACL errors detected, no change to the previously active ACL rules was \
         performed"
    );
}
