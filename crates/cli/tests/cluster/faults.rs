//! Nodes that die, freeze, stop and come back, under load.

use std::time::Duration;

use crate::load::Load;
use crate::nodes::Cluster;

#[test]
fn nodes_that_are_killed_one_after_the_other_lose_nothing() {
    let mut cluster = Cluster::start(3, 4);
    let load = Load::start(&cluster);
    for _ in 0..2 {
        load.await_more(200);
        let chief = cluster.chief();
        cluster.kill(chief);
        load.await_more(300);
        cluster.run(chief);
        cluster.await_whole();
    }
    load.judge(&cluster);
}

#[test]
fn a_node_that_freezes_answers_nothing_old_when_it_wakes() {
    let cluster = Cluster::start(3, 4);
    let load = Load::start(&cluster);
    for pause in [700, 2500] {
        load.await_more(200);
        let chief = cluster.chief();
        cluster.signal(chief, "-STOP");
        std::thread::sleep(Duration::from_millis(pause));
        cluster.signal(chief, "-CONT");
        load.await_more(200);
    }
    load.judge(&cluster);
}

#[test]
fn all_nodes_killed_at_once_keep_what_they_acknowledged() {
    let mut cluster = Cluster::start(3, 4);
    let load = Load::start(&cluster);
    load.await_more(500);
    (0..3).for_each(|node| cluster.kill(node));
    (0..3).for_each(|node| cluster.run(node));
    load.await_more(300);
    load.judge(&cluster);
}

#[test]
fn a_rolling_restart_shows_no_error_but_closed_connections() {
    let mut cluster = Cluster::start(3, 4);
    let load = Load::start(&cluster);
    for node in 0..3 {
        load.await_more(200);
        assert_eq!(cluster.stop(node), Some(0), "{}", cluster.said(node));
        cluster.run(node);
        cluster.await_whole();
    }
    load.judge(&cluster);
}
