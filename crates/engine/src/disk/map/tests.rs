//! A mapping by itself; faults are tested with files (`os`) and processes (`fault`).

use std::io::Write;
use std::sync::atomic::AtomicU64;
use std::thread;

use super::*;

/// A multiple of the bytes of a page, on any machine.
const PAGE: usize = 64 << 10;

fn file_of(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

#[test]
fn bytes_written_are_read_through_every_mapping_of_the_file() {
    let file = file_of(&[7; PAGE]);
    let writable = Mapping::writable(file.as_file(), 16 * PAGE).unwrap();
    let read_only = Mapping::read_only(file.as_file(), PAGE).unwrap();
    writable.write(PAGE - 3, b"end").unwrap();
    assert_eq!(read_only.slice(PAGE - 4, 4), b"\x07end");
    assert_eq!(writable.slice(0, 2), [7, 7]);
    assert!(!writable.has_faulted() && !read_only.has_faulted());
}

#[test]
fn a_file_that_grows_is_seen_through_the_longer_mapping() {
    let file = file_of(b"");
    let mapping = Mapping::writable(file.as_file(), 4 * PAGE).unwrap();
    file.as_file().set_len(3 * PAGE as u64).unwrap();
    mapping.write(2 * PAGE, b"later").unwrap();
    assert_eq!(mapping.slice(2 * PAGE, 6), b"later\0");
    assert!(!mapping.has_faulted());
}

#[test]
#[should_panic(expected = "past the end of the mapping")]
fn a_range_past_the_end_is_a_broken_promise() {
    let file = file_of(&[0; PAGE]);
    Mapping::read_only(file.as_file(), PAGE).unwrap().slice(PAGE, 1);
}

#[test]
#[should_panic(expected = "read-only")]
fn a_read_only_mapping_is_not_written() {
    let file = file_of(&[0; PAGE]);
    let _ = Mapping::read_only(file.as_file(), PAGE).unwrap().write(0, b"no");
}

#[test]
fn slots_are_used_again() {
    let file = file_of(&[0; PAGE]);
    for _ in 0..5_000 {
        drop(Mapping::read_only(file.as_file(), PAGE).unwrap());
    }
    assert!(fault::slots_used() < 5_000);
}

#[test]
fn a_new_mapping_in_the_slot_of_a_faulted_one_has_not_faulted() {
    for _ in 0..200 {
        let file = file_of(&[1; PAGE]);
        let mapping = Mapping::read_only(file.as_file(), PAGE).unwrap();
        assert!(!mapping.has_faulted());
        assert_eq!(mapping.slice(0, 1), [1]);
        file.as_file().set_len(0).unwrap();
        assert_eq!(mapping.slice(0, 1), [0]);
        assert!(mapping.has_faulted());
    }
}

/// Threads read a file that is cut again and again, while others map and unmap theirs, so that the
/// handler searches a table that changes under it.
#[test]
fn many_threads_fault_while_mappings_come_and_go() {
    let faults = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let file = file_of(&[1; 8 * PAGE]);
                    let mapping = Mapping::writable(file.as_file(), 8 * PAGE).unwrap();
                    let neighbour = Mapping::read_only(file.as_file(), PAGE).unwrap();
                    file.as_file().set_len(PAGE as u64).unwrap();
                    thread::scope(|readers| {
                        for page in 1..8 {
                            let mapping = &mapping;
                            readers.spawn(move || {
                                assert_eq!(mapping.slice(page * PAGE + 17, 1), [0]);
                                assert!(mapping.has_faulted());
                                assert!(mapping.write(page * PAGE, b"lost").is_err());
                            });
                        }
                    });
                    assert_eq!(mapping.slice(0, 1), [1]);
                    assert_eq!(neighbour.slice(0, 1), [1]);
                    assert!(!neighbour.has_faulted());
                    faults.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(faults.into_inner(), 400);
}
