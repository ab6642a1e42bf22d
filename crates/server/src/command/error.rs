//! What a command answers when it cannot do what it was asked, in Redis' words.

use std::borrow::Cow;

use crate::proposer::BatchError;

/// Why a command failed. Its text, code first, is the reply.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommandError {
    /// The arguments do not make sense together.
    #[error("ERR syntax error")]
    Syntax,
    /// Something that should be a whole number is not, or is too large.
    #[error("ERR value is not an integer or out of range")]
    NotAnInteger,
    /// Something that should be a number is not.
    #[error("ERR value is not a valid float")]
    NotAFloat,
    /// There are too few or too many arguments.
    #[error("ERR wrong number of arguments for '{0}' command")]
    WrongArguments(&'static str),
    /// The deadline of an expiry is not a moment.
    #[error("ERR invalid expire time in '{0}' command")]
    InvalidExpiry(&'static str),
    /// The key is not there, and should be.
    #[error("ERR no such key")]
    NoSuchKey,
    /// Another text, with its code.
    #[error("{0}")]
    Text(Cow<'static, str>),
    /// The log did not take the write, or would not.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The store could not be read.
    #[error("IOERR {0}")]
    Store(#[from] aryavarth::Error),
}

impl CommandError {
    /// A text of ours, with its code: `ERR …`.
    pub const fn text(text: &'static str) -> CommandError {
        CommandError::Text(Cow::Borrowed(text))
    }

    /// The reason in other words, to which `ERR` is added.
    pub fn because(reason: impl std::fmt::Display) -> CommandError {
        CommandError::new(format!("ERR {reason}"))
    }

    /// A text made for the occasion, with its code.
    pub fn new(text: impl Into<String>) -> CommandError {
        CommandError::Text(Cow::Owned(text.into()))
    }
}

/// What a command comes to. What it has to say it has written to the reply.
pub type CommandResult = Result<(), CommandError>;
