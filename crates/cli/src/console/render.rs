//! Replies as text: for people as redis-cli prints them, as they are, or as JSON.
//!
//! ```text
//! people: 1) "a"                raw: a        json: ["a",1,null]
//!         2) (integer) 1             1
//!         3) (nil)
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use redis::{PushKind, Value};
use serde_json::{Map, Value as Json, json};

use super::words::quote;
use crate::remote::error_text;

/// How replies are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Formatted,
    /// Byte for byte.
    Raw,
    /// One JSON value a line.
    Json,
}

/// Commands whose text is made to be read as it is.
const PLAIN: [&[&str]; 10] = [
    &["info"],
    &["lolwut"],
    &["client", "list"],
    &["client", "info"],
    &["cluster", "info"],
    &["cluster", "nodes"],
    &["memory", "doctor"],
    &["latency", "doctor"],
    &["latency", "graph"],
    &["debug", "htstats"],
];

/// A reply to the command `words`, with the newline that ends it.
pub fn reply(value: &Value, words: &[Vec<u8>], form: Form) -> Vec<u8> {
    let mut bytes = Vec::new();
    match form {
        Form::Json => bytes.extend_from_slice(to_json(value).to_string().as_bytes()),
        Form::Raw => raw(value, &mut bytes),
        Form::Formatted if is_plain(words) && !matches!(value, Value::ServerError(_)) => {
            raw(value, &mut bytes);
            // Such texts end in a newline of their own.
            while bytes.ends_with(b"\n") || bytes.ends_with(b"\r") {
                bytes.pop();
            }
        }
        Form::Formatted => {
            let mut text = String::new();
            formatted(value, "", &mut text);
            text.pop();
            bytes = text.into_bytes();
        }
    }
    bytes.push(b'\n');
    bytes
}

fn is_plain(words: &[Vec<u8>]) -> bool {
    PLAIN.iter().any(|names| {
        words.len() >= names.len()
            && names
                .iter()
                .zip(words)
                .all(|(name, word)| word.eq_ignore_ascii_case(name.as_bytes()))
    })
}

// --- for people ---

/// Appends a value; each of its lines but the first begins with `prefix`.
fn formatted(value: &Value, prefix: &str, text: &mut String) {
    match value {
        Value::Nil => text.push_str("(nil)\n"),
        Value::Okay => text.push_str("OK\n"),
        Value::SimpleString(line) => text.extend([line, "\n"]),
        Value::VerbatimString { text: verbatim, .. } => text.extend([verbatim, "\n"]),
        Value::Int(number) => text.push_str(&format!("(integer) {number}\n")),
        Value::Double(number) => text.push_str(&format!("(double) {number}\n")),
        Value::Boolean(truth) => text.push_str(&format!("({truth})\n")),
        Value::BulkString(bytes) => {
            quote(bytes, text);
            text.push('\n');
        }
        Value::ServerError(error) => text.push_str(&format!("(error) {}\n", error_text(error))),
        Value::Array(values) => list(values.iter(), Look::ARRAY, prefix, text),
        Value::Set(values) => list(values.iter(), Look::SET, prefix, text),
        Value::Map(pairs) => map(pairs, prefix, text),
        Value::Attribute { data, attributes } => {
            map(attributes, prefix, text);
            text.push_str(prefix);
            formatted(data, prefix, text);
        }
        Value::Push { kind, data } => {
            let kind = Value::BulkString(push_name(kind).into_bytes());
            list(std::iter::once(&kind).chain(data), Look::PUSH, prefix, text);
        }
        other => {
            raw_number(other).iter().for_each(|digits| text.push_str(digits));
            text.push('\n');
        }
    }
}

/// How a collection looks.
#[derive(Clone, Copy)]
struct Look {
    separator: char,
    empty: &'static str,
}

impl Look {
    const ARRAY: Look = Look { separator: ')', empty: "(empty array)\n" };
    const SET: Look = Look { separator: '~', empty: "(empty set)\n" };
    const PUSH: Look = Look { separator: ')', empty: "(empty push)\n" };
    const MAP: Look = Look { separator: '#', empty: "(empty hash)\n" };
}

