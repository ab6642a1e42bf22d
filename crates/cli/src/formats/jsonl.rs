//! `jsonl`: the lines of KVS1, and of `aryavarth log`, with room for bytes and expiry.
//!
//! ```text
//! {"cmd":"Set","key":"k","value":"v"}
//! {"cmd":"Set","key_base64":"/w==","value_base64":"AP8=","expires_at":1800000000000}
//! {"cmd":"Remove","key":"k"}
//! ```
//!
//! Bytes that are not UTF-8 are spelled in base64; `expires_at` is in milliseconds since 1970. The
//! other spellings of KVS1 are read as well, but have no room for either.

use aryavarth::UnixMillis;
use aryavarth::kvs1::{self, Command};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Operation;
use crate::spelling::{from_base64, spell};
use crate::store::Record;

/// Fields that KVS1 does not know.
const EXTENSIONS: [&str; 3] = ["key_base64", "value_base64", "expires_at"];

/// One line as it is written.
#[derive(Serialize)]
pub struct JsonRecord<'a> {
    cmd: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
}

impl<'a> JsonRecord<'a> {
    /// A key is given a value.
    pub fn set(key: &'a [u8], value: &'a [u8], expires_at: Option<UnixMillis>) -> JsonRecord<'a> {
        let (value, value_base64) = spell(value);
        let expires_at = expires_at.map(|at| at.0);
        JsonRecord { cmd: "Set", value, value_base64, expires_at, ..JsonRecord::remove(key) }
    }

    /// A key is taken away.
    pub fn remove(key: &'a [u8]) -> JsonRecord<'a> {
        let (key, key_base64) = spell(key);
        let (value, value_base64, expires_at) = (None, None, None);
        JsonRecord { cmd: "Remove", key, key_base64, value, value_base64, expires_at }
    }
}

/// Appends `record` as a Set.
pub fn write(record: &Record, line: &mut Vec<u8>) {
    let json = JsonRecord::set(&record.key, &record.value, record.expires_at);
    serde_json::to_writer(line, &json).expect("a record is always JSON");
}

/// One line as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    cmd: String,
    key: Option<String>,
    key_base64: Option<String>,
    value: Option<String>,
    value_base64: Option<String>,
    expires_at: Option<u64>,
}

/// What a line does; none if it is blank.
///
/// # Errors
/// What is wrong with it.
pub fn parse(line: &[u8]) -> Result<Option<Operation>, String> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    match serde_json::from_slice::<Line>(line) {
        Ok(line) => line.operation().map(Some),
        // KVS1 has the other spelling, and the better words for what is wrong with its own fields.
        Err(_) if !is_extended(line) => match kvs1::parse_line(line) {
            Ok(command) => Ok(Some(command.into())),
            Err(detail) => Err(detail),
        },
        Err(error) => Err(error.to_string()),
    }
}

fn is_extended(line: &[u8]) -> bool {
    serde_json::from_slice::<Map<String, Value>>(line)
        .is_ok_and(|fields| EXTENSIONS.iter().any(|name| fields.contains_key(*name)))
}

impl Line {
    fn operation(self) -> Result<Operation, String> {
        let key = bytes("key", self.key, self.key_base64)?.ok_or("\"key\" is missing")?;
        let value = bytes("value", self.value, self.value_base64)?;
        match self.cmd.to_ascii_lowercase().as_str() {
            "set" => {
                let value = value.ok_or("\"value\" is missing")?;
                Ok(Operation::Set { key, value, expires_at: self.expires_at.map(UnixMillis) })
            }
            "remove" | "rm" if value.is_some() || self.expires_at.is_some() => {
                Err("a Remove has only a key".to_owned())
            }
            "remove" | "rm" => Ok(Operation::Remove { key }),
            _ => Err(format!("unknown command {:?}; known: Set, Remove", self.cmd)),
        }
    }
}

fn bytes(
    name: &str,
    text: Option<String>,
    base64: Option<String>,
) -> Result<Option<Vec<u8>>, String> {
    match (text, base64) {
        (Some(_), Some(_)) => Err(format!("both {name:?} and \"{name}_base64\"")),
        (Some(text), None) => Ok(Some(text.into_bytes())),
        (None, Some(base64)) => {
            from_base64(base64).map(Some).map_err(|detail| format!("\"{name}_base64\" is {detail}"))
        }
        (None, None) => Ok(None),
    }
}

impl From<Command> for Operation {
    fn from(command: Command) -> Operation {
        match command {
            Command::Set { key, value } => Operation::Set {
                key: key.into_bytes(),
                value: value.into_bytes(),
                expires_at: None,
            },
            Command::Remove { key } => Operation::Remove { key: key.into_bytes() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read() {
        let set = Operation::Set { key: b"k".to_vec(), value: b"v".to_vec(), expires_at: None };
        for line in [
            r#"{"cmd":"Set","key":"k","value":"v"}"#,
            r#" {"value":"v","cmd":"SET","key":"k"} "#,
            r#"{"set":{"key":"k","value":"v"}}"#,
            r#"{"cmd":"Set","key_base64":"aw==","value_base64":"dg=="}"#,
        ] {
            assert_eq!(parse(line.as_bytes()), Ok(Some(set.clone())), "{line}");
        }
        let remove = Operation::Remove { key: b"k".to_vec() };
        for line in [r#"{"cmd":"rm","key":"k"}"#, r#"{"Remove":{"key":"k"}}"#] {
            assert_eq!(parse(line.as_bytes()), Ok(Some(remove.clone())), "{line}");
        }
        assert_eq!(parse(b" \t"), Ok(None));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, complaint) in [
            (r#"{"cmd":"Set","key":"k","value":1}"#, "quote it"),
            (r#"{"cmd":"Set","key":"k"}"#, "\"value\" is missing"),
            (r#"{"cmd":"Set","value":"v"}"#, "\"key\" is missing"),
            (r#"{"cmd":"Set","key":"k","key_base64":"aw==","value":"v"}"#, "both \"key\""),
            (r#"{"cmd":"Set","key":"k","value_base64":"?"}"#, "\"value_base64\" is not base64"),
            (r#"{"cmd":"Set","key":"k","value":"v","expires_at":-1}"#, "-1"),
            (r#"{"Set":{"key":"k","value":"v","expires_at":1}}"#, "unknown field \"expires_at\""),
            (r#"{"cmd":"Remove","key":"k","expires_at":1}"#, "only a key"),
            (r#"{"cmd":"Get","key":"k"}"#, "unknown command \"Get\""),
            (r#"{"cmd":"Set""#, "not valid JSON"),
            ("k\tv", "not valid JSON"),
        ] {
            let detail = parse(line.as_bytes()).unwrap_err();
            assert!(detail.contains(complaint), "{line}: {detail}");
        }
    }
}
