//! Clusters that grow, shrink, and refuse.

use crate::client::{Client, Connection, Outcome, Reply};
use crate::load::Load;
use crate::nodes::Cluster;

fn write_some(cluster: &Cluster, from: u64, count: u64) {
    let mut client = Client::new(cluster.addresses());
    for number in from..from + count {
        let outcome = client.ask(&["SET", &format!("key:{number}"), &number.to_string()]);
        assert!(matches!(outcome, Outcome::Answered(Reply::Text(_))), "{outcome:?}");
    }
}

fn read_all(cluster: &Cluster, count: u64) {
    let mut client = Client::new(cluster.addresses());
    for number in 0..count {
        let outcome = client.ask(&["GET", &format!("key:{number}")]);
        let Outcome::Answered(reply) = outcome else { panic!("key:{number}: {outcome:?}") };
        assert_eq!(reply.value(), Some(number), "key:{number}");
    }
}

fn await_shards(cluster: &Cluster, count: usize) {
    cluster.await_status(0, "the shards are not split", |status| {
        // And the meta group.
        status["shards"].as_array().unwrap().len() == count + 1
    });
}

#[test]
fn it_splits_its_shards_while_they_are_written_to() {
    let mut cluster = Cluster::start(3, None);
    let load = Load::start(&cluster);
    await_shards(&cluster, 3);
    load.await_more(200);
    let chief = cluster.chief();
    cluster.add();
    cluster.kill(chief);
    load.await_more(200);
    cluster.run(chief);
    cluster.add();
    await_shards(&cluster, 5);
    load.await_more(300);
    load.judge(&cluster);
}

#[test]
fn it_grows_loses_a_node_for_good_and_empties_another() {
    let mut cluster = Cluster::plan(1, 4).losing_after("4s").begun();
    write_some(&cluster, 0, 300);
    cluster.add();
    cluster.add();
    cluster.await_whole();
    read_all(&cluster, 300);
    let fourth = cluster.add();
    cluster.await_whole();
    write_some(&cluster, 300, 300);
    // One that is dead for good is replaced by what is there.
    cluster.kill(1);
    cluster.await_status(0, "a dead node is not replaced", |status| {
        status["state"] == "ok" && status["nodes"].as_array().unwrap().len() == 3
    });
    read_all(&cluster, 600);
    // One more takes the place of the one that is drained.
    cluster.add();
    cluster.await_whole();
    let id = cluster.id(fourth).to_string();
    let reply = Connection::open(cluster.address(0)).unwrap().ask(&["CLUSTER", "REMOVE", &id]);
    assert_eq!(reply.unwrap(), Reply::Text("OK".to_owned()));
    cluster.await_status(0, "a node is not removed", |status| {
        status["state"] == "ok" && status["nodes"].as_array().unwrap().len() == 3
    });
    // It ends by itself, and says why.
    assert_ne!(cluster.await_end(fourth), Some(0));
    assert!(cluster.said(fourth).contains("was removed from"), "{}", cluster.said(fourth));
    read_all(&cluster, 600);
}

/// How many replicas of each group there are, and how many groups a node has, by its id.
fn replicas(status: &serde_json::Value, id: u64) -> (Vec<usize>, u64) {
    let groups = status["shards"].as_array().unwrap().iter();
    let voters = groups.map(|group| group["voters"].as_array().unwrap().len()).collect();
    let nodes = status["nodes"].as_array().unwrap();
    let node = nodes.iter().find(|node| node["id"] == id).unwrap();
    (voters, node["shards"].as_u64().unwrap())
}

