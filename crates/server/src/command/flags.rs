//! Sets of the words that `COMMAND INFO` and `ACL CAT` use, one bit a word.

/// Declares a set of named bits: its type, its members, and how to go from a name to a member and
/// back.
macro_rules! named_bits {
    ($(#[$meta:meta])* $name:ident: $bits:ty {
        $($(#[$doc:meta])* $member:ident = $text:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $name($bits);

        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Position { $($member,)* }

        impl $name {
            /// The set of nothing.
            pub const NONE: $name = $name(0);
            $($(#[$doc])* pub const $member: $name = $name(1 << Position::$member as u32);)*
            /// The members by name, in the order Redis lists them.
            pub const NAMES: &[(&str, $name)] = &[$(($text, $name::$member),)*];

            /// Both.
            pub const fn with(self, other: $name) -> $name {
                $name(self.0 | other.0)
            }

            /// Whether all of `other` is in.
            pub const fn contains(self, other: $name) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether anything of `other` is in.
            pub const fn intersects(self, other: $name) -> bool {
                self.0 & other.0 != 0
            }

            /// The names of what is in.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                let all = Self::NAMES.iter();
                all.filter(move |(_, bit)| self.contains(*bit)).map(|(name, _)| *name)
            }

            /// The member of that name, in any case.
            pub fn named(name: &[u8]) -> Option<$name> {
                let mut all = Self::NAMES.iter();
                let found = all.find(|(text, _)| text.as_bytes().eq_ignore_ascii_case(name));
                found.map(|(_, bit)| *bit)
            }

            /// The set of the words of `text`; a word that names nothing does not compile.
            pub(in crate::command) const fn parse(text: &str) -> $name {
                let (text, mut start, mut set) = (text.as_bytes(), 0, $name::NONE);
                while start < text.len() {
                    let mut end = start;
                    while end < text.len() && text[end] != b' ' {
                        end += 1;
                    }
                    set = set.with(Self::word(text, start, end));
                    start = end + 1;
                }
                set
            }

            const fn word(text: &[u8], start: usize, end: usize) -> $name {
                let mut index = 0;
                while index < Self::NAMES.len() {
                    if super::same(text, start, end, Self::NAMES[index].0.as_bytes()) {
                        return Self::NAMES[index].1;
                    }
                    index += 1;
                }
                panic!("a word of the table names nothing")
            }
        }
    };
}

/// Whether `text[start..end]` is `word`.
const fn same(text: &[u8], start: usize, end: usize, word: &[u8]) -> bool {
    if end - start != word.len() {
        return false;
    }
    let mut index = 0;
    while index < word.len() {
        if text[start + index] != word[index] {
            return false;
        }
        index += 1;
    }
    true
}

pub use categories::Categories;
pub use flags::Flags;
pub use key_flags::KeyFlags;

#[expect(clippy::module_inception, reason = "a module for each set, so that they do not meet")]
mod flags {
    named_bits! {
        /// What a command is, as in the third field of `COMMAND INFO`.
        Flags: u32 {
            /// May change the data.
            WRITE = "write",
            /// Reads data and changes none.
            READONLY = "readonly",
            /// Takes space, so it is refused when there is none.
            DENYOOM = "denyoom",
            /// For operators.
            ADMIN = "admin",
            /// About channels.
            PUBSUB = "pubsub",
            /// Not in scripts.
            NOSCRIPT = "noscript",
            /// May wait.
            BLOCKING = "blocking",
            /// Runs while the store is being opened.
            LOADING = "loading",
            /// Does not run while the store is replaced.
            NO_ASYNC_LOADING = "no_async_loading",
            /// Runs on a replica that lost its leader.
            STALE = "stale",
            /// Not shown to `MONITOR`.
            SKIP_MONITOR = "skip_monitor",
            /// Not in the slow log.
            SKIP_SLOWLOG = "skip_slowlog",
            /// Runs in a constant or logarithmic time.
            FAST = "fast",
            /// Runs before the connection is authenticated.
            NOAUTH = "no_auth",
            /// Keys are not where first, last and step say.
            MOVABLEKEYS = "movablekeys",
            /// Runs while a script does not end.
            ALLOW_BUSY = "allow_busy",
            /// Not in a transaction.
            NO_MULTI = "no_multi",
            /// Its keys may be left out.
            NO_MANDATORY_KEYS = "no_mandatory_keys",
        }
    }
}

mod categories {
    named_bits! {
        /// The categories of access lists that a command is in (`@read`, ...).
        Categories: u32 {
            /// About keys, whatever their type.
            KEYSPACE = "keyspace",
            /// Reads.
            READ = "read",
            /// Writes.
            WRITE = "write",
            /// About sets.
            SET = "set",
            /// About sorted sets.
            SORTEDSET = "sortedset",
            /// About lists.
            LIST = "list",
            /// About hashes.
            HASH = "hash",
            /// About strings.
            STRING = "string",
            /// About bits of strings.
            BITMAP = "bitmap",
            /// About HyperLogLogs.
            HYPERLOGLOG = "hyperloglog",
            /// About places on Earth.
            GEO = "geo",
            /// About streams.
            STREAM = "stream",
            /// About channels.
            PUBSUB = "pubsub",
            /// For operators.
            ADMIN = "admin",
            /// Runs in a constant or logarithmic time.
            FAST = "fast",
            /// All that is not fast.
            SLOW = "slow",
            /// May wait.
            BLOCKING = "blocking",
            /// Not for everybody.
            DANGEROUS = "dangerous",
            /// About the connection.
            CONNECTION = "connection",
            /// About transactions.
            TRANSACTION = "transaction",
            /// About scripts.
            SCRIPTING = "scripting",
        }
    }
}

mod key_flags {
    named_bits! {
        /// What a command does with a key, as in the specifications of `COMMAND INFO`.
        KeyFlags: u32 {
            /// Reads the value.
            RO = "RO",
            /// Reads the value and changes it.
            RW = "RW",
            /// Overwrites the value.
            OW = "OW",
            /// Removes the key.
            RM = "RM",
            /// Returns, copies or depends on what is in the value.
            ACCESS = "access",
            /// Changes the value, which may depend on what it was.
            UPDATE = "update",
            /// Adds to the value and neither changes nor removes what it was.
            INSERT = "insert",
            /// Removes from the value.
            DELETE = "delete",
            /// The flags depend on the arguments.
            VARIABLE_FLAGS = "variable_flags",
        }
    }
}

impl KeyFlags {
    /// Whether a user must be allowed to read the key.
    pub const fn reads(self) -> bool {
        self.contains(KeyFlags::ACCESS)
    }

    /// Whether a user must be allowed to write the key.
    pub const fn writes(self) -> bool {
        self.intersects(KeyFlags::UPDATE.with(KeyFlags::INSERT).with(KeyFlags::DELETE))
    }
}
