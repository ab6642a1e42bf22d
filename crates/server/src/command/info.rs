//! `INFO`: the figures of the server, as lines that people read and tools parse.
//!
//! ```text
//!  # Server
//!  redis_version:7.2.4        name:value, the names of Redis where the meaning is the same,
//!  aryavarth_version:0.1.0    and names of our own, which begin so, where there is none
//! ```

mod commands;
mod process;
mod store;

use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};

use super::context::Context;
use super::error::CommandResult;
use super::following::Following;
use crate::proposer::BatchError;
use crate::resp::{Args, Reply};
use crate::server::Server;

/// Where the lines are written.
#[derive(Default)]
struct Page {
    text: String,
    /// Why writes are refused now, if they are. Asked for before: whoever writes pages may hold the
    /// proposer, which cannot be held twice.
    refused: Option<BatchError>,
}

impl Page {
    /// Begins a section.
    fn heading(&mut self, title: &str) {
        if !self.text.is_empty() {
            self.text.push_str("\r\n");
        }
        self.put(format_args!("# {title}\r\n"));
    }

    /// One line.
    fn line(&mut self, name: &str, value: impl Display) {
        self.put(format_args!("{name}:{value}\r\n"));
    }

    /// A number of bytes, and the same for people.
    fn bytes(&mut self, name: &str, bytes: u64) {
        self.line(name, bytes);
        self.line(&format!("{name}_human"), human(bytes));
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("a string takes everything");
    }
}

/// Bytes as Redis writes them for people: `512B`, `1.50K`, `2.00G`.
fn human(bytes: u64) -> String {
    let units = ["K", "M", "G", "T", "P"];
    let mut amount = bytes as f64;
    let mut shown = format!("{bytes}B");
    for unit in units {
        if amount < 1024.0 {
            break;
        }
        amount /= 1024.0;
        shown = format!("{amount:.2}{unit}");
    }
    shown
}

/// When a section is shown that was not asked for by name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// Without any name too, as with `default`.
    ByDefault,
    /// With `all` and `everything`.
    WithAll,
}

/// A section: its name, when it is shown, and what writes it.
struct Section {
    name: &'static str,
    shown: Shown,
    write: fn(&mut Page, &Server),
}

const fn section(name: &'static str, shown: Shown, write: fn(&mut Page, &Server)) -> Section {
    Section { name, shown, write }
}

const SECTIONS: [Section; 13] = [
    section("server", Shown::ByDefault, process::server),
    section("clients", Shown::ByDefault, process::clients),
    section("memory", Shown::ByDefault, process::memory),
    section("persistence", Shown::ByDefault, store::persistence),
    section("stats", Shown::ByDefault, commands::stats),
    section("replication", Shown::ByDefault, store::replication),
    section("cpu", Shown::ByDefault, process::processor),
    section("modules", Shown::ByDefault, |page, _| page.heading("Modules")),
    section("commandstats", Shown::WithAll, commands::command_stats),
    section("errorstats", Shown::ByDefault, commands::error_stats),
    section("latencystats", Shown::WithAll, commands::latency_stats),
    section("cluster", Shown::ByDefault, store::cluster),
    section("keyspace", Shown::ByDefault, store::keyspace),
];

/// `INFO [section …]`
pub(super) fn info(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let names: BTreeSet<String> = args
        .iter()
        .skip(1)
        .map(|name| String::from_utf8_lossy(name).to_ascii_lowercase())
        .collect();
    let refused = cx.refusal();
    reply.verbatim(&page(cx.server(), refused, &names));
    Ok(())
}

/// `ROLE`: that of a master. In a cluster its replicas are the nodes that follow in shards which it leads.
pub(super) fn role(cx: &mut Context<'_, '_>, _: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    let following = cx.server().cluster.as_ref().map(Following::of).unwrap_or_default();
    reply.array(3);
    reply.bulk(b"master");
    reply.integer(following.offset as i64);
    reply.array(following.followers.len());
    for follower in following.followers {
        reply.array(3);
        reply.bulk(follower.address.host().as_bytes());
        reply.bulk(follower.address.port().to_string().as_bytes());
        reply.bulk(follower.offset.to_string().as_bytes());
    }
    Ok(())
}

fn page(server: &Server, refused: Option<BatchError>, names: &BTreeSet<String>) -> String {
    let all = names.contains("all") || names.contains("everything");
    let default = names.is_empty() || names.contains("default");
    let mut page = Page { text: String::new(), refused };
    for section in &SECTIONS {
        if all || (default && section.shown == Shown::ByDefault) || names.contains(section.name) {
            (section.write)(&mut page, server);
        }
    }
    page.text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_for_people() {
        let shown = [0, 1023, 1024, 1536, 5 << 20, 3 << 30].map(human);
        assert_eq!(shown, ["0B", "1023B", "1.00K", "1.50K", "5.00M", "3.00G"]);
    }

    #[test]
    fn sections_are_a_blank_line_apart() {
        let mut page = Page::default();
        page.heading("One");
        page.bytes("used", 2048);
        page.heading("Two");
        assert_eq!(page.text, "# One\r\nused:2048\r\nused_human:2.00K\r\n\r\n# Two\r\n");
    }
}
