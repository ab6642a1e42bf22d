//! The search for an order.
//!
//! As in that of Wing and Gong, an answered call may come next if none that is still to be taken ended
//! before it began, and its answer has to fit the value. It goes on in steps, each of which takes one call
//! more, from all places that were reached to all that can be reached from them.
//!
//! ```text
//!  nothing taken ─▶ 1 call taken, in each way that there is ─▶ 2 ─▶ … ─▶ all: linearizable
//!                                                              └─▶ nowhere: not
//! ```
//!
//! Three things keep the places few, however many calls have no answer, and lose no order:
//!
//! * Who only looks (a read, a claim or a removal that found nothing to do) and fits now is taken now, and
//!   nothing else is tried: it changes nothing for those that follow.
//! * Calls without an answer are taken only right before an answered one that does not fit otherwise
//!   ([`Unknown`]).
//! * Of two places that differ only in these, one that has used no other than the other has is enough.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter, Result as Formatted, Write};
use std::rc::Rc;

use crate::call::{Answer, Call, Request};
use crate::unknown::{Needs, Unknown};

/// An answered call.
struct Answered {
    client: u64,
    request: Request,
    begun: u64,
    answer: Answer,
    ended: u64,
}

/// The calls of one key.
pub struct Search {
    /// In the order in which they began.
    answered: Vec<Answered>,
    unknown: Unknown,
}

/// How far an order has come.
#[derive(Clone)]
struct Place {
    at: At,
    /// The calls without an answer that were taken, in ascending order.
    used: Rc<Vec<usize>>,
}

/// The same without what it used.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct At {
    /// All answered calls before this one were taken, and this one was not.
    first: usize,
    /// Those behind it that were taken, in ascending order.
    ahead: Vec<usize>,
    value: Option<u64>,
}

/// Places, each with the fewest calls used.
type Places = BTreeMap<At, Vec<Rc<Vec<usize>>>>;

/// Adds a place, unless there is one as good.
fn add(places: &mut Places, place: Place) {
    let within = |some: &[usize], others: &[usize]| {
        some.iter().all(|number| others.binary_search(number).is_ok())
    };
    let ways = places.entry(place.at).or_default();
    if !ways.iter().any(|way| within(way, &place.used)) {
        ways.retain(|way| !within(&place.used, way));
        ways.push(place.used);
    }
}

impl At {
    fn has(&self, call: usize) -> bool {
        call < self.first || self.ahead.binary_search(&call).is_ok()
    }

    /// After an answered call.
    fn after(&self, call: usize, value: Option<u64>) -> At {
        let mut next = At { first: self.first, ahead: self.ahead.clone(), value };
        let place = next.ahead.partition_point(|other| *other < call);
        next.ahead.insert(place, call);
        let run = next.ahead.iter().zip(next.first..).take_while(|(call, at)| *call == at).count();
        next.ahead.drain(..run);
        next.first += run;
        next
    }
}

impl Answered {
    /// The value after it, if its answer fits the one before.
    fn fits(&self, value: Option<u64>) -> Option<Option<u64>> {
        let (answer, after) = self.request.apply(value);
        (answer == self.answer).then_some(after)
    }

    fn only_looks(&self) -> bool {
        matches!(
            self.answer,
            Answer::Value(_)
                | Answer::Removed(false)
                | Answer::Claimed(false)
                | Answer::Replaced(false)
        )
    }

    /// What has to be there before it, where it does not fit as it is.
    fn needs(&self) -> Needs {
        match (self.request, self.answer) {
            (_, Answer::Value(Some(value))) => Needs::Number(value),
            (Request::Add(more), Answer::Sum(sum)) => Needs::Number(sum.wrapping_sub(more)),
            (_, Answer::Removed(true) | Answer::Claimed(false) | Answer::Replaced(true)) => {
                Needs::Something
            }
            _ => Needs::Nothing,
        }
    }
}

impl Display for Answered {
    fn fmt(&self, f: &mut Formatter<'_>) -> Formatted {
        let Answered { client, request, begun, answer, ended } = self;
        write!(f, "{begun}..{ended} client {client}: {request:?}: {answer:?}")
    }
}

