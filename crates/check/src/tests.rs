//! Violations that are planted, and agreement with trying every order.

use super::Answer::{Claimed, Done, Removed, Replaced, Sum, Value};
use super::Request::{Add, Claim, Expire, Read, Remove, Replace, Set};
use super::{Answer, Call, Request, check};

/// A request, its answer if it had one, and from when to when.
type Line = (Request, Option<Answer>, u64, u64);

fn calls(lines: &[Line]) -> Vec<Call<&'static str>> {
    let call = |(client, (request, answer, begun, ended)): (usize, &Line)| Call {
        client: client as u64,
        key: "k",
        request: *request,
        begun: *begun,
        end: answer.map(|answer| (answer, *ended)),
    };
    lines.iter().enumerate().map(call).collect()
}

fn is_linear(lines: &[Line]) -> bool {
    check(&calls(lines)).is_ok()
}

#[test]
fn what_one_copy_could_have_answered_is_linear() {
    let explained: [&[Line]; 11] = [
        &[],
        &[
            (Set(1), Some(Done), 0, 5),
            (Read, Some(Value(None)), 1, 2),
            (Read, Some(Value(Some(1))), 3, 4),
        ],
        &[
            (Set(1), None, 0, 0),
            (Read, Some(Value(None)), 5, 6),
            (Read, Some(Value(Some(1))), 9, 10),
        ],
        &[(Set(1), None, 0, 0), (Read, Some(Value(None)), 5, 6)],
        &[
            (Add(1), Some(Sum(2)), 0, 9),
            (Add(1), Some(Sum(1)), 0, 9),
            (Add(1), None, 0, 0),
            (Add(1), Some(Sum(4)), 10, 11),
        ],
        &[(Claim(1), Some(Claimed(true)), 0, 3), (Claim(2), Some(Claimed(false)), 1, 2)],
        &[
            (Set(1), Some(Done), 0, 1),
            (Remove, Some(Removed(true)), 2, 3),
            (Read, Some(Value(None)), 4, 5),
        ],
        // Three without an answer, one after the other, are needed for one that has one.
        &[
            (Set(9), Some(Done), 0, 1),
            (Remove, None, 2, 0),
            (Claim(4), None, 2, 0),
            (Add(1), None, 2, 0),
            (Add(1), Some(Sum(6)), 3, 4),
        ],
        // What begins when another ends is at the same time.
        &[(Set(1), Some(Done), 0, 4), (Read, Some(Value(None)), 4, 5)],
        // A value whose time has come, and one that nobody saw in between.
        &[
            (Set(1), Some(Done), 0, 1),
            (Expire(1), None, 3, 0),
            (Read, Some(Value(None)), 4, 5),
            (Replace(2), Some(Replaced(false)), 6, 7),
        ],
        &[
            (Set(1), Some(Done), 0, 1),
            (Replace(2), Some(Replaced(true)), 2, 3),
            (Set(3), None, 4, 0),
            (Expire(3), None, 4, 0),
            (Read, Some(Value(None)), 5, 6),
        ],
    ];
    for lines in explained {
        check(&calls(lines)).unwrap();
    }
}

#[test]
fn planted_violations_are_found() {
    let stale = [
        (Set(1), Some(Done), 0, 1),
        (Set(2), Some(Done), 2, 3),
        (Read, Some(Value(Some(1))), 4, 5),
    ];
    let lost = [(Set(1), Some(Done), 0, 1), (Read, Some(Value(None)), 2, 3)];
    let forth_and_back =
        [(Set(1), None, 0, 0), (Read, Some(Value(Some(1))), 2, 3), (Read, Some(Value(None)), 4, 5)];
    let counted_twice = [(Add(1), Some(Sum(1)), 0, 1), (Read, Some(Value(Some(2))), 2, 3)];
    let one_sum_for_two = [(Add(1), Some(Sum(1)), 0, 1), (Add(1), Some(Sum(1)), 0, 1)];
    let two_holders =
        [(Claim(1), Some(Claimed(true)), 0, 1), (Claim(2), Some(Claimed(true)), 2, 3)];
    let resurrected = [
        (Set(1), Some(Done), 0, 1),
        (Remove, Some(Removed(true)), 2, 3),
        (Read, Some(Value(Some(1))), 4, 5),
    ];
    let nobodys = [(Set(1), Some(Done), 0, 1), (Read, Some(Value(Some(7))), 2, 3)];
    let from_the_future = [(Read, Some(Value(Some(1))), 0, 1), (Set(1), None, 2, 0)];
    let unknown_done_twice = [
        (Set(1), None, 0, 0),
        (Read, Some(Value(Some(1))), 1, 2),
        (Set(2), Some(Done), 3, 4),
        (Read, Some(Value(Some(1))), 5, 6),
    ];
    let too_early =
        [(Set(1), Some(Done), 0, 1), (Read, Some(Value(None)), 2, 3), (Expire(1), None, 4, 0)];
    let anothers_time = [
        (Set(1), Some(Done), 0, 1),
        (Expire(1), None, 1, 0),
        (Replace(2), Some(Replaced(true)), 2, 3),
        (Read, Some(Value(None)), 4, 5),
    ];
    let back_from_expiry = [
        (Set(1), Some(Done), 0, 1),
        (Expire(1), None, 1, 0),
        (Read, Some(Value(None)), 2, 3),
        (Read, Some(Value(Some(1))), 4, 5),
    ];
    let found: [&[Line]; 13] = [
        &too_early,
        &anothers_time,
        &back_from_expiry,
        &stale,
        &lost,
        &forth_and_back,
        &counted_twice,
        &one_sum_for_two,
        &two_holders,
        &resurrected,
        &nobodys,
        &from_the_future,
        &unknown_done_twice,
    ];
    for lines in found {
        assert!(!is_linear(lines), "{lines:?}");
    }
}

