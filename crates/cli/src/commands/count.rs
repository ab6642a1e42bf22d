//! `count`: prints how many keys there are.

use aryavarth::Create;
use serde_json::json;

use super::Context;
use crate::arguments::Count;
use crate::failure::Result;
use crate::output::Output;

/// Runs the command.
///
/// # Errors
/// Whatever opening and reading give.
pub fn run(arguments: &Count, context: &Context, output: &mut Output) -> Result<()> {
    let prefix =
        arguments.prefix.as_ref().map(|text| arguments.spelling.bytes(text)).transpose()?;
    let store = context.visit(Create::Never)?;
    let count = match prefix {
        Some(prefix) => {
            store.iter_prefix(prefix).try_fold(0_u64, |n, entry| entry.map(|_| n + 1))?
        }
        None => {
            store.sweep_expired()?;
            store.len()
        }
    };
    output.result(&json!({ "count": count }), &count.to_string())
}
