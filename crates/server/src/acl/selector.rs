//! A selector: a set of rules on commands, keys and channels. A user has one at its root and may
//! have more; a request may run if one of them allows all of it.

use super::error::RuleError;
use crate::command::flags::{Categories, KeyFlags};
use crate::command::id::CommandId;
use crate::command::table::{self, CommandSpec};
use crate::value::glob;

const WORDS: usize = CommandId::COUNT.div_ceil(64);

/// A bit for each command and subcommand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CommandBits([u64; WORDS]);

impl CommandBits {
    fn contains(&self, id: CommandId) -> bool {
        self.0[id.index() / 64] >> (id.index() % 64) & 1 == 1
    }

    fn set(&mut self, id: CommandId, permission: Permission) {
        let (word, bit) = (&mut self.0[id.index() / 64], 1 << (id.index() % 64));
        match permission {
            Permission::Allow => *word |= bit,
            Permission::Deny => *word &= !bit,
        }
    }
}

/// Whether a rule gives or takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Permission {
    Allow,
    Deny,
}

/// A rule on commands as it was given, in lower case, for the description.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CommandRule {
    permission: Permission,
    /// What follows the sign: `get`, `config|get`, `@read`.
    text: Box<[u8]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct KeyPattern {
    pattern: Box<[u8]>,
    access: Access,
}

/// What a key pattern gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read,
    Write,
    ReadWrite,
}

impl Access {
    fn and(self, other: Access) -> Access {
        if self == other { self } else { Access::ReadWrite }
    }

    fn covers(self, flags: KeyFlags) -> bool {
        match self {
            Access::Read => !flags.writes(),
            Access::Write => !flags.reads(),
            Access::ReadWrite => true,
        }
    }

    fn prefix(self) -> &'static [u8] {
        match self {
            Access::Read => b"%R~",
            Access::Write => b"%W~",
            Access::ReadWrite => b"~",
        }
    }
}

/// Rules on commands, keys and channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    commands: CommandBits,
    /// No command was taken since all were given.
    all_commands: bool,
    /// The rules begin with `+@all`, so that commands of later releases are in.
    begins_with_all: bool,
    /// In the order given, without those that a later one made void.
    rules: Vec<CommandRule>,
    /// First arguments that are allowed of commands that are not (`+select|0`).
    first_arguments: Vec<(CommandId, Box<[u8]>)>,
    all_keys: bool,
    patterns: Vec<KeyPattern>,
    all_channels: bool,
    channels: Vec<Box<[u8]>>,
}

impl Selector {
    /// One that allows nothing.
    pub fn new() -> Selector {
        Selector {
            commands: CommandBits([0; WORDS]),
            all_commands: false,
            begins_with_all: false,
            rules: Vec::new(),
            first_arguments: Vec::new(),
            all_keys: false,
            patterns: Vec::new(),
            all_channels: false,
            channels: Vec::new(),
        }
    }

    /// One of what is in the parentheses of a rule.
    pub fn parse(rules: &[u8]) -> Result<Selector, RuleError> {
        let mut selector = Selector::new();
        let words = rules.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        for word in words {
            selector.apply(word)?;
        }
        Ok(selector)
    }

    /// Takes one rule, or leaves all as it was.
    pub fn apply(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        if is("allkeys") || is("~*") {
            self.set_all_keys(Permission::Allow);
        } else if is("resetkeys") {
            self.set_all_keys(Permission::Deny);
        } else if is("allchannels") || is("&*") {
            self.set_all_channels(Permission::Allow);
        } else if is("resetchannels") {
            self.set_all_channels(Permission::Deny);
        } else if is("allcommands") || is("+@all") {
            self.set_all_commands(Permission::Allow);
        } else if is("nocommands") || is("-@all") {
            self.set_all_commands(Permission::Deny);
        } else {
            return self.apply_named(rule);
        }
        Ok(())
    }

