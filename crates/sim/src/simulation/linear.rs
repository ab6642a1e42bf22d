//! Whether the calls of one key can be put in an order that explains all answers.

use std::collections::HashSet;

use super::history::Call;
use super::service::{Answer, Request};

/// What a request answers, and what is there after it.
fn step(state: Option<u64>, request: Request) -> (Answer, Option<u64>) {
    match request {
        Request::Read => (Answer::Value(state), state),
        Request::Set(value) => (Answer::Done, Some(value)),
        Request::Add(more) => {
            let sum = state.unwrap_or(0).wrapping_add(more);
            (Answer::Sum(sum), Some(sum))
        }
        Request::Remove => (Answer::Removed(state.is_some()), None),
        Request::Claim(value) => (Answer::Claimed(state.is_none()), state.or(Some(value))),
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Taken(Vec<u64>);

impl Taken {
    fn has(&self, place: usize) -> bool {
        self.0[place / 64] >> (place % 64) & 1 == 1
    }

    fn flip(&mut self, place: usize) {
        self.0[place / 64] ^= 1 << (place % 64);
    }
}

/// Checks the calls of one key.
///
/// # Errors
/// Where there is no such order: the first calls that cannot be explained.
pub fn check(calls: &[Call]) -> Result<(), String> {
    let mut calls: Vec<&Call> = calls.iter().filter(|call| !is_idle(call)).collect();
    calls.sort_by_key(|call| (call.begun, call.client));
    let end = |call: &Call| call.end.map_or(u64::MAX, |(_, at)| at);
    let answered = calls.iter().filter(|call| call.end.is_some()).count();
    let mut taken = Taken(vec![0; calls.len() / 64 + 1]);
    let mut seen = HashSet::new();
    // Of each call taken: its place, and the state before it.
    let mut path: Vec<(usize, Option<u64>)> = Vec::new();
    let (mut state, mut done, mut next) = (None, 0, 0);
    let mut farthest = 0;
    let mut first_open = 0;
    loop {
        if done == answered {
            return Ok(());
        }
        while first_open < calls.len() && taken.has(first_open) {
            first_open += 1;
        }
        let mut limit = u64::MAX;
        for (place, call) in calls.iter().enumerate().skip(first_open) {
            if call.begun > limit {
                break;
            }
            if !taken.has(place) {
                limit = limit.min(end(call));
            }
        }
        let mut found = None;
        for (place, call) in calls.iter().enumerate().skip(next.max(first_open)) {
            if call.begun > limit {
                break;
            }
            if taken.has(place) {
                continue;
            }
            let (answer, after) = step(state, call.request);
            if call.end.is_none_or(|(told, _)| told == answer) {
                taken.flip(place);
                let is_new = seen.insert((taken.clone(), after));
                if is_new {
                    found = Some((place, after));
                    break;
                }
                taken.flip(place);
            }
        }
        match found {
            Some((place, after)) => {
                path.push((place, state));
                state = after;
                done += usize::from(calls[place].end.is_some());
                if done > farthest {
                    farthest = done;
                }
                next = 0;
            }
            None => {
                let Some((place, before)) = path.pop() else {
                    return Err(explain(&calls, farthest));
                };
                taken.flip(place);
                state = before;
                done -= usize::from(calls[place].end.is_some());
                first_open = first_open.min(place);
                next = place + 1;
            }
        }
    }
}

/// A read without an answer says nothing.
fn is_idle(call: &Call) -> bool {
    call.end.is_none() && matches!(call.request, Request::Read)
}

fn explain(calls: &[&Call], explained: usize) -> String {
    let mut by_end: Vec<&&Call> = calls.iter().collect();
    by_end.sort_by_key(|call| call.end.map_or(u64::MAX, |(_, at)| at));
    let from = explained.saturating_sub(3);
    let near: Vec<String> = by_end
        .iter()
        .skip(from)
        .take(8)
        .map(|call| {
            let (client, request) = (call.client, call.request);
            format!("\n    {}..{:?} client {client}: {request:?}", call.begun, call.end)
        })
        .collect();
    format!("at most {explained} answers can be explained; near there:{}", near.concat())
}
