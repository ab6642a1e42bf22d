//! What the system tells of this process and of the machine, read from `/proc`. Where there is none,
//! nothing is known, and everything is 0 or empty.

use std::path::PathBuf;

/// Bytes of memory that the process has in RAM.
pub fn resident_memory() -> u64 {
    crate::process::resident_memory()
}

/// The most bytes of memory that the process ever had in RAM.
pub fn peak_memory() -> u64 {
    kibibytes("/proc/self/status", "VmHWM:")
}

/// Bytes of memory that the machine has.
pub fn total_memory() -> u64 {
    kibibytes("/proc/meminfo", "MemTotal:")
}

fn kibibytes(path: &str, name: &str) -> u64 {
    let text = read(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) << 10
}

/// Processor time that the process has used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessorTime {
    /// In the process itself, in seconds.
    pub user: f64,
    /// In the system for it, in seconds.
    pub system: f64,
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
    let mut next = || fields.next()?.parse::<f64>().ok();
    let (user, system) = (next()?, next()?);
    let ticks = ticks_per_second as f64;
    Some(ProcessorTime { user: user / ticks, system: system / ticks })
}

/// The system's name, release and processor, as `uname -srm` prints them.
pub fn system() -> String {
    let file = |name| read(&format!("/proc/sys/kernel/{name}")).unwrap_or_default();
    let (name, release) = (file("ostype"), file("osrelease"));
    let name = if name.trim().is_empty() { std::env::consts::OS } else { name.trim() };
    let parts = [name, release.trim(), std::env::consts::ARCH];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The program that runs.
pub fn executable() -> PathBuf {
    std::env::current_exe().unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "what the system tells is no part of the store")]
fn read(path: &str) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_mislead() {
        let text = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 9 9 9";
        let time = parse_processor_time(text, 100).unwrap();
        assert_eq!(time, ProcessorTime { user: 2.5, system: 0.5 });
        assert_eq!(parse_processor_time("nothing", 100), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_tells_something() {
        assert!(resident_memory() > 0 && peak_memory() >= resident_memory() / 2);
        assert!(total_memory() > resident_memory());
        assert!(system().starts_with("Linux "));
    }
}
