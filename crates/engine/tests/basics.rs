//! What every user does first.

use std::collections::BTreeMap;
use std::time::Duration;

use aryavarth::disk::sim::SimDisk;
use aryavarth::{
    Durability, Error, Expected, KvStore, Maintenance, Options, SetOptions, SetOutcome, Swap,
    WriteBatch,
};

fn contents(store: &KvStore) -> BTreeMap<Vec<u8>, Vec<u8>> {
    store.iter().map(|entry| entry.expect("it is intact")).map(|e| (e.key, e.value)).collect()
}

#[test]
fn what_is_set_is_there_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    for options in [
        Options::default(),
        Options::tiny(),
        Options::default().durability(Durability::Os),
        Options::default().durability(Durability::Interval(Duration::from_millis(5))),
    ] {
        let store = KvStore::open_with(directory.path(), options.clone()).unwrap();
        store.set("a", "1").unwrap();
        store.set("b", vec![7; 100_000]).unwrap();
        store.set("c", "").unwrap();
        assert!(store.remove("a").unwrap());
        assert!(!store.remove("a").unwrap());
        store.close().unwrap();
        let store = KvStore::open_with(directory.path(), options).unwrap();
        assert_eq!(store.get("a").unwrap(), None);
        assert_eq!(store.get("b").unwrap(), Some(vec![7; 100_000]));
        assert_eq!(store.get("c").unwrap(), Some(vec![]));
        assert_eq!(store.len(), 2);
    }
}

#[test]
fn many_keys_survive_rotation_compaction_and_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let mut model = BTreeMap::new();
    let options = Options::tiny().durability(Durability::Os);
    let mut store = KvStore::open_with(directory.path(), options.clone()).unwrap();
    for round in 0..6u32 {
        for i in 0..500u32 {
            let key = format!("key{}", (i * 7 + round) % 700);
            let value = format!("value {round} {i}").repeat(1 + (i % 5) as usize);
            store.set(&key, &value).unwrap();
            model.insert(key.into_bytes(), value.into_bytes());
            if i % 3 == 0 {
                let key = format!("key{}", (i * 11) % 700);
                let was = model.remove(key.as_bytes()).is_some();
                assert_eq!(store.remove(&key).unwrap(), was);
            }
        }
        match round % 3 {
            0 => store.checkpoint().unwrap(),
            1 => {
                store.compact().unwrap();
                let stats = store.stats();
                assert_eq!(stats.compaction_debt, 0, "{stats:?}");
            }
            _ => {}
        }
        assert_eq!(contents(&store), model, "round {round}");
        assert_eq!(store.len() as usize, model.len());
        store.close().unwrap();
        store = KvStore::open_with(directory.path(), options.clone()).unwrap();
        assert_eq!(contents(&store), model, "reopened after round {round}");
        let report = store.verify(|_| {}).unwrap();
        assert!(report.is_intact(), "{report:?}");
    }
}

#[test]
fn conditions_decide_on_the_newest_state() {
    let directory = tempfile::tempdir().unwrap();
    let store = KvStore::open(directory.path()).unwrap();
    let once = SetOptions::new().only_if_absent();
    let SetOutcome::Written(first) = store.set_with("k", "1", once).unwrap() else { panic!() };
    assert_eq!(store.set_with("k", "2", once).unwrap(), SetOutcome::Declined);
    let present = SetOptions::new().only_if_present();
    assert_eq!(store.set_with("x", "2", present).unwrap(), SetOutcome::Declined);
    let swap = |expected, new: Option<&[u8]>| store.compare_and_swap("k", expected, new).unwrap();
    assert_eq!(swap(Expected::Value(b"0"), Some(b"3")), Swap::Mismatch);
    let Swap::Swapped(second) = swap(Expected::Value(b"1"), Some(b"3")) else { panic!() };
    assert!(second > first);
    assert_eq!(swap(Expected::Version(first), Some(b"4")), Swap::Mismatch);
    assert!(matches!(swap(Expected::Version(second), None), Swap::Swapped(_)));
    assert!(matches!(swap(Expected::Absent, Some(b"5")), Swap::Swapped(_)));
    assert_eq!(store.get("k").unwrap().unwrap(), b"5");
}

#[test]
fn increments_by_many_threads_are_all_counted() {
    let directory = tempfile::tempdir().unwrap();
    let store = KvStore::open(directory.path()).unwrap();
    store.set("n", "0").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    loop {
                        let old = store.get("n").unwrap().unwrap();
                        let n: u64 = std::str::from_utf8(&old).unwrap().parse().unwrap();
                        let new = (n + 1).to_string();
                        let swap = store.compare_and_swap(
                            "n",
                            Expected::Value(&old),
                            Some(new.as_bytes()),
                        );
                        if matches!(swap.unwrap(), Swap::Swapped(_)) {
                            break;
                        }
                    }
                }
            });
        }
    });
    assert_eq!(store.get("n").unwrap().unwrap(), b"400");
}

#[test]
fn submitted_batches_complete_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let store = KvStore::open(directory.path()).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    for i in 0..100u32 {
        let mut batch = WriteBatch::new();
        batch.set("last", i.to_string()).set(format!("k{i}"), "v");
        let sender = sender.clone();
        store.submit(&batch, move |outcome| sender.send(outcome.unwrap()).unwrap());
    }
    drop(sender);
    let versions: Vec<_> = receiver.iter().collect();
    assert_eq!(versions.len(), 100);
    assert!(versions.is_sorted());
    assert_eq!(store.get("last").unwrap().unwrap(), b"99");
    assert_eq!(store.len(), 101);
}

