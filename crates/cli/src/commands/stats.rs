//! `stats`: prints sizes and counters.

use std::fmt::Write as _;

use aryavarth::{Create, Stats};
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Map, Value, json};

use super::Context;
use crate::failure::Result;
use crate::output::Output;
use crate::store::Store;

/// Runs the command.
///
/// # Errors
/// Whatever opening gives.
pub fn run(context: &Context, output: &mut Output) -> Result<()> {
    match context.visit(Create::Never)? {
        Store::Directory(store) => {
            store.sweep_expired()?;
            of_directory(&store.stats(), output)
        }
        Store::Server(mut server) => of_server(&server.info()?, output),
    }
}

/// INFO as the server writes it, or as an object with an object for each section.
fn of_server(info: &str, output: &mut Output) -> Result<()> {
    let mut sections = Map::new();
    let mut name = String::new();
    for line in info.lines().map(str::trim_end) {
        if let Some(title) = line.strip_prefix('#') {
            name = title.trim().to_ascii_lowercase().replace(' ', "_");
        } else if let Some((field, value)) = line.split_once(':') {
            let section = sections.entry(name.clone()).or_insert_with(|| json!({}));
            section[field] = figure(value);
        }
    }
    let text = info.replace("\r\n", "\n");
    output.result(&sections, text.trim())
}

fn figure(text: &str) -> Value {
    // Versions and times look like numbers, but lose their zeros as such.
    let is_plain = text.parse::<f64>().is_ok_and(f64::is_finite)
        && (text == "0" || text.starts_with("0.") || !text.starts_with('0'));
    match serde_json::from_str(text) {
        Ok(number @ Value::Number(_)) if is_plain => number,
        _ => json!(text),
    }
}

fn of_directory(stats: &Stats, output: &mut Output) -> Result<()> {
    let json = json!({
        "keys": stats.keys,
        "segments": stats.segments,
        "quarantined_segments": stats.quarantined_segments,
        "log_bytes": stats.log_bytes,
        "live_bytes": stats.live_bytes,
        "stale_bytes": stats.stale_bytes,
        "index_bytes": stats.index_bytes,
        "compaction_debt": stats.compaction_debt,
        "index_bytes_per_key": stats.index_bytes_per_key(),
        "space_amplification": stats.space_amplification(),
    });
    let rows = [
        ("keys", HumanCount(stats.keys).to_string()),
        ("segments", HumanCount(stats.segments).to_string()),
        ("segments with damage", HumanCount(stats.quarantined_segments).to_string()),
        ("log", HumanBytes(stats.log_bytes).to_string()),
        ("live records", HumanBytes(stats.live_bytes).to_string()),
        ("stale records", HumanBytes(stats.stale_bytes).to_string()),
        ("due for compaction", HumanBytes(stats.compaction_debt).to_string()),
        ("log for each live byte", number(stats.space_amplification())),
        ("index in memory", HumanBytes(stats.index_bytes).to_string()),
        ("index bytes a key", number(stats.index_bytes_per_key())),
    ];
    output.result(&json, &table(&rows))
}

fn number(figure: Option<f64>) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.2}"))
}

fn table(rows: &[(&str, String)]) -> String {
    let mut table = String::new();
    for (name, value) in rows {
        writeln!(table, "{name:<22}  {value:>12}").expect("a String takes all text");
    }
    table.truncate(table.trim_end().len());
    table
}
