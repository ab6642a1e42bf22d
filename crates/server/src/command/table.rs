//! The static table of the commands, and the way from a name to its row.
//!
//! ```text
//!  "GeT" ─▶ up to 16 bytes in one u128, lowercased in one step ─▶ multiply, top bits = slot
//!  slots: [key | row][key | row][ empty ]...   512 of them, made by the compiler, open addressing
//! ```
//!
//! Every request looks its command up here: no allocation, no lock, no byte-wise comparison.
//! A name longer than 16 bytes is no command of the table.

use super::flags::{Categories, Flags};
use super::id::CommandId;
use super::keys::{Arguments, KeySpec};
use super::specs;

/// What there is to know about a command before it runs.
#[derive(Clone, Copy, Debug)]
pub struct CommandSpec {
    /// Which it is.
    pub id: CommandId,
    /// Its name in lower case; of a subcommand, without its container.
    pub name: &'static str,
    /// Its name as error messages and access lists write it: `get`, `config|get`.
    pub full_name: &'static str,
    /// How many arguments there must be, the name (and that of the container) included; if
    /// negative, at least so many.
    pub arity: i32,
    /// What it is.
    pub flags: Flags,
    /// The categories it is in.
    pub categories: Categories,
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// Its subcommands.
    pub subcommands: &'static [CommandSpec],
}

impl CommandSpec {
    /// Whether a request of `count` arguments, names included, fits the arity.
    pub const fn accepts(&self, count: usize) -> bool {
        let wanted = self.arity.unsigned_abs() as usize;
        if self.arity < 0 { count >= wanted } else { count == wanted }
    }

    /// The row with its subcommands.
    pub(super) const fn with(mut self, subcommands: &'static [CommandSpec]) -> CommandSpec {
        self.subcommands = subcommands;
        self
    }
}

const GROUPS: [&[CommandSpec]; 7] = [
    specs::string::ROWS,
    specs::bitmap::ROWS,
    specs::generic::ROWS,
    specs::transactions::ROWS,
    specs::connection::ROWS,
    specs::server::ROWS,
    specs::cluster::ROWS,
];

const COUNT: usize = {
    let (mut group, mut count) = (0, 0);
    while group < GROUPS.len() {
        count += GROUPS[group].len();
        group += 1;
    }
    count
};

/// All commands, without the subcommands, in the order of their numbers.
pub static COMMANDS: [CommandSpec; COUNT] = gather();

const fn gather() -> [CommandSpec; COUNT] {
    let mut all = [GROUPS[0][0]; COUNT];
    let (mut group, mut count) = (0, 0);
    while group < GROUPS.len() {
        let mut row = 0;
        while row < GROUPS[group].len() {
            all[count] = GROUPS[group][row];
            assert!(all[count].id.index() == count, "the rows are not in the order of the numbers");
            count += 1;
            row += 1;
        }
        group += 1;
    }
    all
}

/// The row of a command, whatever the case of its name.
#[inline]
pub fn find(name: &[u8]) -> Option<&'static CommandSpec> {
    let key = pack(name)?;
    let mut slot = slot_of(key);
    loop {
        let (found, row) = SLOTS[slot];
        if found == key {
            return Some(&COMMANDS[usize::from(row)]);
        }
        if found == 0 {
            return None;
        }
        slot = (slot + 1) % SLOT_COUNT;
    }
}

/// The row of a subcommand, whatever the case of its name.
pub fn find_subcommand(spec: &CommandSpec, name: &[u8]) -> Option<&'static CommandSpec> {
    spec.subcommands.iter().find(|sub| sub.name.as_bytes().eq_ignore_ascii_case(name))
}

/// The row for a name as access lists and `COMMAND INFO` write it: `get`, `config|get`.
pub fn find_full(name: &[u8]) -> Option<&'static CommandSpec> {
    match name.iter().position(|byte| *byte == b'|') {
        None => find(name),
        Some(bar) => find_subcommand(find(&name[..bar])?, &name[bar + 1..]),
    }
}

/// The row for the request `arguments`: that of the subcommand, if the command has some and one is
/// named. None if either name is unknown.
pub fn resolve<A: Arguments + ?Sized>(arguments: &A) -> Option<&'static CommandSpec> {
    let spec = (arguments.count() > 0).then(|| find(arguments.argument(0))).flatten()?;
    if spec.subcommands.is_empty() || arguments.count() == 1 {
        return Some(spec);
    }
    find_subcommand(spec, arguments.argument(1))
}

/// All commands, each followed by its subcommands.
pub fn all() -> impl Iterator<Item = &'static CommandSpec> {
    COMMANDS.iter().flat_map(|spec| std::iter::once(spec).chain(spec.subcommands))
}

const SLOT_COUNT: usize = 512;

/// A packed name and the number of its row; a name of zero is a free slot.
static SLOTS: [(u128, u16); SLOT_COUNT] = fill();

