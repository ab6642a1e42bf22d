//! Calls without an answer, and how they could explain what those with one saw.
//!
//! In any order that explains all, they can be put off until right before an answered call that does not
//! fit without them, as they never end; and left out where all fits, as they may never have been done. So
//! that is the only place where they are looked for, and what is looked for is a row of them of this form:
//!
//! ```text
//!  [a set or a removal]  [if there is no value: a claim]  [additions]  ▶ the answered call fits
//! ```
//!
//! since what is before a set or a removal is of no effect. An expiry serves as a removal where the value is its
//! own, and is taken before one, which serves anywhere; and a set with its expiry only where there is neither. A
//! replacement without an answer is taken for a set: that may explain more than it should. Of calls that are alike, the one that began first
//! serves as well as any other.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::rc::Rc;

use crate::call::Request;

/// What has to be there before a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// No value.
    Nothing,
    /// Any value.
    Something,
    /// This value; or none, for an addition to 0.
    Number(u64),
}

/// Calls without an answer that could have come next.
pub struct Way {
    /// The value after them.
    pub value: Option<u64>,
    /// All that were used so far, in ascending order.
    pub used: Rc<Vec<usize>>,
}

/// A call: when it began, and its number.
type Open = (u64, usize);

/// The calls of one key without an answer, those that are alike together and in the order in which they began.
#[derive(Default)]
pub struct Unknown {
    /// All, by number.
    calls: Vec<(Request, u64)>,
    sets: BTreeMap<u64, Vec<Open>>,
    claims: BTreeMap<u64, Vec<Open>>,
    adds: BTreeMap<u64, Vec<Open>>,
    removals: Vec<Open>,
    expiries: BTreeMap<u64, Vec<Open>>,
    /// Sets and claims of values that nobody saw: all that they can explain is that something was there.
    unseen: Vec<Open>,
}

/// Of calls that are alike, the first that is not used, if it began early enough.
fn first(alike: &[Open], used: &[usize], deadline: u64) -> Option<usize> {
    let open = alike.iter().take_while(|(begun, _)| *begun <= deadline);
    open.map(|(_, number)| *number).find(|number| used.binary_search(number).is_err())
}

fn with(used: &[usize], number: usize) -> Vec<usize> {
    let mut used = used.to_vec();
    used.insert(used.partition_point(|other| *other < number), number);
    used
}

impl Unknown {
    /// These calls, where answered ones need these numbers. `adds` says that some of either kind add.
    pub fn new(mut calls: Vec<(Request, u64)>, needed: &BTreeSet<u64>, adds: bool) -> Unknown {
        calls.sort_by_key(|(_, begun)| *begun);
        let mut unknown = Unknown::default();
        let mut expiring = BTreeSet::new();
        for (request, _) in &mut calls {
            match *request {
                Request::Replace(value) => *request = Request::Set(value),
                Request::Expire(value) => drop(expiring.insert(value)),
                _ => {}
            }
        }
        for (number, (request, begun)) in calls.iter().enumerate() {
            let is_unseen = |value| !adds && !needed.contains(value) && !expiring.contains(value);
            let alike = match request {
                // Without an answer it says nothing.
                Request::Read => continue,
                Request::Set(value) | Request::Claim(value) if is_unseen(value) => {
                    &mut unknown.unseen
                }
                Request::Set(value) | Request::Replace(value) => {
                    unknown.sets.entry(*value).or_default()
                }
                Request::Claim(value) => unknown.claims.entry(*value).or_default(),
                Request::Add(more) => unknown.adds.entry(*more).or_default(),
                Request::Remove => &mut unknown.removals,
                Request::Expire(value) => unknown.expiries.entry(*value).or_default(),
            };
            alike.push((*begun, number));
        }
        Unknown { calls, ..unknown }
    }