#[test]
fn keys_expire() {
    let disk = std::sync::Arc::new(SimDisk::with_seed(1));
    let store = KvStore::open_with("/store", Options::tiny().disk(disk.clone())).unwrap();
    let soon = SetOptions::new().expire_in(Duration::from_millis(30));
    store.set_with("k", "v", soon).unwrap();
    disk.advance(Duration::from_millis(29));
    assert!(store.get_entry("k").unwrap().unwrap().expires_at.is_some());
    disk.advance(Duration::from_millis(1));
    assert_eq!(store.get("k").unwrap(), None);
    assert!(!store.contains("k").unwrap());
    assert!(!store.remove("k").unwrap());
    assert_eq!(store.iter().count(), 0);
    store.compact().unwrap();
    assert_eq!(store.len(), 0);
}

#[test]
fn a_backup_is_a_store_of_that_moment() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second, third) =
        (directory.path().join("a"), directory.path().join("b"), directory.path().join("c"));
    let store = KvStore::open_with(&first, Options::tiny()).unwrap();
    for i in 0..300 {
        store.set(format!("k{i}"), format!("v{i}")).unwrap();
    }
    let report = store.backup(&second).unwrap();
    assert!(report.segments > 1);
    store.set("k1", "later").unwrap();
    store.compact().unwrap();
    assert!(matches!(store.backup(&second), Err(Error::NotEmpty { .. })));
    let restored = aryavarth::restore(&second, &third, &Options::default(), |_| {}).unwrap();
    assert_eq!(restored.segments, report.segments);
    for path in [&second, &third] {
        let copy = KvStore::open(path).unwrap();
        assert_eq!(copy.len(), 300);
        assert_eq!(copy.get("k1").unwrap().unwrap(), b"v1");
        copy.set("k1", "other").unwrap();
    }
    assert_eq!(store.get("k1").unwrap().unwrap(), b"later");
}

#[test]
fn an_export_is_in_the_order_of_writing() {
    let directory = tempfile::tempdir().unwrap();
    let store = KvStore::open_with(directory.path(), Options::tiny()).unwrap();
    for i in 0..200 {
        store.set(format!("k{i}"), "old").unwrap();
    }
    for i in 0..100 {
        store.set(format!("k{i}"), "new").unwrap();
    }
    store.compact().unwrap();
    let keys: Vec<_> = store.export().unwrap().map(|entry| entry.unwrap().key).collect();
    let expected: Vec<_> = (100..200).chain(0..100).map(|i| format!("k{i}").into_bytes()).collect();
    assert_eq!(keys, expected);
}

#[test]
fn a_second_opening_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = KvStore::open(directory.path()).unwrap();
    match KvStore::open(directory.path()) {
        Err(Error::Locked { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
        other => panic!("{other:?}"),
    }
    store.close().unwrap();
    KvStore::open(directory.path()).unwrap();
}

#[test]
fn limits_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options::tiny().max_value_length(10).maintenance(Maintenance::Background);
    let store = KvStore::open_with(directory.path(), options).unwrap();
    assert!(matches!(store.set("", "v"), Err(Error::TooLarge { what: "key", .. })));
    assert!(matches!(store.set([0; 65537], "v"), Err(Error::TooLarge { what: "key", .. })));
    assert!(matches!(store.set("k", [0; 11]), Err(Error::TooLarge { what: "value", .. })));
    store.set([0; 65536], "v").unwrap();
    store.set("k", [0; 10]).unwrap();
    assert_eq!(store.len(), 2);
    store.clone().close().unwrap();
    assert!(matches!(store.set("k", "v"), Err(Error::Closed)));
    assert!(matches!(store.get("k"), Err(Error::Closed)));
}

#[test]
fn a_damaged_value_may_be_overwritten() {
    let disk = std::sync::Arc::new(SimDisk::with_seed(1));
    let options = Options::tiny().disk(disk.clone());
    let store = KvStore::open_with("/store", options.clone()).unwrap();
    for i in 0..100 {
        store.set(format!("key{i}"), vec![b'v'; 50]).unwrap();
    }
    store.checkpoint().unwrap();
    let segment = std::path::Path::new("/store/logs/0000000001.log");
    disk.flip_bit(segment, 64 + 28 + 4 + 20, 0); // in the value of key0
    assert!(store.get("key0").unwrap_err().is_damage());
    store.set("key0", "new").unwrap();
    store.close().unwrap();
    let store = KvStore::open_with("/store", options).unwrap();
    assert_eq!(store.get("key0").unwrap().unwrap(), b"new");
    assert_eq!(store.len(), 100);
}

#[test]
fn a_compaction_cut_by_a_read_error_leaves_nothing_behind() {
    let disk = std::sync::Arc::new(SimDisk::with_seed(1));
    let options = Options::tiny().segment_size(1 << 20).disk(disk.clone());
    let store = KvStore::open_with("/store", options).unwrap();
    for i in 0..1500 {
        store.set(format!("key{i}"), vec![b'v'; 500]).unwrap();
    }
    for i in (0..1500).step_by(3) {
        store.remove(format!("key{i}")).unwrap();
    }
    let segment = std::path::Path::new("/store/logs/0000000001.log");
    disk.break_media(segment, 400 << 10, 8);
    store.compact().unwrap_err();
    // Ends the segment that the cut rewrite was writing to.
    store.backup("/backup").unwrap();
    store.compact().unwrap_err();
    let damaged = (0..1500).filter(|i| store.get(format!("key{i}")).is_err()).count();
    assert_eq!(damaged, 1, "only the record on the broken media");
}
