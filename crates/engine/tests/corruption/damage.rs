//! Every sort of damage, everywhere.

use std::path::Path;

use aryavarth::disk::sim::{CrashPlan, SimDisk};
use aryavarth::{Durability, Error};

use crate::common::run::reopen;
use crate::common::{Context, is_exhaustive, logs};
use crate::subject::{Place, Rest, Subject, Tail};

fn place(path: &Path, start: u64, end: u64) -> Place {
    Place { path: path.to_owned(), bytes: start..end }
}

/// All of a file, and what a verdict on it may name behind its end.
fn whole(path: &Path) -> Place {
    place(path, 0, u64::MAX)
}

/// The bits of the byte at `offset` that are tried: all; of a checkpoint, which is long and mostly
/// checksums of nothing, a few.
fn bits(path: &Path, offset: u64, length: u64) -> Vec<u8> {
    let rotating = (offset % 8) as u8;
    if is_exhaustive() {
        return (0..8).collect();
    }
    if path.ends_with("checkpoint") {
        let is_sparse = offset > 64 && offset + 400 < length && !offset.is_multiple_of(61);
        return if is_sparse { Vec::new() } else { vec![rotating] };
    }
    vec![rotating, (rotating + 3) % 8, (rotating + 6) % 8]
}

#[test]
fn a_flipped_bit_in_a_closed_store() {
    let subject = Subject::new(Rest::Closed);
    assert!(subject.segments().len() > 3, "{:?}", subject.segments());
    for (path, length) in subject.files() {
        for offset in 0..length {
            for bit in bits(&path, offset, length) {
                let _context = Context(|| format!("{} byte {offset} bit {bit}", path.display()));
                let touched = [place(&path, offset, offset + 1)];
                // A manifest and a checkpoint are whole or not: any place in them will do.
                let is_log = path.extension().is_some_and(|extension| extension == "log");
                let touched = if is_log { touched } else { [whole(&path)] };
                subject.judge(|disk| disk.flip_bit(&path, offset, bit), &touched, Tail::Proven);
            }
        }
    }
}

#[test]
fn damage_to_a_killed_store() {
    let subject = Subject::new(Rest::Killed);
    let (last, start) = subject.last_commit();
    let (mut unproven, mut taken_back) = (0_u64, 0_u64);
    for (path, length) in subject.segments() {
        for offset in 0..length {
            let _context = Context(|| format!("{} byte {offset}", path.display()));
            let tail =
                if path == last && offset >= start { Tail::LastCommit } else { Tail::Proven };
            if tail == Tail::LastCommit {
                unproven += 1;
            }
            let flip = |disk: &SimDisk| disk.flip_bit(&path, offset, (offset % 8) as u8);
            subject.judge(flip, &[place(&path, offset, offset + 1)], tail);
            let damaged = subject.copy();
            flip(&damaged);
            let lost = reopen(&damaged, Durability::Always)
                .is_ok_and(|store| store.get(b"key-10").is_ok_and(|value| value.is_none()));
            taken_back += u64::from(lost);
        }
    }
    // Exactly the bytes of the last commit, and none before it, are what a flip can take back.
    let last_length = subject.places[&b"key-10"[..]].bytes.end - start;
    assert_eq!(taken_back, last_length);
    assert!(unproven >= last_length);
}

#[test]
fn swapped_blocks() {
    let subject = Subject::new(Rest::Closed);
    let files = subject.files();
    for (a, length_a) in &files {
        for (b, length_b) in &files {
            for size in [64_u64, 512, 4096] {
                let (blocks_a, blocks_b) = (length_a / size, length_b / size);
                for block in 0..blocks_a.min(6) {
                    let other = (block + 1) % blocks_b.max(1);
                    if blocks_b == 0 || (a == b && block == other) {
                        continue;
                    }
                    let (at_a, at_b) = (block * size, other * size);
                    let _context = Context(|| format!("{size}: {a:?} {at_a}, {b:?} {at_b}"));
                    let swap =
                        |disk: &SimDisk| disk.swap_blocks((a, at_a), (b, at_b), size as usize);
                    let touched = [touch(a, at_a, size), touch(b, at_b, size)];
                    subject.judge(swap, &touched, Tail::Proven);
                }
            }
        }
    }
}

