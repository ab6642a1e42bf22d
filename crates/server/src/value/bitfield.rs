//! `BITFIELD`: integers of any width at any bit of a value.
//!
//! ```text
//!  byte      0         1         2
//!  u5 at 6   ......xx  xxx.....  ........     the first bit is the highest of the integer
//! ```
//!
//! The integers are signed (`i1` to `i64`, two's complement) or unsigned (`u1` to `u63`). An offset
//! counts bits, or with a `#` before it, whole integers of the type.

use super::integer::{self, NotAnInteger};

/// Why the arguments of `BITFIELD` cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BitfieldError {
    /// No such subcommand, or it lacks arguments.
    #[error("syntax error")]
    Syntax,
    /// No such type.
    #[error(
        "Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."
    )]
    Type,
    /// The offset is no integer, negative, or past the longest value.
    #[error("bit offset is not an integer or out of range")]
    Offset,
    /// What to put or to add is no integer.
    #[error(transparent)]
    NotAnInteger(#[from] NotAnInteger),
    /// No such overflow behaviour.
    #[error("Invalid OVERFLOW type specified")]
    Overflow,
    /// `BITFIELD_RO` was asked to write.
    #[error("BITFIELD_RO only supports the GET subcommand")]
    ReadOnly,
}

/// Whether an integer has a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It has.
    Signed,
    /// It has not.
    Unsigned,
}

/// The type of an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Type {
    sign: Sign,
    bits: u32,
}

/// What happens to a result that does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// Its higher bits are lost.
    #[default]
    Wrap,
    /// It becomes the nearest that fits.
    Saturate,
    /// Nothing is written.
    Fail,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Tells the integer.
    Get,
    /// Puts another and tells the old one.
    Set(i64, Overflow),
    /// Adds to it and tells the new one.
    Increment(i64, Overflow),
}

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What.
    pub action: Action,
    /// To an integer of which type.
    pub kind: Type,
    /// Its first bit.
    pub offset: u64,
}

/// Which subcommands are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// All: `BITFIELD`.
    ReadWrite,
    /// `GET` and `OVERFLOW`: `BITFIELD_RO`.
    ReadOnly,
}

/// Reads the arguments behind the key. An offset must fall in a value of `longest` bytes.
///
/// # Errors
/// The first that is wrong; that the command may not write is told last.
pub fn parse<A: AsRef<[u8]>>(
    arguments: &[A],
    longest: usize,
    access: Access,
) -> Result<Vec<Step>, BitfieldError> {
    let mut steps = Vec::new();
    let mut overflow = Overflow::default();
    let mut left = arguments;
    while let Some((word, behind)) = left.split_first() {
        let word = word.as_ref().to_ascii_lowercase();
        left = match (word.as_slice(), behind) {
            (b"get", [kind, offset, behind @ ..]) => {
                steps.push(step(kind.as_ref(), offset.as_ref(), longest, || Ok(Action::Get))?);
                behind
            }
            (b"set", [kind, offset, value, behind @ ..]) => {
                let action = || Ok(Action::Set(integer::expect_i64(value.as_ref())?, overflow));
                steps.push(step(kind.as_ref(), offset.as_ref(), longest, action)?);
                behind
            }
            (b"incrby", [kind, offset, by, behind @ ..]) => {
                let action = || Ok(Action::Increment(integer::expect_i64(by.as_ref())?, overflow));
                steps.push(step(kind.as_ref(), offset.as_ref(), longest, action)?);
                behind
            }
            (b"overflow", [name, behind @ ..]) => {
                overflow = parse_overflow(name.as_ref())?;
                behind
            }
            _ => return Err(BitfieldError::Syntax),
        };
    }
    if access == Access::ReadOnly && writes(&steps) {
        return Err(BitfieldError::ReadOnly);
    }
    Ok(steps)
}

fn step(
    kind: &[u8],
    offset: &[u8],
    longest: usize,
    action: impl FnOnce() -> Result<Action, BitfieldError>,
) -> Result<Step, BitfieldError> {
    let kind = Type::parse(kind)?;
    let offset = parse_offset(offset, kind, longest).ok_or(BitfieldError::Offset)?;
    Ok(Step { action: action()?, kind, offset })
}

fn parse_offset(text: &[u8], kind: Type, longest: usize) -> Option<u64> {
    let (number, unit) = match text {
        [b'#', number @ ..] => (number, u64::from(kind.bits)),
        number => (number, 1),
    };
    let offset = u64::try_from(integer::parse_i64(number)?).ok()?.checked_mul(unit)?;
    (offset >> 3 < longest as u64).then_some(offset)
}

fn parse_overflow(name: &[u8]) -> Result<Overflow, BitfieldError> {
    match name.to_ascii_lowercase().as_slice() {
        b"wrap" => Ok(Overflow::Wrap),
        b"sat" => Ok(Overflow::Saturate),
        b"fail" => Ok(Overflow::Fail),
        _ => Err(BitfieldError::Overflow),
    }
}

/// Whether any step may write.
pub fn writes(steps: &[Step]) -> bool {
    steps.iter().any(|step| step.action != Action::Get)
}

/// What the steps told, and whether the value is another now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What each step told; none where it failed.
    pub replies: Vec<Option<i64>>,
    /// Whether the value has to be stored.
    pub change: Change,
}