    /// The rows, beginning at a value, after which there is what is needed.
    pub fn ways(
        &self,
        value: Option<u64>,
        needs: &Needs,
        used: &Rc<Vec<usize>>,
        deadline: u64,
    ) -> Vec<Way> {
        let mut rows = Rows { unknown: self, deadline, found: Vec::new() };
        match *needs {
            Needs::Nothing => {
                rows.found.extend(rows.emptied(value, used).into_iter().map(|used| (None, used)));
            }
            Needs::Something => {
                if let Some(number) = first(&self.unseen, used, deadline) {
                    let value = self.calls[number].0.apply(None).1;
                    rows.found.push((value, with(used, number)));
                }
                for calls in [&self.sets, &self.claims, &self.adds] {
                    rows.found.extend(rows.unused(calls, 0..=u64::MAX, used));
                }
            }
            Needs::Number(number) => rows.reach(number, value, used),
        }
        let found = rows.found.into_iter();
        found.map(|(value, used)| Way { value, used: Rc::new(used) }).collect()
    }

    /// Those that are not used and began early enough.
    pub fn open(&self, used: &[usize], deadline: u64) -> impl Iterator<Item = (Request, u64)> {
        let calls = self.calls.iter().enumerate().filter(move |(number, (_, begun))| {
            *begun <= deadline && used.binary_search(number).is_err()
        });
        calls.map(|(_, call)| *call)
    }
}

/// The rows that were found: the value after each, and all that were used.
struct Rows<'a> {
    unknown: &'a Unknown,
    deadline: u64,
    found: Vec<(Option<u64>, Vec<usize>)>,
}

impl Rows<'_> {
    /// One of each number that is not used.
    fn unused(
        &self,
        calls: &BTreeMap<u64, Vec<Open>>,
        numbers: RangeInclusive<u64>,
        used: &[usize],
    ) -> Vec<(Option<u64>, Vec<usize>)> {
        let calls = calls.range(numbers).filter_map(|(number, alike)| {
            Some((Some(*number), with(used, first(alike, used, self.deadline)?)))
        });
        calls.collect()
    }

    /// What leads from a value to none.
    fn emptied(&self, value: Option<u64>, used: &[usize]) -> Vec<Vec<usize>> {
        let Unknown { sets, removals, expiries, .. } = self.unknown;
        let open = |alike: Option<&Vec<Open>>| first(alike?, used, self.deadline);
        let own = value.and_then(|value| open(expiries.get(&value)));
        if let Some(one) = own.or_else(|| open(Some(removals))) {
            return vec![with(used, one)];
        }
        let both = expiries.iter().filter_map(|(value, alike)| {
            Some(with(&with(used, open(sets.get(value))?), open(Some(alike))?))
        });
        both.collect()
    }

    /// What leads to a number.
    fn reach(&mut self, number: u64, value: Option<u64>, used: &[usize]) {
        let most = self.most_added(used);
        let numbers = number.saturating_sub(most)..=number;
        let mut starts = vec![(value, used.to_vec())];
        starts.extend(self.unused(&self.unknown.sets, numbers.clone(), used));
        starts.extend(self.emptied(value, used).into_iter().map(|used| (None, used)));
        let empty: Vec<_> = starts.iter().filter(|(value, _)| value.is_none()).cloned().collect();
        for (_, used) in empty {
            starts.extend(self.unused(&self.unknown.claims, numbers.clone(), &used));
        }
        for (value, used) in starts {
            match number.checked_sub(value.unwrap_or(0)) {
                Some(0) => self.found.push((value, used)),
                Some(left) if left <= most => self.sum(number - left, left, &used, 1),
                _ => {}
            }
        }
    }

    /// Additions that make up what is left, the smallest first.
    fn sum(&mut self, from: u64, left: u64, used: &[usize], least: u64) {
        if left == 0 {
            self.found.push((Some(from), used.to_vec()));
        }
        if left < least {
            return;
        }
        for (more, alike) in self.unknown.adds.range(least..=left) {
            if let Some(number) = first(alike, used, self.deadline) {
                self.sum(from + more, left - more, &with(used, number), *more);
            }
        }
    }

    /// The sum of all additions that are not used.
    fn most_added(&self, used: &[usize]) -> u64 {
        let each = self.unknown.adds.iter().map(|(more, alike)| {
            let open = alike.iter().filter(|(begun, number)| {
                *begun <= self.deadline && used.binary_search(number).is_err()
            });
            more.saturating_mul(open.count() as u64)
        });
        each.fold(0, u64::saturating_add)
    }
}
