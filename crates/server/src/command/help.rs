//! The shape of what `CLIENT HELP` and its kind answer.

use crate::resp::Reply;

/// Writes the help of a container: a line on how to read it, `lines`, and a line on itself.
pub(super) fn write(reply: &mut Reply<'_>, container: &str, lines: &[&str]) {
    reply.array(lines.len() + 3);
    reply.simple(&format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    lines.iter().for_each(|line| reply.simple(line));
    reply.simple("HELP");
    reply.simple("    Prints this help.");
}
