//! Disks that are full or slow, under load.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use crate::client::Client;
use crate::load::Load;
use crate::nodes::{Cluster, PATIENCE};
use crate::{Missing, skipped};

const BOUND: Duration = Duration::from_secs(20);
const PREFIX: &str = "aryavarth-test";

/// A file system of its own, in memory.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// One of so many megabytes. `None`, which is told, if this process may not make one.
    pub fn mount(place: &Path, megabytes: u32) -> Option<SmallDisk> {
        sweep();
        std::fs::create_dir_all(place).unwrap();
        let name = format!("{PREFIX}-{}", std::process::id());
        let size = format!("size={megabytes}m");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, &name])
            .arg(place)
            .stderr(Stdio::null())
            .status();
        if !mount.is_ok_and(|status| status.success()) {
            skipped(Missing::Mounts);
            return None;
        }
        Some(SmallDisk(place.to_owned()))
    }

    /// Takes all the room there is.
    pub fn fill(&self) {
        let mut ballast = File::options().create(true).append(true).open(self.ballast()).unwrap();
        while ballast.write_all(&[7; 1 << 16]).is_ok() {}
        while ballast.write_all(&[7; 512]).is_ok() {}
    }

    /// Gives it back.
    pub fn free(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(&self.0);
    }
}

fn unmount(place: &Path) {
    let _ = Command::new("umount").arg("-l").arg(place).stderr(Stdio::null()).status();
}

/// Unmounts what runs have left that were killed.
fn sweep() {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    for line in mounts.lines() {
        let mut words = line.split(' ');
        let (Some(name), Some(place)) = (words.next(), words.next()) else { continue };
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('-'));
        if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
            unmount(Path::new(place));
        }
    }
}

#[test]
fn a_node_whose_disk_is_full_stops_nobody_and_comes_back_when_there_is_room() {
    let cluster = Cluster::plan(3, 4);
    let Some(disk) = SmallDisk::mount(&cluster.store(1), 192) else { return };
    let cluster = cluster.begun();
    let load = Load::start(&cluster);
    load.await_all_written(BOUND);
    for round in 0..2 {
        disk.fill();
        // Until the log has to grow nobody notices.
        let mut filler = Client::new(cluster.addresses());
        let value = "x".repeat(100_000);
        let before = cluster.has_said(1, "full");
        let begun = Instant::now();
        while cluster.has_said(1, "full") == before {
            assert!(
                begun.elapsed() < PATIENCE,
                "in round {round} node 1 does not say that it is full"
            );
            for number in 0..8 {
                filler.ask(&["SET", &format!("filler:{number}"), &value]);
            }
        }
        load.await_all_written(BOUND);
        load.await_more(200);
        disk.free();
        cluster.await_whole();
        load.await_all_written(BOUND);
    }
    load.judge(&cluster);
    drop(cluster);
    drop(disk);
}

/// What holds up each sync of a process.
pub struct Slowness {
    strace: Child,
    log: NamedTempFile,
}

impl Slowness {
    /// Holds up each sync by so many microseconds. `None`, which is told, if that cannot be done here.
    pub fn of(process: &str, micros: u32) -> Option<Slowness> {
        let log = NamedTempFile::new().unwrap();
        let strace = Command::new("strace")
            .args(["-f", "-qq", "-e", "trace=fdatasync,fsync,msync", "-o"])
            .arg(log.path())
            .args(["-e", &format!("inject=fdatasync,fsync,msync:delay_exit={micros}")])
            .args(["-p", process])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut strace) = strace else {
            skipped(Missing::Strace);
            return None;
        };
        std::thread::sleep(Duration::from_millis(300));
        if strace.try_wait().unwrap().is_some() {
            skipped(Missing::Strace);
            return None;
        }
        Some(Slowness { strace, log })
    }

    /// Waits until it has held up so many syncs.
    fn await_held_up(&self, syncs: usize) {
        let begun = Instant::now();
        let log = || std::fs::read_to_string(self.log.path()).unwrap();
        while log().matches("(DELAYED)").count() < syncs {
            assert!(begun.elapsed() < PATIENCE, "hardly any sync is held up: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Slowness {
    fn drop(&mut self) {
        // It lets go of the process when it is asked to end, not when it is killed.
        let _ = Command::new("kill").args(["-INT", &self.strace.id().to_string()]).status();
        let _ = self.strace.wait();
    }
}

#[test]
fn a_node_whose_disk_is_slow_stops_nobody() {
    let cluster = Cluster::start(3, 4);
    let load = Load::start(&cluster);
    load.await_all_written(BOUND);
    // A follower in most shards, and the leader of most.
    let chief = cluster.chief();
    for node in [(chief + 1) % 3, chief] {
        let Some(slowness) = Slowness::of(&cluster.process(node), 150_000) else { break };
        load.await_all_written(BOUND);
        load.await_more(100);
        slowness.await_held_up(10);
    }
    load.judge(&cluster);
}
