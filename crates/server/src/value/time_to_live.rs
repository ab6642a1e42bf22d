//! Expiry times: from what a client says to a deadline, and back to what is left.
//!
//! A deadline is a time in milliseconds since the Unix epoch, in the past or the future. Whoever
//! gets one that is past removes the key; that is the caller's.
//!
//! ```text
//!            seconds   milliseconds
//!  from now  EX        PX               now + amount
//!  at        EXAT      PXAT             amount
//! ```

/// The time given is no deadline that can be stored. `command` is named as in `COMMAND`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid expire time in '{command}' command")]
pub struct InvalidExpireTime {
    /// The command, in lower case.
    pub command: String,
}

/// What the amount of an expiry counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

/// What the amount of an expiry counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Now: the amount is a time to live.
    Now,
    /// The Unix epoch: the amount is a time of day.
    Epoch,
}

/// An expiry as the client gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// How much.
    pub amount: i64,
    /// Of what.
    pub unit: Unit,
    /// From when.
    pub base: Base,
}

impl Expiry {
    /// The deadline that `SET`, `SETEX`, `PSETEX` and `GETEX` store, in milliseconds. `now` is the
    /// time in milliseconds. The amount must be positive, but a deadline may be past.
    ///
    /// # Errors
    /// [`InvalidExpireTime`] in the name of `command` if the amount is zero or negative, or the
    /// deadline does not fit in 63 bits.
    pub fn of_a_value(self, now: i64, command: &str) -> Result<i64, InvalidExpireTime> {
        let deadline = if self.amount > 0 { self.deadline(now) } else { None };
        // A clock before the epoch can bring a positive amount to no positive deadline.
        deadline.filter(|deadline| *deadline > 0).ok_or_else(|| invalid(command))
    }

    /// The deadline that `EXPIRE`, `PEXPIRE`, `EXPIREAT` and `PEXPIREAT` store, in milliseconds.
    /// The amount may be negative, and so may the deadline be.
    ///
    /// # Errors
    /// [`InvalidExpireTime`] in the name of `command` if the deadline does not fit in 64 bits.
    pub fn of_a_key(self, now: i64, command: &str) -> Result<i64, InvalidExpireTime> {
        self.deadline(now).ok_or_else(|| invalid(command))
    }

    fn deadline(self, now: i64) -> Option<i64> {
        let milliseconds = match self.unit {
            Unit::Seconds => self.amount.checked_mul(1000)?,
            Unit::Milliseconds => self.amount,
        };
        match self.base {
            Base::Now => milliseconds.checked_add(now),
            Base::Epoch => Some(milliseconds),
        }
    }
}

fn invalid(command: &str) -> InvalidExpireTime {
    InvalidExpireTime { command: command.to_owned() }
}

/// `RESTORE` was given a negative time to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid TTL value, must be >= 0")]
pub struct NegativeTimeToLive;

/// The deadline that `RESTORE` stores, in milliseconds; none if `amount` is zero, which is never.
/// A deadline too far to be stored is the farthest there is.
///
/// # Errors
/// If `amount` is negative.
pub fn of_restored(amount: i64, base: Base, now: i64) -> Result<Option<i64>, NegativeTimeToLive> {
    match (amount, base) {
        (..0, _) => Err(NegativeTimeToLive),
        (0, _) => Ok(None),
        (_, Base::Epoch) => Ok(Some(amount)),
        (_, Base::Now) => Ok(Some(now.saturating_add(amount))),
    }
}

/// What is left until `deadline`, as `TTL` and `PTTL` tell it. Never negative: a key whose time
/// is up and that is still seen has nothing left.
pub fn remaining(deadline: i64, now: i64, unit: Unit) -> i64 {
    in_unit(deadline.saturating_sub(now).max(0), unit)
}

/// The deadline as `EXPIRETIME` and `PEXPIRETIME` tell it.
pub fn in_unit(milliseconds: i64, unit: Unit) -> i64 {
    match unit {
        Unit::Milliseconds => milliseconds,
        // To the nearest: a key set for ten seconds is asked about a moment later.
        Unit::Seconds => milliseconds.saturating_add(500) / 1000,
    }
}

