//! What was denied lately, newest first: `ACL LOG`.
//!
//! Denials of the same kind within a minute of each other are one entry with a count, but only the
//! ten newest entries are looked at for that.

use std::collections::VecDeque;

use aryavarth::UnixMillis;

/// How many entries are kept unless told otherwise.
pub const DEFAULT_CAPACITY: usize = 128;
const LOOKED_AT: usize = 10;
const GROUPING_MILLIS: u64 = 60_000;

/// Why something was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The command is not allowed.
    Command,
    /// A key is not allowed.
    Key,
    /// A channel is not allowed.
    Channel,
    /// The name or the password is wrong.
    Auth,
}

impl Reason {
    /// Its name in the reply.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::Command => "command",
            Reason::Key => "key",
            Reason::Channel => "channel",
            Reason::Auth => "auth",
        }
    }
}

/// Where it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogContext {
    /// By itself.
    TopLevel,
    /// In a transaction.
    Multi,
}

impl LogContext {
    /// Its name in the reply.
    pub const fn name(self) -> &'static str {
        match self {
            LogContext::TopLevel => "toplevel",
            LogContext::Multi => "multi",
        }
    }
}

/// Something that was denied.
#[derive(Clone, Debug)]
pub struct LogEvent<'a> {
    /// Why.
    pub reason: Reason,
    /// Where.
    pub context: LogContext,
    /// The command's full name, the key, the channel; of a failed `AUTH` the name of the command
    /// as it was sent.
    pub object: &'a [u8],
    /// Who asked, or wanted to be.
    pub username: &'a [u8],
    /// The line of `CLIENT LIST`.
    pub client_info: &'a [u8],
}

/// An entry of the log.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// How often.
    pub count: u64,
    /// Why.
    pub reason: Reason,
    /// Where.
    pub context: LogContext,
    /// What was wanted.
    pub object: Box<[u8]>,
    /// Who wanted it.
    pub username: Box<[u8]>,
    /// Whose connection it was the last time.
    pub client_info: Box<[u8]>,
    /// Counts up from zero.
    pub id: u64,
    /// When first.
    pub created: UnixMillis,
    /// When last.
    pub updated: UnixMillis,
}

impl LogEntry {
    /// How long ago it was last, in seconds.
    pub fn age_seconds(&self, now: UnixMillis) -> f64 {
        now.0.saturating_sub(self.updated.0) as f64 / 1000.0
    }

    fn is_like(&self, event: &LogEvent<'_>, now: UnixMillis) -> bool {
        self.reason == event.reason
            && self.context == event.context
            && self.updated.0.abs_diff(now.0) <= GROUPING_MILLIS
            && *self.object == *event.object
            && *self.username == *event.username
    }
}

/// The log.
#[derive(Debug)]
pub struct AclLog {
    /// The newest first.
    entries: VecDeque<LogEntry>,
    capacity: usize,
    next_id: u64,
}

impl AclLog {
    /// An empty one that keeps so many entries.
    pub fn new(capacity: usize) -> AclLog {
        AclLog { entries: VecDeque::new(), capacity, next_id: 0 }
    }

    /// Notes a denial.
    pub fn record(&mut self, event: &LogEvent<'_>, now: UnixMillis) {
        let mut newest = self.entries.iter().take(LOOKED_AT);
        let known = newest.position(|entry| entry.is_like(event, now));
        let entry = match known.and_then(|position| self.entries.remove(position)) {
            Some(mut entry) => {
                entry.count += 1;
                entry.updated = now;
                entry.client_info = event.client_info.into();
                entry
            }
            None => self.new_entry(event, now),
        };
        self.entries.push_front(entry);
        self.entries.truncate(self.capacity);
    }

    fn new_entry(&mut self, event: &LogEvent<'_>, now: UnixMillis) -> LogEntry {
        let id = self.next_id;
        self.next_id += 1;
        LogEntry {
            count: 1,
            reason: event.reason,
            context: event.context,
            object: event.object.into(),
            username: event.username.into(),
            client_info: event.client_info.into(),
            id,
            created: now,
            updated: now,
        }
    }

    /// The entries, newest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &LogEntry> {
        self.entries.iter()
    }

    /// Forgets the entries; the numbers go on.
    pub fn reset(&mut self) {
        self.entries.clear();
    }

    /// Keeps so many entries from now on.
    pub fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
        self.entries.truncate(capacity);
    }
}

impl Default for AclLog {
    fn default() -> AclLog {
        AclLog::new(DEFAULT_CAPACITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event<'a>(reason: Reason, object: &'a str, client: &'a str) -> LogEvent<'a> {
        LogEvent {
            reason,
            context: LogContext::TopLevel,
            object: object.as_bytes(),
            username: b"alice",
            client_info: client.as_bytes(),
        }
    }

    #[test]
    fn the_same_within_a_minute_is_one_entry() {
        let mut log = AclLog::default();
        log.record(&event(Reason::Key, "k", "id=1"), UnixMillis(1_000));
        log.record(&event(Reason::Command, "get", "id=1"), UnixMillis(2_000));
        log.record(&event(Reason::Key, "k", "id=2"), UnixMillis(61_000));
        let seen: Vec<_> = log.entries().map(|entry| (entry.id, entry.count)).collect();
        assert_eq!(seen, [(0, 2), (1, 1)]);
        let newest = log.entries().next().unwrap();
        assert_eq!((newest.created.0, newest.updated.0), (1_000, 61_000));
        assert_eq!(&*newest.client_info, b"id=2");
        assert_eq!(newest.age_seconds(UnixMillis(62_500)), 1.5);
        log.record(&event(Reason::Key, "k", "id=2"), UnixMillis(121_001));
        assert_eq!(log.entries().next().unwrap().id, 2);
    }

    #[test]
    fn only_the_ten_newest_are_looked_at() {
        let mut log = AclLog::default();
        for number in 0..11 {
            log.record(&event(Reason::Key, &number.to_string(), ""), UnixMillis(0));
        }
        log.record(&event(Reason::Key, "0", ""), UnixMillis(0));
        assert_eq!(log.entries().len(), 12);
        log.record(&event(Reason::Key, "10", ""), UnixMillis(0));
        assert_eq!(log.entries().len(), 12);
    }

    #[test]
    fn old_entries_go() {
        let mut log = AclLog::new(2);
        for object in ["a", "b", "c"] {
            log.record(&event(Reason::Auth, object, ""), UnixMillis(0));
        }
        let objects: Vec<_> = log.entries().map(|entry| entry.object.to_vec()).collect();
        assert_eq!(objects, [b"c", b"b"]);
        log.reset();
        log.record(&event(Reason::Auth, "a", ""), UnixMillis(0));
        assert_eq!(log.entries().next().unwrap().id, 3);
    }
}
