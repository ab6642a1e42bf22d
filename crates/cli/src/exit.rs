//! The exit codes, one for each next move a script may want to make.

use std::fmt::Write as _;

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It did what was asked.
    Done = 0,
    /// A key is not there, a condition of `set` was not met, or `cli` got an error reply.
    NotFound = 1,
    /// The command line was wrong.
    Usage = 2,
    /// Bytes on disk are not what was written.
    Damage = 3,
    /// Another process has the store open.
    Locked = 4,
    /// The disk is full.
    DiskFull = 5,
    /// The machine refused something else.
    Io = 6,
    /// The write may or may not be found later.
    OutcomeUnknown = 7,
    /// There is no store in the directory.
    NoStore = 8,
    /// A key, a value or a line of a file cannot be taken.
    Input = 9,
    /// The target directory already holds something.
    NotEmpty = 10,
    /// A newer release wrote the store.
    NewerFormat = 11,
    /// The store refused the write because of an earlier failure.
    Fenced = 12,
    /// No server answers, or it left before all was sent.
    Unreachable = 13,
    /// The server does not let us in, or not do this.
    Refused = 14,
}

impl Exit {
    /// All of them, by code.
    pub const ALL: [Exit; 15] = [
        Exit::Done,
        Exit::NotFound,
        Exit::Usage,
        Exit::Damage,
        Exit::Locked,
        Exit::DiskFull,
        Exit::Io,
        Exit::OutcomeUnknown,
        Exit::NoStore,
        Exit::Input,
        Exit::NotEmpty,
        Exit::NewerFormat,
        Exit::Fenced,
        Exit::Unreachable,
        Exit::Refused,
    ];

    /// The number the shell sees.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The name in `{"error":{"kind":…}}`.
    pub fn kind(self) -> &'static str {
        match self {
            Exit::Done => "done",
            Exit::NotFound => "not_found",
            Exit::Usage => "usage",
            Exit::Damage => "damage",
            Exit::Locked => "locked",
            Exit::DiskFull => "disk_full",
            Exit::Io => "io",
            Exit::OutcomeUnknown => "outcome_unknown",
            Exit::NoStore => "no_store",
            Exit::Input => "input",
            Exit::NotEmpty => "not_empty",
            Exit::NewerFormat => "newer_format",
            Exit::Fenced => "fenced",
            Exit::Unreachable => "unreachable",
            Exit::Refused => "refused",
        }
    }

    /// What it means, for the help.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "done (also when the reader of the output left early)",
            Exit::NotFound => {
                "key not found, or the condition of `set` not met; `cli`: an error reply"
            }
            Exit::Usage => "wrong command line",
            Exit::Damage => "damage: bytes on disk are not what was written",
            Exit::Locked => "another process has the store open",
            Exit::DiskFull => "disk full; the write did not happen",
            Exit::Io => "the machine refused an operation on a file",
            Exit::OutcomeUnknown => "outcome unknown: the write may or may not be found later",
            Exit::NoStore => "no store in the directory",
            Exit::Input => "a key, a value or a line of a file cannot be taken",
            Exit::NotEmpty => "the target directory is not empty",
            Exit::NewerFormat => "the store was written by a newer release",
            Exit::Fenced => {
                "write refused because an earlier one failed, or as the server is a copy"
            }
            Exit::Unreachable => "no server answers; nothing was changed",
            Exit::Refused => "the server refused: the login, the permission or the command",
        }
    }
}

/// The table at the end of `--help`.
pub fn table() -> String {
    let mut table = "Exit codes (and \"kind\" of errors with --json):\n".to_owned();
    for exit in Exit::ALL {
        let (code, kind, meaning) = (exit.code(), exit.kind(), exit.meaning());
        writeln!(table, "  {code:>2}  {kind:<15}  {meaning}").expect("a String takes all text");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_count_up_and_kinds_differ() {
        for (index, exit) in Exit::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(exit.code()), index);
            assert!(Exit::ALL.iter().filter(|other| other.kind() == exit.kind()).count() == 1);
        }
    }
}
