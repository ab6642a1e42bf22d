//! `lines`: a text as it is. Line 1 is the value of key `1`, and so on.

use super::Operation;
use crate::store::Record;

/// The value on line `number`.
pub fn parse(line: &[u8], number: u64) -> Operation {
    let key = number.to_string().into_bytes();
    Operation::Set { key, value: line.to_vec(), expires_at: None }
}

/// Appends the value of `record`; its key is lost.
///
/// # Errors
/// If the value has a newline in it.
pub fn write(record: &Record, line: &mut Vec<u8>) -> Result<(), String> {
    if record.value.contains(&b'\n') {
        let key = String::from_utf8_lossy(&record.key);
        return Err(format!(
            "the value of key {key:?} has a newline in it, which the format \"lines\" cannot hold; \
             use jsonl or tsv"
        ));
    }
    line.extend_from_slice(&record.value);
    Ok(())
}
