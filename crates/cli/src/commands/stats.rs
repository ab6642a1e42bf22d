//! `stats`: prints sizes and counters.

use std::fmt::Write as _;

use aryavarth::Create;
use indicatif::{HumanBytes, HumanCount};
use serde_json::json;

use super::Context;
use crate::failure::Result;
use crate::output::Output;

/// Runs the command.
///
/// # Errors
/// Whatever opening gives.
pub fn run(context: &Context, output: &mut Output) -> Result<()> {
    let store = context.visit(Create::Never)?;
    store.sweep_expired()?;
    let stats = store.stats();
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
