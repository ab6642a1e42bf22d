//! Which lines are remembered, and where.

use std::ffi::OsString;
use std::path::PathBuf;

use super::words::split;

/// Lines kept.
pub const LENGTH: usize = 1000;

/// The file: in `$XDG_STATE_HOME`, or what stands for it; none if there is no home.
pub fn path(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").filter(|path| path.is_absolute());
    let state = state.or_else(|| set("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("aryavarth").join("history"))
}

/// Whether a line holds a password, or may, and so is not remembered.
pub fn is_secret(line: &str) -> bool {
    let words: Vec<String> = match split(line) {
        Some(words) => {
            words.iter().map(|word| String::from_utf8_lossy(word).to_ascii_lowercase()).collect()
        }
        // A quote is missing; the words are plain enough without.
        None => line.split_whitespace().map(str::to_ascii_lowercase).collect(),
    };
    let mut words = words.iter().map(String::as_str).peekable();
    // How often.
    words.next_if(|word| word.parse::<u64>().is_ok());
    let mut rest = words.clone().skip(1);
    match words.next() {
        Some("auth") => true,
        Some("hello" | "migrate") => rest.any(|word| matches!(word, "auth" | "auth2")),
        Some("acl") => rest.next() == Some("setuser"),
        Some("config") => {
            rest.next() == Some("set")
                && rest.any(|word| {
                    matches!(word, "requirepass" | "masterauth" | "masteruser")
                        || word.ends_with("password")
                        || word.ends_with("-pass")
                })
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_remembered() {
        for secret in [
            "AUTH secret",
            "auth ann secret",
            "  Auth x",
            "3 auth x",
            "HELLO 3 AUTH default secret",
            "acl setuser ann on >secret",
            "CONFIG SET requirepass secret",
            "config set maxmemory 1 masterauth x",
            "config set tls-key-file-pass x",
            "migrate h 1 k 0 1 auth x",
            "auth \"unclosed",
        ] {
            assert!(is_secret(secret), "{secret}");
        }
        for open in ["get auth", "HELLO 3", "acl list", "config get requirepass", "set k v", ""] {
            assert!(!is_secret(open), "{open}");
        }
    }

    #[test]
    fn the_file_is_in_the_state_directory() {
        let place = |pairs: &'static [(&str, &str)]| {
            path(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, v)| (*v).into()))
        };
        let expected = |text: &str| Some(PathBuf::from(text));
        assert_eq!(
            place(&[("XDG_STATE_HOME", "/s"), ("HOME", "/h")]),
            expected("/s/aryavarth/history")
        );
        assert_eq!(place(&[("HOME", "/h")]), expected("/h/.local/state/aryavarth/history"));
        assert_eq!(
            place(&[("XDG_STATE_HOME", "relative"), ("HOME", "/h")]),
            expected("/h/.local/state/aryavarth/history")
        );
        assert_eq!(place(&[]), None);
    }
}
