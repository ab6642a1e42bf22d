//! A store of the old format is converted when it is opened: crashed at every call of that.
//!
//! Whatever the crash, each of the old files is where it was or where it is put aside, unchanged,
//! and the next opening finds all that was in them.

use std::path::Path;

use aryavarth::Durability;
use aryavarth::disk::Disk;
use aryavarth::disk::sim::SimDisk;

use crate::common::model::{Contents, History, Step};
use crate::common::{STORE, logs};
use crate::every_call::EveryCall;

/// The old logs, in every spelling; a crash has cut the last one's last line.
const LOGS: [(&str, &str); 3] = [
    (
        "1.log",
        r#"{"cmd":"Set","key":"a","value":"one"}
{"Set":{"key":"b","value":"two"}}
{"cmd":"set","key":"c","value":"three"}
{"cmd":"SET","key":"d","value":"\u00e4\n"}
"#,
    ),
    (
        "2.log",
        r#"{"cmd":"Remove","key":"a"}
{"Remove":{"key":"b"}}
{"rm":{"key":"d"}}
{"set":{"key":"b","value":"again"}}
"#,
    ),
    (
        "10.log",
        r#"{"Set":{"key":"e","value":"five"}}
{"cmd":"Set","key":"f","value":"six"}
{"cmd":"rm","key":"c"}
{"cmd":"Set","key":"e","val"#,
    ),
];

fn old_store() -> SimDisk {
    let disk = SimDisk::with_seed(1);
    for (name, text) in LOGS {
        disk.put_file(&logs().join(name), text.as_bytes());
    }
    disk
}

/// The old files are somewhere, all of them and unchanged.
fn originals_are_kept(disk: &SimDisk) {
    let files = disk.files();
    for (name, text) in LOGS {
        let places = [logs().join(name), Path::new(STORE).join("kvs1-originals").join(name)];
        let kept: Vec<_> =
            places.iter().filter(|place| files.iter().any(|(path, _)| path == *place)).collect();
        assert_eq!(kept.len(), 1, "{name} is in one of {places:?}");
        assert_eq!(disk.contents(kept[0]), text.as_bytes(), "{name}");
    }
}

fn converted() -> History {
    let mut contents = Contents::default();
    for (key, value) in [("b", "again"), ("e", "five"), ("f", "six")] {
        contents.put(key.as_bytes(), Some(value.as_bytes()));
    }
    let steps = vec![
        Step::Set(b"a".to_vec(), b"new".to_vec()),
        Step::Remove(b"e".to_vec()),
        Step::Reopen,
        Step::Set(b"f".to_vec(), b"newer".to_vec()),
    ];
    History::new(contents, steps, old_store().wall_clock())
}

#[test]
fn conversion_of_a_store_synced_at_once() {
    EveryCall::new(&converted(), Durability::Always, old_store)
        .inspect_with(originals_are_kept)
        .run();
}

#[test]
fn conversion_of_a_store_left_to_the_system() {
    EveryCall::new(&converted(), Durability::Os, old_store).inspect_with(originals_are_kept).run();
}
