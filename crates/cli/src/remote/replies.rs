//! What replies mean: the values in them, and failures where there should be some.

use redis::{ServerError, Value};

use crate::exit::Exit;
use crate::failure::{Failure, Result};

/// An error reply as the server wrote it.
pub fn error_text(error: &ServerError) -> String {
    match error.details() {
        Some(details) => format!("{} {details}", error.code()),
        None => error.code().to_owned(),
    }
}

/// The failure that an error reply is.
pub fn refusal(error: &ServerError, name: &str) -> Failure {
    let text = error_text(error);
    let exit = match error.code() {
        "MISCONF" | "OOM" => Exit::DiskFull,
        "READONLY" => Exit::Fenced,
        "WRONGTYPE" => Exit::Input,
        "LOADING" | "BUSY" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "MOVED" => {
            Exit::Unreachable
        }
        // The server's own word for it: the write was sent to others, and the leadership was lost.
        "UNKNOWN" => Exit::OutcomeUnknown,
        _ => Exit::Refused,
    };
    let failure = Failure::new(exit, format!("{name} refused: {text}"));
    match error.code() {
        "NOAUTH" => failure.hinted(
            Exit::Refused,
            "log in with --password-file (and --user), or the variable ARYAVARTH_PASSWORD",
        ),
        "MOVED" => failure
            .hinted(Exit::Unreachable, "leaders of the cluster have changed meanwhile: try again"),
        "WRONGTYPE" => failure.hinted(Exit::Input, "only strings can be read and written here"),
        _ => failure,
    }
}

/// The failure that a reply of the wrong kind is.
pub fn unexpected(command: &str, value: &Value, name: &str) -> Failure {
    let kind = match value {
        Value::Nil => "nothing",
        Value::Int(_) => "a number",
        Value::BulkString(_) | Value::SimpleString(_) | Value::Okay => "a string",
        Value::Array(_) | Value::Set(_) | Value::Map(_) => "a collection",
        _ => "something else",
    };
    Failure::new(Exit::Unreachable, format!("{name} answered {command} with {kind}: no Redis?"))
}

/// The bytes of a string reply; none for nil.
///
/// # Errors
/// If it is another reply, here and below.
pub fn bytes(command: &str, value: Value, name: &str) -> Result<Option<Vec<u8>>> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => {
            Ok(Some(text.into_bytes()))
        }
        Value::Okay => Ok(Some(b"OK".to_vec())),
        other => Err(unexpected(command, &other, name)),
    }
}

/// The number in an integer reply.
pub fn integer(command: &str, value: &Value, name: &str) -> Result<i64> {
    match value {
        Value::Int(number) => Ok(*number),
        other => Err(unexpected(command, other, name)),
    }
}

/// The elements of an array reply.
pub fn elements(command: &str, value: Value, name: &str) -> Result<Vec<Value>> {
    match value {
        Value::Array(values) | Value::Set(values) => Ok(values),
        other => Err(unexpected(command, &other, name)),
    }
}
