//! Requests from bytes, in as many pieces as they come.
//!
//! ```text
//!  *2\r\n $3\r\n GET\r\n $4\r\n name\r\n        an array of bulk strings
//!  ▲       ▲     ▲
//!  start   │     └ a word's bytes, used where they stand
//!          └ its length
//!  GET name\r\n                                 or a line of words
//! ```
//!
//! # Invariants
//! - What was understood is not looked at again: a request that comes byte by byte costs no more than
//!   one that comes at once.
//! - No memory is taken for what was only announced.
//! - All places are counted from the start of the request, so its bytes may be moved meanwhile.

use memchr::memchr;

use super::args::{Args, Range};
use super::inline;

/// Longest line that announces a count or a length, in bytes.
const MAX_HEADER_LINE: usize = 64 << 10;
/// Words kept room for between requests.
const RANGES_KEPT: usize = 1024;

/// What a request may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most words.
    pub arguments: usize,
    /// Most bytes of a word.
    pub bulk: usize,
    /// Most bytes of a request that is a line.
    pub inline: usize,
    /// Who asks: decides the wording of what is refused.
    pub caller: Caller,
}

/// Who sends the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A user that has logged in, or need not.
    Known,
    /// Somebody who has yet to log in.
    Unknown,
}

impl Limits {
    /// For whoever has yet to log in: enough for `HELLO` and `AUTH`.
    pub const UNAUTHENTICATED: Limits =
        Limits { arguments: 10, bulk: 16 << 10, inline: 16 << 10, caller: Caller::Unknown };
}

/// Why bytes are no request. The connection cannot go on: where the next one starts is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The count of words is not a number, or too large.
    #[error("invalid multibulk length")]
    Count,
    /// The count of words, of somebody who has to log in first.
    #[error("unauthenticated multibulk length")]
    UnauthenticatedCount,
    /// A word's length is not a number, or too large.
    #[error("invalid bulk length")]
    Length,
    /// A word's length, of somebody who has to log in first.
    #[error("unauthenticated bulk length")]
    UnauthenticatedLength,
    /// Something else stands where a word should.
    #[error("expected '$', got '{}'", (*.0 as char).escape_default())]
    Word(u8),
    /// The line with the count has no end.
    #[error("too big mbulk count string")]
    CountLine,
    /// The line with a length has no end.
    #[error("too big bulk count string")]
    LengthLine,
    /// The line of words has no end.
    #[error("too big inline request")]
    InlineLine,
    /// A quote is not closed.
    #[error("unbalanced quotes in request")]
    Quotes,
}

/// What was found at the start of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A request of this many bytes; [`Decoder::args`] has its words. It may have none.
    Request(usize),
    /// The beginning of one, or nothing.
    Incomplete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the start of a request.
    Start,
    /// Words are awaited.
    Words { left: usize },
    /// A word of this length is awaited, after which so many are left.
    Word { length: usize, left: usize },
}

/// Turns bytes into requests.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// How far the request was understood.
    at: usize,
    ranges: Vec<Range>,
    /// The words of a request that is a line, which stand there with quotes and escapes.
    line: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder { state: State::Start, at: 0, ranges: Vec::new(), line: Vec::new() }
    }
}

impl Decoder {
    /// Looks for a request at the start of `bytes`, which begin with what was shown before if the last
    /// answer was [`Decoded::Incomplete`].
    ///
    /// # Errors
    /// If there is none, whatever comes.
    pub fn decode(&mut self, bytes: &[u8], limits: &Limits) -> Result<Decoded, ProtocolError> {
        if self.state == State::Start {
            match bytes.first() {
                None => return Ok(Decoded::Incomplete),
                Some(b'*') => {
                    if !self.begin(bytes, limits)? {
                        return Ok(Decoded::Incomplete);
                    }
                }
                Some(_) => return self.decode_line(bytes, limits),
            }
        }
        loop {
            match self.state {
                State::Start | State::Words { left: 0 } => {
                    self.state = State::Start;
                    return Ok(Decoded::Request(std::mem::take(&mut self.at)));
                }
                State::Words { left } => {
                    let Some(length) = self.word_length(bytes, limits)? else {
                        return Ok(Decoded::Incomplete);
                    };
                    self.state = State::Word { length, left: left - 1 };
                }
                State::Word { length, left } => {
                    if bytes.len() < self.at + length + 2 {
                        return Ok(Decoded::Incomplete);
                    }
                    self.ranges.push((self.at as u32, length as u32));
                    self.at += length + 2;
                    self.state = State::Words { left };
                }
            }
        }
    }

