//! The options of the console.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;

use crate::duration::parse as parse_span;

/// Arguments of `cli`.
#[derive(Debug, Args)]
pub struct Cli {
    /// Print replies as they are, also to a terminal
    #[arg(long, conflicts_with_all = ["formatted", "json"])]
    pub raw: bool,
    /// Print replies for people, also to a file
    #[arg(long, conflicts_with = "json")]
    pub formatted: bool,
    /// Speak RESP3: maps, sets, doubles and booleans as such
    #[arg(short = '3', long)]
    pub resp3: bool,
    /// Send the command this many times, or `forever`
    #[arg(
        short,
        long,
        value_name = "N",
        default_value = "1",
        value_parser = Repeat::parse,
        requires = "command"
    )]
    pub repeat: Repeat,
    /// Wait this long before each repetition
    #[arg(short, long, value_name = "TIME", value_parser = parse_span, requires = "command")]
    pub interval: Option<Duration>,
    /// Take the last argument of the command from standard input
    #[arg(short = 'x', long, requires = "command")]
    pub stdin_argument: bool,
    /// The command and its arguments [default: a prompt, or the lines of standard input]
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// How often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// This many times.
    Times(u64),
    /// Until it is interrupted.
    Forever,
}

impl Repeat {
    fn parse(text: &str) -> std::result::Result<Repeat, String> {
        match (text, text.parse()) {
            ("forever" | "-1", _) => Ok(Repeat::Forever),
            (_, Ok(times)) if times > 0 => Ok(Repeat::Times(times)),
            _ => Err("write a number from 1 up, or `forever`".to_owned()),
        }
    }
}
