//! Progress bars: on standard error, only where a person watches, only once a second has passed.

use std::time::Duration;

use aryavarth::disk::{Disk, OsDisk};
use indicatif::{ProgressBar, ProgressStyle};

use crate::failure::stderr_is_watched;

/// Shorter work is done before a bar could be read.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Entries.
    Entries,
}

/// How far a piece of work has come. Its bar is gone when this is dropped.
pub struct Progress {
    label: &'static str,
    unit: Unit,
    clock: OsDisk,
    started: Duration,
    state: State,
}

enum State {
    /// Nobody watches.
    Unwatched,
    /// It has only just begun.
    Waiting,
    /// The bar is drawn.
    Shown(ProgressBar),
}

impl Progress {
    /// Work that begins now, named by a verb such as "importing".
    pub fn new(label: &'static str, unit: Unit) -> Progress {
        let clock = OsDisk::new();
        let started = clock.monotonic();
        let state = if stderr_is_watched() { State::Waiting } else { State::Unwatched };
        Progress { label, unit, clock, started, state }
    }

    /// Tells how much is done, of how much in all if that is known.
    pub fn update(&mut self, done: u64, total: Option<u64>) {
        if let State::Waiting = self.state {
            let elapsed = self.clock.monotonic().saturating_sub(self.started);
            if elapsed < PATIENCE {
                return;
            }
            self.state = State::Shown(self.bar(total).with_elapsed(elapsed));
        }
        if let State::Shown(bar) = &self.state {
            bar.set_position(done);
        }
    }

    fn bar(&self, total: Option<u64>) -> ProgressBar {
        let template = match (self.unit, total) {
            (Unit::Bytes, Some(_)) => "{msg} [{bar:30}] {bytes} of {total_bytes}, {eta} left",
            (Unit::Bytes, None) => "{msg} {bytes}, {bytes_per_sec}",
            (Unit::Entries, Some(_)) => "{msg} [{bar:30}] {human_pos} of {human_len}, {eta} left",
            (Unit::Entries, None) => "{msg} {human_pos}, {per_sec}",
        };
        let style = ProgressStyle::with_template(template).expect("the templates above are right");
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        bar.with_style(style.progress_chars("=> ")).with_message(self.label)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let State::Shown(bar) = &self.state {
            bar.finish_and_clear();
        }
    }
}
