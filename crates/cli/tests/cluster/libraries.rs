//! Clients that other people wrote, as they are.

use std::time::{Duration, Instant};

use redis::RedisResult;
use redis::cluster::{ClusterClient, ClusterClientBuilder, ClusterConnection, cluster_pipe};
use redis::cluster_read_routing::RandomReplicaStrategy;

use crate::nodes::Cluster;

/// How long something may take to come true.
const PATIENCE: Duration = Duration::from_secs(20);

fn builder(cluster: &Cluster) -> ClusterClientBuilder {
    let addresses = cluster.addresses();
    ClusterClient::builder(addresses.iter().map(|address| format!("redis://{address}/")))
}

fn set(connection: &mut ClusterConnection, key: &str, value: u64) -> RedisResult<()> {
    redis::cmd("SET").arg(key).arg(value).exec(connection)
}

fn get(connection: &mut ClusterConnection, key: &str) -> RedisResult<Option<u64>> {
    redis::cmd("GET").arg(key).query(connection)
}

fn keys() -> impl Iterator<Item = (String, u64)> {
    (0..60).map(|number| (format!("key:{number}"), number))
}

#[test]
fn the_redis_crate_finds_its_way_and_a_new_leader() {
    let mut cluster = Cluster::start(3, 6);
    // In pipelines this client does not follow `MOVED`.
    cluster.await_spread();
    let client = builder(&cluster).build().unwrap();
    let mut connection = client.get_connection().unwrap();
    for (key, number) in keys() {
        set(&mut connection, &key, number).unwrap();
        assert_eq!(get(&mut connection, &key).unwrap(), Some(number));
    }
    // A pipeline over many slots, and a command that it splits.
    let mut pipeline = cluster_pipe();
    keys().for_each(|(key, _)| _ = pipeline.cmd("INCR").arg(key));
    let sums: Vec<u64> = pipeline.query(&mut connection).unwrap();
    assert_eq!(sums, (1..=60).collect::<Vec<u64>>());
    let mut all = redis::cmd("MGET");
    keys().for_each(|(key, _)| _ = all.arg(key));
    assert_eq!(all.query::<Vec<u64>>(&mut connection).unwrap(), sums);

    // Of replicas, what was written shows soon.
    let replicas = builder(&cluster).read_routing_strategy(RandomReplicaStrategy).build().unwrap();
    let mut reader = replicas.get_connection().unwrap();
    let since = Instant::now();
    for (key, number) in keys() {
        while get(&mut reader, &key).unwrap() != Some(number + 1) {
            assert!(since.elapsed() < PATIENCE, "{key} is not what was written");
        }
    }

    // This client learns where a slot is from `MOVED` alone, which nobody tells it who is gone: as with any cluster of
    // Redis, an application that is refused connects anew.
    cluster.kill(cluster.chief());
    let since = Instant::now();
    for (key, number) in keys() {
        while let Err(error) = set(&mut connection, &key, number + 100) {
            assert!(since.elapsed() < PATIENCE, "{key}: {error}");
            connection = client.get_connection().unwrap();
        }
        assert_eq!(get(&mut connection, &key).unwrap(), Some(number + 100));
    }
}