fn list<'a>(
    values: impl Iterator<Item = &'a Value> + Clone,
    look: Look,
    prefix: &str,
    text: &mut String,
) {
    let (width, inner) = indentation(values.clone().count(), prefix);
    if values.clone().next().is_none() {
        return text.push_str(look.empty);
    }
    for (index, value) in values.enumerate() {
        number(index, width, look, prefix, text);
        formatted(value, &inner, text);
    }
}

fn map(pairs: &[(Value, Value)], prefix: &str, text: &mut String) {
    let (width, inner) = indentation(pairs.len(), prefix);
    if pairs.is_empty() {
        return text.push_str(Look::MAP.empty);
    }
    for (index, (key, value)) in pairs.iter().enumerate() {
        number(index, width, Look::MAP, prefix, text);
        formatted(key, &inner, text);
        text.pop();
        text.push_str(" => ");
        if is_numbered(value) {
            text.push('\n');
            text.push_str(&inner);
        }
        formatted(value, &inner, text);
    }
}

/// Whether a value takes lines with numbers.
fn is_numbered(value: &Value) -> bool {
    match value {
        Value::Array(values) | Value::Set(values) => !values.is_empty(),
        Value::Map(pairs) => !pairs.is_empty(),
        _ => false,
    }
}

/// The digits of the largest number, and what stands before nested lines.
fn indentation(length: usize, prefix: &str) -> (usize, String) {
    let width = length.to_string().len();
    (width, format!("{prefix}{}", " ".repeat(width + 2)))
}

fn number(index: usize, width: usize, look: Look, prefix: &str, text: &mut String) {
    // The first stands behind the number of what it is in.
    let prefix = if index == 0 { "" } else { prefix };
    text.push_str(&format!("{prefix}{:width$}{} ", index + 1, look.separator));
}

fn push_name(kind: &PushKind) -> String {
    match kind {
        PushKind::Other(name) => name.clone(),
        known => format!("{known:?}").to_ascii_lowercase(),
    }
}

fn raw_number(value: &Value) -> Option<String> {
    match value {
        Value::BigNumber(digits) => Some(String::from_utf8_lossy(digits).into_owned()),
        _ => None,
    }
}

// --- as they are ---

fn raw(value: &Value, bytes: &mut Vec<u8>) {
    match value {
        Value::Nil => {}
        Value::Okay => bytes.extend_from_slice(b"OK"),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => {
            bytes.extend_from_slice(text.as_bytes());
        }
        Value::BulkString(string) => bytes.extend_from_slice(string),
        Value::Int(number) => bytes.extend_from_slice(number.to_string().as_bytes()),
        Value::Double(number) => bytes.extend_from_slice(number.to_string().as_bytes()),
        Value::Boolean(truth) => bytes.extend_from_slice(format!("({truth})").as_bytes()),
        Value::ServerError(error) => bytes.extend_from_slice(error_text(error).as_bytes()),
        Value::Array(values) | Value::Set(values) => raw_list(values, bytes),
        Value::Map(pairs) => {
            for (index, (key, value)) in pairs.iter().enumerate() {
                if index > 0 {
                    bytes.push(b'\n');
                }
                raw(key, bytes);
                bytes.push(b' ');
                raw(value, bytes);
            }
        }
        Value::Attribute { data, .. } => raw(data, bytes),
        Value::Push { kind, data } => {
            bytes.extend_from_slice(push_name(kind).as_bytes());
            bytes.push(b'\n');
            raw_list(data, bytes);
        }
        other => raw_number(other).iter().for_each(|digits| bytes.extend(digits.bytes())),
    }
}

fn raw_list(values: &[Value], bytes: &mut Vec<u8>) {
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            bytes.push(b'\n');
        }
        raw(value, bytes);
    }
}

// --- as JSON ---

fn to_json(value: &Value) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Okay => json!("OK"),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => json!(text),
        Value::BulkString(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => json!(text),
            Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
        },
        Value::Int(number) => json!(number),
        // JSON has no infinities.
        Value::Double(number) if !number.is_finite() => json!(number.to_string()),
        Value::Double(number) => json!(number),
        Value::Boolean(truth) => json!(truth),
        Value::ServerError(error) => json!({ "error": error_text(error) }),
        Value::Array(values) | Value::Set(values) => values.iter().map(to_json).collect(),
        Value::Map(pairs) => object(pairs),
        Value::Attribute { data, .. } => to_json(data),
        Value::Push { kind, data } => {
            std::iter::once(json!(push_name(kind))).chain(data.iter().map(to_json)).collect()
        }
        other => json!(raw_number(other)),
    }
}

