//! Progress bars: on standard error, only where a person watches, only once a second has passed.

use std::time::Duration;

use aryavarth::disk::{Disk, OsDisk};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

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
    /// Nothing was told yet.
    Waiting,
    /// It has only just begun. The bar is kept, unseen, as it learns the rate from the start.
    Hidden(ProgressBar),
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

    /// Tells how much is done, of how much in all if that is known. Costs about what looking at the
    /// clock does: to be called for some work, not for every line.
    pub fn update(&mut self, done: u64, total: Option<u64>) {
        let elapsed = self.clock.monotonic().saturating_sub(self.started);
        self.state = match std::mem::replace(&mut self.state, State::Unwatched) {
            State::Waiting => State::Hidden(self.bar(total).with_elapsed(elapsed)),
            State::Hidden(bar) if elapsed >= PATIENCE => {
                bar.set_draw_target(ProgressDrawTarget::stderr());
                State::Shown(bar)
            }
            state => state,
        };
        if let State::Hidden(bar) | State::Shown(bar) = &self.state {
            if let Some(total) = total.filter(|total| bar.length() != Some(*total)) {
                bar.set_length(total);
            }
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
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
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
