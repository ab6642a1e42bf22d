//! The process as the system sees it: files it may have open, memory, time.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Files beside the clients': the log's segments, listeners, event loops, whatever the system opens.
pub const RESERVED_FILES: u64 = 512;

/// What the process takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time on all processors together.
    pub processor: Duration,
    /// Bytes of memory that are in memory.
    pub resident: u64,
    /// Bytes of memory that are addressed.
    pub virtual_memory: u64,
    /// Open files.
    pub open_files: u64,
    /// Most files that may be open.
    pub most_files: u64,
}

/// Makes the system allow files for `clients` and the rest of the server, as far as it can be made to;
/// says for how many clients there is room.
pub fn make_room(clients: u64) -> u64 {
    let wanted = clients.saturating_add(RESERVED_FILES);
    let limit = getrlimit(Resource::Nofile);
    // None is no limit.
    let (Some(current), most) = (limit.current, limit.maximum) else { return clients };
    let reachable = most.unwrap_or(u64::MAX);
    if current < wanted {
        let raised = Rlimit { current: Some(wanted), maximum: Some(reachable.max(wanted)) };
        let keeping = Rlimit { current: Some(wanted.min(reachable)), maximum: most };
        // Only the privileged may go beyond the maximum.
        let raised =
            setrlimit(Resource::Nofile, if wanted <= reachable { keeping } else { raised });
        if raised.is_err() && setrlimit(Resource::Nofile, keeping).is_err() {
            return current.saturating_sub(RESERVED_FILES).max(1);
        }
    }
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    clients.min(allowed.saturating_sub(RESERVED_FILES).max(1))
}

/// What the process takes now. What the system does not tell is 0.
pub fn usage() -> Usage {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let pages = memory_pages().unwrap_or_default();
    let page = rustix::param::page_size() as u64;
    Usage {
        processor: Duration::new(
            time.tv_sec.unsigned_abs(),
            u32::try_from(time.tv_nsec).unwrap_or(0),
        ),
        resident: pages.1 * page,
        virtual_memory: pages.0 * page,
        open_files: open_files(),
        most_files: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
    }
}

/// Bytes of the process that are in memory.
pub fn resident_memory() -> u64 {
    memory_pages().unwrap_or_default().1 * rustix::param::page_size() as u64
}

/// Pages that are addressed, and those that are in memory.
#[expect(clippy::disallowed_methods, reason = "what the system tells of the process is no store")]
fn memory_pages() -> Option<(u64, u64)> {
    let bytes = std::fs::read("/proc/self/statm").ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let mut numbers = text.split(' ').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[expect(clippy::disallowed_methods, reason = "what the system tells of the process is no store")]
fn open_files() -> u64 {
    // The directory is open itself while it is read.
    std::fs::read_dir("/proc/self/fd").map_or(0, |files| files.count().saturating_sub(1) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_takes_something() {
        let usage = usage();
        assert!(usage.processor > Duration::ZERO);
        assert!(usage.resident > 1 << 20 && usage.virtual_memory >= usage.resident);
        assert!(usage.open_files >= 3 && usage.most_files >= usage.open_files);
    }

    #[test]
    fn there_is_room_for_what_the_system_allows() {
        assert_eq!(make_room(16), 16);
        let most = getrlimit(Resource::Nofile).maximum;
        if let Some(most) = most.filter(|most| *most < 1 << 40) {
            assert!(make_room(u64::MAX - RESERVED_FILES) >= most - RESERVED_FILES);
        }
    }
}
