//! Settings that nobody may read who merely prints them.

use std::fmt;

use toml::de::DeValue;

use super::super::error::Place;
use super::super::kind::{Kind, Written, list};
use super::super::refusal::Refusal;
use super::super::setting::{Bounds, Secrecy};

/// A secret: it does not show itself to who prints it for debugging.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret; nothing for none.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The secret, if there is one.
    pub fn reveal(&self) -> Option<&str> {
        Some(self.0.as_str()).filter(|text| !text.is_empty())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "Secret(none)" } else { "Secret(***)" })
    }
}

impl Kind for Secret {
    const SHAPE: &'static str = "text, or nothing";
    const SECRECY: Secrecy = Secrecy::Secret;

    fn parse(text: &str, _: Option<Bounds>) -> Result<Secret, Refusal> {
        Ok(Secret::new(text))
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

/// A user, as a line of the access rules says.
#[derive(Clone, PartialEq, Eq)]
pub struct UserLine {
    /// The line, such as `alice on >secret ~app:* +@read`, without `user` in front.
    pub line: String,
    /// Where it stands, for the errors of who reads it.
    pub place: Place,
}

impl fmt::Debug for UserLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The rules hold passwords; the name, which comes first, is none.
        let name = self.line.split_whitespace().next().unwrap_or_default();
        write!(f, "UserLine({name} *** at {})", self.place)
    }
}

impl Kind for Vec<UserLine> {
    const SHAPE: &'static str = "list of texts, each the rules of one user";
    const SECRECY: Secrecy = Secrecy::Secret;

    fn parse(_: &str, _: Option<Bounds>) -> Result<Vec<UserLine>, Refusal> {
        Err(Refusal::other("can be given in the file only"))
    }

    fn read(written: Written<'_>, _: Option<Bounds>) -> Result<Vec<UserLine>, Refusal> {
        let DeValue::Array(items) = written.value else { return Err(written.wrong_type()) };
        let lines = items.iter().map(|item| {
            let line = Written { value: item.get_ref(), ..written }.text()?.trim().to_owned();
            if line.is_empty() {
                return Err(Refusal::other("a line names no user"));
            }
            Ok(UserLine { line, place: written.source.place(item.span().start) })
        });
        lines.collect()
    }

    fn show(&self) -> String {
        self.iter().map(|user| user.line.as_str()).collect::<Vec<_>>().join("\n")
    }

    fn literal(&self) -> String {
        list(self.iter().map(|user| user.line.as_str()))
    }
}
