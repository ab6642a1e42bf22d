//! Keys that expire: in which words they are asked about, and what their deadlines allow.
//!
//! ```text
//!  MULTI, SET k 7 PX 900, PEXPIRETIME k, EXEC  ─▶ OK, D: the value 7 is there until D
//!
//!  some clock shows D, but for the marks' lead         all clocks have shown D for a while
//!  ───────────────┼───────────────────────────────────────────┼──────▶ time
//!   it is there   │   it may go, once, and stays away         │ it is gone
//! ```
//!
//! Each value is given once and has one deadline, so a new deadline comes with a new value. That the time has come
//! is a call without an answer: it may be done at any moment from the first at which a clock can show it.

use std::collections::BTreeMap;

use aryavarth::UnixMillis;
use aryavarth_check::{Answer, Request};
use aryavarth_script::Reply;

use super::history::Call;
use super::random::Random;
use super::talk::{Command, Refused, command};

/// How far marks may put a node's clock ahead of all machines' clocks, in milliseconds.
const AHEAD: u64 = 4_000;
/// How long all clocks have to show a deadline until the key must be gone, in microseconds. A leader that has just
/// come, or was held up, waits for its marks.
const GRACE: u64 = 6_000_000;

/// How long a value is to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terms {
    /// `PX`, `PEXPIRE`.
    Milliseconds(u64),
    /// `EX`, `EXPIRE`.
    Seconds(u64),
    /// `PERSIST`.
    Forever,
}

/// Until when a value is there, in milliseconds of the nodes' clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// Until then.
    At(u64),
    /// For ever.
    Never,
}

impl Terms {
    /// Some terms for a request.
    pub fn any(request: Request, random: &mut Random) -> Terms {
        match random.below(10) {
            0..3 if matches!(request, Request::Replace(_)) => Terms::Forever,
            0..5 => Terms::Seconds(1 + random.below(8)),
            _ => Terms::Milliseconds(300 + random.below(4_000)),
        }
    }

    /// What is known of the deadline without an answer.
    pub fn unanswered(self) -> Option<Deadline> {
        (self == Terms::Forever).then_some(Deadline::Never)
    }
}

/// The commands of a request, which are a transaction.
pub fn commands(key: &[u8], request: Request, terms: Terms) -> Vec<Command> {
    let (option, name, amount): (&[u8], &[u8], u64) = match terms {
        Terms::Milliseconds(amount) => (b"PX", b"PEXPIRE", amount),
        Terms::Seconds(amount) => (b"EX", b"EXPIRE", amount),
        Terms::Forever => (b"", b"", 0),
    };
    let amount = amount.to_string();
    let set = |value: u64, options: &[&[u8]]| {
        let value = value.to_string();
        command(&[&[&b"SET"[..], key, value.as_bytes()], options].concat())
    };
    let inner = match request {
        Request::Set(value) => vec![set(value, &[option, amount.as_bytes()])],
        Request::Claim(value) => vec![set(value, &[b"NX", option, amount.as_bytes()])],
        Request::Replace(value) => {
            let renewed: &[&[u8]] = match terms {
                Terms::Forever => &[b"PERSIST", key],
                _ => &[name, key, amount.as_bytes()],
            };
            vec![set(value, &[b"XX", b"KEEPTTL"]), command(renewed)]
        }
        Request::Remove => vec![command(&[b"DEL", key])],
        _ => vec![command(&[b"GET", key])],
    };
    let (begin, end) = (command(&[b"MULTI"]), command(&[b"EXEC"]));
    let until = command(&[b"PEXPIRETIME", key]);
    [vec![begin], inner, vec![until, end]].concat()
}

/// What the replies say, and the deadline of the value that is there then.
pub fn answer(request: Request, replies: &[Reply]) -> Result<(Answer, Option<Deadline>), Refused> {
    let wrong = || Refused::Wrong(format!("{request:?} of a key that expires: {replies:?}"));
    let (Reply::Integer(until), said) = replies.split_last().ok_or_else(wrong)? else {
        return Err(wrong());
    };
    let deadline = match until {
        -2 => None,
        -1 => Some(Deadline::Never),
        until => Some(Deadline::At(u64::try_from(*until).map_err(|_| wrong())?)),
    };
    let is_ok = |reply: &Reply| *reply == Reply::Simple("OK".into());
    let answer = match (request, said, deadline) {
        (Request::Read, [Reply::Null], None) => Answer::Value(None),
        (Request::Read, [Reply::Bulk(value)], Some(_)) => {
            let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            Answer::Value(Some(number.ok_or_else(wrong)?))
        }
        (Request::Set(_), [ok], Some(Deadline::At(_))) if is_ok(ok) => Answer::Done,
        (Request::Claim(_), [ok], Some(Deadline::At(_))) if is_ok(ok) => Answer::Claimed(true),
        (Request::Claim(_), [Reply::Null], Some(_)) => Answer::Claimed(false),
        (Request::Replace(_), [ok, Reply::Integer(0 | 1)], Some(_)) if is_ok(ok) => {
            Answer::Replaced(true)
        }
        (Request::Replace(_), [Reply::Null, Reply::Integer(0)], None) => Answer::Replaced(false),
        (Request::Remove, [Reply::Integer(removed @ (0 | 1))], None) => {
            Answer::Removed(*removed == 1)
        }
        _ => return Err(wrong()),
    };
    Ok((answer, deadline))
}