impl Search {
    /// For the calls of one key.
    pub fn new<Key>(calls: &[&Call<Key>]) -> Search {
        let (mut answered, mut unknown) = (Vec::new(), Vec::new());
        for call in calls {
            let (client, request, begun) = (call.client, call.request, call.begun);
            match call.end {
                Some((answer, ended)) => {
                    answered.push(Answered { client, request, begun, answer, ended });
                }
                None => unknown.push((request, begun)),
            }
        }
        answered.sort_by_key(|call| (call.begun, call.ended));
        let needed = answered.iter().filter_map(|call| match call.needs() {
            Needs::Number(number) => Some(number),
            _ => None,
        });
        let adds = calls.iter().any(|call| matches!(call.request, Request::Add(_)));
        let unknown = Unknown::new(unknown, &needed.collect(), adds);
        Search { answered, unknown }
    }

    /// Looks for an order.
    ///
    /// # Errors
    /// How far one goes at most, if none goes to the end.
    pub fn run(&self) -> Result<(), String> {
        let start = At { first: 0, ahead: Vec::new(), value: None };
        let mut places = Places::from([(start, vec![Rc::default()])]);
        for taken in 0..self.answered.len() {
            let mut next = Places::new();
            for (at, ways) in &places {
                for used in ways {
                    let place = Place { at: at.clone(), used: Rc::clone(used) };
                    self.onward(&place).into_iter().for_each(|place| add(&mut next, place));
                }
            }
            if next.is_empty() {
                return Err(self.explain(taken, &places));
            }
            places = next;
        }
        Ok(())
    }

    /// The answered calls that may come next, and when the first of them ended.
    fn next(&self, at: &At) -> (Vec<usize>, u64) {
        let (mut calls, mut deadline) = (Vec::new(), u64::MAX);
        for (index, call) in self.answered.iter().enumerate().skip(at.first) {
            if call.begun > deadline {
                break;
            }
            if !at.has(index) {
                calls.push(index);
                deadline = deadline.min(call.ended);
            }
        }
        calls.retain(|index| self.answered[*index].begun <= deadline);
        (calls, deadline)
    }

    /// The places to go to from one.
    fn onward(&self, place: &Place) -> Vec<Place> {
        let Place { at, used } = place;
        let (calls, deadline) = self.next(at);
        let take = |index: usize, after: Option<u64>, used: &Rc<Vec<usize>>| Place {
            at: at.after(index, after),
            used: Rc::clone(used),
        };
        let looks = |index: &&usize| {
            let call = &self.answered[**index];
            call.only_looks() && call.fits(at.value).is_some()
        };
        if let Some(index) = calls.iter().find(looks) {
            return vec![take(*index, at.value, used)];
        }
        let mut places = Vec::new();
        for index in calls {
            let call = &self.answered[index];
            if let Some(after) = call.fits(at.value) {
                places.push(take(index, after, used));
                continue;
            }
            for way in self.unknown.ways(at.value, &call.needs(), used, deadline) {
                places.extend(call.fits(way.value).map(|after| take(index, after, &way.used)));
            }
        }
        places
    }

    /// Why there is no next place; the first of those that were reached says enough.
    fn explain(&self, taken: usize, places: &Places) -> String {
        let Some((at, ways)) = places.first_key_value() else { return String::new() };
        let (calls, deadline) = self.next(at);
        let mut text = format!(
            "when {taken} of {} answers are explained, the value is {:?}, and none of these can be next:",
            self.answered.len(),
            at.value
        );
        for index in calls {
            let _ = write!(text, "\n  {}", self.answered[index]);
        }
        text.push_str("\nTaken before:");
        let before = (0..self.answered.len()).filter(|index| at.has(*index));
        let mut before: Vec<&Answered> = before.map(|index| &self.answered[index]).collect();
        before.sort_by_key(|call| call.ended);
        for call in before.iter().skip(before.len().saturating_sub(8)) {
            let _ = write!(text, "\n  {call}");
        }
        text.push_str("\nWithout an answer, and not needed so far:");
        for (request, begun) in self.unknown.open(&ways[0], deadline) {
            let _ = write!(text, "\n  {begun}.. {request:?}");
        }
        text
    }
}
