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
    let count = context.visit(Create::Never)?.count(prefix.as_deref())?;
    output.result(&json!({ "count": count }), &count.to_string())
}