/// When `EXPIRE` and its kin are to do what they say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    presence: Option<Presence>,
    order: Option<Order>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Missing,
    There,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Later,
    Earlier,
}

/// Why the options of `EXPIRE` make no condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// `NX` beside another.
    #[error("NX and XX, GT or LT options at the same time are not compatible")]
    NxAndOther,
    /// `GT` and `LT`.
    #[error("GT and LT options at the same time are not compatible")]
    GtAndLt,
    /// Some other word.
    #[error("Unsupported option {0}")]
    Unsupported(String),
}

impl Condition {
    /// Reads the options, in any order and case, any of them more than once.
    ///
    /// # Errors
    /// If one is unknown, or they contradict each other. The first unknown one goes first.
    pub fn parse<A: AsRef<[u8]>>(options: &[A]) -> Result<Condition, ConditionError> {
        let (mut nx, mut xx, mut gt, mut lt) = (false, false, false, false);
        for option in options {
            let option = option.as_ref();
            let flag = match option.to_ascii_lowercase().as_slice() {
                b"nx" => &mut nx,
                b"xx" => &mut xx,
                b"gt" => &mut gt,
                b"lt" => &mut lt,
                _ => return Err(ConditionError::Unsupported(lossy(option))),
            };
            *flag = true;
        }
        if nx && (xx || gt || lt) {
            return Err(ConditionError::NxAndOther);
        }
        if gt && lt {
            return Err(ConditionError::GtAndLt);
        }
        let presence = if nx { Some(Presence::Missing) } else { xx.then_some(Presence::There) };
        let order = if gt { Some(Order::Later) } else { lt.then_some(Order::Earlier) };
        Ok(Condition { presence, order })
    }

