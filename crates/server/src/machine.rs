//! What the system tells of itself and of the machine, read from `/proc`. Where there is none, nothing is
//! known, and everything is 0 or empty.

use std::path::PathBuf;

/// Bytes of memory that the machine has.
pub fn total_memory() -> u64 {
    kibibytes("/proc/meminfo", "MemTotal:")
}

/// The number of a line `name … kB` of a file, in bytes.
pub(crate) fn kibibytes(path: &str, name: &str) -> u64 {
    let text = read(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) << 10
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

/// The text of a file in which the system tells something.
#[expect(clippy::disallowed_methods, reason = "what the system tells is no part of the store")]
pub(crate) fn read(path: &str) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_tells_something() {
        assert!(total_memory() > 1 << 20);
        assert!(system().starts_with("Linux "));
    }
}
