//! Replies and bytes as `redis-cli` shows them on a terminal.

use crate::reply::Reply;

/// A reply in lines, each with its end.
pub fn reply(reply: &Reply) -> String {
    nested(reply, "")
}

fn nested(reply: &Reply, prefix: &str) -> String {
    match reply {
        Reply::Simple(text) => format!("{text}\n"),
        Reply::Error(text) => format!("(error) {text}\n"),
        Reply::Integer(number) => format!("(integer) {number}\n"),
        Reply::Bulk(bytes) => format!("{}\n", quoted(bytes)),
        Reply::Verbatim(text) => {
            text[4..].trim_end_matches('\n').lines().map(|line| format!("| {line}\n")).collect()
        }
        Reply::Null => "(nil)\n".to_owned(),
        Reply::Double(text) => format!("(double) {text}\n"),
        Reply::Boolean(true) => "(true)\n".to_owned(),
        Reply::Boolean(false) => "(false)\n".to_owned(),
        Reply::Array(replies) => numbered(replies, prefix, ')', "(empty array)\n"),
        Reply::Set(replies) => numbered(replies, prefix, '~', "(empty set)\n"),
        Reply::Push(replies) => format!("(push) {}", numbered(replies, prefix, ')', "\n")),
        Reply::Map(replies) => map(replies, prefix),
        Reply::Closed => "(closed)\n".to_owned(),
        Reply::Silence => "(no reply)\n".to_owned(),
    }
}

fn numbered(replies: &[Reply], prefix: &str, mark: char, empty: &str) -> String {
    if replies.is_empty() {
        return empty.to_owned();
    }
    let width = replies.len().to_string().len();
    let inner = format!("{prefix}{}", " ".repeat(width + 2));
    let mut out = String::new();
    for (index, reply) in replies.iter().enumerate() {
        let prefix = if index == 0 { "" } else { prefix };
        out += &format!("{prefix}{:width$}{mark} {}", index + 1, nested(reply, &inner));
    }
    out
}

fn map(replies: &[Reply], prefix: &str) -> String {
    if replies.is_empty() {
        return "(empty hash)\n".to_owned();
    }
    let width = (replies.len() / 2).to_string().len();
    let inner = format!("{prefix}{}", " ".repeat(width + 2));
    let mut out = String::new();
    for (index, pair) in replies.chunks(2).enumerate() {
        let prefix = if index == 0 { "" } else { prefix };
        let (key, value) = (nested(&pair[0], &inner), nested(&pair[1], &inner));
        out += &format!("{prefix}{:width$}# {} => {value}", index + 1, key.trim_end());
    }
    out
}

/// Bytes in quotes, with escapes for what is not plain.
pub fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", escaped(bytes, b"\"\\"))
}

/// Raw bytes, a line for each of theirs.
pub fn raw(bytes: &[u8]) -> String {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    lines.map(|line| escaped(line, b"\\") + "\n").collect()
}

fn escaped(bytes: &[u8], special: &[u8]) -> String {
    let mut out = String::new();
    for byte in bytes {
        match byte {
            b'\n' => out += "\\n",
            b'\r' => out += "\\r",
            b'\t' => out += "\\t",
            0x07 => out += "\\a",
            0x08 => out += "\\b",
            byte if special.contains(byte) => out.extend(['\\', char::from(*byte)]),
            0x20..0x7f => out.push(char::from(*byte)),
            byte => out += &format!("\\x{byte:02x}"),
        }
    }
    out
}
