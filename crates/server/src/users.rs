//! The users that the settings name: at the start, and again at `ACL LOAD`.
//!
//! ```text
//!  aclfile, or the `user` lines ─▶ AclStore ◀─ requirepass, last: if it is set, it is the one
//!                                              password of `default`, whatever the lines say
//! ```

use crate::acl::AclStore;
use crate::config::{Config, UserLine};
use crate::error::{Error, Result};

/// Takes over the users of the settings.
///
/// # Errors
/// What is wrong, with the file and the line; then the users are those of before if they come from
/// an `aclfile`.
pub fn load(acl: &AclStore, config: &Config) -> Result<()> {
    if let Some(path) = &config.aclfile {
        acl.load(path)?;
    }
    for (number, user) in config.user.iter().enumerate() {
        take(acl, user, &config.user[..number])?;
    }
    if let Some(password) = config.requirepass.reveal() {
        acl.set_default_password(Some(password.as_bytes()));
    }
    Ok(())
}

/// Takes the user of a line; `before` are the lines before it.
fn take(acl: &AclStore, user: &UserLine, before: &[UserLine]) -> Result<()> {
    let mut words = user.line.split_whitespace();
    let name = words.next().unwrap_or_default();
    let wrong =
        |detail: String| Error::User { place: user.place.clone(), user: name.to_owned(), detail };
    if before.iter().any(|other| other.line.split_whitespace().next() == Some(name)) {
        return Err(wrong("there are two lines for this user".to_owned()));
    }
    // `default` is there already, and its line says all that it may, as those of others do.
    let rules: Vec<&str> = std::iter::once("reset").chain(words).collect();
    acl.set_user(name.as_bytes(), &rules).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Place, Secret};

    fn config(lines: &[&str]) -> Config {
        let place = Place::File { path: "a.toml".into(), line: 3, column: 9 };
        let line = |line: &&str| UserLine { line: (*line).to_owned(), place: place.clone() };
        let mut config = Config::default();
        config.user = lines.iter().map(line).collect();
        config
    }

    #[test]
    fn lines_name_users() {
        let acl = AclStore::new();
        load(&acl, &config(&["alice on >secret ~app:* +@read", "default on nopass ~* +ping"]))
            .unwrap();
        assert!(acl.authenticate(b"alice", b"secret").is_ok());
        assert!(!acl.get(b"default").unwrap().is_unrestricted());
    }

    #[test]
    fn an_error_names_the_place_and_the_user() {
        let text = |lines: &[&str]| load(&AclStore::new(), &config(lines)).unwrap_err().to_string();
        assert_eq!(
            text(&["alice on +nothing"]),
            "a.toml:3:9: user \"alice\": Error in ACL SETUSER modifier '+nothing': Unknown command \
             or category name in ACL"
        );
        assert_eq!(
            text(&["alice on", "alice off"]),
            "a.toml:3:9: user \"alice\": there are two lines for this user"
        );
    }

    #[test]
    fn requirepass_is_the_password_of_default() {
        let acl = AclStore::new();
        let mut config = config(&["default on nopass ~* +@all"]);
        config.requirepass = Secret::new("pw");
        load(&acl, &config).unwrap();
        assert!(!acl.default_login().needs_no_authentication());
        assert!(acl.authenticate(b"default", b"pw").is_ok());
    }
}