const fn fill() -> [(u128, u16); SLOT_COUNT] {
    let commands = gather();
    let mut slots = [(0, 0); SLOT_COUNT];
    let mut row = 0;
    while row < commands.len() {
        let key = pack_const(commands[row].name.as_bytes());
        let mut slot = slot_of(key);
        while slots[slot].0 != 0 {
            assert!(slots[slot].0 != key, "two commands of one name");
            slot = (slot + 1) % SLOT_COUNT;
        }
        slots[slot] = (key, row as u16);
        row += 1;
    }
    slots
}

const fn slot_of(key: u128) -> usize {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let folded = (key as u64) ^ ((key >> 64) as u64).rotate_left(31);
    (folded.wrapping_mul(MIX) >> (u64::BITS - SLOT_COUNT.trailing_zeros())) as usize
}

/// The name in lower case as a number; none if no command can have that name.
#[inline]
fn pack(name: &[u8]) -> Option<u128> {
    let mut bytes = [0; 16];
    bytes.get_mut(..name.len())?.copy_from_slice(name);
    // A trailing zero byte would make two names one.
    if name.last().is_none_or(|last| *last == 0) {
        return None;
    }
    Some(lowercase(u128::from_le_bytes(bytes)))
}

const fn pack_const(name: &[u8]) -> u128 {
    let (mut packed, mut index) = (0, 0);
    while index < name.len() {
        packed |= (name[index] as u128) << (8 * index);
        index += 1;
    }
    packed
}

/// Lowercases sixteen ASCII bytes at once.
const fn lowercase(word: u128) -> u128 {
    const HIGH: u128 = u128::from_ne_bytes([0x80; 16]);
    let seven = word & !HIGH;
    // The high bit of each byte: whether it is at least 'A', and whether it is beyond 'Z'. Seven
    // bits and what is added stay below 256, so nothing carries over.
    let from_a = seven + u128::from_ne_bytes([0x80 - b'A'; 16]);
    let beyond_z = seven + u128::from_ne_bytes([0x7f - b'Z'; 16]);
    let upper = from_a & !beyond_z & !word & HIGH;
    word | (upper >> 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_in_any_case() {
        for spec in &COMMANDS {
            let upper = spec.name.to_uppercase();
            assert_eq!(find(spec.name.as_bytes()).map(|found| found.id), Some(spec.id));
            assert_eq!(find(upper.as_bytes()).map(|found| found.id), Some(spec.id));
            for sub in spec.subcommands {
                let found = find_full(sub.full_name.to_uppercase().as_bytes());
                assert_eq!(found.map(|found| found.id), Some(sub.id));
                assert_eq!(sub.full_name, format!("{}|{}", spec.name, sub.name));
            }
        }
    }

    #[test]
    fn what_is_no_command_is_not_found() {
        let names: [&[u8]; 9] = [
            b"",
            b"ge",
            b"getx",
            b"get\0",
            b"\0",
            b"\x07et",
            b"g\xc5t",
            b"0123456789abcdef",
            b"a-name-longer-than-sixteen-bytes",
        ];
        for name in names {
            assert!(find(name).is_none(), "{name:?}");
        }
        assert!(find_full(b"config|nothing").is_none());
        assert!(find_full(b"get|nothing").is_none());
    }

    #[test]
    fn lowercasing_touches_letters_alone() {
        for byte in 0..=u8::MAX {
            let lowered = lowercase(u128::from_ne_bytes([byte; 16]));
            assert_eq!(lowered, u128::from_ne_bytes([byte.to_ascii_lowercase(); 16]), "{byte}");
        }
    }

    #[test]
    fn every_number_is_given_once() {
        let mut seen = vec![false; CommandId::COUNT];
        for spec in all() {
            assert!(!std::mem::replace(&mut seen[spec.id.index()], true), "{}", spec.full_name);
        }
        assert!(seen.into_iter().all(|seen| seen));
    }

    #[test]
    fn arity_is_a_number_or_a_minimum() {
        let accepts = |name: &str, count| find(name.as_bytes()).unwrap().accepts(count);
        assert!(accepts("get", 2) && !accepts("get", 1) && !accepts("get", 3));
        assert!(accepts("set", 3) && accepts("set", 9) && !accepts("set", 2));
    }

    #[test]
    fn rows_say_what_redis_says() {
        let expected = [
            ("get", 2, "readonly fast", "read string fast"),
            ("set", -3, "write denyoom", "write string slow"),
            ("keys", 2, "readonly", "keyspace read slow dangerous"),
            ("flushall", -1, "write", "keyspace write slow dangerous"),
            ("config", -2, "", "slow"),
            ("config|set", -4, "admin noscript loading stale", "admin slow dangerous"),
            ("exec", 1, "noscript loading stale skip_slowlog", "slow transaction"),
            ("object|encoding", 3, "readonly", "keyspace read slow"),
            ("delex", -2, "write fast", "write string fast"),
        ];
        for (name, arity, flags, categories) in expected {
            let spec = find_full(name.as_bytes()).unwrap();
            assert_eq!(spec.arity, arity, "{name}");
            assert_eq!(spec.flags.names().collect::<Vec<_>>().join(" "), flags, "{name}");
            assert_eq!(spec.categories.names().collect::<Vec<_>>().join(" "), categories, "{name}");
        }
    }
}
