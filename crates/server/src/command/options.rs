//! The options that `SET`, `GETEX` and `MSETEX` share: when to write, and until when.
//!
//! ```text
//!            SET   GETEX   MSETEX
//!  NX XX      ×              ×      one of these
//!  IFEQ …     ×                     four, and no other of them
//!  GET        ×
//!  KEEPTTL    ×              ×      one
//!  PERSIST           ×              of
//!  EX …       ×      ×       ×      these
//! ```
//!
//! As in Redis an option may stand there twice, and the last one holds.

use std::mem::discriminant;

use aryavarth::UnixMillis;

use super::error::CommandError;
use crate::resp::Args;
use crate::value::digest::Digest;
use crate::value::integer;
use crate::value::time_to_live::{Base, Expiry, Unit};

/// Whose options they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taker {
    Set,
    GetEx,
    MSetEx,
}

/// What the value of a key has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison<'a> {
    Equal(&'a [u8]),
    Unequal(&'a [u8]),
    DigestEqual(&'a [u8]),
    DigestUnequal(&'a [u8]),
}

/// When to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Condition<'a> {
    #[default]
    Always,
    Absent,
    Present,
    Compared(Comparison<'a>),
}

/// What becomes of the expiry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Lifetime<'a> {
    /// Nothing was said.
    #[default]
    Unsaid,
    /// It stays.
    Kept,
    /// There is none any more.
    Endless,
    /// It is another.
    Until { amount: &'a [u8], unit: Unit, base: Base },
}

/// Whether the old value is the reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Answer {
    #[default]
    Outcome,
    OldValue,
}

/// What was given.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options<'a> {
    pub(super) condition: Condition<'a>,
    pub(super) lifetime: Lifetime<'a>,
    pub(super) answer: Answer,
}

#[derive(Clone, Copy)]
enum Word {
    Absent,
    Present,
    Compared(fn(&[u8]) -> Comparison<'_>),
    Get,
    Keep,
    Persist,
    Until(Unit, Base),
}

const WORDS: [(&str, Word); 13] = [
    ("EX", Word::Until(Unit::Seconds, Base::Now)),
    ("PX", Word::Until(Unit::Milliseconds, Base::Now)),
    ("NX", Word::Absent),
    ("XX", Word::Present),
    ("GET", Word::Get),
    ("EXAT", Word::Until(Unit::Seconds, Base::Epoch)),
    ("PXAT", Word::Until(Unit::Milliseconds, Base::Epoch)),
    ("KEEPTTL", Word::Keep),
    ("PERSIST", Word::Persist),
    ("IFEQ", Word::Compared(|value| Comparison::Equal(value))),
    ("IFNE", Word::Compared(|value| Comparison::Unequal(value))),
    ("IFDEQ", Word::Compared(|digest| Comparison::DigestEqual(digest))),
    ("IFDNE", Word::Compared(|digest| Comparison::DigestUnequal(digest))),
];

impl Word {
    fn of(text: &[u8]) -> Option<Word> {
        let named = WORDS.iter().find(|(name, _)| text.eq_ignore_ascii_case(name.as_bytes()));
        named.map(|(_, word)| *word)
    }

    fn is_for(self, taker: Taker) -> bool {
        match self {
            Word::Until(..) => true,
            Word::Absent | Word::Present | Word::Keep => taker != Taker::GetEx,
            Word::Persist => taker == Taker::GetEx,
            Word::Get | Word::Compared(_) => taker == Taker::Set,
        }
    }
}

impl<'a> Options<'a> {
    /// Reads the words from `from` on.
    ///
    /// # Errors
    /// [`CommandError::Syntax`].
    pub(super) fn parse(
        args: Args<'a>,
        from: usize,
        taker: Taker,
    ) -> Result<Options<'a>, CommandError> {
        let mut options = Options::default();
        let mut words = args.from(from).iter();
        while let Some(text) = words.next() {
            let word = Word::of(text).filter(|word| word.is_for(taker));
            options.take(word.ok_or(CommandError::Syntax)?, || words.next())?;
        }
        Ok(options)
    }

    fn take(
        &mut self,
        word: Word,
        next: impl FnOnce() -> Option<&'a [u8]>,
    ) -> Result<(), CommandError> {
        match word {
            Word::Absent => self.only_if(Condition::Absent),
            Word::Present => self.only_if(Condition::Present),
            Word::Compared(with) => {
                self.only_if(Condition::Compared(with(next().ok_or(CommandError::Syntax)?)))
            }
            Word::Get => {
                self.answer = Answer::OldValue;
                Ok(())
            }
            Word::Keep => self.lives(Lifetime::Kept),
            Word::Persist => self.lives(Lifetime::Endless),
            Word::Until(unit, base) => {
                let amount = next().ok_or(CommandError::Syntax)?;
                self.lives(Lifetime::Until { amount, unit, base })
            }
        }
    }

    fn only_if(&mut self, condition: Condition<'a>) -> Result<(), CommandError> {
        let compatible = match (self.condition, condition) {
            (Condition::Always, _) => true,
            (Condition::Compared(old), Condition::Compared(new)) => {
                discriminant(&old) == discriminant(&new)
            }
            (old, new) => discriminant(&old) == discriminant(&new),
        };
        self.condition = condition;
        if compatible { Ok(()) } else { Err(CommandError::Syntax) }
    }

    fn lives(&mut self, lifetime: Lifetime<'a>) -> Result<(), CommandError> {
        let compatible = match (self.lifetime, lifetime) {
            (Lifetime::Unsaid, _) => true,
            (
                Lifetime::Until { unit, base, .. },
                Lifetime::Until { unit: new_unit, base: new_base, .. },
            ) => unit == new_unit && base == new_base,
            (old, new) => old == new,
        };
        self.lifetime = lifetime;
        if compatible { Ok(()) } else { Err(CommandError::Syntax) }
    }

    /// Whether what the key has now matters.
    pub(super) fn look_at_the_key(&self) -> bool {
        self.condition != Condition::Always
            || self.lifetime == Lifetime::Kept
            || self.answer == Answer::OldValue
    }
}

impl Condition<'_> {
    /// Whether to write over this value; none is that of a key that is not there.
    ///
    /// # Errors
    /// If a digest is given that is none. Nobody asks if the key is not there.
    pub(super) fn holds(self, value: Option<&[u8]>) -> Result<bool, CommandError> {
        match (self, value) {
            (Condition::Always, _) => Ok(true),
            (Condition::Absent, value) => Ok(value.is_none()),
            (Condition::Present, value) => Ok(value.is_some()),
            (Condition::Compared(comparison), Some(value)) => comparison.holds(value),
            (Condition::Compared(comparison), None) => {
                Ok(matches!(comparison, Comparison::Unequal(_) | Comparison::DigestUnequal(_)))
            }
        }
    }
}

