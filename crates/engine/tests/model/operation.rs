//! What may be done to a store, and how likely each is.

use proptest::prelude::*;

/// A key or value by its number and size, so that failures print in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(u8);

/// Some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    fill: u8,
    length: usize,
}

impl Key {
    /// The bytes. Key 0 is as long as a key may be.
    pub fn bytes(self) -> Vec<u8> {
        match self.0 {
            0 => vec![0xff; 64 << 10],
            1 => vec![0],
            n if n.is_multiple_of(2) => format!("even/{n}").into_bytes(),
            n => format!("odd/{n}").into_bytes(),
        }
    }
}

impl Value {
    /// The bytes.
    pub fn bytes(self) -> Vec<u8> {
        vec![self.fill; self.length]
    }
}

/// When a value expires.
#[derive(Clone, Copy, Debug)]
pub enum Expiry {
    Never,
    AfterMillis(u64),
    AlreadyPast,
    InTheFarFuture,
}

/// When a value is set.
#[derive(Clone, Copy, Debug)]
pub enum Condition {
    Always,
    IfAbsent,
    IfPresent,
}

/// What a swap expects.
#[derive(Clone, Copy, Debug)]
pub enum Guess {
    Absent,
    CurrentValue,
    OtherValue,
    CurrentVersion,
    OtherVersion,
}

/// One operation of a batch.
#[derive(Clone, Debug)]
pub enum Part {
    Set(Key, Value, Expiry),
    Remove(Key),
}

/// One step of a run.
#[derive(Clone, Debug)]
pub enum Operation {
    Set(Key, Value),
    SetWith(Key, Value, Condition, Expiry),
    Remove(Key),
    Swap(Key, Guess, Option<Value>),
    Batch(Vec<Part>),
    Submit(Vec<Part>),
    Get(Key),
    Iterate,
    IteratePrefix,
    Export,
    Checkpoint,
    Compact,
    Backup,
    Sync,
    Verify,
    Wait(u64),
    Reopen,
    Kill,
    /// Only for the simulated disk: all that is not synced is lost.
    PowerCut,
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![1 => Just(Key(0)), 30 => (1..12u8).prop_map(Key)]
}

fn value() -> impl Strategy<Value = Value> {
    let length = prop_oneof![
        4 => Just(0usize),
        20 => 1..40usize,
        10 => 40..1000usize,
        3 => 4000..5000usize,
        1 => Just(70_000usize),
    ];
    (any::<u8>(), length).prop_map(|(fill, length)| Value { fill, length })
}

fn expiry() -> impl Strategy<Value = Expiry> {
    prop_oneof![
        3 => Just(Expiry::Never),
        3 => (0..200u64).prop_map(Expiry::AfterMillis),
        1 => Just(Expiry::AlreadyPast),
        2 => Just(Expiry::InTheFarFuture),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![Just(Condition::Always), Just(Condition::IfAbsent), Just(Condition::IfPresent)]
}

fn guess() -> impl Strategy<Value = Guess> {
    prop_oneof![
        Just(Guess::Absent),
        Just(Guess::CurrentValue),
        Just(Guess::OtherValue),
        Just(Guess::CurrentVersion),
        Just(Guess::OtherVersion),
    ]
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let part = prop_oneof![
        3 => (key(), value(), expiry()).prop_map(|(key, value, expiry)| Part::Set(key, value, expiry)),
        1 => key().prop_map(Part::Remove),
    ];
    prop::collection::vec(part, 0..6)
}

/// Any of them.
pub fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        30 => (key(), value()).prop_map(|(key, value)| Operation::Set(key, value)),
        10 => (key(), value(), condition(), expiry())
            .prop_map(|(key, value, when, until)| Operation::SetWith(key, value, when, until)),
        15 => key().prop_map(Operation::Remove),
        8 => (key(), guess(), prop::option::of(value()))
            .prop_map(|(key, guess, value)| Operation::Swap(key, guess, value)),
        8 => parts().prop_map(Operation::Batch),
        4 => parts().prop_map(Operation::Submit),
        6 => key().prop_map(Operation::Get),
        2 => Just(Operation::Iterate),
        2 => Just(Operation::IteratePrefix),
        2 => Just(Operation::Export),
        4 => Just(Operation::Checkpoint),
        5 => Just(Operation::Compact),
        2 => Just(Operation::Backup),
        2 => Just(Operation::Sync),
        1 => Just(Operation::Verify),
        4 => (1..150u64).prop_map(Operation::Wait),
        4 => Just(Operation::Reopen),
        4 => Just(Operation::Kill),
        3 => Just(Operation::PowerCut),
    ]
}
