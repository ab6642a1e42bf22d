//! Nodes whose lines to one another are bad, under load.

use std::time::Duration;

use crate::lines::Weather;
use crate::load::Load;
use crate::network::Network;
use crate::nodes::Cluster;

const BOUND: Duration = Duration::from_secs(20);

#[test]
fn slow_lossy_and_breaking_lines_cost_time_only() {
    let Some(network) = Network::with_lines(3) else { return };
    let cluster = Cluster::plan(3, 4).on(network).begun();
    let load = Load::start(&cluster);
    load.await_all_written(BOUND);
    let lines = cluster.network().lines.as_ref().unwrap();
    for weather in [
        Weather::Late(Duration::from_millis(40)),
        Weather::Narrow(200_000),
        Weather::Lossy(40),
        Weather::Breaking(60),
    ] {
        lines.set_all(weather);
        load.await_all_written(BOUND);
        load.await_more(100);
    }
    lines.set_all(Weather::Clear);
    load.judge(&cluster);
}

#[test]
fn lines_that_die_in_one_direction_stop_nobody() {
    let Some(network) = Network::with_lines(3) else { return };
    let cluster = Cluster::plan(3, 4).on(network).begun();
    let load = Load::start(&cluster);
    load.await_all_written(BOUND);
    let lines = cluster.network().lines.as_ref().unwrap();
    let chief = cluster.chief();
    let others: Vec<usize> = (0..3).filter(|other| *other != chief).collect();
    // What it asks the others is not heard; what they ask it is.
    others.iter().for_each(|other| lines.set(chief, *other, Weather::Dead));
    load.await_all_written(BOUND);
    lines.set_all(Weather::Clear);
    cluster.await_whole();
    let chief = cluster.chief();
    let others: Vec<usize> = (0..3).filter(|other| *other != chief).collect();
    others.iter().for_each(|other| lines.set(*other, chief, Weather::Dead));
    load.await_all_written(BOUND);
    // Two that hear a third, and not one another.
    lines.set_all(Weather::Clear);
    lines.set(0, 1, Weather::Dead);
    lines.set(1, 0, Weather::Dead);
    load.await_all_written(BOUND);
    lines.set_all(Weather::Clear);
    load.judge(&cluster);
}

#[test]
fn bits_that_were_turned_on_the_way_are_noticed() {
    let Some(network) = Network::with_lines(3) else { return };
    let cluster = Cluster::plan(3, 4).on(network).begun();
    let load = Load::start(&cluster);
    load.await_all_written(BOUND);
    let lines = cluster.network().lines.as_ref().unwrap();
    lines.set_all(Weather::Noisy(100));
    load.await_more(1500);
    // A connection on which the head of a frame was damaged can be of no use any more without anybody's knowing:
    // what is asked on it outside of the streams would wait for it to break.
    lines.set_all(Weather::Breaking(1));
    std::thread::sleep(Duration::from_secs(1));
    lines.set_all(Weather::Clear);
    assert!(lines.turned() > 10, "{} bits", lines.turned());
    load.judge(&cluster);
}
