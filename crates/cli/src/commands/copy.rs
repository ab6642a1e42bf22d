//! `import --from`: copies the strings of a live Redis server, with the instants at which they
//! expire.
//!
//! ```text
//! source: SCAN ─▶ TYPE, STRLEN ─▶ GET, PEXPIRETIME ─▶ batches ─▶ the store, here or on a server
//! ```
//!
//! Invariants:
//! - What is there before the copy and not changed during it is copied; what changes meanwhile is
//!   copied before or after the change.
//! - Copying again is harmless: it gives the same keys the values that the source then has.

use std::collections::BTreeMap;

use serde_json::json;

use super::fill::{Acknowledge, Filler, Unfit};
use super::{Context, address};
use crate::arguments::Import;
use crate::exit::Exit;
use crate::failure::{Failure, Result, warn};
use crate::formats::Operation;
use crate::output::{Output, Style, counted};
use crate::progress::{Progress, Unit};
use crate::remote::{Endpoint, Item, Link, Pages, Selection, Times, at_each, size, visit_records};
use crate::store::{Flow, Record};

/// What was not copied, counted by why.
#[derive(Debug, Default)]
struct Skipped {
    /// Keys of other types than strings, by type.
    types: BTreeMap<String, u64>,
    keys_too_long: u64,
    keys_empty: u64,
    values_too_long: u64,
    vanished: u64,
}

/// Runs the command.
///
/// # Errors
/// [`Exit::Unreachable`] if the source cannot be read to its end, with what was read before it
/// stored; [`Exit::Input`] with `--strict` if anything cannot be copied.
pub fn run(url: &str, arguments: &Import, context: &Context, output: &mut Output) -> Result<()> {
    let source = source(url, arguments, context, output.style())?;
    let name = source.address.to_string();
    let mut link = source.connect().map_err(|failure| failure.prefixed("--from"))?;
    let ingest = context.fill()?;
    let style = output.style();
    let mut filler = Filler::new(ingest, arguments.batch, Acknowledge::Nothing, output);
    let mut skipped = Skipped::default();
    let read = copy(&mut link, arguments, &mut filler, &mut skipped);
    let submitted = filler.submit();
    let settled = filler.settle_all();
    let copied = filler.stored;
    let closed = filler.close();
    let stays = format!("copied {}, which stay; again is harmless", counted(copied, "key"));
    read.and(submitted).and(settled).map_err(|failure| failure.prefixed(&stays))?;
    closed?;
    report(&name, copied, &skipped, output)?;
    skipped.judge(arguments, style)
}

fn source(url: &str, arguments: &Import, context: &Context, style: Style) -> Result<Endpoint> {
    if !url.contains("://") {
        let message = "--from takes a URL such as redis://host:6379";
        return Err(Failure::new(Exit::Usage, message));
    }
    let mut address = address("--from", url, style)?;
    if let Some(database) = arguments.db {
        address.database = database;
    }
    Endpoint::of_url(context.server(), address)
}

fn copy(
    link: &mut Link,
    arguments: &Import,
    filler: &mut Filler<'_>,
    skipped: &mut Skipped,
) -> Result<()> {
    let mut progress = Progress::new("copying", Unit::Entries);
    let times = Times::of(link)?;
    let pattern = arguments.pattern.as_ref().map(|text| text.as_encoded_bytes().to_vec());
    // Of a cluster: what the nodes that were reached so far have.
    let (mut seen, mut total) = (0, pattern.is_none().then_some(0));
    at_each(link, |link| {
        if let Some(total) = &mut total {
            *total += size(link)?;
        }
        let mut pages = Pages::of(Selection { pattern: pattern.clone() });
        while let Some(keys) = pages.next(link)? {
            visit_records(link, keys, Some(times), &mut |item| {
                seen += 1;
                match item {
                    Item::Record(record) => store(record, filler, skipped)?,
                    Item::OtherType(name) => *skipped.types.entry(name).or_default() += 1,
                    Item::Vanished => skipped.vanished += 1,
                }
                progress.update(seen, total);
                Ok(Flow::Continue)
            })?;
        }
        Ok(Flow::Continue)
    })
}

fn store(record: Record, filler: &mut Filler<'_>, skipped: &mut Skipped) -> Result<()> {
    let Record { key, value, expires_at, .. } = record;
    let operation = Operation::Set { key, value, expires_at };
    match Unfit::of(&operation) {
        Some(Unfit::Key(0)) => skipped.keys_empty += 1,
        Some(Unfit::Key(_)) => skipped.keys_too_long += 1,
        Some(Unfit::Value(_)) => skipped.values_too_long += 1,
        None => filler.add(operation),
    }
    if filler.is_full() { filler.submit() } else { Ok(()) }
}

fn report(name: &str, copied: u64, skipped: &Skipped, output: &mut Output) -> Result<()> {
    let json = json!({
        "records": copied,
        "skipped": {
            "types": skipped.types,
            "keys_too_long": skipped.keys_too_long,
            "keys_empty": skipped.keys_empty,
            "values_too_long": skipped.values_too_long,
            "vanished": skipped.vanished,
        },
    });
    let told = skipped.text().map_or_else(String::new, |text| format!("; skipped {text}"));
    output.result(&json, &format!("copied {} from {name}{told}", counted(copied, "key")))
}

impl Skipped {
    /// Keys that are there and cannot be stored here.
    fn unfit(&self) -> u64 {
        let types: u64 = self.types.values().sum();
        types + self.keys_too_long + self.keys_empty + self.values_too_long
    }

    /// `12 hashes, 3 lists, 1 key too long`; none if there is nothing to tell.
    fn text(&self) -> Option<String> {
        let types = self.types.iter().map(|(name, number)| named(name, *number));
        let others = [
            (self.keys_too_long, "key", " too long"),
            (self.keys_empty, "empty key", ""),
            (self.values_too_long, "value", " too long"),
        ];
        let others = others
            .into_iter()
            .filter(|(number, ..)| *number > 0)
            .map(|(number, thing, reason)| format!("{}{reason}", counted(number, thing)));
        let vanished = (self.vanished > 0)
            .then(|| format!("{} that vanished meanwhile", counted(self.vanished, "key")));
        let parts: Vec<String> = types.chain(others).chain(vanished).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// Whether the copy is good enough for who asked for it.
    fn judge(&self, arguments: &Import, style: Style) -> Result<()> {
        let message = match self.unfit() {
            0 => return Ok(()),
            1 => "1 key cannot be stored here and was skipped".to_owned(),
            unfit => format!("{} cannot be stored here and were skipped", counted(unfit, "key")),
        };
        if arguments.strict {
            return Err(Failure::new(Exit::Input, message));
        }
        warn(style, Exit::Input, &message);
        Ok(())
    }
}

/// A number of values of a type.
fn named(name: &str, number: u64) -> String {
    match (name, number) {
        ("hash", 2..) => counted(number, "hashe"),
        ("zset", _) => counted(number, "sorted set"),
        _ => counted(number, name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_skipped_is_named() {
        assert_eq!(Skipped::default().text(), None);
        let types = [("hash".to_owned(), 12), ("list".to_owned(), 3), ("zset".to_owned(), 1)];
        let skipped = Skipped {
            types: types.into_iter().collect(),
            keys_too_long: 1,
            vanished: 2,
            ..Skipped::default()
        };
        let text =
            "12 hashes, 3 lists, 1 sorted set, 1 key too long, 2 keys that vanished meanwhile";
        assert_eq!(skipped.text().as_deref(), Some(text));
        assert_eq!(skipped.unfit(), 17);
    }
}
