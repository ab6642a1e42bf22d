//! `set`: stores a value under a key.

use std::ffi::OsString;

use aryavarth::{Create, SetOptions, SetOutcome};

use super::Context;
use crate::arguments::Set;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::files::{Place, Source};

/// Runs the command.
///
/// # Errors
/// [`Exit::NotFound`] if the condition is not met; whatever opening and writing give.
pub fn run(arguments: Set, context: &Context) -> Result<()> {
    let key = arguments.spelling.bytes(&arguments.key)?;
    let mut options = SetOptions::new();
    if let Some(ttl) = arguments.ttl {
        options = options.expire_in(ttl);
    }
    if arguments.if_absent {
        options = options.only_if_absent();
    }
    if arguments.if_present {
        options = options.only_if_present();
    }
    let value = match (arguments.file, arguments.value) {
        (Some(path), _) => Source::open(&Place::from(path.into_os_string()))?.read_value()?,
        (None, value) => typed_value(value.unwrap_or_default())?,
    };
    // A key that must be there already cannot be in a store that is not.
    let create = if arguments.if_present { Create::Never } else { Create::IfMissing };
    let store = context.visit(create)?;
    let outcome = store.set_with(key, value, options)?;
    store.close()?;
    match outcome {
        SetOutcome::Written(_) => Ok(()),
        SetOutcome::Declined if arguments.if_present => Err(Failure::key_not_found()),
        SetOutcome::Declined => Err(Failure::new(Exit::NotFound, "Key already there")),
    }
}

fn typed_value(text: OsString) -> Result<Vec<u8>> {
    match Place::from(text) {
        Place::Standard => Source::open(&Place::Standard)?.read_value(),
        Place::File(text) => Ok(text.into_os_string().into_encoded_bytes()),
    }
}