    fn apply_named(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        match rule {
            [b'~', pattern @ ..] => self.add_key_pattern(pattern, Access::ReadWrite),
            [b'%', ..] if self.all_keys => Err(RuleError::AfterAllKeys),
            [b'%', rest @ ..] => {
                let (access, pattern) = split_access(rest).ok_or(RuleError::Syntax)?;
                self.add_key_pattern(pattern, access)
            }
            [b'&', pattern @ ..] => self.add_channel_pattern(pattern),
            [b'+', b'@', category @ ..] => self.set_category(category, Permission::Allow),
            [b'-', b'@', category @ ..] => self.set_category(category, Permission::Deny),
            [b'+', name @ ..] => self.allow_command(name),
            [b'-', name @ ..] => {
                let spec = table::find_full(name).ok_or(RuleError::Unknown)?;
                self.set_command(spec, Permission::Deny);
                self.note(spec.full_name.as_bytes(), Permission::Deny);
                Ok(())
            }
            _ => Err(RuleError::Syntax),
        }
    }

    fn set_all_keys(&mut self, permission: Permission) {
        self.all_keys = permission == Permission::Allow;
        self.patterns.clear();
    }

    fn set_all_channels(&mut self, permission: Permission) {
        self.all_channels = permission == Permission::Allow;
        self.channels.clear();
    }

    fn set_all_commands(&mut self, permission: Permission) {
        self.all_commands = permission == Permission::Allow;
        self.begins_with_all = self.all_commands;
        self.commands.0 = [if self.all_commands { u64::MAX } else { 0 }; WORDS];
        self.rules.clear();
        self.first_arguments.clear();
    }

