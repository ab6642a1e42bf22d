//! Settings that are numbers of something: bytes, time, the mode of a file.

use std::time::Duration;

use toml::de::DeValue;

use super::super::kind::{Kind, Written, quoted, size_bound, whole, whole_in_file, within};
use super::super::refusal::Refusal;
use super::super::setting::Bounds;
use super::super::units::{parse_size, parse_span, show_size, show_span};

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Bytes {
    /// As a length in memory.
    pub fn length(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Kind for Bytes {
    const SHAPE: &'static str = "size";

    fn parse(text: &str, bounds: Option<Bounds>) -> Result<Bytes, Refusal> {
        let bytes = parse_size(text).ok_or(Refusal::NotMemory)?;
        // Clients are told bounds in bytes, as Redis does.
        let number = i64::try_from(bytes).map_err(|_| Refusal::NotMemory)?;
        within(number, bounds, |bound| bound.to_string())?;
        Ok(Bytes(bytes))
    }

    fn read(written: Written<'_>, bounds: Option<Bounds>) -> Result<Bytes, Refusal> {
        if written.value.is_integer() {
            let number = whole_in_file(written, bounds)?;
            return u64::try_from(number).map(Bytes).map_err(|_| Refusal::NotMemory);
        }
        Bytes::parse(written.text()?, bounds)
    }

    fn show(&self) -> String {
        self.0.to_string()
    }

    fn literal(&self) -> String {
        let shown = show_size(self.0);
        if self.0.to_string() == shown { shown } else { quoted(&shown) }
    }

    fn bound(bound: i64) -> String {
        size_bound(bound)
    }
}

macro_rules! plain_times {
    ($($(#[$attribute:meta])* $type:ident = $build:path;)+) => {$(
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $type(pub i64);

        impl $type {
            /// The time; none if the setting is off, which is 0 or less.
            pub fn above_zero(self) -> Option<Duration> {
                u64::try_from(self.0).ok().filter(|number| *number > 0).map($build)
            }
        }

        impl Kind for $type {
            const SHAPE: &'static str = "whole number";

            fn parse(text: &str, bounds: Option<Bounds>) -> Result<Self, Refusal> {
                whole(text, bounds).map($type)
            }

            fn read(written: Written<'_>, bounds: Option<Bounds>) -> Result<Self, Refusal> {
                whole_in_file(written, bounds).map($type)
            }

            fn show(&self) -> String {
                self.0.to_string()
            }

            fn literal(&self) -> String {
                self.show()
            }
        }
    )+};
}

plain_times! {
    /// Seconds, written without a unit as in Redis.
    Seconds = Duration::from_secs;
    /// Milliseconds, written without a unit as in Redis.
    Milliseconds = Duration::from_millis;
    /// Microseconds, written without a unit as in Redis.
    Microseconds = Duration::from_micros;
}

impl Microseconds {
    /// The time, 0 included; none if the setting is off, which is less than 0.
    pub fn from_zero(self) -> Option<Duration> {
        u64::try_from(self.0).ok().map(Duration::from_micros)
    }
}

/// A time that is written with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Span {
    /// The time; none if the setting is off, which is 0.
    pub fn above_zero(self) -> Option<Duration> {
        Some(self.0).filter(|span| !span.is_zero())
    }
}

impl Kind for Span {
    const SHAPE: &'static str = "time, such as 500ms, 10s or 5m";

    fn parse(text: &str, bounds: Option<Bounds>) -> Result<Span, Refusal> {
        let span = parse_span(text).ok_or(Refusal::other("not a whole number and its unit"))?;
        within(i64::try_from(span.as_millis()).unwrap_or(i64::MAX), bounds, Span::bound)?;
        Ok(Span(span))
    }

    fn show(&self) -> String {
        show_span(self.0)
    }

    fn bound(bound: i64) -> String {
        show_span(Duration::from_millis(u64::try_from(bound).unwrap_or(0)))
    }
}

/// The mode of a file; 0 leaves it as the system made it. Written in octal, as in Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMode(pub u32);

impl FileMode {
    /// The mode to set, if any.
    pub fn to_set(self) -> Option<u32> {
        Some(self.0).filter(|mode| *mode != 0)
    }
}

impl Kind for FileMode {
    const SHAPE: &'static str = "octal number from 0 to 777";

    fn parse(text: &str, _: Option<Bounds>) -> Result<FileMode, Refusal> {
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        mode.filter(|_| plain).map(FileMode).ok_or(Refusal::other("not an octal number up to 777"))
    }

    fn read(written: Written<'_>, bounds: Option<Bounds>) -> Result<FileMode, Refusal> {
        match written.value {
            // `700` and `0o700` are the same: nobody means the decimal number.
            DeValue::Integer(integer) if [8, 10].contains(&integer.radix()) => {
                FileMode::parse(integer.as_str(), bounds)
            }
            _ => FileMode::parse(written.text()?, bounds),
        }
    }

    fn show(&self) -> String {
        format!("{:o}", self.0)
    }

    fn literal(&self) -> String {
        self.show()
    }
}
