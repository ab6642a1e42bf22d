//! What the machine itself can do: the figures no store can beat.

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use memmap2::Mmap;

use crate::Result;
use crate::cli::Settings;
use crate::latency::Latency;
use crate::random::Rng;

const MIB: usize = 1 << 20;
const FILE: usize = 256 * MIB;
const RECORD: usize = 128;
const COPY: usize = 64 * MIB;

/// All limits, as label and text. Files are made in `dir`.
pub fn limits(dir: &Path, settings: &Settings) -> Result<Vec<(String, String)>> {
    let time = Duration::from_secs_f64(settings.seconds);
    let read_file = dir.join("read");
    let mut lines = append_bandwidth(&read_file)?;
    lines.push(synced_appends(&dir.join("append"), time)?);
    lines.push(synced_overwrites(&dir.join("preallocated"), time)?);
    lines.push(random_preads(&read_file, time)?);
    lines.push(random_mapped_reads(&read_file, time)?);
    lines.push(copy_bandwidth(time));
    Ok(lines)
}

fn create(path: &Path) -> Result<File> {
    Ok(OpenOptions::new().read(true).write(true).create_new(true).open(path)?)
}

fn append_bandwidth(path: &Path) -> Result<Vec<(String, String)>> {
    let mut rng = Rng::new(1);
    let block: Vec<u8> = (0..MIB / 8).flat_map(|_| rng.bits().to_le_bytes()).collect();
    let mut file = create(path)?;
    let begin = Instant::now();
    for _ in 0..FILE / MIB {
        file.write_all(&block)?;
    }
    let buffered = begin.elapsed();
    file.sync_data()?;
    let synced = begin.elapsed();
    Ok(vec![
        ("append, 1 MiB writes, to the page cache".into(), bandwidth(FILE, buffered)),
        ("append, 1 MiB writes, one fdatasync at the end".into(), bandwidth(FILE, synced)),
    ])
}

fn synced_appends(path: &Path, time: Duration) -> Result<(String, String)> {
    Ok(("append of 128 B + fdatasync".into(), time_appends(path, time)?.text()))
}

/// The median time of appending 128 bytes to a file of its own and syncing it.
pub fn synced_append_micros(path: &Path, time: Duration) -> Result<f64> {
    let micros = time_appends(path, time)?.latency.micros_at(0.5);
    std::fs::remove_file(path)?;
    Ok(micros)
}

fn time_appends(path: &Path, time: Duration) -> Result<Repeated> {
    let mut file = create(path)?;
    repeat(time, || {
        file.write_all(&[7; RECORD])?;
        Ok(file.sync_data()?)
    })
}

fn synced_overwrites(path: &Path, time: Duration) -> Result<(String, String)> {
    let file = create(path)?;
    let blocks = 16 * MIB / 4096;
    // Written, not only reserved: converting reserved blocks would cost a metadata write a sync.
    file.write_all_at(&vec![0; blocks * 4096], 0)?;
    file.sync_all()?;
    let mut place = 0;
    let done = repeat(time, || {
        file.write_all_at(&[7; 4096], (place % blocks * 4096) as u64)?;
        place += 1;
        Ok(file.sync_data()?)
    })?;
    Ok(("write of 4 KiB + fdatasync, preallocated file".into(), done.text()))
}

/// What came of an operation done over and over.
struct Repeated {
    rate: f64,
    latency: Latency,
}

impl Repeated {
    fn text(&self) -> String {
        let (p50, p99) = (self.latency.micros_at(0.5), self.latency.micros_at(0.99));
        format!("{:.0} /s (p50 {p50:.0} µs, p99 {p99:.0} µs)", self.rate)
    }
}

/// Calls `op` until time is up.
fn repeat(time: Duration, mut op: impl FnMut() -> Result<()>) -> Result<Repeated> {
    let mut latency = Latency::new();
    let begin = Instant::now();
    let mut ops = 0;
    while begin.elapsed() < time {
        let before = Instant::now();
        op()?;
        latency.record(before.elapsed());
        ops += 1;
    }
    Ok(Repeated { rate: f64::from(ops) / begin.elapsed().as_secs_f64(), latency })
}

fn random_preads(path: &Path, time: Duration) -> Result<(String, String)> {
    let file = File::open(path)?;
    let mut buffer = [0; RECORD];
    let rate = reads(time, |place| {
        file.read_exact_at(&mut buffer, place as u64)?;
        Ok(buffer[0])
    })?;
    Ok(("random read of 128 B from the page cache, pread".into(), rate))
}

fn random_mapped_reads(path: &Path, time: Duration) -> Result<(String, String)> {
    let file = File::open(path)?;
    // SAFETY: the file lies in this process's scratch directory and is not changed any more.
    let map = unsafe { Mmap::map(&file)? };
    let mut buffer = [0; RECORD];
    // The first touch of a page is a fault; it is the steady state that is of interest.
    let touched: u64 = map.iter().step_by(4096).map(|byte| u64::from(*byte)).sum();
    black_box(touched);
    let rate = reads(time, |place| {
        buffer.copy_from_slice(&map[place..place + RECORD]);
        Ok(black_box(&buffer)[0])
    })?;
    Ok(("random read of 128 B from the page cache, mmap".into(), rate))
}

fn reads(time: Duration, mut read: impl FnMut(usize) -> Result<u8>) -> Result<String> {
    let mut rng = Rng::new(2);
    let begin = Instant::now();
    let mut done = 0u64;
    while begin.elapsed() < time {
        for _ in 0..1000 {
            black_box(read(rng.below((FILE - RECORD) as u64) as usize)?);
        }
        done += 1000;
    }
    let nanos = begin.elapsed().as_nanos() as f64 / done as f64;
    Ok(format!("{:.2} M/s ({nanos:.0} ns)", 1e3 / nanos))
}

fn copy_bandwidth(time: Duration) -> (String, String) {
    let from = vec![1u8; COPY];
    let mut to = vec![0u8; COPY];
    to.copy_from_slice(&from);
    let begin = Instant::now();
    let mut copied = 0;
    while begin.elapsed() < time {
        to.copy_from_slice(black_box(&from));
        black_box(&to);
        copied += COPY;
    }
    ("memory copy, 64 MiB at a time".into(), bandwidth(copied, begin.elapsed()))
}

fn bandwidth(bytes: usize, time: Duration) -> String {
    format!("{:.0} MiB/s", bytes as f64 / MIB as f64 / time.as_secs_f64())
}
