//! The status of a cluster as tables for people.

use std::fmt::Write;

use aryavarth_server::cluster::ClusterStatus;
use aryavarth_server::cluster::status::{NodeStatus, ShardStatus};
use indicatif::{HumanBytes, HumanCount};

/// Rows of a table under its headings, in columns as wide as they have to be.
struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(headings: &[&str]) -> Table {
        Table { rows: vec![headings.iter().map(|heading| (*heading).to_owned()).collect()] }
    }

    fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    fn show(&self, text: &mut String) {
        let columns = self.rows[0].len();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
}

/// All tables.
pub(super) fn show(status: &ClusterStatus) -> String {
    let mut text = summary(status);
    text.push('\n');
    nodes(status, &mut text);
    text.push('\n');
    shards(status, &mut text);
    moves(status, &mut text);
    text
}

fn summary(status: &ClusterStatus) -> String {
    let meta = status.meta_leader.map_or("nobody".to_owned(), |node| format!("node {node}"));
    format!(
        "cluster {}  {}  {} nodes, {} shards on {} each  epoch {}  led by {meta}\n",
        status.cluster,
        status.state,
        status.nodes.len(),
        status.shards.len().saturating_sub(1),
        status.replication_factor,
        status.epoch,
    )
}

fn nodes(status: &ClusterStatus, text: &mut String) {
    let mut table = Table::new(&[
        "NODE", "STATE", "CLIENTS", "NODES", "ZONE", "SHARDS", "LEADS", "KEYS", "DISK", "INDEX",
        "VERSION",
    ]);
    for node in &status.nodes {
        table.row(vec![
            format!("{}{}", node.id, if node.myself { "*" } else { "" }),
            state(node),
            node.client.clone(),
            node.peer.clone(),
            node.zone.clone().unwrap_or_else(unknown),
            node.shards.to_string(),
            node.leads.to_string(),
            node.keys.map_or_else(unknown, |keys| HumanCount(keys).to_string()),
            node.disk_bytes.map_or_else(unknown, |bytes| HumanBytes(bytes).to_string()),
            node.index_bytes.map_or_else(unknown, |bytes| HumanBytes(bytes).to_string()),
            node.version.clone().unwrap_or_else(unknown),
        ]);
    }
    table.show(text);
}

fn state(node: &NodeStatus) -> String {
    match node.sight.as_str() {
        "reachable" => node.state.clone(),
        sight => format!("{}, {sight}", node.state),
    }
}

fn shards(status: &ClusterStatus, text: &mut String) {
    let mut table =
        Table::new(&["SHARD", "SLOTS", "LEADER", "TERM", "VOTERS", "COMMITTED", "BEHIND", "LOG"]);
    for shard in &status.shards {
        let behind = shard.lag.iter().filter(|(_, lag)| **lag > 0);
        let behind: Vec<String> = behind.map(|(node, lag)| format!("{node}: {lag}")).collect();
        let pinned = if shard.pinned.is_some() { " (pinned)" } else { "" };
        table.row(vec![
            if shard.shard == 0 { "meta".to_owned() } else { shard.shard.to_string() },
            shard.slots.clone().unwrap_or_else(unknown),
            shard.leader.map_or("none".to_owned(), |leader| format!("{leader}{pinned}")),
            shard.term.map_or_else(unknown, |term| term.to_string()),
            list(&shard.voters),
            shard.committed.map_or_else(unknown, |index| index.to_string()),
            if behind.is_empty() { unknown() } else { behind.join(", ") },
            shard.log_held.map_or_else(unknown, |held| held.to_string()),
        ]);
    }
    table.show(text);
}

fn moves(status: &ClusterStatus, text: &mut String) {
    let moving = |shard: &&ShardStatus| {
        !shard.moving.add.is_empty()
            || !shard.moving.remove.is_empty()
            || !shard.learners.is_empty()
    };
    let mut first = true;
    for shard in status.shards.iter().filter(moving) {
        if std::mem::take(&mut first) {
            text.push_str("\nUnder way:\n");
        }
        let _ = write!(text, "  shard {}:", shard.shard);
        if !shard.moving.add.is_empty() {
            let _ = write!(text, " to {}", list(&shard.moving.add));
        }
        if !shard.moving.remove.is_empty() {
            let _ = write!(text, " from {}", list(&shard.moving.remove));
        }
        for (node, bytes) in &shard.snapshot_bytes {
            let _ = write!(text, "; {} sent to {node}", HumanBytes(*bytes));
        }
        text.push('\n');
    }
}

fn list(nodes: &[u64]) -> String {
    nodes.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
}

fn unknown() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_read_well() {
        let status: ClusterStatus = serde_json::from_str(include_str!("status.json")).unwrap();
        assert_eq!(show(&status), include_str!("status.txt"));
    }
}
