//! The simulation is deterministic, finds nothing where there is nothing, and finds each bug that is
//! planted.

use std::process::Command;

use aryavarth::planted::Planted;
use aryavarth_sim::simulation::{Events, Outcome, run};

fn clean(seed: u64) -> Outcome {
    let outcome = run(seed, None, Events::Hashed);
    assert_eq!(outcome.violation, None, "seed {seed}");
    outcome
}

#[test]
fn a_seed_gives_the_same_events_each_time() {
    for seed in 0..4 {
        let (first, second) = (clean(seed), clean(seed));
        assert_eq!((first.trace, first.events), (second.trace, second.events), "seed {seed}");
        assert!(first.committed > 10 && first.leaders > 0 && first.calls.1 > 10);
    }
    assert_ne!(clean(0).trace, clean(1).trace);
}

#[test]
fn what_must_hold_holds() {
    (4..24).for_each(|seed| drop(clean(seed)));
}

/// Seeds within which a bug must be found.
fn bound(bug: Planted) -> u64 {
    match bug {
        Planted::AckBeforeSync | Planted::AppliedBeforeCommitted => 3,
        Planted::CheckpointPanics | Planted::CommitMiscounted | Planted::PurgeTooEarly => 10,
        Planted::FollowerDoesNotWait
        | Planted::ReadBeforeReady
        | Planted::SnapshotWithoutTail
        | Planted::SplitKeysNotCopied
        | Planted::SplitNotHeard
        | Planted::StaleOverlay => 20,
        Planted::SplitNotBarred => 50,
        Planted::ClockNotTakenOver => 100,
        Planted::LeaseOnStoppingClock => 400,
        Planted::TruncationForgotten => 450,
    }
}

fn find(bug: Planted) {
    let mut seeds = 0..bound(bug);
    let found = seeds.any(|seed| run(seed, Some(bug), Events::Hashed).violation.is_some());
    assert!(found, "{bug:?} is not found within {} seeds", bound(bug));
}

#[test]
fn acknowledging_before_the_sync_is_found() {
    find(Planted::AckBeforeSync);
}

#[test]
fn counting_a_commit_wrongly_is_found() {
    find(Planted::CommitMiscounted);
}

#[test]
fn applying_before_the_commit_is_found() {
    find(Planted::AppliedBeforeCommitted);
}

#[test]
fn forgetting_truncations_at_a_restart_is_found() {
    find(Planted::TruncationForgotten);
}

#[test]
fn a_lease_on_a_clock_that_stops_is_found() {
    find(Planted::LeaseOnStoppingClock);
}

#[test]
fn reading_before_the_leader_is_ready_is_found() {
    find(Planted::ReadBeforeReady);
}

#[test]
fn a_stale_overlay_after_a_change_of_leaders_is_found() {
    find(Planted::StaleOverlay);
}

#[test]
fn a_snapshot_without_its_tail_is_found() {
    find(Planted::SnapshotWithoutTail);
}

#[test]
fn a_purge_that_comes_too_early_is_found() {
    find(Planted::PurgeTooEarly);
}

#[test]
fn a_leader_that_shows_again_what_has_expired_is_found() {
    find(Planted::ClockNotTakenOver);
}

#[test]
fn a_follower_that_answers_what_is_too_old_is_found() {
    find(Planted::FollowerDoesNotWait);
}

#[test]
fn a_snapshot_without_what_was_written_before_a_split_is_found() {
    find(Planted::SplitKeysNotCopied);
}

#[test]
fn a_leader_that_goes_on_while_its_shard_is_split_is_found() {
    find(Planted::SplitNotBarred);
}

#[test]
fn a_leader_that_has_not_heard_of_a_split_is_found() {
    find(Planted::SplitNotHeard);
}

/// A panic on the simulation's own thread is a seed that failed, like any other.
#[test]
fn a_panic_is_told_with_its_place_and_how_to_run_it_again() {
    let seeds = format!("0..{}", bound(Planted::CheckpointPanics));
    let arguments = ["--seeds", &seeds, "--bug", "CheckpointPanics", "--threads", "1"];
    let done = Command::new(env!("CARGO_BIN_EXE_aryavarth-sim")).args(arguments).output().unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    assert_eq!(done.status.code(), Some(1), "{text}");
    assert!(text.contains("a panic was planted") && text.contains("store/mod.rs:"), "{text}");
    assert!(text.contains("again: cargo run -p aryavarth-sim --release -- --seed "), "{text}");
    assert!(text.contains(" --bug CheckpointPanics\n") && !text.contains(" 0 failed"), "{text}");
}
