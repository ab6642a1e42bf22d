//! What the value of a setting is: how it is read from text and from the file, and shown.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use aryavarth::Durability;
use aryavarth_cluster::{Address, Zone};
use toml::de::DeValue;

use super::file::Source;
use super::refusal::Refusal;
use super::setting::{Bounds, Secrecy};
use super::units::{parse_span, show_size, show_span};

/// A value in the file, and where.
#[derive(Clone, Copy)]
pub struct Written<'a> {
    /// The value.
    pub value: &'a DeValue<'a>,
    /// The file, for the places of what the value consists of.
    pub source: &'a Source,
}

impl Written<'_> {
    /// The text, if it is one.
    ///
    /// # Errors
    /// It is something else.
    pub fn text(&self) -> Result<&str, Refusal> {
        self.value.as_str().ok_or_else(|| self.wrong_type())
    }

    /// The refusal of what has the wrong type.
    pub fn wrong_type(&self) -> Refusal {
        Refusal::Type(match self.value {
            DeValue::String(_) => "a text in quotes",
            DeValue::Integer(_) => "a number without quotes",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        })
    }

    /// A list's texts, joined with spaces, or a text as it is.
    ///
    /// # Errors
    /// It is, or holds, something else.
    pub fn words(&self) -> Result<String, Refusal> {
        let DeValue::Array(items) = self.value else { return self.text().map(str::to_owned) };
        let words = items.iter().map(|item| Written { value: item.get_ref(), ..*self });
        let words: Result<Vec<String>, Refusal> =
            words.map(|word| word.text().map(str::to_owned)).collect();
        Ok(words?.join(" "))
    }
}

/// What the value of a setting is.
pub trait Kind: Sized + Clone + PartialEq {
    /// What it is, for the documentation.
    const SHAPE: &'static str;
    /// The words it may be, if it is one of few.
    const CHOICES: &'static [&'static str] = &[];
    /// Whether it may be shown where others may read it.
    const SECRECY: Secrecy = Secrecy::Plain;

    /// Reads a variable, a flag or what a client sent.
    ///
    /// # Errors
    /// Why it cannot be taken.
    fn parse(text: &str, bounds: Option<Bounds>) -> Result<Self, Refusal>;

    /// The value after a client asked for `text`; what is more than one may be changed in part.
    ///
    /// # Errors
    /// Why it cannot be taken.
    fn amend(&self, text: &str, bounds: Option<Bounds>) -> Result<Self, Refusal> {
        Self::parse(text, bounds)
    }

    /// Reads it from the file.
    ///
    /// # Errors
    /// Why it cannot be taken.
    fn read(written: Written<'_>, bounds: Option<Bounds>) -> Result<Self, Refusal> {
        Self::parse(written.text()?, bounds)
    }

    /// What `CONFIG GET` answers.
    fn show(&self) -> String;

    /// How it is written in the file.
    fn literal(&self) -> String {
        quoted(&self.show())
    }

    /// How one of its bounds is written.
    fn bound(bound: i64) -> String {
        bound.to_string()
    }
}

/// A text as TOML writes it.
pub fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// Texts as TOML writes a list of them.
pub fn list<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", texts.map(quoted).collect::<Vec<_>>().join(", "))
}

/// The words of a value, separated by spaces.
pub fn each<T>(text: &str, parse: impl Fn(&str) -> Result<T, Refusal>) -> Result<Vec<T>, Refusal> {
    text.split_whitespace().map(parse).collect()
}

/// `number` if it is within bounds; `show` is how bounds are written.
pub fn within(
    number: i64,
    bounds: Option<Bounds>,
    show: fn(i64) -> String,
) -> Result<i64, Refusal> {
    match bounds {
        Some(Bounds { least, most }) if number < least || number > most => {
            Err(Refusal::OutOfBounds { least: show(least), most: show(most) })
        }
        _ => Ok(number),
    }
}

/// A whole number, with sign or without.
pub fn whole(text: &str, bounds: Option<Bounds>) -> Result<i64, Refusal> {
    // Redis takes no plus either.
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::NotInteger);
    }
    within(text.parse().map_err(|_| Refusal::NotInteger)?, bounds, |bound| bound.to_string())
}

