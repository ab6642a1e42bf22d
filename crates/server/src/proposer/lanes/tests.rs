//! Two lanes whose batches are settled by hand.

use aryavarth::Effect;

use super::{BatchId, Holding, Lane, NotedLanes, Proposers};
use crate::net::Output;
use crate::proposer::BatchError;
use crate::proposer::fake::proposers;
use crate::resp::{Protocol, Reply};

/// Keys of the two lanes.
const KEYS: [&[u8]; 2] = [b"0", b"1"];

/// A connection that writes, and what it may send.
struct Client<'p>(Output, &'p Proposers);

impl<'p> Client<'p> {
    fn new(proposers: &'p Proposers) -> Client<'p> {
        Client(Output::default(), proposers)
    }

    /// Has it write to the lane and get `text` as the reply.
    fn write(&mut self, lane: usize, text: &str) -> BatchId {
        let mut holding = Holding::new(self.1);
        let state = holding.lane_of(KEYS[lane]);
        state.stage(KEYS[lane], Effect::Remove);
        let (batch, start) = (state.open_batch(), self.0.end());
        assert_eq!(batch.lane.index(), lane);
        Reply::new(self.0.buffer(), Protocol::Two).simple(text);
        self.0.replied(start, Some(batch));
        batch
    }

    fn sendable(&mut self) -> String {
        let text = self.0.sendable(self.1, Protocol::Two).escape_ascii().to_string();
        text.replace("\\r\\n", " ")
    }
}

fn settle(proposers: &Proposers, batch: BatchId) {
    proposers.of(batch.lane).settled(batch.number);
}

#[test]
fn a_batch_in_flight_does_not_hold_replies_of_another_lane() {
    let proposers = proposers(2);
    let (mut one, mut other) = (Client::new(&proposers), Client::new(&proposers));
    let slow = one.write(0, "slow");
    let quick = other.write(1, "quick");
    assert_eq!(slow.number, quick.number, "each lane counts by itself");
    proposers.flush();
    settle(&proposers, quick);
    assert_eq!(other.sendable(), "+quick ");
    assert_eq!(one.sendable(), "");
    settle(&proposers, slow);
    assert_eq!(one.sendable(), "+slow ");
}

#[test]
fn replies_of_one_connection_keep_their_order_across_lanes() {
    let proposers = proposers(2);
    let mut client = Client::new(&proposers);
    let a = client.write(0, "a");
    let b = client.write(1, "b");
    proposers.flush();
    let c = client.write(0, "c");
    proposers.flush();
    settle(&proposers, b);
    assert_eq!(client.sendable(), "", "the first still waits");
    settle(&proposers, a);
    assert_eq!(client.sendable(), "+a +b ");
    settle(&proposers, c);
    assert_eq!(client.sendable(), "+a +b +c ");
}

#[test]
fn a_failure_is_that_of_its_lane_alone() {
    let proposers = proposers(2);
    let mut client = Client::new(&proposers);
    client.write(0, "a");
    let b = client.write(1, "b");
    proposers.flush();
    proposers.of(Lane::FIRST).failed(&BatchError::Refused("no".to_owned()));
    settle(&proposers, b);
    assert_eq!(client.sendable(), "-ERR no +b ");
}

#[test]
fn who_asks_for_another_lane_lets_go_of_the_one_before() {
    let proposers = proposers(2);
    let mut holding = Holding::new(&proposers);
    for lane in proposers.lanes().chain(proposers.lanes()) {
        assert_eq!(holding.lane(lane).lane(), lane);
        for other in proposers.lanes() {
            assert_eq!(proposers.of(other).is_held(), other == lane);
        }
    }
    holding.release();
    assert!(holding.held().is_none());
    assert!(proposers.lanes().all(|lane| !proposers.of(lane).is_held()));
}

#[test]
fn only_the_lanes_noted_are_flushed() {
    let proposers = proposers(130);
    let keys: [u8; 4] = [0, 1, 64, 65];
    keys.iter()
        .for_each(|key| Holding::new(&proposers).lane_of(&[*key]).stage(&[*key], Effect::Remove));
    let gathered = || {
        let gathered = |key: &u8| Holding::new(&proposers).lane_of(&[*key]).gathered().0;
        keys.iter().map(gathered).collect::<Vec<_>>()
    };
    let noted = NotedLanes::default();
    proposers.flush_noted(&noted);
    assert_eq!(gathered(), [1, 1, 1, 1]);
    noted.note(proposers.lane_of(&[65]));
    proposers.flush_noted(&noted);
    assert_eq!(gathered(), [1, 0, 1, 0], "1 and 65 share a bit");
    Holding::new(&proposers).lane_of(&[1]).stage(&[1], Effect::Remove);
    proposers.flush_noted(&noted);
    assert_eq!(gathered(), [1, 1, 1, 0], "what was noted is forgotten");
}