/// The value that is there after a request was answered like this.
fn value_after(request: Request, answer: Option<Answer>) -> Option<u64> {
    match (request, answer) {
        (_, Some(Answer::Value(value))) => value,
        (_, Some(Answer::Claimed(false) | Answer::Replaced(false))) => None,
        (Request::Set(value) | Request::Claim(value) | Request::Replace(value), _) => Some(value),
        _ => None,
    }
}

/// The deadlines of values. A value of which none is known may go at any time.
#[derive(Clone, Debug, Default)]
pub struct Deadlines(BTreeMap<u64, Option<Deadline>>);

impl Deadlines {
    /// Takes note of what a request was told, or may have done.
    ///
    /// # Errors
    /// If the value has another deadline.
    pub fn note(
        &mut self,
        (request, answer): (Request, Option<Answer>),
        deadline: Option<Deadline>,
    ) -> Result<(), String> {
        let Some(value) = value_after(request, answer) else { return Ok(()) };
        let known = self.0.entry(value).or_default();
        match (*known, deadline) {
            (Some(known), Some(now)) if known != now => {
                Err(format!("the value {value} is there until {known:?}, and until {now:?}"))
            }
            _ => {
                *known = known.or(deadline);
                Ok(())
            }
        }
    }

    /// The latest one.
    pub fn latest(&self) -> u64 {
        let moments = self.0.values().filter_map(|deadline| match deadline {
            Some(Deadline::At(moment)) => Some(*moment),
            _ => None,
        });
        moments.max().unwrap_or(0)
    }

    /// Calls that say when the time of values came, for each key; and the first value that was there too long.
    ///
    /// # Errors
    /// That.
    pub fn expiries(&self, calls: &[Call], clocks: &Clocks) -> Result<Vec<Call>, String> {
        let mut given: BTreeMap<u64, Call> = BTreeMap::new();
        for call in calls {
            let answer = call.end.map(|(answer, _)| answer);
            let Some(value) = value_after(call.request, answer) else { continue };
            let Some(deadline) = self.0.get(&value) else { continue };
            let from = match deadline {
                Some(Deadline::Never) => continue,
                Some(Deadline::At(moment)) => clocks.may_show(*moment),
                None => Some(0),
            };
            if let (Request::Read, Some(Deadline::At(moment))) = (call.request, deadline)
                && clocks.must_show(*moment).is_some_and(|late| late <= call.begun)
            {
                let Call { client, key, begun, .. } = call;
                return Err(format!(
                    "client {client} read {value} of {} at {begun} µs, which was there until {moment}",
                    key.escape_ascii()
                ));
            }
            let Some(begun) = from else { continue };
            let (request, key) = (Request::Expire(value), call.key.clone());
            given.entry(value).or_insert(Call {
                client: call.client,
                key,
                request,
                begun,
                end: None,
            });
        }
        Ok(given.into_values().collect())
    }
}

/// What the machines' clocks have shown, in milliseconds, since when, in microseconds of the run.
#[derive(Clone, Debug, Default)]
pub struct Clocks(Vec<Shown>);

#[derive(Clone, Copy, Debug)]
struct Shown {
    since: u64,
    /// The most that any has shown until then.
    most: u64,
    /// The least that any shows.
    least: u64,
}

impl Clocks {
    /// From now on they show this.
    pub fn note(&mut self, since: u64, shown: impl Iterator<Item = u64> + Clone) {
        let most = shown.clone().max().unwrap_or(0).max(self.most());
        self.0.push(Shown { since, most, least: shown.min().unwrap_or(0) });
    }

    /// The most that any of them has shown.
    pub fn most(&self) -> u64 {
        self.0.last().map_or(0, |last| last.most)
    }

    /// The most that any node may take to be the time.
    pub fn horizon(&self) -> UnixMillis {
        UnixMillis(self.most() + AHEAD)
    }

    /// Since when a node may take a moment to have come.
    fn may_show(&self, moment: u64) -> Option<u64> {
        let place = self.0.partition_point(|shown| shown.most + AHEAD < moment);
        self.0.get(place).map(|shown| shown.since)
    }

    /// Since when each node that leads has to take it to have come.
    fn must_show(&self, moment: u64) -> Option<u64> {
        let mut since = None;
        for shown in &self.0 {
            if let Some(since) = since
                && shown.since >= since + GRACE
            {
                return Some(since + GRACE);
            }
            since = (shown.least >= moment).then(|| since.unwrap_or(shown.since));
        }
        None
    }
}
