//! The names of all figures, how they are written, and which way is better.

use std::collections::BTreeMap;

/// Figures of one run, by name.
pub type Figures = BTreeMap<String, f64>;

/// Which of two values is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// The greater.
    More,
    /// The smaller.
    Less,
    /// Neither: shown, not judged.
    Neither,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A count or a rate.
    Count,
    /// Bytes, with a binary prefix.
    Bytes,
    /// A quantity with its unit in the label.
    Plain,
}

/// One figure.
pub struct Metric {
    /// Its name in messages and JSON.
    pub name: &'static str,
    /// Its label in tables.
    pub label: &'static str,
    /// Which way is better.
    pub better: Better,
    /// How it is written.
    pub unit: Unit,
}

const fn metric(name: &'static str, label: &'static str, better: Better, unit: Unit) -> Metric {
    Metric { name, label, better, unit }
}

/// All figures of stores, in the order of the tables.
pub const METRICS: &[Metric] = &[
    metric("ops_per_s", "ops/s", Better::More, Unit::Count),
    metric("p50_us", "p50 µs", Better::Less, Unit::Plain),
    metric("p99_us", "p99 µs", Better::Less, Unit::Plain),
    metric("max_us", "max µs (of those timed)", Better::Neither, Unit::Plain),
    metric("cpu_us_per_op", "CPU µs/op", Better::Less, Unit::Plain),
    metric("cpu_at_rest_us_per_op", "CPU µs/op until at rest", Better::Less, Unit::Plain),
    metric("disk_sync_us", "the disk's own fdatasync µs (p50)", Better::Neither, Unit::Plain),
    metric("open_wall_ms", "open + get, wall ms", Better::Less, Unit::Plain),
    metric("open_user_ms", "open + get, user ms", Better::Less, Unit::Plain),
    metric("open_sys_ms", "open + get, system ms", Better::Neither, Unit::Plain),
    metric("get_quiet_per_s", "gets/s, no compaction", Better::More, Unit::Count),
    metric("get_busy_per_s", "gets/s, compacting", Better::More, Unit::Count),
    metric("get_drop_pct", "gets lost %", Better::Less, Unit::Plain),
    metric("get_quiet_max_us", "longest get µs, no compaction", Better::Less, Unit::Plain),
    metric("get_busy_p99_us", "p99 get µs, compacting", Better::Less, Unit::Plain),
    metric("get_busy_max_us", "longest get µs, compacting", Better::Less, Unit::Plain),
    metric("set_quiet_per_s", "sets/s, no compaction", Better::More, Unit::Count),
    metric("set_busy_per_s", "sets/s, compacting", Better::More, Unit::Count),
    metric("set_drop_pct", "sets lost %", Better::Less, Unit::Plain),
    metric("set_quiet_max_us", "longest set µs, no compaction", Better::Less, Unit::Plain),
    metric("set_busy_p99_us", "p99 set µs, compacting", Better::Less, Unit::Plain),
    metric("set_busy_max_us", "longest set µs, compacting", Better::Less, Unit::Plain),
    metric("compactions", "compactions run", Better::Neither, Unit::Count),
    metric("compaction_s", "seconds in compaction", Better::Neither, Unit::Plain),
    metric("rss_per_key", "VmRSS B/key", Better::Less, Unit::Plain),
    metric("rss_anon_per_key", "RssAnon B/key", Better::Less, Unit::Plain),
    metric("index_bytes_per_key", "index B/key (own count)", Better::Neither, Unit::Plain),
    metric("disk_bytes", "disk, allocated", Better::Less, Unit::Bytes),
    metric("disk_apparent", "disk, apparent", Better::Neither, Unit::Bytes),
    metric("space_amplification", "disk / live data", Better::Less, Unit::Plain),
    metric("write_amplification", "device writes / data set", Better::Less, Unit::Plain),
    metric("stale_bytes", "stale bytes on disk", Better::Neither, Unit::Bytes),
    metric("settle_s", "seconds until at rest", Better::Neither, Unit::Plain),
    metric("hits", "gets that found a value", Better::Neither, Unit::Count),
    metric("misses", "gets that found none", Better::Neither, Unit::Count),
];

/// The median: the middle value, or the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// The median of each figure over some runs.
pub fn medians(runs: &[Figures]) -> Figures {
    let mut names: Vec<&String> = runs.iter().flat_map(BTreeMap::keys).collect();
    names.sort_unstable();
    names.dedup();
    let of = |name: &String| median(runs.iter().filter_map(|run| run.get(name).copied()).collect());
    names.into_iter().filter_map(|name| Some((name.clone(), of(name)?))).collect()
}

/// `value` as it stands in a table.
pub fn written(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Count => grouped(value),
        Unit::Bytes => bytes(value),
        Unit::Plain if value.abs() >= 10_000.0 => grouped(value),
        Unit::Plain if value.abs() >= 100.0 => format!("{value:.0}"),
        Unit::Plain if value.abs() >= 10.0 => format!("{value:.1}"),
        Unit::Plain => format!("{value:.2}"),
    }
}

fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}

fn bytes(value: f64) -> String {
    let mut value = value;
    for unit in ["B", "KiB", "MiB"] {
        if value.abs() < 1024.0 {
            return format!("{value:.1} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.2} GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_taken_name_by_name() {
        let run = |a: f64| Figures::from([("a".to_owned(), a)]);
        assert_eq!(medians(&[run(3.0), run(1.0), run(2.0)])["a"], 2.0);
        assert_eq!(medians(&[run(3.0), run(1.0)])["a"], 2.0);
        assert!(medians(&[]).is_empty());
    }

    #[test]
    fn numbers_are_written_short() {
        assert_eq!(written(1_234_567.0, Unit::Count), "1,234,567");
        assert_eq!(written(123.0, Unit::Count), "123");
        assert_eq!(written(1536.0, Unit::Bytes), "1.5 KiB");
        assert_eq!(written(1.234, Unit::Plain), "1.23");
    }
}
