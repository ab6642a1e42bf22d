//! What processes used of the machine, from `/proc`.

use std::path::Path;

use serde::Serialize;

/// The kernel counts processor time in hundredths of a second (`USER_HZ`, on every Linux).
const TICKS: f64 = 100.0;

/// What a process has used since it began.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Usage {
    /// Of all threads, in the process and in the kernel.
    pub cpu_seconds: f64,
    /// Handed to disks.
    pub write_bytes: u64,
}

impl Usage {
    /// None if there is no such process, or it is not ours to look at.
    pub fn of(pid: u32) -> Option<Usage> {
        let directory = Path::new("/proc").join(pid.to_string());
        let stat = std::fs::read_to_string(directory.join("stat")).ok()?;
        let io = std::fs::read_to_string(directory.join("io")).ok()?;
        Some(Usage { cpu_seconds: cpu_seconds(&stat)?, write_bytes: write_bytes(&io)? })
    }

    pub fn since(self, before: Usage) -> Usage {
        Usage {
            cpu_seconds: self.cpu_seconds - before.cpu_seconds,
            write_bytes: self.write_bytes.saturating_sub(before.write_bytes),
        }
    }
}

/// The program's name, in parentheses, may have spaces and parentheses of its own.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11);
    let user: f64 = times.next()?.parse().ok()?;
    let system: f64 = times.next()?.parse().ok()?;
    Some((user + system) / TICKS)
}

fn write_bytes(io: &str) -> Option<u64> {
    io.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_proc() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 1 2 3 4 150 50 9 9 20 0 1 0 5";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        let io = "rchar: 1\nwchar: 2\nread_bytes: 3\nwrite_bytes: 4096\ncancelled_write_bytes: 5\n";
        assert_eq!(write_bytes(io), Some(4096));
        assert_eq!(write_bytes("rchar: 1\n"), None);
    }

    #[test]
    fn this_process_is_there_and_none_is_under_an_impossible_number() {
        assert!(Usage::of(std::process::id()).is_some());
        assert_eq!(Usage::of(u32::MAX), None);
    }
}
