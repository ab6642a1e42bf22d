//! The formats of `import` and `export`: one record on each line.
//!
//! | format | a line | keeps |
//! |---|---|---|
//! | `jsonl` | `{"cmd":"Set","key":"k","value":"v"}` | everything: any bytes, expiry; removes too |
//! | `tsv` | key TAB value, with `\t` `\n` `\r` `\\` escaped | any bytes; no expiry |
//! | `lines` | the value; the key is the line's number, from 1 | values without newlines |
//!
//! A file as `export` writes it is given back byte for byte by `import` into an empty store and
//! another `export`. The last line always ends in a newline there, even if the imported file's did
//! not.

mod jsonl;
mod lines;
mod tsv;

use std::path::Path;

use aryavarth::UnixMillis;
use clap::ValueEnum;

pub use jsonl::JsonRecord;
pub use tsv::escape;

use crate::files::Place;
use crate::store::Record;

/// How records are written in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object a line, as `log` prints them; keeps everything.
    Jsonl,
    /// Key, tab, value; tab, newline, carriage return and backslash as \t \n \r \\; no expiry.
    Tsv,
    /// One value a line, its key is the number of the line; no expiry.
    Lines,
}

/// What one line of a file does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Gives a key a value.
    Set {
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
        /// When the key goes again.
        expires_at: Option<UnixMillis>,
    },
    /// Takes a key away.
    Remove {
        /// The key.
        key: Vec<u8>,
    },
}

impl Operation {
    /// The key that it is about.
    pub fn key(&self) -> &[u8] {
        match self {
            Operation::Set { key, .. } | Operation::Remove { key } => key,
        }
    }

    /// What the key is given; of no bytes if it is taken away.
    pub fn value(&self) -> &[u8] {
        match self {
            Operation::Set { value, .. } => value,
            Operation::Remove { .. } => &[],
        }
    }
}

impl Format {
    /// The format that a file's name tells.
    pub fn of(place: &Place) -> Format {
        match place {
            Place::Standard => Format::Jsonl,
            Place::File(path) => Format::of_path(path),
        }
    }

    fn of_path(path: &Path) -> Format {
        let extension = path.extension().and_then(|extension| extension.to_str());
        match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("jsonl" | "ndjson" | "json") => Format::Jsonl,
            Some("tsv") => Format::Tsv,
            _ => Format::Lines,
        }
    }

    /// What line `number` of a file does, given without its newline; none if it is blank.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub fn parse(self, line: &[u8], number: u64) -> Result<Option<Operation>, String> {
        match self {
            Format::Jsonl => jsonl::parse(line),
            Format::Tsv => tsv::parse(line).map(Some),
            Format::Lines => Ok(Some(lines::parse(line, number))),
        }
    }

    /// Appends `record`'s line, with its newline, to `line`.
    ///
    /// # Errors
    /// Why the format cannot hold the record.
    pub fn write(self, record: &Record, line: &mut Vec<u8>) -> Result<(), String> {
        match self {
            Format::Jsonl => jsonl::write(record, line),
            Format::Tsv => tsv::write(record, line),
            Format::Lines => lines::write(record, line)?,
        }
        line.push(b'\n');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &[u8], value: &[u8], expires_at: Option<u64>) -> Record {
        let expires_at = expires_at.map(UnixMillis);
        Record { key: key.to_vec(), value: value.to_vec(), version: Some(1), expires_at }
    }

    fn line(format: Format, record: &Record) -> Vec<u8> {
        let mut line = Vec::new();
        format.write(record, &mut line).unwrap();
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(line.pop(), Some(b'\n'));
        line
    }

    #[test]
    fn the_name_tells_the_format() {
        let formats = [
            ("a.jsonl", Format::Jsonl),
            ("a.NDJSON", Format::Jsonl),
            ("/x.y/a.json", Format::Jsonl),
            ("a.tsv", Format::Tsv),
            ("words.txt", Format::Lines),
            ("words", Format::Lines),
            ("-", Format::Jsonl),
        ];
        for (name, format) in formats {
            assert_eq!(Format::of(&Place::from(std::ffi::OsString::from(name))), format, "{name}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let every_byte: Vec<u8> = (0..=255).collect();
        let entries = [
            entry(b"key", b"value", None),
            entry(b"key", b"", Some(1_800_000_000_000)),
            entry("clé\t\"\\".as_bytes(), "a\nb\r\u{0}\\n".as_bytes(), None),
            entry(&every_byte, &every_byte, Some(0)),
        ];
        for entry in entries {
            for format in [Format::Jsonl, Format::Tsv] {
                let expires_at = entry.expires_at.filter(|_| format == Format::Jsonl);
                let (key, value) = (entry.key.clone(), entry.value.clone());
                let read = format.parse(&line(format, &entry), 1);
                assert_eq!(read, Ok(Some(Operation::Set { key, value, expires_at })));
            }
        }
    }

    #[test]
    fn lines_hold_values_without_newlines() {
        let read = Format::Lines.parse(b" \xffx\r", 7);
        let (key, value) = (b"7".to_vec(), b" \xffx\r".to_vec());
        assert_eq!(read, Ok(Some(Operation::Set { key, value, expires_at: None })));
        assert_eq!(line(Format::Lines, &entry(b"7", b" \xffx\r", None)), b" \xffx\r");
        assert!(Format::Lines.write(&entry(b"7", b"a\nb", None), &mut Vec::new()).is_err());
    }
}
