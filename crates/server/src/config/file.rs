//! Reading the file: TOML, flat, with the place of everything in it.

use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

use super::error::{Place, Problem};
use super::kind::Written;
use super::setting::{Setting, unknown};
use super::table::Config;

/// A text and where it came from.
#[derive(Clone, Debug)]
pub struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// The text of a file.
    pub fn new(path: PathBuf, text: String) -> Source {
        Source { path, text }
    }

    /// Bytes of a file.
    ///
    /// # Errors
    /// They are not UTF-8; where.
    pub fn from_bytes(path: PathBuf, bytes: Vec<u8>) -> Result<Source, Problem> {
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Source { path, text }),
            Err(error) => {
                let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                let text = String::from_utf8_lossy(good).into_owned();
                let place = Source { path, text }.place(good.len());
                let what = "the bytes here are not UTF-8".to_owned();
                Err(Problem { place, setting: None, what, advice: None })
            }
        }
    }

    /// The line and the column of a byte.
    pub fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line_starts = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place::File {
            path: self.path.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_starts..].chars().count() + 1,
        }
    }

    /// Takes over all settings that can be; the rest are problems.
    pub fn read_into(&self, config: &mut Config) -> Vec<Problem> {
        let (good, mut problems) = self.syntax();
        let Ok(table) = DeTable::parse(&good) else { return problems };
        for (key, value) in table.get_ref() {
            let place = self.place(key.span().start);
            let at_value = self.place(value.span().start);
            let taken = self.take(config, key.get_ref(), value.get_ref(), place, at_value);
            problems.extend(taken.err());
        }
        problems.sort_by_key(|problem| position(&problem.place));
        problems
    }

    fn take(
        &self,
        config: &mut Config,
        name: &str,
        value: &DeValue<'_>,
        place: Place,
        at_value: Place,
    ) -> Result<(), Problem> {
        // Names are in lower case here, so that there is one way to write each.
        let found = Setting::find(name).filter(|setting| setting.name == name);
        let Some(setting) = found else {
            return Err(match value {
                DeValue::Table(_) => flat(place, name),
                _ => unknown(place, name, |setting| setting.name.to_owned()),
            });
        };
        let written = Written { value, source: self };
        match (setting.read)(config, written, setting.bounds) {
            Ok(()) => {
                config.origins.note(setting.name, place);
                Ok(())
            }
            Err(refusal) => {
                let number = value.as_integer().map(ToString::to_string);
                let shown = value.as_str().or(number.as_deref());
                Err(setting.problem(at_value, shown, &refusal))
            }
        }
    }

    /// The text without the lines that are no TOML, everything else standing where it stood, and
    /// what is wrong with them. The reader gives up at some of them: it is asked again without.
    fn syntax(&self) -> (String, Vec<Problem>) {
        // Nobody repairs more at a time, and each round reads the whole text.
        const ROUNDS: usize = 64;
        let mut text = self.text.clone();
        let mut problems: Vec<Problem> = Vec::new();
        for _ in 0..ROUNDS {
            let (_, errors) = DeTable::parse_recoverable(&text);
            let told: Vec<(usize, String)> = errors
                .iter()
                .map(|error| {
                    (error.span().map_or(0, |span| span.start), error.message().to_owned())
                })
                .collect();
            let mut is_shorter = false;
            for (offset, what) in told {
                // One slip may make a second of what follows on its line.
                let is_new = blank(&mut text, offset);
                is_shorter |= is_new;
                if is_new || problems.is_empty() {
                    problems.push(self.no_toml(offset, what));
                }
            }
            if !is_shorter {
                break;
            }
        }
        (text, problems)
    }

    fn no_toml(&self, offset: usize, what: String) -> Problem {
        let advice = Some("the file is TOML, such as `maxclients = 100`".to_owned());
        Problem { place: self.place(offset), setting: None, what, advice }
    }
}

/// Writes spaces over the line that a byte stands in; whether there was anything else.
fn blank(text: &mut String, offset: usize) -> bool {
    let offset = offset.min(text.len());
    let start = text.as_bytes()[..offset].iter().rposition(|byte| *byte == b'\n');
    let start = start.map_or(0, |newline| newline + 1);
    let end = text[start..].find('\n').map_or(text.len(), |length| start + length);
    let has_more = !text[start..end].trim().is_empty();
    text.replace_range(start..end, &" ".repeat(end - start));
    has_more
}

/// The line and the column of a place in a file.
fn position(place: &Place) -> (usize, usize) {
    match place {
        Place::File { line, column, .. } => (*line, *column),
        _ => (0, 0),
    }
}

/// The problem of a table.
fn flat(place: Place, name: &str) -> Problem {
    Problem {
        place,
        setting: None,
        what: format!("`{name}` is a table"),
        advice: Some("write the settings without tables, such as `port = 6379`".to_owned()),
    }
}