    /// Whether a key whose deadline is `current` is to get `deadline`. A key without a deadline
    /// counts as one that never ends.
    pub fn holds(self, deadline: i64, current: Option<i64>) -> bool {
        let presence = match self.presence {
            None => true,
            Some(Presence::Missing) => current.is_none(),
            Some(Presence::There) => current.is_some(),
        };
        let order = match self.order {
            None => true,
            Some(Order::Later) => current.is_some_and(|current| deadline > current),
            Some(Order::Earlier) => current.is_none_or(|current| deadline < current),
        };
        presence && order
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn expiry(amount: i64, unit: Unit, base: Base) -> Expiry {
        Expiry { amount, unit, base }
    }

    #[test]
    fn deadlines_of_values() {
        let set = |amount, unit, base| expiry(amount, unit, base).of_a_value(NOW, "set").ok();
        assert_eq!(set(10, Unit::Seconds, Base::Now), Some(NOW + 10_000));
        assert_eq!(set(10, Unit::Milliseconds, Base::Now), Some(NOW + 10));
        assert_eq!(set(10, Unit::Seconds, Base::Epoch), Some(10_000));
        assert_eq!(set(10, Unit::Milliseconds, Base::Epoch), Some(10));
        for unit in [Unit::Seconds, Unit::Milliseconds] {
            for base in [Base::Now, Base::Epoch] {
                assert_eq!(set(0, unit, base), None);
                assert_eq!(set(-1, unit, base), None);
                assert_eq!(set(i64::MIN, unit, base), None);
            }
        }
        assert_eq!(set(i64::MAX / 1000, Unit::Seconds, Base::Epoch), Some(i64::MAX / 1000 * 1000));
        assert_eq!(set(i64::MAX / 1000 + 1, Unit::Seconds, Base::Epoch), None);
        assert_eq!(set(i64::MAX / 1000, Unit::Seconds, Base::Now), None);
        assert_eq!(set(i64::MAX - NOW, Unit::Milliseconds, Base::Now), Some(i64::MAX));
        assert_eq!(set(i64::MAX - NOW + 1, Unit::Milliseconds, Base::Now), None);
        let error = expiry(0, Unit::Seconds, Base::Now).of_a_value(NOW, "setex").unwrap_err();
        assert_eq!(error.to_string(), "invalid expire time in 'setex' command");
    }

    #[test]
    fn deadlines_of_keys() {
        let expire = |amount, unit, base| expiry(amount, unit, base).of_a_key(NOW, "expire").ok();
        assert_eq!(expire(-1, Unit::Seconds, Base::Now), Some(NOW - 1000));
        assert_eq!(expire(0, Unit::Seconds, Base::Now), Some(NOW));
        assert_eq!(expire(-5, Unit::Milliseconds, Base::Epoch), Some(-5));
        assert_eq!(expire(i64::MIN, Unit::Milliseconds, Base::Now), Some(i64::MIN + NOW));
        assert_eq!(expire(i64::MIN / 1000 - 1, Unit::Seconds, Base::Epoch), None);
        assert_eq!(expire(i64::MAX / 1000 + 1, Unit::Seconds, Base::Epoch), None);
        assert_eq!(expire(i64::MAX, Unit::Milliseconds, Base::Now), None);
        assert_eq!(expire(i64::MAX, Unit::Milliseconds, Base::Epoch), Some(i64::MAX));
    }

    #[test]
    fn deadlines_of_restored_keys() {
        assert_eq!(of_restored(0, Base::Now, NOW), Ok(None));
        assert_eq!(of_restored(5, Base::Now, NOW), Ok(Some(NOW + 5)));
        assert_eq!(of_restored(5, Base::Epoch, NOW), Ok(Some(5)));
        assert_eq!(of_restored(i64::MAX, Base::Now, NOW), Ok(Some(i64::MAX)));
        assert_eq!(of_restored(-1, Base::Epoch, NOW), Err(NegativeTimeToLive));
    }

    #[test]
    fn what_is_left() {
        assert_eq!(remaining(NOW + 10_000, NOW, Unit::Seconds), 10);
        assert_eq!(remaining(NOW + 10_000, NOW + 500, Unit::Seconds), 10);
        assert_eq!(remaining(NOW + 10_000, NOW + 501, Unit::Seconds), 9);
        assert_eq!(remaining(NOW + 499, NOW, Unit::Seconds), 0);
        assert_eq!(remaining(NOW + 499, NOW, Unit::Milliseconds), 499);
        assert_eq!(remaining(NOW - 1, NOW, Unit::Milliseconds), 0);
        assert_eq!(remaining(i64::MAX, 0, Unit::Seconds), i64::MAX / 1000);
        assert_eq!(in_unit(1_500, Unit::Seconds), 2);
    }

    fn condition(options: &[&str]) -> Result<Condition, ConditionError> {
        Condition::parse(options)
    }

    #[test]
    fn contradictions() {
        assert_eq!(condition(&["NX", "xx"]), Err(ConditionError::NxAndOther));
        assert_eq!(condition(&["gt", "NX"]), Err(ConditionError::NxAndOther));
        assert_eq!(condition(&["NX", "GT", "LT"]), Err(ConditionError::NxAndOther));
        assert_eq!(condition(&["GT", "LT"]), Err(ConditionError::GtAndLt));
        assert_eq!(condition(&["GT", "LT", "XX"]), Err(ConditionError::GtAndLt));
        let unknown = condition(&["NX", "XX", "Never"]).unwrap_err();
        assert_eq!(unknown.to_string(), "Unsupported option Never");
    }

    #[test]
    fn conditions() {
        let holds = |options: &[&str], deadline, current| {
            condition(options).expect("they go together").holds(deadline, current)
        };
        assert!(holds(&[], 5, None) && holds(&[], 5, Some(9)));
        assert!(holds(&["nx", "NX"], 5, None) && !holds(&["NX"], 5, Some(9)));
        assert!(!holds(&["XX"], 5, None) && holds(&["XX"], 5, Some(9)));
        assert!(!holds(&["GT"], 5, None) && holds(&["LT"], 5, None));
        assert!(!holds(&["GT"], 5, Some(5)) && !holds(&["LT"], 5, Some(5)));
        assert!(holds(&["GT"], 6, Some(5)) && holds(&["LT"], 4, Some(5)));
        assert!(!holds(&["XX", "LT"], 5, None) && holds(&["LT", "XX"], 4, Some(5)));
    }
}
