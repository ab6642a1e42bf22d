//! What clients saw of one key, and whether a single copy of it could have answered so.
//!
//! The search is that of Wing and Gong, with Lowe's memory of configurations: pick an operation that may
//! come next, as none that is still open ended before it began; see whether the value fits; go on; if
//! nothing fits, take the last pick back. Two ways that have done the same operations and left the same
//! value need not both be followed.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

/// What was asked of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    Get,
    Set(u64),
    Increment,
    Remove,
    /// Set if there is no value.
    Claim(u64),
}

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// A value, or none.
    Value(Option<u64>),
    /// That it was done.
    Done,
    /// Whether it was done.
    Whether(bool),
    /// Nothing: it may have been done, or may yet be.
    Nothing,
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Operation {
    pub key: String,
    pub asked: Asked,
    pub answered: Answered,
    pub begun: Instant,
    pub ended: Option<Instant>,
}

/// Whether what was seen of each key is linear.
///
/// # Errors
/// The key, and what was seen of it around where no order goes on.
pub fn check(operations: &[Operation]) -> Result<(), String> {
    let mut keys: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in operations {
        // A read without an answer says nothing.
        if operation.asked != Asked::Get || operation.answered != Answered::Nothing {
            keys.entry(&operation.key).or_default().push(operation);
        }
    }
    for (key, mut operations) in keys {
        operations.sort_by_key(|operation| operation.begun);
        if let Err(done) = linear(&operations) {
            let around = operations.iter().skip(done.saturating_sub(12)).take(24);
            let text: Vec<String> = around.map(|operation| format!("  {operation:?}")).collect();
            return Err(format!(
                "{key} is not linear, near operation {done}:\n{}",
                text.join("\n")
            ));
        }
    }
    Ok(())
}

/// A value after an operation, if its answer fits.
fn step(value: Option<u64>, operation: &Operation) -> Option<Option<u64>> {
    let (after, answer) = match operation.asked {
        Asked::Get => (value, Answered::Value(value)),
        Asked::Set(new) => (Some(new), Answered::Done),
        Asked::Increment => {
            let new = value.unwrap_or(0) + 1;
            (Some(new), Answered::Value(Some(new)))
        }
        Asked::Remove => (None, Answered::Whether(value.is_some())),
        Asked::Claim(new) => match value {
            None => (Some(new), Answered::Whether(true)),
            Some(_) => (value, Answered::Whether(false)),
        },
    };
    let fits = operation.answered == Answered::Nothing || operation.answered == answer;
    fits.then_some(after)
}

