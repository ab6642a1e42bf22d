//! `LATENCY GRAPH`: the delays of an event as columns of characters, the newest at the right.
//!
//! ```text
//!     #        each column a delay; its top stands for a height that is not a whole line
//!    _#_       `_` a quarter, `o` a half, `#` a whole
//!    ###
//!
//!    123       how long ago, downwards: 1 2 3, and the unit below
//!    ssm
//! ```

use crate::latency::Series;

/// Lines of the columns.
const HEIGHT: u64 = 4;
/// The characters of the parts of a line, from low to high.
const PARTS: [char; 3] = ['_', 'o', '#'];

/// Draws the delays; `now` is in seconds since 1970.
pub(super) fn draw(event: &str, series: &Series, now: u64) -> String {
    let samples = &series.samples;
    let low = samples.iter().map(|sample| sample.millis).min().unwrap_or(0);
    let high = samples.iter().map(|sample| sample.millis).max().unwrap_or(0);
    let mut text = format!(
        "{event} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n",
        series.longest,
        "-".repeat(80)
    );
    let steps = HEIGHT * PARTS.len() as u64 - 1;
    let height = |millis: u64| (millis - low) * steps / (high - low).max(1);
    for line in (0..HEIGHT).rev() {
        let floor = line * PARTS.len() as u64;
        let columns = samples.iter().map(|sample| match height(sample.millis).checked_sub(floor) {
            None => ' ',
            Some(above) => PARTS[(above as usize).min(PARTS.len() - 1)],
        });
        push_line(&mut text, columns.collect());
    }
    text.push('\n');
    let labels: Vec<Vec<char>> =
        samples.iter().map(|sample| ago(now.saturating_sub(sample.at)).chars().collect()).collect();
    let lines = labels.iter().map(Vec::len).max().unwrap_or(0);
    for line in 0..lines {
        let characters = labels.iter().map(|label| label.get(line).copied().unwrap_or(' '));
        push_line(&mut text, characters.collect());
    }
    text
}

fn push_line(text: &mut String, line: String) {
    text.push_str(line.trim_end());
    text.push('\n');
}

/// A time in its largest unit: `7s`, `3m`, `2h`, `5d`.
fn ago(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Sample;

    #[test]
    fn columns_are_as_high_as_delays_are_long() {
        let samples = [(40, 10), (95, 21), (99, 12)].map(|(at, millis)| Sample { at, millis });
        let series = Series { samples: samples.into(), longest: 30 };
        let drawn = draw("command", &series, 100);
        let lines: Vec<&str> = drawn.lines().collect();
        assert_eq!(lines[0], "command - high 21 ms, low 10 ms (all time high 30 ms)");
        assert_eq!(lines[2..], [" #", " #", " #", "_##", "", "151", "mss"]);
    }
}
