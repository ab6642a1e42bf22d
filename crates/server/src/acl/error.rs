//! What can be wrong with a rule, in the words of Redis.

use std::fmt;

/// Why one rule cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleError {
    /// It is no rule, or its pattern has a space in it.
    Syntax,
    /// No command or category has that name.
    Unknown,
    /// A key pattern that adds nothing.
    AfterAllKeys,
    /// A channel pattern that adds nothing.
    AfterAllChannels,
    /// The password to remove is not there.
    NoSuchPassword,
    /// Not a SHA-256 digest.
    BadDigest,
    /// A first argument of a subcommand.
    FirstArgument,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RuleError::Syntax => "Syntax error",
            RuleError::Unknown => "Unknown command or category name in ACL",
            RuleError::AfterAllKeys => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and \
                 does not have any effect. Try 'resetkeys' to start with an empty list of patterns"
            }
            RuleError::AfterAllChannels => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and \
                 does not have any effect. Try 'resetchannels' to start with an empty list of \
                 channels"
            }
            RuleError::NoSuchPassword => {
                "The password you are trying to remove from the user does not exist"
            }
            RuleError::BadDigest => {
                "The password hash must be exactly 64 characters and contain only lowercase \
                 hexadecimal characters"
            }
            RuleError::FirstArgument => "Allowing first-arg of a subcommand is not supported",
        })
    }
}

impl std::error::Error for RuleError {}

/// Why `ACL SETUSER` changes nothing. The text follows `ERR ` in the reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetUserError {
    /// The name has a space or a null character in it.
    Name,
    /// A rule cannot be taken: which, and why.
    Rule(String, RuleError),
    /// A selector that begins so does not end.
    Parenthesis(String),
}

impl fmt::Display for SetUserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetUserError::Name => f.write_str("Usernames can't contain spaces or null characters"),
            SetUserError::Rule(rule, error) => {
                write!(f, "Error in ACL SETUSER modifier '{rule}': {error}")
            }
            SetUserError::Parenthesis(start) => {
                write!(f, "Unmatched parenthesis in acl selector starting at '{start}'.")
            }
        }
    }
}

impl std::error::Error for SetUserError {}
