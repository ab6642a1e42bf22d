//! Calls: what was asked for, when, and what was answered.

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// The value.
    Read,
    /// Give it this value.
    Set(u64),
    /// Add to it, none counting as 0, and tell the sum.
    Add(u64),
    /// Remove it, and tell whether it was there.
    Remove,
    /// Give it this value if it has none, and tell whether that was so: a lock.
    Claim(u64),
    /// Give it this value in place of another, and tell whether it had one.
    Replace(u64),
    /// Have it removed by itself, if it has this value then: its time has come. It is never answered.
    Expire(u64),
}

/// What a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The value, if there is one.
    Value(Option<u64>),
    /// It is set.
    Done,
    /// The sum.
    Sum(u64),
    /// Whether it was there.
    Removed(bool),
    /// Whether it had no value and was set.
    Claimed(bool),
    /// Whether it had a value and has another one.
    Replaced(bool),
}

impl Request {
    /// What it answers at a value, and the value after it.
    pub fn apply(self, value: Option<u64>) -> (Answer, Option<u64>) {
        match self {
            Request::Read => (Answer::Value(value), value),
            Request::Set(new) => (Answer::Done, Some(new)),
            Request::Add(more) => {
                let sum = value.unwrap_or(0).wrapping_add(more);
                (Answer::Sum(sum), Some(sum))
            }
            Request::Remove => (Answer::Removed(value.is_some()), None),
            Request::Claim(new) => (Answer::Claimed(value.is_none()), value.or(Some(new))),
            Request::Replace(new) => (Answer::Replaced(value.is_some()), value.and(Some(new))),
            Request::Expire(old) => (Answer::Done, value.filter(|value| *value != old)),
        }
    }
}

/// A request, from when it was sent until it was answered, if it was. Times are of one clock, in any unit.
#[derive(Clone, Debug)]
pub struct Call<Key> {
    /// Who asked; only told, not looked at.
    pub client: u64,
    /// Of which key.
    pub key: Key,
    /// For what.
    pub request: Request,
    /// When it was sent.
    pub begun: u64,
    /// What was answered, and when; nothing if the outcome is unknown.
    pub end: Option<(Answer, u64)>,
}