    /// The words of the request just found at the start of `bytes`.
    #[inline]
    pub fn args<'a>(&'a self, bytes: &'a [u8]) -> Args<'a> {
        let bytes = if self.line.is_empty() { bytes } else { &self.line };
        Args::new(bytes, &self.ranges)
    }

    /// Where the words of the request just found stand.
    pub(super) fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// Whether the request just found is a line.
    pub(super) fn is_line(&self) -> bool {
        !self.line.is_empty()
    }

    /// Forgets what was begun: the next bytes shown begin with a request.
    pub fn restart(&mut self) {
        self.state = State::Start;
        self.at = 0;
        self.reset();
    }

    /// How many bytes the request that was begun has at least, if it has announced a word.
    pub fn expected(&self) -> Option<usize> {
        match self.state {
            State::Word { length, .. } => Some(self.at + length + 2),
            _ => None,
        }
    }

    /// Gives back memory that only an unusual request needed.
    fn reset(&mut self) {
        self.ranges.clear();
        self.ranges.shrink_to(RANGES_KEPT);
        self.line.clear();
    }

    /// The count of words.
    fn begin(&mut self, bytes: &[u8], limits: &Limits) -> Result<bool, ProtocolError> {
        let Some(line) = line_at(bytes, 1, ProtocolError::CountLine)? else { return Ok(false) };
        let count = number(line).ok_or(ProtocolError::Count)?;
        self.reset();
        self.at = 1 + line.len() + 2;
        let count = usize::try_from(count).unwrap_or(0);
        if count > limits.arguments {
            return Err(match limits.caller {
                Caller::Known => ProtocolError::Count,
                Caller::Unknown => ProtocolError::UnauthenticatedCount,
            });
        }
        self.state = State::Words { left: count };
        Ok(true)
    }

    fn word_length(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<Option<usize>, ProtocolError> {
        match bytes.get(self.at) {
            None => return Ok(None),
            Some(b'$') => {}
            Some(other) => return Err(ProtocolError::Word(*other)),
        }
        let Some(line) = line_at(bytes, self.at + 1, ProtocolError::LengthLine)? else {
            return Ok(None);
        };
        let length = number(line).and_then(|n| usize::try_from(n).ok());
        let length = length.ok_or(ProtocolError::Length)?;
        if length > limits.bulk {
            return Err(match limits.caller {
                Caller::Known => ProtocolError::Length,
                Caller::Unknown => ProtocolError::UnauthenticatedLength,
            });
        }
        self.at += 1 + line.len() + 2;
        Ok(Some(length))
    }

    fn decode_line(&mut self, bytes: &[u8], limits: &Limits) -> Result<Decoded, ProtocolError> {
        let Some(found) = memchr(b'\n', &bytes[self.at..]) else {
            self.at = bytes.len();
            return if self.at > limits.inline {
                Err(ProtocolError::InlineLine)
            } else {
                Ok(Decoded::Incomplete)
            };
        };
        let end = std::mem::take(&mut self.at) + found;
        if end > limits.inline {
            return Err(ProtocolError::InlineLine);
        }
        self.reset();
        let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
        let (ranges, text) = (&mut self.ranges, &mut self.line);
        inline::split(line, |word| {
            ranges.push((text.len() as u32, word.len() as u32));
            text.extend_from_slice(word);
        })
        .map_err(|_| ProtocolError::Quotes)?;
        if ranges.len() > limits.arguments {
            return Err(ProtocolError::Count);
        }
        // So that empty words are not looked for in the bytes.
        text.push(b'\n');
        Ok(Decoded::Request(end + 1))
    }
}

/// The line that starts at `start`, without its end.
fn line_at(
    bytes: &[u8],
    start: usize,
    too_long: ProtocolError,
) -> Result<Option<&[u8]>, ProtocolError> {
    let rest = bytes.get(start..).unwrap_or_default();
    // Nearly every such line is one or two digits.
    let short = rest.iter().take(8).position(|byte| *byte == b'\r');
    match short.or_else(|| memchr(b'\r', &rest[..rest.len().min(MAX_HEADER_LINE)])) {
        Some(end) if end + 1 < rest.len() => Ok(Some(&rest[..end])),
        None if rest.len() > MAX_HEADER_LINE => Err(too_long),
        _ => Ok(None),
    }
}

/// A decimal number without a plus, without spaces.
#[inline]
fn number(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut value: i64 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value * 10 + i64::from(digit - b'0');
    }
    Some(if negative { -value } else { value })
}
