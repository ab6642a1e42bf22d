//! What a client says, made of any bytes.
//!
//! ```text
//!  first byte  │ the others
//!  0, 8, …     │ stand for themselves
//!  1 … 3, …    │ choose commands, their words from a list or as they stand, and a few bytes of any kind
//!  4 … 7, …    │ the same without what changes how many replies come: those can be counted
//! ```
//!
//! It is cut in pieces that follow from the bytes too.

use crate::command::table;

/// Words that commands look for, and values at their limits; a space apart, so the last is empty.
const WORDS: &str = "\
    a b c a b user:1 0 1 -1 2 7 100 1000 4095 4096 4097 9223372036854775807 \
    -9223372036854775808 9223372036854775808 4294967295 1.5 -inf nan 1e400 3.0e3 EX PX EXAT \
    PXAT NX XX GT LT GET KEEPTTL PERSIST IFEQ IFNE IFDEQ AND OR XOR NOT BYTE BIT u8 i64 u63 u64 \
    #1 OVERFLOW SAT WRAP FAIL SET INCRBY LEN IDX MINMATCHLEN WITHMATCHLEN MATCH COUNT TYPE \
    string * [a- ?\\ REPLACE DB ABSTTL FREQ IDLETIME ON OFF SKIP YES NO ID ADDR SETNAME AUTH \
    default 3 on nopass ~* +@all -@write durability maxclients always ASYNC \r\n HELP x\0y ";
/// Commands that come often, so that there is something for the others to work on.
const OFTEN: &str = "SET GET INCR APPEND MULTI EXEC WATCH SETRANGE SETBIT BITFIELD DEL EXPIRE";
/// Commands after which replies need not be as many as requests: some may be asked not to come, or what
/// is taken for a request is changed, or the connection ends or rests before the script does.
const UNCOUNTED: [&str; 8] =
    ["REPLY", "CONFIG", "ACL", "KILL", "QUIT", "SHUTDOWN", "DEBUG", "PAUSE"];

fn is_uncounted(text: &[u8]) -> bool {
    let text = text.to_ascii_uppercase();
    UNCOUNTED.iter().any(|word| memchr::memmem::find(&text, word.as_bytes()).is_some())
}

/// Which commands a client uses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    /// Any.
    All,
    /// Those after which replies can be counted.
    Counted,
}

/// A generator small enough to be seen through: xorshift.
pub(super) struct Random(u64);

impl Random {
    /// Follows from `bytes`.
    pub(super) fn of(bytes: &[u8]) -> Random {
        let add = |state: u64, byte: &u8| (state ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        Random(bytes.iter().take(16).fold(0xcbf2_9ce4_8422_2325, add) | 1)
    }

    /// A number below `limit`.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as usize % limit
    }
}

/// What a client says, and where it pauses.
pub(super) struct Script {
    pub bytes: Vec<u8>,
    cuts: Vec<usize>,
}

impl Script {
    /// Made of `source`.
    pub(super) fn of(source: &[u8]) -> Script {
        let bytes = match source {
            [kind, rest @ ..] if kind % 8 == 0 => rest.to_vec(),
            [kind, rest @ ..] => {
                let choice = if kind % 8 < 4 { Choice::All } else { Choice::Counted };
                Source(rest).commands(choice)
            }
            [] => Vec::new(),
        };
        let mut random = Random::of(source);
        let longest = [3, 40, 1000, 100_000][random.below(4)];
        let (mut cuts, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            // No endless lot of pieces for one that is long.
            at += 1 + random.below(longest) + bytes.len() / 200;
            cuts.push(at.min(bytes.len()));
        }
        Script { bytes, cuts }
    }

    /// Its pieces.
    pub(super) fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let starts = [0].into_iter().chain(self.cuts.iter().copied());
        starts.zip(&self.cuts).map(|(start, end)| &self.bytes[start..*end])
    }

    /// Whether replies need not be as many as requests.
    pub(super) fn is_uncounted(&self) -> bool {
        is_uncounted(&self.bytes)
    }
}

/// Bytes that choices are made with.
struct Source<'a>(&'a [u8]);

impl Source<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }

    fn commands(mut self, choice: Choice) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(kind) = self.next() {
            match kind {
                // Anything at all.
                0..4 => bytes.extend(self.take(usize::from(kind) + 1)),
                // A line.
                4..20 => {
                    bytes.extend(self.words(kind, choice).join(&b' '));
                    bytes.extend(b"\r\n");
                }
                _ => request(&mut bytes, &self.words(kind, choice)),
            }
        }
        bytes
    }

    /// A command and its arguments.
    fn words(&mut self, kind: u8, from: Choice) -> Vec<Vec<u8>> {
        let choice = usize::from(self.next().unwrap_or(0));
        let name = if kind.is_multiple_of(2) {
            pick(OFTEN, choice)
        } else {
            let choice = choice << 8 | usize::from(self.next().unwrap_or(0));
            let count = table::all().count();
            let name = table::all().nth(choice % count).map_or("PING", |spec| spec.full_name);
            if from == Choice::Counted && is_uncounted(name.as_bytes()) { "EXEC" } else { name }
        };
        let mut words: Vec<Vec<u8>> = name.split('|').map(|word| word.into()).collect();
        let count = self.next().unwrap_or(0) % 7;
        words.extend((0..count).map(|_| self.word()));
        words
    }

    fn word(&mut self) -> Vec<u8> {
        match self.next().unwrap_or(0) {
            choice @ 0..192 => pick(WORDS, choice.into()).into(),
            choice @ 192..240 => self.take(usize::from(choice) - 192),
            choice => vec![choice; usize::from(self.next().unwrap_or(0)) * 20],
        }
    }
}

/// One of these words.
fn pick(words: &str, choice: usize) -> &str {
    words.split(' ').nth(choice % words.split(' ').count()).unwrap_or_default()
}

fn request(into: &mut Vec<u8>, words: &[Vec<u8>]) {
    into.extend(format!("*{}\r\n", words.len()).bytes());
    for word in words {
        into.extend(format!("${}\r\n", word.len()).bytes());
        into.extend(word);
        into.extend(b"\r\n");
    }
}
