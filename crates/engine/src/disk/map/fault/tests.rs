//! What the handler does in a process that it must not save, each in a process of its own: the test
//! runs itself again with [`ROLE`] set, and looks at how that child ended.

#![expect(clippy::undocumented_unsafe_blocks, reason = "children made to die by their signals")]

use std::env;
use std::fs::File;
use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, exit};
use std::sync::atomic::AtomicBool;
use std::thread;

use memmap2::{MmapOptions, MmapRaw};

use super::*;
use crate::disk::map::Mapping;

const ROLE: &str = "ARYAVARTH_TEST_FAULT_CHILD";
/// At least the bytes of a page, on any machine.
const PAGE: usize = 64 << 10;
const HANDLED: i32 = 42;
const SURVIVED: i32 = 43;

/// Runs the test `name` of this module again, as a child.
fn run_child(name: &str) -> ExitStatus {
    let module = module_path!().split_once("::").unwrap().1;
    let output = Command::new(env::current_exe().unwrap())
        .args([&format!("{module}::{name}"), "--exact", "--nocapture"])
        .env(ROLE, name)
        .output()
        .unwrap();
    output.status
}

fn is_child(name: &str) -> bool {
    env::var(ROLE).is_ok_and(|role| role == name)
}

fn empty_file() -> File {
    tempfile::tempfile().unwrap()
}

/// A mapping like ours that faults when touched, but is not registered.
fn foreign() -> MmapRaw {
    MmapOptions::new().len(PAGE).map_raw(&empty_file()).unwrap()
}

fn touch(mapping: &MmapRaw) {
    black_box(unsafe { mapping.as_ptr().read_volatile() });
}

/// Installs the handler, and shows that it works here.
fn survive_a_fault_of_ours() {
    let mapping = Mapping::read_only(&empty_file(), PAGE).unwrap();
    assert_eq!(black_box(mapping.slice(0, 1)), [0]);
    assert!(mapping.has_faulted());
}

fn set_previous(handler: usize, flags: c_int) {
    let mut action = default_action();
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    set_action(&action).unwrap();
}

fn send_to_self() {
    unsafe { libc::raise(libc::SIGBUS) };
}

#[test]
fn a_fault_elsewhere_kills_as_before() {
    const NAME: &str = "a_fault_elsewhere_kills_as_before";
    if is_child(NAME) {
        survive_a_fault_of_ours();
        touch(&foreign());
        exit(SURVIVED);
    }
    assert_eq!(run_child(NAME).signal(), Some(libc::SIGBUS));
}

#[test]
fn a_fault_in_a_range_given_up_kills_as_before() {
    const NAME: &str = "a_fault_in_a_range_given_up_kills_as_before";
    if is_child(NAME) {
        survive_a_fault_of_ours();
        let memory = foreign();
        let start = memory.as_ptr() as usize;
        drop(unsafe { Registration::new(start, memory.len(), Protection::Read) }.unwrap());
        touch(&memory);
        exit(SURVIVED);
    }
    assert_eq!(run_child(NAME).signal(), Some(libc::SIGBUS));
}

extern "C" fn exit_with_details(_: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let details = unsafe { &*info };
    let known = !context.is_null() && !unsafe { details.si_addr() }.is_null();
    unsafe { libc::_exit(if known { HANDLED } else { SURVIVED }) };
}

extern "C" fn exit_plainly(signal: c_int) {
    unsafe { libc::_exit(if signal == libc::SIGBUS { HANDLED } else { SURVIVED }) };
}

#[test]
fn an_earlier_handler_gets_the_faults_elsewhere() {
    const NAME: &str = "an_earlier_handler_gets_the_faults_elsewhere";
    if is_child(NAME) {
        let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = exit_with_details;
        set_previous(handler as usize, libc::SA_SIGINFO);
        survive_a_fault_of_ours();
        touch(&foreign());
        exit(SURVIVED);
    }
    assert_eq!(run_child(NAME).code(), Some(HANDLED));
}

#[test]
fn an_earlier_handler_without_details_gets_them_too() {
    const NAME: &str = "an_earlier_handler_without_details_gets_them_too";
    if is_child(NAME) {
        let handler: extern "C" fn(c_int) = exit_plainly;
        set_previous(handler as usize, 0);
        survive_a_fault_of_ours();
        touch(&foreign());
        exit(SURVIVED);
    }
    assert_eq!(run_child(NAME).code(), Some(HANDLED));
}

#[test]
fn a_signal_that_was_sent_kills_by_default() {
    const NAME: &str = "a_signal_that_was_sent_kills_by_default";
    if is_child(NAME) {
        set_previous(libc::SIG_DFL, 0);
        survive_a_fault_of_ours();
        send_to_self();
        exit(SURVIVED);
    }
    assert_eq!(run_child(NAME).signal(), Some(libc::SIGBUS));
}

#[test]
fn a_signal_that_was_ignored_stays_ignored_but_a_fault_is_not() {
    const NAME: &str = "a_signal_that_was_ignored_stays_ignored_but_a_fault_is_not";
    if is_child(NAME) {
        set_previous(libc::SIG_IGN, 0);
        survive_a_fault_of_ours();
        send_to_self();
        survive_a_fault_of_ours();
        if env::var("ARYAVARTH_TEST_THEN").is_ok() {
            touch(&foreign());
        }
        exit(SURVIVED);
    }
    assert_eq!(run_child(NAME).code(), Some(SURVIVED));
    let output = Command::new(env::current_exe().unwrap())
        .args([&format!("{}::{NAME}", module_path!().split_once("::").unwrap().1), "--exact"])
        .envs([(ROLE, NAME), ("ARYAVARTH_TEST_THEN", "touch")])
        .output()
        .unwrap();
    assert_eq!(output.status.signal(), Some(libc::SIGBUS));
}

/// A slot goes from a range below an address to one above it and back. Read half before and half
/// after such a change, it would seem to hold the address.
#[test]
fn a_range_read_during_a_change_is_not_taken_for_one() {
    const ADDRESS: usize = 5_000;
    static SLOT: Slot = Slot::new();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..10_000_000 {
                SLOT.set(1_000, 2_000, Protection::Read);
                SLOT.set(9_000, 10_000, Protection::Read);
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut seen = 0_u64;
        while !done.load(Ordering::Relaxed) {
            if let Some((start, end)) = SLOT.range() {
                assert!(!(start..end).contains(&ADDRESS), "{start}..{end}");
                assert!([(0, 0), (1_000, 2_000), (9_000, 10_000)].contains(&(start, end)));
                seen += 1;
            }
        }
        assert!(seen > 0);
    });
}
