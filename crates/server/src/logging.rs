//! Events of the server on standard error: for people or for programs, as much as the level says.
//!
//! ```text
//!  tracing ─▶ level, which can be changed ─▶ text | JSON ─▶ standard error
//! ```
//!
//! Only a binary starts it: a process has one log, whatever runs in it.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

use crate::config::{Config, LogFormat, LogLevel};
use crate::server::Server;

/// What all parts of Aryavarth begin the names of their events with.
const OURS: &str = "aryavarth";

/// Changes the level of the log.
#[derive(Clone, Debug)]
pub struct Logging {
    filter: reload::Handle<Targets, Registry>,
}

/// Starts the log of this process. If it has one already, that one stays and the level of nothing is
/// changed by what is returned.
pub fn init(config: &Config) -> Logging {
    let (filter, handle) = reload::Layer::new(filter(config.log_level));
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match config.log_format {
        LogFormat::Text => {
            let for_people =
                std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            lines.with_target(false).with_ansi(for_people).boxed()
        }
        LogFormat::Json => lines.json().flatten_event(true).with_ansi(false).boxed(),
    };
    // It fails only where there is a log already.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Logging { filter: handle }
}

impl Logging {
    /// From here on, logs what is as important as this and more.
    pub fn set_level(&self, level: LogLevel) {
        // It fails only when the log has gone.
        let _ = self.filter.reload(filter(level));
    }
}

impl Server {
    /// Has `CONFIG SET log-level` change the level of this log.
    pub fn heed_level(&self, logging: Logging) {
        logging.set_level(self.config.current().log_level);
        // A server that has one already keeps it.
        let _ = self.logging.set(logging);
    }
}

/// Our own events from `level` on; of what we are built on, only what may stop something.
fn filter(level: LogLevel) -> Targets {
    let ours = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // What a group of replicas takes for an error is mostly a node that does not answer, or one that
    // stops; what matters of it we say ourselves.
    let consensus = if ours >= LevelFilter::DEBUG { LevelFilter::WARN } else { LevelFilter::OFF };
    Targets::new()
        .with_target(OURS, ours)
        .with_target("openraft", consensus)
        .with_default(ours.min(LevelFilter::WARN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_events_follow_the_level_and_others_do_not() {
        let filter = filter(LogLevel::Debug);
        assert!(filter.would_enable("aryavarth_server::server", &tracing::Level::DEBUG));
        assert!(!filter.would_enable("aryavarth_server::server", &tracing::Level::TRACE));
        assert!(filter.would_enable("hyper", &tracing::Level::WARN));
        assert!(!filter.would_enable("hyper", &tracing::Level::DEBUG));
        assert!(filter.would_enable("openraft::core", &tracing::Level::WARN));
        let filter = super::filter(LogLevel::Info);
        assert!(!filter.would_enable("openraft::core", &tracing::Level::ERROR));
    }
}