    fn add_key_pattern(&mut self, pattern: &[u8], access: Access) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::AfterAllKeys);
        }
        if has_spaces(pattern) {
            return Err(RuleError::Syntax);
        }
        match self.patterns.iter_mut().find(|known| *known.pattern == *pattern) {
            Some(known) => known.access = known.access.and(access),
            None => self.patterns.push(KeyPattern { pattern: pattern.into(), access }),
        }
        Ok(())
    }

    fn add_channel_pattern(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        if self.all_channels {
            return Err(RuleError::AfterAllChannels);
        }
        if has_spaces(pattern) {
            return Err(RuleError::Syntax);
        }
        if !self.channels.iter().any(|known| **known == *pattern) {
            self.channels.push(pattern.into());
        }
        Ok(())
    }

    fn set_category(&mut self, name: &[u8], permission: Permission) -> Result<(), RuleError> {
        let category = Categories::named(name).ok_or(RuleError::Unknown)?;
        for spec in table::all().filter(|spec| spec.categories.contains(category)) {
            self.set_command(spec, permission);
        }
        self.note(&[b"@", name].concat(), permission);
        Ok(())
    }

    fn allow_command(&mut self, name: &[u8]) -> Result<(), RuleError> {
        let Some(bar) = name.iter().rposition(|byte| *byte == b'|') else {
            let spec = table::find(name).ok_or(RuleError::Unknown)?;
            self.set_command(spec, Permission::Allow);
            self.note(spec.full_name.as_bytes(), Permission::Allow);
            return Ok(());
        };
        let (container, argument) = (&name[..bar], &name[bar + 1..]);
        let spec = table::find_full(container).ok_or(RuleError::Unknown)?;
        if container.contains(&b'|') {
            return Err(RuleError::FirstArgument);
        }
        if argument.is_empty() {
            return Err(RuleError::Syntax);
        }
        if spec.subcommands.is_empty() {
            self.allow_first_argument(spec, argument);
            self.note(name, Permission::Allow);
        } else {
            let sub = table::find_subcommand(spec, argument).ok_or(RuleError::Unknown)?;
            self.set_command(sub, Permission::Allow);
            self.note(sub.full_name.as_bytes(), Permission::Allow);
        }
        Ok(())
    }

    fn allow_first_argument(&mut self, spec: &CommandSpec, argument: &[u8]) {
        let known = |(id, known): &(CommandId, Box<[u8]>)| {
            *id == spec.id && known.eq_ignore_ascii_case(argument)
        };
        if !self.first_arguments.iter().any(known) {
            self.first_arguments.push((spec.id, argument.into()));
        }
    }

    /// Gives or takes a command and its subcommands.
    fn set_command(&mut self, spec: &CommandSpec, permission: Permission) {
        self.first_arguments.retain(|(id, _)| *id != spec.id);
        self.all_commands &= permission == Permission::Allow;
        self.commands.set(spec.id, permission);
        for sub in spec.subcommands {
            self.commands.set(sub.id, permission);
        }
    }

    /// Keeps a rule for the description, in place of those it makes void.
    fn note(&mut self, text: &[u8], permission: Permission) {
        let text = text.to_ascii_lowercase();
        self.rules.retain(|rule| match rule.text.strip_prefix(text.as_slice()) {
            Some(rest) => !(rest.is_empty() || rest[0] == b'|'),
            None => true,
        });
        self.rules.push(CommandRule { permission, text: text.into() });
    }

    /// Whether it allows everything.
    pub fn allows_everything(&self) -> bool {
        self.all_commands && self.all_keys && self.all_channels
    }

    /// Whether it allows the command; `first` is the argument after the name.
    pub fn allows_command(&self, spec: &CommandSpec, first: Option<&[u8]>) -> bool {
        self.all_commands
            || self.commands.contains(spec.id)
            || first.is_some_and(|first| {
                let mut allowed = self.first_arguments.iter();
                allowed.any(|(id, word)| *id == spec.id && word.eq_ignore_ascii_case(first))
            })
    }

    /// Whether it allows every key.
    pub fn allows_all_keys(&self) -> bool {
        self.all_keys
    }

    /// Whether it allows what a command does with a key.
    pub fn allows_key(&self, key: &[u8], flags: KeyFlags) -> bool {
        self.all_keys
            || self
                .patterns
                .iter()
                .any(|pattern| pattern.access.covers(flags) && glob::matches(&pattern.pattern, key))
    }

    /// Whether it allows a channel.
    pub fn allows_channel(&self, channel: &[u8]) -> bool {
        self.all_channels || self.channels.iter().any(|pattern| glob::matches(pattern, channel))
    }

    /// The rules on commands, as `ACL GETUSER` shows them.
    pub fn describe_commands(&self) -> Vec<u8> {
        let mut text = if self.begins_with_all { b"+@all".to_vec() } else { b"-@all".to_vec() };
        for rule in &self.rules {
            text.extend_from_slice(match rule.permission {
                Permission::Allow => b" +",
                Permission::Deny => b" -",
            });
            text.extend_from_slice(&rule.text);
        }
        text
    }

    /// The rules on keys, as `ACL GETUSER` shows them.
    pub fn describe_keys(&self) -> Vec<u8> {
        if self.all_keys {
            return b"~*".to_vec();
        }
        let patterns = self.patterns.iter();
        let texts = patterns.map(|pattern| [pattern.access.prefix(), &pattern.pattern].concat());
        texts.collect::<Vec<_>>().join(&b' ')
    }

    /// The rules on channels, as `ACL GETUSER` shows them.
    pub fn describe_channels(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        let texts = self.channels.iter().map(|channel| [b"&", &**channel].concat());
        texts.collect::<Vec<_>>().join(&b' ')
    }

    /// All rules, as `ACL LIST` shows them and a file keeps them.
    pub fn describe(&self) -> Vec<u8> {
        let mut parts = vec![self.describe_keys()];
        if !self.all_channels {
            parts.push(b"resetchannels".to_vec());
        }
        parts.extend([self.describe_channels(), self.describe_commands()]);
        parts.retain(|part| !part.is_empty());
        parts.join(&b' ')
    }
}

impl Default for Selector {
    fn default() -> Selector {
        Selector::new()
    }
}

/// What `%RW~pattern` gives, and to which keys; `rest` is without the percent sign.
fn split_access(rest: &[u8]) -> Option<(Access, &[u8])> {
    let tilde = rest.iter().position(|byte| *byte == b'~')?;
    let access = match rest[..tilde].to_ascii_uppercase().as_slice() {
        b"R" => Access::Read,
        b"W" => Access::Write,
        b"RW" | b"WR" => Access::ReadWrite,
        _ => return None,
    };
    Some((access, &rest[tilde + 1..]))
}

/// Whether a name or pattern would fall apart in a line of a file.
pub fn has_spaces(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, 0 | b' ' | b'\t'..=b'\r'))
}