#[test]
fn a_violation_is_told_with_its_key_and_what_was_there() {
    let mut seen = calls(&[(Set(1), Some(Done), 0, 1), (Read, Some(Value(None)), 2, 3)]);
    seen.push(Call { key: "another", ..calls(&[(Read, Some(Value(None)), 0, 1)]).swap_remove(0) });
    let why = check(&seen).unwrap_err();
    assert!(why.starts_with("\"k\" is not linearizable: when 1 of 2 answers"), "{why}");
    assert!(why.contains("value is Some(1)") && why.contains("2..3 client 1: Read"), "{why}");
}

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn request(&mut self) -> Request {
        match self.below(5) {
            0 => Read,
            1 => Set(self.below(3)),
            2 => Add(1 + self.below(2)),
            3 => Remove,
            _ => Claim(self.below(3)),
        }
    }

    fn request_of_what_expires(&mut self) -> Request {
        match self.below(6) {
            0 => Read,
            1 => Set(self.below(3)),
            2 => Remove,
            3 => Claim(self.below(3)),
            4 => Replace(self.below(3)),
            _ => Expire(self.below(3)),
        }
    }

    fn answer(&mut self, request: Request) -> Answer {
        match request {
            Read => Value(Some(self.below(4)).filter(|value| *value > 0)),
            Set(_) | Expire(_) => Done,
            Replace(_) => Replaced(self.below(2) == 0),
            Add(_) => Sum(1 + self.below(5)),
            Remove => Removed(self.below(2) == 0),
            Claim(_) => Claimed(self.below(2) == 0),
        }
    }
}

#[test]
fn it_agrees_with_trying_every_order() {
    agrees_with_trying_every_order(Random::request);
}

#[test]
fn it_agrees_with_trying_every_order_of_what_expires() {
    agrees_with_trying_every_order(Random::request_of_what_expires);
}

fn agrees_with_trying_every_order(ask: impl Fn(&mut Random) -> Request) {
    let mut random = Random(7);
    let (mut linear, mut not) = (0, 0);
    for _ in 0..30_000 {
        let lines: Vec<Line> = (0..2 + random.below(5))
            .map(|_| {
                let (request, begun) = (ask(&mut random), random.below(12));
                let answer = random.answer(request);
                // Nobody answers for the time, and a replacement needs an answer to be judged exactly.
                let is_answered = match request {
                    Expire(_) => false,
                    Replace(_) => true,
                    _ => random.below(3) > 0,
                };
                (request, is_answered.then_some(answer), begun, begun + random.below(7))
            })
            .collect();
        let expected = has_order(&lines, None, &mut vec![false; lines.len()]);
        assert_eq!(is_linear(&lines), expected, "{lines:?}");
        if expected { linear += 1 } else { not += 1 }
    }
    assert!(linear > 3000 && not > 3000, "{linear} linear, {not} not");
}

/// Whether there is an order, found by trying all.
fn has_order(lines: &[Line], value: Option<u64>, done: &mut Vec<bool>) -> bool {
    let awaited = |done: &[bool], at: usize| !done[at] && lines[at].1.is_some();
    if (0..lines.len()).all(|at| !awaited(done, at)) {
        return true;
    }
    for at in 0..lines.len() {
        let (request, answer, begun, _) = lines[at];
        let is_blocked =
            (0..lines.len()).any(|other| awaited(done, other) && lines[other].3 < begun);
        let (told, after) = request.apply(value);
        if done[at] || is_blocked || answer.is_some_and(|answer| answer != told) {
            continue;
        }
        done[at] = true;
        if has_order(lines, after, done) {
            return true;
        }
        done[at] = false;
    }
    false
}

/// Clients of a real copy, of which some hear nothing, for so many rounds: a long history, which is linear.
fn long_history(
    random: &mut Random,
    rounds: u64,
    ask: impl Fn(&mut Random, u64) -> Request,
) -> Vec<Line> {
    let (mut lines, mut value) = (Vec::new(), None);
    for done in 0..rounds {
        let request = ask(random, done);
        let (answer, after) = request.apply(value);
        let is_heard = random.below(40) > 0;
        if is_heard || random.below(2) == 0 {
            value = after;
        }
        // It is seen from before it was done until after.
        let (begun, ended) = (done.saturating_sub(random.below(7)), done + random.below(7));
        lines.push((request, is_heard.then_some(answer), begun, ended));
    }
    lines
}

#[test]
fn long_histories_with_many_unknown_outcomes_are_judged_soon() {
    let mut random = Random(11);
    let register = long_history(&mut random, 20_000, |random, done| match random.below(6) {
        0 | 1 => Set(done),
        2 => Claim(done),
        3 => Remove,
        _ => Read,
    });
    let counter = long_history(&mut random, 20_000, |random, _| match random.below(2) {
        0 => Add(1),
        _ => Read,
    });
    for mut lines in [register, counter] {
        check(&calls(&lines)).unwrap();
        // A value that nobody ever gave, near the end.
        let wrong = lines.iter().rposition(|line| matches!(line.1, Some(Value(_)))).unwrap();
        lines[wrong].1 = Some(Value(Some(u64::MAX)));
        assert!(!is_linear(&lines));
    }
}
