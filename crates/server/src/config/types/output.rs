//! How much may wait to be sent to a client, in the notation of Redis.

use std::time::Duration;

use super::super::kind::{Kind, quoted};
use super::super::refusal::Refusal;
use super::super::setting::Bounds;
use super::super::units::{parse_size, show_size};

/// How much may wait to be sent to a client before it is disconnected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimit {
    /// Bytes at which it is disconnected at once; 0 for no limit.
    pub hard: u64,
    /// Bytes at which it is disconnected after some time; 0 for no limit.
    pub soft: u64,
    /// That time, in seconds.
    pub soft_seconds: u64,
}

/// How long a client may take none of its replies, if its limit names no time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether classes of clients that this server has none of may be named.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OtherClasses {
    PassedOver,
    Refused,
}

impl OutputLimit {
    /// How long a client may be over the soft limit.
    pub fn soft_time(&self) -> Duration {
        Duration::from_secs(self.soft_seconds)
    }

    /// How long a client whose requests wait for it may take none of its replies.
    pub fn stall_time(&self) -> Duration {
        Some(self.soft_time()).filter(|time| !time.is_zero()).unwrap_or(PATIENCE)
    }

    /// The limit after `class hard soft seconds`, any number of them.
    fn after(mut self, text: &str, others: OtherClasses) -> Result<OutputLimit, Refusal> {
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.is_empty() || !words.len().is_multiple_of(4) {
            return Err(Refusal::other("Wrong number of arguments in buffer limit configuration."));
        }
        for limit in words.chunks_exact(4) {
            let read = OutputLimit::of(limit[1], limit[2], limit[3]);
            let Some(read) = read else {
                return Err(Refusal::other(
                    "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
                ));
            };
            match limit[0].to_ascii_lowercase().as_str() {
                "normal" => self = read,
                "replica" | "slave" | "pubsub" if others == OtherClasses::PassedOver => {}
                _ => {
                    return Err(Refusal::other(
                        "Invalid client class specified in buffer limit configuration.",
                    ));
                }
            }
        }
        Ok(self)
    }

    fn of(hard: &str, soft: &str, seconds: &str) -> Option<OutputLimit> {
        let digits = seconds.bytes().all(|byte| byte.is_ascii_digit());
        let soft_seconds = seconds.parse().ok().filter(|_| digits)?;
        Some(OutputLimit { hard: parse_size(hard)?, soft: parse_size(soft)?, soft_seconds })
    }
}

impl Kind for OutputLimit {
    const SHAPE: &'static str = "normal HARD SOFT SECONDS, such as normal 256mb 64mb 60";

    fn parse(text: &str, _: Option<Bounds>) -> Result<OutputLimit, Refusal> {
        let none = OutputLimit { hard: 0, soft: 0, soft_seconds: 0 };
        none.after(text, OtherClasses::Refused)
    }

    fn amend(&self, text: &str, _: Option<Bounds>) -> Result<OutputLimit, Refusal> {
        self.after(text, OtherClasses::PassedOver)
    }

    fn show(&self) -> String {
        format!("normal {} {} {}", self.hard, self.soft, self.soft_seconds)
    }

    fn literal(&self) -> String {
        let (hard, soft) = (show_size(self.hard), show_size(self.soft));
        quoted(&format!("normal {hard} {soft} {}", self.soft_seconds))
    }
}
