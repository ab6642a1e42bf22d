//! The process as the system sees it: files it may have open, memory, time. Where there is no `/proc`, most
//! is 0.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;
use crate::machine::{kibibytes, read};

/// Files beside the clients': the log's segments, listeners, event loops, whatever the system opens.
pub const RESERVED_FILES: u64 = 512;

/// What the process takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time on all processors together.
    pub processor: ProcessorTime,
    /// Bytes of memory that are in memory.
    pub resident: u64,
    /// Bytes of memory that are addressed.
    pub virtual_memory: u64,
    /// Open files.
    pub open_files: u64,
    /// Most files that may be open.
    pub most_files: u64,
}

/// Takes no more clients than the system lets have connections.
pub fn fit_clients(config: &mut Config) {
    let room = make_room(u64::from(config.maxclients));
    if room < u64::from(config.maxclients) {
        tracing::warn!(
            wanted = config.maxclients,
            room,
            "maxclients is lowered: the system allows no more open files (ulimit -n, LimitNOFILE)"
        );
        config.maxclients = u32::try_from(room).unwrap_or(u32::MAX);
    }
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
    let pages = memory_pages().unwrap_or_default();
    let page = rustix::param::page_size() as u64;
    Usage {
        processor: processor_time(),
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

/// The most bytes of the process that ever were in memory.
pub fn peak_memory() -> u64 {
    kibibytes("/proc/self/status", "VmHWM:")
}

/// Bytes of files that are in memory because the process has mapped and used them: those of the log, and
/// some of programs. The system takes them away when it needs the room.
pub fn mapped_files() -> u64 {
    kibibytes("/proc/self/status", "RssFile:")
}

/// Processor time that the process has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessorTime {
    /// In the process itself.
    pub user: Duration,
    /// In the system for it.
    pub system: Duration,
}

impl ProcessorTime {
    /// Both.
    pub fn total(self) -> Duration {
        self.user + self.system
    }
}

/// Processor time that the process has used so far.
pub fn processor_time() -> ProcessorTime {
    let text = read("/proc/self/stat").unwrap_or_default();
    parse_processor_time(&text, rustix::param::clock_ticks_per_second()).unwrap_or_default()
}

fn parse_processor_time(text: &str, ticks_per_second: u64) -> Option<ProcessorTime> {
    // The name of the process, in parentheses, may have spaces and parentheses in it.
    let after_name = text.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let mut next = || {
        let ticks = fields.next()?.parse::<u32>().ok()?;
        Some(Duration::from_secs(1) * ticks / u32::try_from(ticks_per_second).ok()?)
    };
    Some(ProcessorTime { user: next()?, system: next()? })
}

/// Pages that are addressed, and those that are in memory.
fn memory_pages() -> Option<(u64, u64)> {
    let text = read("/proc/self/statm")?;
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
        let begun = usage().processor.total();
        let busy = || (0..1_000_000_u64).fold(1, |sum: u64, n| std::hint::black_box(sum ^ n));
        while usage().processor.total() == begun {
            assert_ne!(busy(), 0);
        }
        let usage = usage();
        assert!(usage.resident > 1 << 20 && usage.virtual_memory >= usage.resident);
        assert!(usage.open_files >= 3 && usage.most_files >= usage.open_files);
    }

    #[test]
    fn a_name_with_parentheses_does_not_mislead() {
        let text = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 9 9 9";
        let time = parse_processor_time(text, 100).unwrap();
        assert_eq!(
            time,
            ProcessorTime { user: Duration::from_millis(2500), system: Duration::from_millis(500) }
        );
        assert_eq!(parse_processor_time("nothing", 100), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn mapped_files_are_a_part_of_what_is_in_memory() {
        assert!(peak_memory() >= resident_memory() / 2);
        let mapped = mapped_files();
        assert!(mapped > 0 && mapped < resident_memory());
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
