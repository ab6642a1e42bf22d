//! Which arguments of a request are keys, and what the command does with each.

use std::fmt;

use super::flags::{Flags, KeyFlags};
use super::id::CommandId;
use super::table::CommandSpec;

/// The arguments of a request, the command's name first.
pub trait Arguments {
    /// How many there are.
    fn count(&self) -> usize;

    /// The one at `index`, which is below the count.
    fn argument(&self, index: usize) -> &[u8];
}

impl<A: AsRef<[u8]>> Arguments for [A] {
    fn count(&self) -> usize {
        self.len()
    }

    fn argument(&self, index: usize) -> &[u8] {
        self[index].as_ref()
    }
}

/// Where some keys of a command are.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// The argument to begin at.
    pub begin: usize,
    /// How to go on from there.
    pub find: FindKeys,
    /// What the command does with them.
    pub flags: KeyFlags,
}

/// How to find keys from where a specification begins.
#[derive(Clone, Copy, Debug)]
pub enum FindKeys {
    /// Every `step`-th argument.
    Range {
        /// The last one, counted from where it begins; negative, from the end (-1 is the last).
        last: i32,
        /// From one key to the next.
        step: usize,
    },
    /// The argument where it begins says how many keys there are.
    Counted {
        /// The first, counted from where it begins.
        first: usize,
        /// From one key to the next.
        step: usize,
    },
}

/// The fields first, last and step of `COMMAND INFO`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key; zero if there is none.
    pub first: i64,
    /// The last one; negative, from the end.
    pub last: i64,
    /// From one key to the next.
    pub step: i64,
}

/// A key among the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPosition {
    /// Which argument it is.
    pub index: usize,
    /// What the command does with it.
    pub flags: KeyFlags,
}

/// Why `COMMAND GETKEYS` has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeysError {
    /// The command has no keys.
    NoKeys,
    /// Too few arguments or too many.
    Arity,
    /// The number of keys is none, or more than there are arguments.
    Arguments,
}

impl fmt::Display for KeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeysError::NoKeys => "The command has no key arguments",
            KeysError::Arity => "Invalid number of arguments specified for command",
            KeysError::Arguments => "Invalid arguments specified for command",
        })
    }
}

impl std::error::Error for KeysError {}

impl CommandSpec {
    /// The keys among `arguments`, without allocating. Of arguments that the command will refuse
    /// it yields what can be told.
    pub fn keys<'a, A: Arguments + ?Sized>(&self, arguments: &'a A) -> Keys<'a, A> {
        Keys {
            id: self.id,
            specs: self.keys,
            arguments,
            at: 0,
            end: 0,
            step: 1,
            flags: KeyFlags::NONE,
        }
    }

    /// What `COMMAND INFO` says of the keys in its fields four to six.
    pub fn key_range(&self) -> KeyRange {
        let mut whole = KeyRange::default();
        if self.flags.contains(Flags::MOVABLEKEYS) {
            return whole;
        }
        for spec in self.keys {
            let FindKeys::Range { last, step } = spec.find else { continue };
            let (begin, last) = (spec.begin as i64, i64::from(last));
            if whole.first == 0 {
                whole.first = begin;
            }
            whole.last = if last < 0 { last } else { begin + last };
            whole.step = step as i64;
        }
        whole
    }
}

/// Where the keys are, for `COMMAND GETKEYS` and `COMMAND GETKEYSANDFLAGS`. Of a container give
/// the subcommand's row; `arguments` begin with the container's name all the same.
pub fn key_positions<A: Arguments + ?Sized>(
    spec: &CommandSpec,
    arguments: &A,
) -> Result<Vec<KeyPosition>, KeysError> {
    if spec.keys.is_empty() {
        return Err(KeysError::NoKeys);
    }
    if !spec.accepts(arguments.count()) {
        return Err(KeysError::Arity);
    }
    let positions: Vec<_> = spec.keys(arguments).collect();
    if positions.is_empty() { Err(KeysError::Arguments) } else { Ok(positions) }
}

/// The keys of a request; made by [`CommandSpec::keys`].
#[derive(Debug)]
pub struct Keys<'a, A: ?Sized> {
    id: CommandId,
    /// Those not begun.
    specs: &'static [KeySpec],
    arguments: &'a A,
    /// The next key of the one begun, if below the end.
    at: usize,
    end: usize,
    step: usize,
    flags: KeyFlags,
}

impl<A: Arguments + ?Sized> Iterator for Keys<'_, A> {
    type Item = KeyPosition;

    fn next(&mut self) -> Option<KeyPosition> {
        while self.at >= self.end {
            let (spec, rest) = self.specs.split_first()?;
            self.specs = rest;
            self.begin(spec);
        }
        let index = self.at;
        self.at += self.step;
        Some(KeyPosition { index, flags: self.flags })
    }
}

impl<A: Arguments + ?Sized> Keys<'_, A> {
    fn begin(&mut self, spec: &KeySpec) {
        let count = self.arguments.count();
        self.flags = spec.flags;
        if spec.flags.contains(KeyFlags::VARIABLE_FLAGS) {
            self.flags = actual_flags(self.id, self.arguments);
        }
        match spec.find {
            FindKeys::Range { last, step } => {
                let last = last as isize;
                let end = if last < 0 { count as isize + last } else { spec.begin as isize + last };
                (self.at, self.step) = (spec.begin, step);
                self.end = count.min(usize::try_from(end + 1).unwrap_or(0));
            }
            FindKeys::Counted { first, step } => {
                let keys = counted(self.arguments, spec.begin);
                (self.at, self.step) = (spec.begin + first, step);
                let end = keys.saturating_mul(step).saturating_add(self.at);
                // A count that does not fit means nothing can be told of any argument.
                self.end = if end <= count { end } else { 0 };
            }
        }
    }
}