#[test]
fn a_node_that_is_needed_for_the_copies_leaves_only_by_force() {
    let mut cluster = Cluster::start(3, 4);
    write_some(&cluster, 0, 100);
    let id = cluster.id(2);
    let named = id.to_string();
    let mut asked = Connection::open(cluster.address(1)).unwrap();
    for order in ["DRAIN", "REMOVE"] {
        let reply = asked.ask(&["CLUSTER", order, &named]).unwrap();
        let Reply::Error(error) = &reply else { panic!("{order}: {reply:?}") };
        assert!(error.contains("each shard would have 1 copy instead of 3"), "{error}");
        assert!(error.contains("CLUSTER REPLICATION-FACTOR") && error.contains("FORCE"), "{error}");
    }
    let (code, said) = cluster.operate(0, &["drain", &named]);
    assert_eq!(code, Some(14), "{said}");
    assert!(said.contains("1 copy instead of 3") && said.contains("--force"), "{said}");
    let status = cluster.status(0).unwrap();
    assert!(status["nodes"].as_array().unwrap().iter().all(|node| node["state"] == "active"));
    assert_eq!(replicas(&status, id), (vec![3; 5], 5));
    // Whoever insists has one copy of each.
    let (code, said) = cluster.operate(0, &["drain", &named, "--force", "--until-done"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(replicas(&cluster.status(0).unwrap(), id), (vec![1; 5], 0));
    read_all(&cluster, 100);
    let (code, said) = cluster.operate(0, &["undrain", &named]);
    assert_eq!(code, Some(0), "{said}");
    cluster.await_whole();
    // With a fourth it can be spared.
    cluster.add();
    cluster.await_whole();
    let (code, said) = cluster.operate(0, &["remove", &named, "--until-done"]);
    assert_eq!(code, Some(0), "{said}");
    cluster.await_status(0, "there are not three copies of each", |status| {
        status["state"] == "ok" && status["nodes"].as_array().unwrap().len() == 3
    });
    assert_ne!(cluster.await_end(2), Some(0));
    // It is removed by force, too.
    let (code, said) = cluster.operate(0, &["remove", &cluster.id(1).to_string(), "--force"]);
    assert_eq!(code, Some(0), "{said}");
    assert_ne!(cluster.await_end(1), Some(0));
    read_all(&cluster, 100);
}

#[test]
fn clients_of_redis_cluster_are_told_where_to_go_and_others_need_not_know() {
    let cluster = Cluster::start(3, 4);
    write_some(&cluster, 0, 40);
    let mut one = Connection::open(cluster.address(0)).unwrap();
    cluster.await_spread();
    let moved = (0..40).any(|number| {
        let reply = one.ask(&["GET", &format!("key:{number}")]).unwrap();
        matches!(reply, Reply::Error(error) if error.starts_with("MOVED "))
    });
    assert!(moved, "no node leads everything");
    let reply = one.ask(&["MGET", "key:1", "key:2"]).unwrap();
    assert!(matches!(&reply, Reply::Error(error) if error.starts_with("CROSSSLOT ")), "{reply:?}");
    let reply = one.ask(&["GET", "\0aryavarth\0topology"]).unwrap();
    assert!(matches!(&reply, Reply::Error(error) if error.contains("own")), "{reply:?}");
    // With `forward` any node answers for all.
    let ok = Reply::Text("OK".to_owned());
    assert_eq!(one.ask(&["CONFIG", "SET", "routing", "forward"]).unwrap(), ok);
    let mut words = vec!["MGET".to_owned()];
    words.extend((0..40).map(|number| format!("key:{number}")));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let Reply::List(values) = one.ask(&words).unwrap() else { panic!("no list") };
    let values: Vec<u64> = values.iter().filter_map(Reply::value).collect();
    assert_eq!(values, (0..40).collect::<Vec<u64>>());
    for number in 0..40 {
        let key = format!("key:{number}");
        assert_eq!(one.ask(&["INCR", &key]).unwrap(), Reply::Number(number + 1));
        assert_eq!(one.ask(&["MULTI"]).unwrap(), ok);
        let queued = Reply::Text("QUEUED".to_owned());
        assert_eq!(one.ask(&["INCRBY", &key, "-1"]).unwrap(), queued);
        assert_eq!(one.ask(&["GET", &key]).unwrap(), queued);
        let value = Reply::Bytes(number.to_string().into_bytes());
        let done = Reply::List(vec![Reply::Number(number), value]);
        assert_eq!(one.ask(&["EXEC"]).unwrap(), done);
    }
    let words: Vec<&str> = std::iter::once("DEL").chain(words[1..].iter().copied()).collect();
    assert_eq!(one.ask(&words).unwrap(), Reply::Number(40));
    let reply = one.ask(&["MSET", "a", "1", "b", "2", "c", "3", "d", "4"]).unwrap();
    assert!(matches!(&reply, Reply::Error(error) if error.starts_with("CROSSSLOT ")), "{reply:?}");
    // A majority is asked with each read.
    assert_eq!(one.ask(&["CONFIG", "SET", "reads", "read-index"]).unwrap(), ok);
    assert_eq!(one.ask(&["SET", "a", "1"]).unwrap(), ok);
    assert_eq!(one.ask(&["GET", "a"]).unwrap(), Reply::Bytes(b"1".to_vec()));
    assert_eq!(one.ask(&["SET", "a", "2", "NX"]).unwrap(), Reply::None);
}

#[test]
fn what_is_passed_on_to_a_node_that_is_gone_was_not_done() {
    let mut cluster = Cluster::start(3, 4);
    cluster.await_spread();
    let mut one = Connection::open(cluster.address(0)).unwrap();
    let ok = Reply::Text("OK".to_owned());
    assert_eq!(one.ask(&["CONFIG", "SET", "routing", "forward"]).unwrap(), ok);
    let keys: Vec<String> = (0..40).map(|number| format!("key:{number}")).collect();
    keys.iter().for_each(|key| assert_eq!(one.ask(&["SET", key, "1"]).unwrap(), ok));
    cluster.kill(1);
    // The connection to it has ended by now.
    std::thread::sleep(std::time::Duration::from_millis(300));
    for key in &keys {
        // Until there is a new leader.
        let reply = loop {
            match one.ask(&["INCR", key]).unwrap() {
                Reply::Error(error) if error.starts_with("CLUSTERDOWN ") => {}
                reply => break reply,
            }
        };
        assert_eq!(reply.value(), Some(2), "{key}: {reply:?}");
    }
}
