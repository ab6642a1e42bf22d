//! Bytes in JSON: as text where they are UTF-8, as base64 where they are not.
//!
//! ```text
//! b"john"  ─▶  "value":"john"
//! b"\xff"  ─▶  "value_base64":"/w=="
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::store::Record;

/// Bytes as one of two JSON fields: exactly one is present.
pub fn spell(bytes: &[u8]) -> (Option<&str>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(STANDARD.encode(bytes))),
    }
}

/// The bytes that standard base64, with padding, stands for.
///
/// # Errors
/// What is wrong with it.
pub fn from_base64(text: impl AsRef<[u8]>) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|error| format!("not base64: {error}"))
}

/// Whether a record is shown with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// It is.
    Shown,
    /// It is not.
    Hidden,
}

/// A record as `get --json` and `list --json` show it.
#[derive(Serialize)]
pub struct JsonEntry<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    /// Null if it is not known.
    version: Option<u64>,
    /// Milliseconds since 1970; null if it stays.
    expires_at: Option<u64>,
}

impl<'a> JsonEntry<'a> {
    /// The JSON of `record`.
    pub fn new(record: &'a Record, values: Values) -> JsonEntry<'a> {
        let (key, key_base64) = spell(&record.key);
        let (value, value_base64) = match values {
            Values::Shown => spell(&record.value),
            Values::Hidden => (None, None),
        };
        let expires_at = record.expires_at.map(|at| at.0);
        JsonEntry { key, key_base64, value, value_base64, version: record.version, expires_at }
    }
}