fn counted<A: Arguments + ?Sized>(arguments: &A, index: usize) -> usize {
    if index >= arguments.count() {
        return 0;
    }
    let text = str::from_utf8(arguments.argument(index)).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// What a command whose options decide does with its key.
fn actual_flags<A: Arguments + ?Sized>(id: CommandId, arguments: &A) -> KeyFlags {
    const READ: KeyFlags = KeyFlags::parse("RO access");
    const READ_UPDATE: KeyFlags = KeyFlags::parse("RW access update");
    const OVERWRITE: KeyFlags = KeyFlags::parse("OW update");
    match id {
        CommandId::Set if !any(arguments, 3, b"get") => OVERWRITE,
        CommandId::BitField if only_gets(arguments) => READ,
        _ => READ_UPDATE,
    }
}

fn any<A: Arguments + ?Sized>(arguments: &A, from: usize, word: &[u8]) -> bool {
    (from..arguments.count()).any(|index| arguments.argument(index).eq_ignore_ascii_case(word))
}

/// Whether every operation of a `BITFIELD` is a `GET`.
fn only_gets<A: Arguments + ?Sized>(arguments: &A) -> bool {
    let mut index = 2;
    while index < arguments.count() {
        let word = arguments.argument(index);
        if word.eq_ignore_ascii_case(b"get") {
            index += 3;
        } else if word.eq_ignore_ascii_case(b"overflow") {
            index += 2;
        } else {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::table::{find, find_full};
    use super::*;

    /// The keys of a line, each as index:flags.
    fn keys(line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        let spec = find(words[0].as_bytes()).unwrap();
        let spec = match spec.subcommands {
            [] => spec,
            _ => find_full(format!("{}|{}", words[0], words[1]).as_bytes()).unwrap(),
        };
        match key_positions(spec, words.as_slice()) {
            Ok(keys) => {
                let text = keys.iter().map(|key| {
                    format!("{}:{}", key.index, key.flags.names().collect::<Vec<_>>().join("+"))
                });
                text.collect::<Vec<_>>().join(" ")
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn keys_and_what_is_done_with_them() {
        let expected = [
            ("get k", "1:RO+access"),
            ("set k v", "1:OW+update"),
            ("set k v nx GET", "1:RW+access+update"),
            ("mget a b c", "1:RO+access 2:RO+access 3:RO+access"),
            ("mset a 1 b 2", "1:OW+update 3:OW+update"),
            ("copy a b db 1", "1:RO+access 2:OW+update"),
            ("rename a b", "1:RW+access+delete 2:OW+update"),
            ("lcs a b len", "1:RO+access 2:RO+access"),
            ("bitop and d a b", "2:OW+update 3:RO+access 4:RO+access"),
            ("bitfield k get u8 0", "1:RO+access"),
            ("bitfield k", "1:RO+access"),
            ("bitfield k overflow sat incrby u8 0 1", "1:RW+access+update"),
            ("object encoding k", "2:RO"),
            ("memory usage k samples 1", "2:RO"),
            ("msetex 2 a 1 b 2 ex 9", "2:OW+update 4:OW+update"),
            ("del a b", "1:RM+delete 2:RM+delete"),
        ];
        for (line, wanted) in expected {
            assert_eq!(keys(line), wanted, "{line}");
        }
    }

    #[test]
    fn no_keys_says_why() {
        assert_eq!(keys("ping"), "The command has no key arguments");
        assert_eq!(keys("get"), "Invalid number of arguments specified for command");
        for line in ["msetex 0 a 1", "msetex x a 1", "msetex 3 a 1", "msetex -1 a 1"] {
            assert_eq!(keys(line), "Invalid arguments specified for command", "{line}");
        }
        let huge = format!("msetex {} a 1", usize::MAX);
        assert_eq!(keys(&huge), "Invalid arguments specified for command");
    }

    #[test]
    fn too_few_arguments_yield_what_is_there() {
        let spec = find(b"copy").unwrap();
        assert_eq!(spec.keys(["copy"].as_slice()).count(), 0);
        assert_eq!(spec.keys(["copy", "a"].as_slice()).count(), 1);
        assert_eq!(find(b"bitop").unwrap().keys(["bitop"].as_slice()).count(), 0);
    }

    #[test]
    fn ranges_are_those_of_redis() {
        let range = |name: &str| {
            let range = find_full(name.as_bytes()).unwrap().key_range();
            (range.first, range.last, range.step)
        };
        assert_eq!(range("get"), (1, 1, 1));
        assert_eq!(range("mset"), (1, -1, 2));
        assert_eq!(range("bitop"), (2, -1, 1));
        assert_eq!(range("copy"), (1, 2, 1));
        assert_eq!(range("lcs"), (1, 2, 1));
        assert_eq!(range("object|freq"), (2, 2, 1));
        assert_eq!(range("msetex"), (0, 0, 0));
        assert_eq!(range("ping"), (0, 0, 0));
    }
}