/// Whether the operations, by when they began, are linear; else how many could be done at most.
fn linear(operations: &[&Operation]) -> Result<(), usize> {
    let mut done = vec![false; operations.len()];
    let mut path: Vec<(usize, Option<u64>)> = Vec::new();
    let mut seen: HashSet<(Vec<usize>, usize, Option<u64>)> = HashSet::new();
    let (mut value, mut from, mut most) = (None, 0, 0);
    let certain = operations.iter().filter(|operation| operation.ended.is_some()).count();
    let mut certain_done = 0;
    loop {
        if certain_done == certain {
            return Ok(());
        }
        let first = done.iter().position(|done| !done).unwrap_or(done.len());
        // None may come next that began after another, still open, ended.
        let mut deadline = None;
        let mut picked = None;
        for index in first..operations.len() {
            if done[index] {
                continue;
            }
            if deadline.is_some_and(|deadline| operations[index].begun > deadline) {
                break;
            }
            if index >= from
                && let Some(after) = step(value, operations[index])
            {
                done[index] = true;
                let ahead = (first..operations.len()).filter(|at| done[*at]).collect();
                if seen.insert((ahead, first, after)) {
                    picked = Some((index, after));
                    break;
                }
                done[index] = false;
            }
            if let Some(ended) = operations[index].ended {
                deadline = Some(deadline.map_or(ended, |deadline: Instant| deadline.min(ended)));
            }
        }
        if let Some((index, after)) = picked {
            path.push((index, value));
            certain_done += usize::from(operations[index].ended.is_some());
            most = most.max(path.len());
            (value, from) = (after, 0);
            continue;
        }
        let Some((index, before)) = path.pop() else { return Err(most) };
        done[index] = false;
        certain_done -= usize::from(operations[index].ended.is_some());
        (value, from) = (before, index + 1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Operations as `(asked, answered, begun, ended)`; the end 0 for never.
    fn verdict(operations: &[(Asked, Answered, u64, u64)]) -> bool {
        let zero = Instant::now();
        let at = |millis: u64| zero + Duration::from_millis(millis);
        let operations: Vec<Operation> = operations
            .iter()
            .map(|(asked, answered, begun, ended)| Operation {
                key: "k".to_owned(),
                asked: asked.clone(),
                answered: *answered,
                begun: at(*begun),
                ended: (*ended > 0).then(|| at(*ended)),
            })
            .collect();
        check(&operations).is_ok()
    }

    use Answered::{Done, Nothing, Value, Whether};
    use Asked::{Claim, Get, Increment, Remove, Set};

    #[test]
    fn what_one_copy_could_have_answered_is_linear() {
        assert!(verdict(&[
            (Set(1), Done, 0, 5),
            (Get, Value(None), 1, 2),
            (Get, Value(Some(1)), 3, 4)
        ]));
        assert!(verdict(&[
            (Set(1), Nothing, 0, 0),
            (Get, Value(None), 5, 6),
            (Get, Value(Some(1)), 9, 10)
        ]));
        assert!(verdict(&[(Set(1), Nothing, 0, 0), (Get, Value(None), 5, 6)]));
        assert!(verdict(&[
            (Increment, Value(Some(2)), 0, 9),
            (Increment, Value(Some(1)), 0, 9),
            (Increment, Nothing, 0, 0),
            (Increment, Value(Some(4)), 10, 11),
        ]));
        assert!(verdict(&[(Claim(1), Whether(true), 0, 3), (Claim(2), Whether(false), 1, 2)]));
        assert!(verdict(&[
            (Set(1), Done, 0, 1),
            (Remove, Whether(true), 2, 3),
            (Get, Value(None), 4, 5)
        ]));
    }

    #[test]
    fn planted_faults_are_found() {
        let stale = [(Set(1), Done, 0, 1), (Set(2), Done, 2, 3), (Get, Value(Some(1)), 4, 5)];
        let lost = [(Set(1), Done, 0, 1), (Get, Value(None), 2, 3)];
        let forth_and_back =
            [(Set(1), Nothing, 0, 0), (Get, Value(Some(1)), 2, 3), (Get, Value(None), 4, 5)];
        let twice = [(Increment, Value(Some(1)), 0, 1), (Get, Value(Some(2)), 2, 3)];
        let two_holders = [(Claim(1), Whether(true), 0, 1), (Claim(2), Whether(true), 2, 3)];
        let resurrected =
            [(Set(1), Done, 0, 1), (Remove, Whether(true), 2, 3), (Get, Value(Some(1)), 4, 5)];
        let nobodys = [(Set(1), Done, 0, 1), (Get, Value(Some(7)), 2, 3)];
        for fault in
            [&stale[..], &lost, &forth_and_back, &twice, &two_holders, &resurrected, &nobodys]
        {
            assert!(!verdict(fault), "{fault:?}");
        }
    }

    #[test]
    fn it_agrees_with_trying_all_orders() {
        let mut seed = 7_u64;
        let mut random = move |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % below
        };
        let (mut linear, mut not) = (0, 0);
        for _ in 0..3000 {
            let operations: Vec<_> = (0..5)
                .map(|_| {
                    let begun = random(10);
                    let ended = begun + 1 + random(6);
                    let value = Some(random(2) + 1).filter(|_| random(3) > 0);
                    match random(4) {
                        0 => (Set(random(2) + 1), Done, begun, ended),
                        1 => (Set(random(2) + 1), Nothing, begun, 0),
                        2 => (Remove, Whether(random(2) == 0), begun, ended),
                        _ => (Get, Value(value), begun, ended),
                    }
                })
                .collect();
            let expected = any_order(&operations, None, &mut vec![false; operations.len()]);
            assert_eq!(verdict(&operations), expected, "{operations:?}");
            if expected { linear += 1 } else { not += 1 }
        }
        assert!(linear > 300 && not > 300, "{linear} linear, {not} not");
    }

    fn any_order(
        operations: &[(Asked, Answered, u64, u64)],
        value: Option<u64>,
        done: &mut Vec<bool>,
    ) -> bool {
        let open = |done: &[bool], at: usize| !done[at] && operations[at].3 > 0;
        if (0..operations.len()).all(|at| !open(done, at)) {
            return true;
        }
        for at in 0..operations.len() {
            let (asked, answered, begun, _) = &operations[at];
            let blocked = (0..operations.len())
                .any(|other| other != at && open(done, other) && operations[other].3 < *begun);
            if done[at] || blocked {
                continue;
            }
            let now = Instant::now();
            let operation = Operation {
                key: String::new(),
                asked: asked.clone(),
                answered: *answered,
                begun: now,
                ended: None,
            };
            if let Some(after) = step(value, &operation) {
                done[at] = true;
                if any_order(operations, after, done) {
                    return true;
                }
                done[at] = false;
            }
        }
        false
    }
}