/// Whether a value has to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is as it was.
    None,
    /// It is longer or some bit is another.
    Changed,
}

/// What the steps tell of a value, if none of them [`writes`].
pub fn read(value: &[u8], steps: &[Step]) -> Vec<Option<i64>> {
    steps.iter().map(|step| Some(step.kind.load(value, step.offset))).collect()
}

/// Does the steps in order. If any writes, the value first grows to hold the last bit that may be
/// written, and stays so even if all of them fail.
pub fn apply(value: &mut Vec<u8>, steps: &[Step]) -> Outcome {
    let writing = steps.iter().filter(|step| step.action != Action::Get);
    let needed = writing.map(|step| (step.offset + u64::from(step.kind.bits) - 1) / 8 + 1).max();
    let needed = needed.unwrap_or(0) as usize;
    let mut change = Change::None;
    if value.len() < needed {
        value.resize(needed, 0);
        change = Change::Changed;
    }
    let mut replies = Vec::with_capacity(steps.len());
    for step in steps {
        let old = step.kind.load(value, step.offset);
        let (new, reply) = match step.action {
            Action::Get => (None, Some(old)),
            Action::Set(new, overflow) => {
                let new = step.kind.fit(step.kind.widen(new), overflow);
                (new, new.map(|_| old))
            }
            Action::Increment(by, overflow) => {
                let new = step.kind.fit(i128::from(old) + i128::from(by), overflow);
                (new, new)
            }
        };
        if let Some(new) = new.filter(|new| *new != old) {
            step.kind.store(value, step.offset, new);
            change = Change::Changed;
        }
        replies.push(reply);
    }
    Outcome { replies, change }
}

impl Type {
    /// Reads the name of a type.
    ///
    /// # Errors
    /// [`BitfieldError::Type`].
    pub fn parse(name: &[u8]) -> Result<Type, BitfieldError> {
        let (sign, bits, most) = match name {
            [b'i', bits @ ..] => (Sign::Signed, bits, 64),
            [b'u', bits @ ..] => (Sign::Unsigned, bits, 63),
            _ => return Err(BitfieldError::Type),
        };
        match integer::parse_u64(bits) {
            Some(bits) if (1..=most).contains(&bits) => Ok(Type { sign, bits: bits as u32 }),
            _ => Err(BitfieldError::Type),
        }
    }

    fn smallest(self) -> i128 {
        match self.sign {
            Sign::Signed => -(1 << (self.bits - 1)),
            Sign::Unsigned => 0,
        }
    }

    fn largest(self) -> i128 {
        match self.sign {
            Sign::Signed => (1 << (self.bits - 1)) - 1,
            Sign::Unsigned => (1 << self.bits) - 1,
        }
    }

    /// What a number to put means: to an unsigned integer a negative one is a huge one. To a
    /// signed one it is too, if it is so low that Redis' 64 bits do not hold how far it is below
    /// the largest; so `OVERFLOW SAT SET i8 0 -9223372036854775808` puts 127.
    fn widen(self, number: i64) -> i128 {
        let distance = self.largest() - i128::from(number);
        match self.sign {
            Sign::Signed if self.bits == 64 || distance <= i64::MAX.into() => number.into(),
            _ => number.cast_unsigned().into(),
        }
    }

    /// What is written for a result; none if that is nothing.
    fn fit(self, result: i128, overflow: Overflow) -> Option<i64> {
        let fits = (self.smallest()..=self.largest()).contains(&result);
        match overflow {
            _ if fits => Some(result as i64),
            Overflow::Wrap => Some(self.truncate(result as u64)),
            Overflow::Saturate => Some(result.clamp(self.smallest(), self.largest()) as i64),
            Overflow::Fail => None,
        }
    }

    /// The integer that the lowest bits are.
    fn truncate(self, bits: u64) -> i64 {
        let above = 64 - self.bits;
        match self.sign {
            Sign::Signed => (bits << above).cast_signed() >> above,
            Sign::Unsigned => ((bits << above) >> above).cast_signed(),
        }
    }

    fn load(self, value: &[u8], offset: u64) -> i64 {
        let window = window(value, offset) >> self.below(offset);
        self.truncate(window as u64)
    }

    /// Puts an integer where the value is long enough.
    fn store(self, value: &mut [u8], offset: u64, number: i64) {
        let below = self.below(offset);
        let mask = u128::from(u64::MAX >> (64 - self.bits)) << below;
        let bits = (u128::from(number.cast_unsigned()) << below) & mask;
        let bytes = ((window(value, offset) & !mask) | bits).to_be_bytes();
        let start = (offset / 8) as usize;
        let held = value.len().min(start + bytes.len()) - start;
        value[start..start + held].copy_from_slice(&bytes[..held]);
    }

    /// How many bits of the window of an integer are behind it.
    fn below(self, offset: u64) -> u32 {
        u128::BITS - (offset % 8) as u32 - self.bits
    }
}

/// Sixteen bytes from the one that holds `offset` on, those after the end as zeros.
fn window(value: &[u8], offset: u64) -> u128 {
    let mut bytes = [0; 16];
    let rest = usize::try_from(offset / 8).ok().and_then(|start| value.get(start..)).unwrap_or(&[]);
    let held = rest.len().min(bytes.len());
    bytes[..held].copy_from_slice(&rest[..held]);
    u128::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests;
