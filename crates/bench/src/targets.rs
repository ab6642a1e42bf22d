//! What the figures of this store should be. The one place to change a target.

/// What is asked of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// At least this many times as good as the best peer.
    TimesBest(f64),
    /// At most this value, whatever the peers do.
    AtMost(f64),
}

struct Target {
    rows: &'static str,
    metric: &'static str,
    goal: Goal,
}

const fn target(rows: &'static str, metric: &'static str, goal: Goal) -> Target {
    Target { rows, metric, goal }
}

/// Rows are named by how they begin.
const TARGETS: &[Target] = &[
    target("load", "ops_per_s", Goal::TimesBest(3.0)),
    target("overwrite", "ops_per_s", Goal::TimesBest(3.0)),
    target("overwrite", "space_amplification", Goal::AtMost(1.5)),
    target("get-uniform", "ops_per_s", Goal::TimesBest(2.0)),
    target("get-zipf", "ops_per_s", Goal::TimesBest(1.5)),
    target("get-missing", "ops_per_s", Goal::TimesBest(2.0)),
    target("ycsb-a", "ops_per_s", Goal::TimesBest(3.0)),
    target("ycsb-b", "ops_per_s", Goal::TimesBest(2.5)),
    target("durable-1w", "ops_per_s", Goal::TimesBest(0.9)),
    target("durable-8w", "ops_per_s", Goal::TimesBest(1.5)),
    target("durable-32w", "ops_per_s", Goal::TimesBest(2.0)),
    target("reopen", "open_user_ms", Goal::AtMost(1000.0)),
    target("memory", "rss_anon_per_key", Goal::AtMost(16.0)),
    target("compaction", "get_drop_pct", Goal::AtMost(25.0)),
    target("compaction", "set_drop_pct", Goal::AtMost(25.0)),
];

/// The goals for one figure of one row.
pub fn goals(row: &str, metric: &str) -> impl Iterator<Item = Goal> {
    TARGETS
        .iter()
        .filter(move |target| row.starts_with(target.rows) && target.metric == metric)
        .map(|target| target.goal)
}

impl Goal {
    /// Whether `value`, which is `times` as good as the best peer, reaches the goal; `None` if
    /// there is no peer to compare with.
    pub fn is_met(self, value: f64, times: Option<f64>) -> Option<bool> {
        match self {
            Self::TimesBest(wanted) => times.map(|times| times >= wanted),
            Self::AtMost(limit) => Some(value <= limit),
        }
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TimesBest(times) => write!(f, "≥ {times:.2}× best"),
            Self::AtMost(limit) => write!(f, "≤ {limit}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::METRICS;

    #[test]
    fn every_target_names_a_figure_and_a_row() {
        for target in TARGETS {
            assert!(METRICS.iter().any(|metric| metric.name == target.metric), "{}", target.metric);
            assert!(crate::rows::ROWS.iter().any(|row| row.name.starts_with(target.rows)));
        }
    }
}