/// A whole number in the file.
pub fn whole_in_file(written: Written<'_>, bounds: Option<Bounds>) -> Result<i64, Refusal> {
    let DeValue::Integer(integer) = written.value else { return Err(written.wrong_type()) };
    let number = i64::from_str_radix(integer.as_str(), integer.radix());
    within(number.map_err(|_| Refusal::NotInteger)?, bounds, |bound| bound.to_string())
}

/// A number as wide as it must be.
fn narrow<T: TryFrom<i64>>(number: i64) -> Result<T, Refusal> {
    T::try_from(number).map_err(|_| Refusal::NotInteger)
}

macro_rules! whole_numbers {
    ($($type:ty),+) => {$(
        impl Kind for $type {
            const SHAPE: &'static str = "whole number";

            fn parse(text: &str, bounds: Option<Bounds>) -> Result<Self, Refusal> {
                narrow(whole(text, bounds)?)
            }

            fn read(written: Written<'_>, bounds: Option<Bounds>) -> Result<Self, Refusal> {
                narrow(whole_in_file(written, bounds)?)
            }

            fn show(&self) -> String {
                self.to_string()
            }

            fn literal(&self) -> String {
                self.to_string()
            }
        }
    )+};
}

whole_numbers!(u8, u16, u32, usize);

impl Kind for PathBuf {
    const SHAPE: &'static str = "path";

    fn parse(text: &str, _: Option<Bounds>) -> Result<PathBuf, Refusal> {
        if text.is_empty() { Err(Refusal::other("empty")) } else { Ok(PathBuf::from(text)) }
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Kind for Option<PathBuf> {
    const SHAPE: &'static str = "path, or nothing";

    fn parse(text: &str, _: Option<Bounds>) -> Result<Option<PathBuf>, Refusal> {
        Ok(if text.is_empty() { None } else { Some(PathBuf::from(text)) })
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(String::new, |path| path.display().to_string())
    }
}

impl Kind for Option<SocketAddr> {
    const SHAPE: &'static str =
        "address and port, such as 127.0.0.1:9121 or [::1]:9121, or nothing";

    fn parse(text: &str, _: Option<Bounds>) -> Result<Option<SocketAddr>, Refusal> {
        if text.is_empty() {
            return Ok(None);
        }
        let address = text.parse().map_err(|_| Refusal::other("not an address and a port"))?;
        Ok(Some(address))
    }

    fn show(&self) -> String {
        self.map_or_else(String::new, |address| address.to_string())
    }
}

impl Kind for Option<Address> {
    const SHAPE: &'static str = "host:port, or nothing";

    fn parse(text: &str, _: Option<Bounds>) -> Result<Option<Address>, Refusal> {
        parse_unless_empty(text)
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(String::new, Address::to_string)
    }
}

impl Kind for Option<Zone> {
    const SHAPE: &'static str = "1 to 64 letters, digits, dots, dashes and underscores, or nothing";

    fn parse(text: &str, _: Option<Bounds>) -> Result<Option<Zone>, Refusal> {
        parse_unless_empty(text)
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(String::new, Zone::to_string)
    }
}

fn parse_unless_empty<T: FromStr<Err = aryavarth_cluster::Error>>(
    text: &str,
) -> Result<Option<T>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: T::Err| Refusal::other(error.to_string()))
}

impl Kind for Durability {
    const SHAPE: &'static str = "always, interval:TIME such as interval:100ms (1ms to 1h), or os";

    fn parse(text: &str, _: Option<Bounds>) -> Result<Durability, Refusal> {
        match text {
            "always" => return Ok(Durability::Always),
            "os" => return Ok(Durability::Os),
            _ => {}
        }
        let span = text.strip_prefix("interval:").and_then(parse_span);
        let interval = span.ok_or(Refusal::other("not always, interval:TIME or os"))?;
        let durability = Durability::Interval(interval);
        // The engine knows the bounds.
        let checked = aryavarth::Options::default().durability(durability).validate();
        checked.map_err(|error| Refusal::other(error.to_string()))?;
        Ok(durability)
    }

    fn show(&self) -> String {
        match self {
            Durability::Always => "always".to_owned(),
            Durability::Interval(span) => format!("interval:{}", show_span(*span)),
            Durability::Os => "os".to_owned(),
        }
    }
}

/// How the bound of a size is written.
pub fn size_bound(bound: i64) -> String {
    show_size(u64::try_from(bound).unwrap_or(0))
}