impl<'a> Comparison<'a> {
    /// Reads the condition of `DELEX`.
    pub(super) fn parse(name: &[u8], with: &'a [u8]) -> Option<Comparison<'a>> {
        match Word::of(name) {
            Some(Word::Compared(make)) => Some(make(with)),
            _ => None,
        }
    }

    /// Whether a value is as it has to be.
    ///
    /// # Errors
    /// If a digest is given that is none.
    pub(super) fn holds(self, value: &[u8]) -> Result<bool, CommandError> {
        let is = |digest| Digest::parse(digest).map(|digest| digest == Digest::of(value));
        match self {
            Comparison::Equal(other) => Ok(value == other),
            Comparison::Unequal(other) => Ok(value != other),
            Comparison::DigestEqual(digest) => is(digest).map_err(CommandError::because),
            Comparison::DigestUnequal(digest) => {
                is(digest).map(|same| !same).map_err(CommandError::because)
            }
        }
    }
}

impl Lifetime<'_> {
    /// The deadline that was given, if one was. `command` is who was given it.
    ///
    /// # Errors
    /// If it is none.
    pub(super) fn deadline(
        self,
        now: UnixMillis,
        command: &'static str,
    ) -> Result<Option<UnixMillis>, CommandError> {
        let Lifetime::Until { amount, unit, base } = self else { return Ok(None) };
        deadline(amount, unit, base, now, command).map(Some)
    }
}

/// The deadline of a value from its text.
///
/// # Errors
/// If it is none.
pub(super) fn deadline(
    amount: &[u8],
    unit: Unit,
    base: Base,
    now: UnixMillis,
    command: &'static str,
) -> Result<UnixMillis, CommandError> {
    let amount = integer::parse_i64(amount).ok_or(CommandError::NotAnInteger)?;
    let now = i64::try_from(now.0).unwrap_or(i64::MAX);
    let deadline = Expiry { amount, unit, base }.of_a_value(now, command);
    let deadline = deadline.ok().and_then(|deadline| u64::try_from(deadline).ok());
    deadline.map(UnixMillis).ok_or(CommandError::InvalidExpiry(command))
}