/// A block of a segment; all of a file that is whole or not.
fn touch(path: &Path, offset: u64, length: u64) -> Place {
    let is_log = path.extension().is_some_and(|extension| extension == "log");
    if is_log { place(path, offset, offset + length) } else { whole(path) }
}

#[test]
fn swapped_records() {
    let subject = Subject::new(Rest::Closed);
    let mut swapped = 0;
    for (number, a) in subject.records.iter().enumerate() {
        for b in &subject.records[number + 1..] {
            let length = a.bytes.end - a.bytes.start;
            if b.bytes.end - b.bytes.start != length {
                continue;
            }
            let swap = |disk: &SimDisk| {
                let (from, to) = ((&*a.path, a.bytes.start), (&*b.path, b.bytes.start));
                disk.swap_blocks(from, to, length as usize);
            };
            subject.judge(swap, &[a.clone(), b.clone()], Tail::Proven);
            swapped += 1;
        }
    }
    assert!(swapped > 5, "{swapped} pairs of one length");
}

#[test]
fn swapped_deleted_and_emptied_files() {
    let subject = Subject::new(Rest::Closed);
    let files = subject.files();
    for (number, (a, length)) in files.iter().enumerate() {
        let _context = Context(|| format!("{a:?}"));
        for (b, _) in &files[number + 1..] {
            let touched = [whole(a), whole(b)];
            subject.judge(|disk| disk.swap_files(a, b), &touched, Tail::Proven);
        }
        if !a.ends_with("checkpoint") {
            subject.judge(|disk| disk.delete(a), &[whole(a)], Tail::Proven);
        }
        let step = if *length > 5000 { 1009 } else { 7 };
        for shorter in (0..*length).step_by(step).chain([length - 1]) {
            let touched = [place(a, shorter, u64::MAX)];
            let touched = if is_segment(a) { touched } else { [whole(a)] };
            let _context = Context(|| format!("cut to {shorter}"));
            subject.judge(|disk| disk.truncate_file(a, shorter), &touched, Tail::Proven);
        }
    }
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "log")
}

#[test]
fn a_checkpoint_that_is_gone_costs_nothing_but_time() {
    let subject = Subject::new(Rest::Closed);
    let disk = subject.copy();
    disk.delete(&logs().join("checkpoint"));
    let store = reopen(&disk, Durability::Always).unwrap();
    for key in &subject.keys {
        let value = store.get(key).unwrap();
        assert_eq!(value.as_ref(), subject.contents.0.get(key).map(|value| &value.bytes));
    }
}

#[test]
fn zeroed_blocks() {
    for rest in [Rest::Closed, Rest::Killed] {
        let subject = Subject::new(rest);
        let (last, start) = subject.last_commit();
        for (path, length) in subject.files() {
            for size in [8, 64, 512] {
                let step = if length > 5000 { 515 } else { size.min(64) };
                for offset in (0..length.saturating_sub(size)).step_by(step as usize) {
                    let _context = Context(|| format!("{rest:?} {path:?} {offset} + {size}"));
                    let reaches = rest == Rest::Killed && path == last && offset + size > start;
                    let tail = match (reaches, offset >= start) {
                        (false, _) => Tail::Proven,
                        (true, true) => Tail::LastCommit,
                        (true, false) => Tail::Reached,
                    };
                    let zeros = vec![0; size as usize];
                    let touched = [touch(&path, offset, size)];
                    subject.judge(|disk| disk.overwrite(&path, offset, &zeros), &touched, tail);
                }
            }
        }
    }
}

/// An older version of a file is whole in itself; only its fellows can tell.
#[test]
fn older_versions_of_files() {
    let subject = Subject::new(Rest::Closed);
    let mut tried = 0;
    for (path, bytes) in &subject.older {
        let _context = Context(|| format!("{path:?}, {} bytes", bytes.len()));
        let disk = subject.copy();
        disk.put_file(path, bytes);
        let opened = reopen(&disk.crashed_image(CrashPlan::KillProcess), Durability::Always);
        match opened {
            Ok(store) => {
                for key in &subject.keys {
                    let Ok(value) = store.get(key) else { continue };
                    let right = subject.contents.0.get(key).map(|value| &value.bytes);
                    assert_eq!(value.as_ref(), right, "{}", String::from_utf8_lossy(key));
                }
            }
            Err(Error::Damaged { .. }) => {}
            Err(other) => panic!("{other}"),
        }
        tried += 1;
    }
    assert!(tried > 6);
}
