//! `set`: stores a value under a key.

use std::ffi::OsString;

use aryavarth::Create;

use super::Context;
use crate::arguments::Set;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::files::{Place, Source};
use crate::store::{Condition, Settled, Terms};

/// Runs the command.
///
/// # Errors
/// [`Exit::NotFound`] if the condition is not met; whatever opening and writing give.
pub fn run(arguments: Set, context: &Context) -> Result<()> {
    let key = arguments.spelling.bytes(&arguments.key)?;
    let condition = match (arguments.if_absent, arguments.if_present) {
        (true, _) => Condition::IfAbsent,
        (_, true) => Condition::IfPresent,
        (false, false) => Condition::Always,
    };
    let value = match (arguments.file, arguments.value) {
        (Some(path), _) => Source::open(&Place::from(path.into_os_string()))?.read_value()?,
        (None, value) => typed_value(value.unwrap_or_default())?,
    };
    // A key that must be there already cannot be in a store that is not.
    let create = if arguments.if_present { Create::Never } else { Create::IfMissing };
    let mut store = context.visit(create)?;
    let settled = store.set(&key, &value, Terms { condition, ttl: arguments.ttl })?;
    store.close()?;
    match settled {
        Settled::Written => Ok(()),
        Settled::Declined if condition == Condition::IfPresent => Err(Failure::key_not_found()),
        Settled::Declined => Err(Failure::new(Exit::NotFound, "Key already there")),
    }
}

fn typed_value(text: OsString) -> Result<Vec<u8>> {
    match Place::from(text) {
        Place::Standard => Source::open(&Place::Standard)?.read_value(),
        Place::File(text) => Ok(text.into_os_string().into_encoded_bytes()),
    }
}
