//! What `COMMAND DOCS` says: a summary for each command, and its arguments as a tree.

mod bitmap;
mod cluster;
mod connection;
mod generic;
mod server;
mod string;
mod transactions;

use super::id::CommandId as Id;

/// The documentation of a command or subcommand.
#[derive(Clone, Copy, Debug)]
pub struct CommandDocs {
    /// Which it is of.
    pub id: Id,
    /// One line on what it does.
    pub summary: &'static str,
    /// The version of Redis it came with.
    pub since: &'static str,
    /// How its time grows.
    pub complexity: &'static str,
    /// Since when it is deprecated, and what to use instead.
    pub deprecated: Option<(&'static str, &'static str)>,
    /// Its arguments.
    pub arguments: &'static [Argument],
}

impl CommandDocs {
    const fn deprecated(mut self, since: &'static str, instead: &'static str) -> CommandDocs {
        self.deprecated = Some((since, instead));
        self
    }
}

/// An argument of a command.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// What it is called.
    pub name: &'static str,
    /// What it is.
    pub kind: ArgumentKind,
    /// The word before it, or that it is.
    pub token: Option<&'static str>,
    /// Whether it may be left out, and whether it may be repeated.
    pub flags: ArgumentFlags,
    /// The version of Redis it came with, if later than the command.
    pub since: Option<&'static str>,
}

/// What an argument is.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "they are the words of COMMAND DOCS")]
pub enum ArgumentKind {
    /// A key; the number of its specification.
    Key(usize),
    String,
    Integer,
    Double,
    Pattern,
    UnixTime,
    /// The token alone.
    PureToken,
    /// One of these.
    OneOf(&'static [Argument]),
    /// All of these, in this order.
    Block(&'static [Argument]),
}

impl ArgumentKind {
    /// Its name in the reply.
    pub const fn name(self) -> &'static str {
        match self {
            ArgumentKind::Key(_) => "key",
            ArgumentKind::String => "string",
            ArgumentKind::Integer => "integer",
            ArgumentKind::Double => "double",
            ArgumentKind::Pattern => "pattern",
            ArgumentKind::UnixTime => "unix-time",
            ArgumentKind::PureToken => "pure-token",
            ArgumentKind::OneOf(_) => "oneof",
            ArgumentKind::Block(_) => "block",
        }
    }

    /// What it is made of.
    pub const fn parts(self) -> &'static [Argument] {
        match self {
            ArgumentKind::OneOf(parts) | ArgumentKind::Block(parts) => parts,
            _ => &[],
        }
    }
}

/// How often an argument may be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArgumentFlags {
    optional: bool,
    multiple: bool,
    multiple_token: bool,
}

impl ArgumentFlags {
    /// Their names in the reply.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        [
            (self.optional, "optional"),
            (self.multiple, "multiple"),
            (self.multiple_token, "multiple_token"),
        ]
        .into_iter()
        .filter_map(|(set, name)| set.then_some(name))
    }
}

impl Argument {
    const fn token(mut self, token: &'static str) -> Argument {
        self.token = Some(token);
        self
    }

    const fn optional(mut self) -> Argument {
        self.flags.optional = true;
        self
    }

    const fn multiple(mut self) -> Argument {
        self.flags.multiple = true;
        self
    }

    const fn repeat_token(mut self) -> Argument {
        self.flags.multiple_token = true;
        self
    }

    const fn since(mut self, version: &'static str) -> Argument {
        self.since = Some(version);
        self
    }
}

const GROUPS: [(&str, &[CommandDocs]); 7] = [
    ("string", string::DOCS),
    ("bitmap", bitmap::DOCS),
    ("generic", generic::DOCS),
    ("transactions", transactions::DOCS),
    ("connection", connection::DOCS),
    ("server", server::DOCS),
    ("cluster", cluster::DOCS),
];

/// The documentation of a command, and the group it is in.
pub fn docs(id: Id) -> (&'static str, &'static CommandDocs) {
    let mut all =
        GROUPS.iter().flat_map(|(group, docs)| docs.iter().map(move |docs| (*group, docs)));
    all.find(|(_, docs)| docs.id == id).expect("a test sees that every command has some")
}

const fn doc(
    id: Id,
    summary: &'static str,
    since: &'static str,
    complexity: &'static str,
    arguments: &'static [Argument],
) -> CommandDocs {
    CommandDocs { id, summary, since, complexity, deprecated: None, arguments }
}

const fn argument(name: &'static str, kind: ArgumentKind) -> Argument {
    let flags = ArgumentFlags { optional: false, multiple: false, multiple_token: false };
    Argument { name, kind, token: None, flags, since: None }
}

const fn key(name: &'static str, spec: usize) -> Argument {
    argument(name, ArgumentKind::Key(spec))
}

const fn string(name: &'static str) -> Argument {
    argument(name, ArgumentKind::String)
}

const fn integer(name: &'static str) -> Argument {
    argument(name, ArgumentKind::Integer)
}

const fn double(name: &'static str) -> Argument {
    argument(name, ArgumentKind::Double)
}

const fn pattern(name: &'static str) -> Argument {
    argument(name, ArgumentKind::Pattern)
}

const fn unix_time(name: &'static str) -> Argument {
    argument(name, ArgumentKind::UnixTime)
}

const fn token(name: &'static str, token: &'static str) -> Argument {
    argument(name, ArgumentKind::PureToken).token(token)
}

const fn one_of(name: &'static str, parts: &'static [Argument]) -> Argument {
    argument(name, ArgumentKind::OneOf(parts))
}

const fn block(name: &'static str, parts: &'static [Argument]) -> Argument {
    argument(name, ArgumentKind::Block(parts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table;

    #[test]
    fn every_command_is_documented_once() {
        for spec in table::all() {
            let (_, found) = docs(spec.id);
            assert!(!found.summary.is_empty() && !found.complexity.is_empty());
        }
        let count: usize = GROUPS.iter().map(|(_, docs)| docs.len()).sum();
        assert_eq!(count, Id::COUNT);
    }

    #[test]
    fn a_key_names_a_specification_that_is_there() {
        fn visit(arguments: &[Argument], keys: usize) {
            for argument in arguments {
                if let ArgumentKind::Key(spec) = argument.kind {
                    assert!(spec < keys, "{}", argument.name);
                }
                visit(argument.kind.parts(), keys);
            }
        }
        for spec in table::all() {
            visit(docs(spec.id).1.arguments, spec.keys.len());
        }
    }

    #[test]
    fn the_tree_is_that_of_redis() {
        let (group, set) = docs(Id::Set);
        assert_eq!((group, set.since), ("string", "1.0.0"));
        let names: Vec<_> = set.arguments.iter().map(|argument| argument.name).collect();
        assert_eq!(names, ["key", "value", "condition", "get", "expiration"]);
        let condition = set.arguments[2];
        assert_eq!(condition.kind.name(), "oneof");
        assert_eq!(condition.flags.names().collect::<Vec<_>>(), ["optional"]);
        assert_eq!(condition.kind.parts()[0].token, Some("NX"));
        assert_eq!(docs(Id::SubStr).1.deprecated, Some(("2.0.0", "`GETRANGE`")));
    }
}
