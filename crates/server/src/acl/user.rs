//! One user: whether it may log in, with which passwords, and its selectors.

use super::error::{RuleError, SetUserError};
use super::password::PasswordDigest;
use super::selector::Selector;

/// Tells users apart that had the same name one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UserId(pub(super) u64);

/// A user. It never changes once others can see it.
#[derive(Clone, Debug)]
pub struct User {
    pub(super) id: UserId,
    name: Box<[u8]>,
    enabled: bool,
    /// Any password will do.
    no_password: bool,
    sanitizes_payload: bool,
    passwords: Vec<PasswordDigest>,
    root: Selector,
    selectors: Vec<Selector>,
    /// The root allows everything: the one thing a check looks at first.
    unrestricted: bool,
}

/// The fields of `ACL GETUSER`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserDescription {
    /// `on` or `off`, `nopass`, ...
    pub flags: Vec<&'static str>,
    /// The digests, in hexadecimal.
    pub passwords: Vec<String>,
    /// The rules at the root.
    pub root: SelectorDescription,
    /// Those in parentheses.
    pub selectors: Vec<SelectorDescription>,
}

/// The rules of a selector, as they would be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorDescription {
    /// `-@all +get`
    pub commands: Vec<u8>,
    /// `~a* %R~b*`
    pub keys: Vec<u8>,
    /// `&news`
    pub channels: Vec<u8>,
}

impl From<&Selector> for SelectorDescription {
    fn from(selector: &Selector) -> SelectorDescription {
        SelectorDescription {
            commands: selector.describe_commands(),
            keys: selector.describe_keys(),
            channels: selector.describe_channels(),
        }
    }
}

impl User {
    /// One that may do nothing and cannot log in.
    pub(super) fn new(id: UserId, name: &[u8]) -> User {
        User {
            id,
            name: name.into(),
            enabled: false,
            no_password: false,
            sanitizes_payload: true,
            passwords: Vec::new(),
            root: Selector::new(),
            selectors: Vec::new(),
            unrestricted: false,
        }
    }

    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Whether it can log in. A connection that has logged in before goes on.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Whether any password will do.
    pub fn needs_no_password(&self) -> bool {
        self.no_password
    }

    /// Whether it may do everything.
    #[inline]
    pub fn is_unrestricted(&self) -> bool {
        self.unrestricted
    }

    /// Whether it may use a channel.
    pub fn permits_channel(&self, channel: &[u8]) -> bool {
        self.all_selectors().any(|selector| selector.allows_channel(channel))
    }

    /// The root first.
    pub(super) fn all_selectors(&self) -> impl Iterator<Item = &Selector> {
        std::iter::once(&self.root).chain(&self.selectors)
    }

    /// Whether the digest is that of one of its passwords. Compares with each, and with one that
    /// nobody has.
    pub(super) fn has_password(&self, digest: &PasswordDigest) -> bool {
        let mut found = PasswordDigest::NOBODYS.matches(digest);
        for password in &self.passwords {
            found |= password.matches(digest);
        }
        found.into()
    }

    /// Takes rules one by one, as `ACL SETUSER` has them; after an error throw the user away.
    pub(super) fn apply_all<R: AsRef<[u8]>>(&mut self, rules: &[R]) -> Result<(), SetUserError> {
        for rule in merge_selectors(rules)? {
            self.apply(&rule).map_err(|error| SetUserError::Rule(lossy(&rule), error))?;
        }
        Ok(())
    }

    /// Takes one rule.
    pub(super) fn apply(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        if is("on") || is("off") {
            self.enabled = is("on");
        } else if is("skip-sanitize-payload") || is("sanitize-payload") {
            self.sanitizes_payload = is("sanitize-payload");
        } else if is("nopass") || is("resetpass") {
            self.no_password = is("nopass");
            self.passwords.clear();
        } else if is("clearselectors") {
            self.selectors.clear();
        } else if is("reset") {
            *self = User::new(self.id, &self.name);
        } else {
            self.apply_marked(rule)?;
        }
        self.unrestricted = self.root.allows_everything();
        Ok(())
    }

    fn apply_marked(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        let digest = |text| PasswordDigest::from_hex(text).ok_or(RuleError::BadDigest);
        match rule {
            [] => {}
            [b'>', password @ ..] => self.add_password(PasswordDigest::of(password)),
            [b'#', text @ ..] => self.add_password(digest(text)?),
            [b'<', password @ ..] => self.remove_password(&PasswordDigest::of(password))?,
            [b'!', text @ ..] => self.remove_password(&digest(text)?)?,
            [b'(', rules @ .., b')'] => self.selectors.push(Selector::parse(rules)?),
            _ => self.root.apply(rule)?,
        }
        Ok(())
    }

    fn add_password(&mut self, digest: PasswordDigest) {
        if !self.passwords.contains(&digest) {
            self.passwords.push(digest);
        }
        self.no_password = false;
    }

    fn remove_password(&mut self, digest: &PasswordDigest) -> Result<(), RuleError> {
        let position = self.passwords.iter().position(|known| known == digest);
        self.passwords.remove(position.ok_or(RuleError::NoSuchPassword)?);
        Ok(())
    }

    fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec![if self.enabled { "on" } else { "off" }];
        if self.no_password {
            flags.push("nopass");
        }
        let sanitizes = self.sanitizes_payload;
        flags.push(if sanitizes { "sanitize-payload" } else { "skip-sanitize-payload" });
        flags
    }

    /// What `ACL GETUSER` shows.
    pub fn description(&self) -> UserDescription {
        UserDescription {
            flags: self.flags(),
            passwords: self.passwords.iter().map(PasswordDigest::to_string).collect(),
            root: SelectorDescription::from(&self.root),
            selectors: self.selectors.iter().map(SelectorDescription::from).collect(),
        }
    }

    /// The line of `ACL LIST` and of a file: `user NAME rules...`, without its end.
    pub fn line(&self) -> Vec<u8> {
        let mut parts = vec![b"user".to_vec(), self.name.to_vec()];
        parts.extend(self.flags().into_iter().map(|flag| flag.as_bytes().to_vec()));
        parts.extend(self.passwords.iter().map(|digest| format!("#{digest}").into_bytes()));
        parts.push(self.root.describe());
        let selectors = self.selectors.iter();
        parts.extend(selectors.map(|selector| [b"(", &*selector.describe(), b")"].concat()));
        parts.join(&b' ')
    }
}

/// Puts selectors together that came as several arguments.
fn merge_selectors<R: AsRef<[u8]>>(rules: &[R]) -> Result<Vec<Vec<u8>>, SetUserError> {
    let mut merged = Vec::with_capacity(rules.len());
    let mut open: Option<(usize, Vec<u8>)> = None;
    for (index, rule) in rules.iter().map(AsRef::as_ref).enumerate() {
        match &mut open {
            Some((_, selector)) => {
                selector.push(b' ');
                selector.extend_from_slice(rule);
                if rule.ends_with(b")") {
                    merged.extend(open.take().map(|(_, selector)| selector));
                }
            }
            None if rule.starts_with(b"(") && !rule.ends_with(b")") => {
                open = Some((index, rule.to_vec()));
            }
            None => merged.push(rule.to_vec()),
        }
    }
    match open {
        Some((index, _)) => Err(SetUserError::Parenthesis(lossy(rules[index].as_ref()))),
        None => Ok(merged),
    }
}

/// For messages: what is not UTF-8 is replaced.
pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