fn object(pairs: &[(Value, Value)]) -> Json {
    let fields = pairs.iter().map(|(key, value)| {
        let name = match to_json(key) {
            Json::String(name) => name,
            other => other.to_string(),
        };
        (name, to_json(value))
    });
    Json::Object(fields.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use redis::parse_redis_value;

    use super::*;

    fn shown(protocol: &str, form: Form) -> String {
        let value = parse_redis_value(protocol.as_bytes()).unwrap();
        String::from_utf8(reply(&value, &[b"x".to_vec()], form)).unwrap()
    }

    #[test]
    fn scalars_look_as_in_redis_cli() {
        for (protocol, text) in [
            ("+PONG\r\n", "PONG\n"),
            ("+OK\r\n", "OK\n"),
            (":-5\r\n", "(integer) -5\n"),
            ("$-1\r\n", "(nil)\n"),
            ("_\r\n", "(nil)\n"),
            ("$4\r\na\"\0\n\r\n", "\"a\\\"\\x00\\n\"\n"),
            ("-ERR no such thing\r\n", "(error) ERR no such thing\n"),
            ("-NOAUTH\r\n", "(error) NOAUTH\n"),
            (",1.5\r\n", "(double) 1.5\n"),
            ("#t\r\n", "(true)\n"),
            ("#f\r\n", "(false)\n"),
            ("(123456789012345678901234567890\r\n", "123456789012345678901234567890\n"),
            ("=8\r\ntxt:text\r\n", "text\n"),
            ("*0\r\n", "(empty array)\n"),
            ("%0\r\n", "(empty hash)\n"),
            ("~0\r\n", "(empty set)\n"),
        ] {
            assert_eq!(shown(protocol, Form::Formatted), text, "{protocol}");
        }
    }

    #[test]
    fn collections_are_numbered_and_nested() {
        let nested = "*3\r\n:1\r\n*2\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\n$-1\r\n";
        let text = "1) (integer) 1\n2) 1) \"a\"\n   2) 1) \"b\"\n3) (nil)\n";
        assert_eq!(shown(nested, Form::Formatted), text);
        let ten = format!("*10\r\n{}", ":7\r\n".repeat(10));
        assert!(shown(&ten, Form::Formatted).starts_with(" 1) (integer) 7\n 2) "));
        let map = "%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n*2\r\n:1\r\n:2\r\n";
        let text = "1# \"a\" => (integer) 1\n2# \"b\" => \n   1) (integer) 1\n   2) (integer) 2\n";
        assert_eq!(shown(map, Form::Formatted), text);
        assert_eq!(shown("~1\r\n$1\r\na\r\n", Form::Formatted), "1~ \"a\"\n");
        let push = ">3\r\n+message\r\n$1\r\nc\r\n$2\r\nhi\r\n";
        assert_eq!(shown(push, Form::Formatted), "1) \"message\"\n2) \"c\"\n3) \"hi\"\n");
    }

    #[test]
    fn raw_is_what_came() {
        assert_eq!(shown("*2\r\n$1\r\na\r\n:1\r\n", Form::Raw), "a\n1\n");
        assert_eq!(shown("$-1\r\n", Form::Raw), "\n");
        assert_eq!(shown("%1\r\n$1\r\na\r\n:1\r\n", Form::Raw), "a 1\n");
    }

    #[test]
    fn json_is_one_line() {
        let all = "*5\r\n:1\r\n$1\r\na\r\n%1\r\n$1\r\nk\r\n#t\r\n_\r\n-ERR x\r\n";
        assert_eq!(shown(all, Form::Json), "[1,\"a\",{\"k\":true},null,{\"error\":\"ERR x\"}]\n");
        let value = Value::BulkString(vec![0xff]);
        assert_eq!(reply(&value, &[], Form::Json), b"{\"base64\":\"/w==\"}\n");
    }

    #[test]
    fn texts_made_to_be_read_are_not_quoted() {
        let value = Value::BulkString(b"# Server\r\nversion:1\r\n".to_vec());
        let words = [b"INFO".to_vec(), b"server".to_vec()];
        assert_eq!(reply(&value, &words, Form::Formatted), b"# Server\r\nversion:1\n");
    }
}
