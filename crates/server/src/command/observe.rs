//! What was slow: `SLOWLOG` tells of commands, `LATENCY` of events and of the times of all commands.

mod graph;

use std::time::Duration;

use super::context::Context;
use super::error::{CommandError, CommandResult};
use super::table::{self, CommandSpec};
use crate::latency::{Series, SlowCommand};
use crate::metrics::BUCKETS;
use crate::resp::{Args, Reply};
use crate::stats::CommandTotals;
use crate::value::integer;

/// Commands that `SLOWLOG GET` shows unless told otherwise.
const SHOWN: usize = 10;
/// The first bucket of nanoseconds whose end is a microsecond, in powers of two: 1024 of them.
const MICROSECOND: usize = 10;

/// `SLOWLOG GET [count]`
pub(super) fn slow_get(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let count = match (args.get(2), args.len()) {
        (None, _) => SHOWN,
        (Some(count), 3) => match integer::parse_i64(count).filter(|count| *count >= -1) {
            Some(-1) => usize::MAX,
            Some(count) => count as usize,
            None => {
                return Err(CommandError::text("ERR count should be greater than or equal to -1"));
            }
        },
        _ => return Err(CommandError::WrongArguments("slowlog|get")),
    };
    let commands = cx.server().slow_log.newest(count);
    reply.array(commands.len());
    commands.iter().for_each(|command| write_slow(reply, command));
    Ok(())
}

fn write_slow(reply: &mut Reply<'_>, command: &SlowCommand) {
    reply.array(6);
    reply.integer(command.id as i64);
    reply.integer(command.at as i64);
    reply.integer(command.took.as_micros() as i64);
    reply.array(command.args.len());
    command.args.iter().for_each(|word| reply.bulk(word));
    reply.bulk(command.peer.as_bytes());
    reply.bulk(command.name.as_bytes());
}

/// `SLOWLOG LEN`
pub(super) fn slow_len(
    cx: &mut Context<'_, '_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    reply.count(cx.server().slow_log.len());
    Ok(())
}

/// `SLOWLOG RESET`
pub(super) fn slow_reset(
    cx: &mut Context<'_, '_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    cx.server().slow_log.reset();
    reply.ok();
    Ok(())
}

/// `SLOWLOG HELP`
pub(super) fn slow_help(
    _: &mut Context<'_, '_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    super::help::write(
        reply,
        "SLOWLOG",
        &[
            "GET [<count>]",
            "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
            "    Entries are made of:",
            "    id, timestamp, time in microseconds, arguments array, client IP and port,",
            "    client name",
            "LEN",
            "    Return the length of the slowlog.",
            "RESET",
            "    Reset the slowlog.",
        ],
    );
    Ok(())
}

/// `LATENCY LATEST`
pub(super) fn latest(
    cx: &mut Context<'_, '_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let all = cx.server().latency.all();
    reply.array(all.len());
    for (event, series) in &all {
        let last = series.samples.back();
        reply.array(4);
        reply.bulk(event.as_bytes());
        reply.integer(last.map_or(0, |sample| sample.at as i64));
        reply.integer(last.map_or(0, |sample| sample.millis as i64));
        reply.integer(series.longest as i64);
    }
    Ok(())
}

/// The delays of an event.
fn series(cx: &Context<'_, '_>, event: &[u8]) -> Option<(&'static str, Series)> {
    cx.server().latency.all().into_iter().find(|(name, _)| name.as_bytes() == event)
}

/// `LATENCY HISTORY event`
pub(super) fn history(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let samples = series(cx, &args[2]).map_or_else(Default::default, |(_, series)| series.samples);
    reply.array(samples.len());
    for sample in samples {
        reply.array(2);
        reply.integer(sample.at as i64);
        reply.integer(sample.millis as i64);
    }
    Ok(())
}

/// `LATENCY RESET [event …]`
pub(super) fn reset(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let names: Vec<&[u8]> = args.iter().skip(2).collect();
    reply.count(cx.server().latency.reset(&names));
    Ok(())
}

/// `LATENCY GRAPH event`
pub(super) fn graph(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let Some((event, series)) = series(cx, &args[2]) else {
        let event = String::from_utf8_lossy(&args[2]);
        return Err(CommandError::new(format!("ERR No samples available for event '{event}'")));
    };
    reply.verbatim(&graph::draw(event, &series, crate::clock::wall().as_secs()));
    Ok(())
}

/// `LATENCY DOCTOR`
pub(super) fn doctor(
    cx: &mut Context<'_, '_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let server = cx.server();
    let all = server.latency.all();
    let text = if !all.is_empty() {
        diagnosis(all.iter())
    } else if server.config.hot().delay_from().is_none() {
        "Delays are not watched. To watch them: CONFIG SET latency-monitor-threshold \
         <milliseconds>.\n"
            .to_owned()
    } else {
        "No delay was as long as latency-monitor-threshold says.\n".to_owned()
    };
    reply.verbatim(&text);
    Ok(())
}

fn diagnosis<'a>(all: impl Iterator<Item = (&'a &'static str, &'a Series)>) -> String {
    let mut text = String::from("Delays as long as latency-monitor-threshold says, or longer:\n\n");
    for (number, (event, series)) in all.enumerate() {
        let count = series.samples.len().max(1) as u64;
        let sum: u64 = series.samples.iter().map(|sample| sample.millis).sum();
        text.push_str(&format!(
            "{}. {event}: {count} delays, on average {} ms, the longest {} ms.\n",
            number + 1,
            sum / count,
            series.longest
        ));
    }
    text.push_str(
        "\n- SLOWLOG GET shows which commands were slow; INFO commandstats and LATENCY HISTOGRAM, \
         what they take as a rule.\n- A write waits for the disk: compare the durations of syncs \
         in INFO persistence, and what `durability` asks for.\n",
    );
    text
}

/// `LATENCY HISTOGRAM [command …]`
pub(super) fn histogram(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let server = cx.server();
    let wanted: Vec<&'static CommandSpec> = match args.len() {
        2 => table::all().collect(),
        _ => args.iter().skip(2).filter_map(table::find_full).flat_map(with_parts).collect(),
    };
    let totals = wanted.iter().map(|spec| (spec, server.stats.totals(spec.id)));
    let totals: Vec<_> = totals.filter(|(_, totals)| totals.calls > 0).collect();
    reply.map(totals.len());
    for (spec, totals) in totals {
        reply.bulk(spec.full_name.as_bytes());
        reply.map(2);
        reply.bulk(b"calls");
        reply.integer(totals.calls as i64);
        reply.bulk(b"histogram_usec");
        let steps = cumulative(&totals);
        reply.map(steps.len());
        for (micros, count) in steps {
            reply.integer(micros as i64);
            reply.integer(count as i64);
        }
    }
    Ok(())
}

/// A command and its subcommands.
fn with_parts(spec: &'static CommandSpec) -> impl Iterator<Item = &'static CommandSpec> {
    std::iter::once(spec).chain(spec.subcommands)
}

/// How many runs took at most so many microseconds, for each number by which there are more.
fn cumulative(totals: &CommandTotals) -> Vec<(u64, u64)> {
    let mut steps: Vec<(u64, u64)> = Vec::new();
    let mut sum = 0;
    for bucket in 0..BUCKETS {
        sum += totals.buckets[bucket];
        let end = bucket.max(MICROSECOND);
        let known = steps.last().map_or(0, |step| step.1);
        if sum > known && bucket >= MICROSECOND {
            steps.push((Duration::from_nanos(1 << end).as_micros() as u64, sum));
        }
    }
    steps
}

/// `LATENCY HELP`
pub(super) fn help(_: &mut Context<'_, '_>, _: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    super::help::write(
        reply,
        "LATENCY",
        &[
            "DOCTOR",
            "    Return a human readable latency analysis report.",
            "GRAPH <event>",
            "    Return an ASCII latency graph for the <event> class.",
            "HISTORY <event>",
            "    Return time-latency samples for the <event> class.",
            "LATEST",
            "    Return the latest latency samples for all events.",
            "RESET [<event> ...]",
            "    Reset latency data of one or more <event> classes.",
            "    (default: reset all data for all event classes)",
            "HISTOGRAM [COMMAND ...]",
            "    Return a cumulative distribution of latencies in the format of a histogram for \
             the specified command names.",
            "    If no commands are specified then all histograms are replied.",
        ],
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_histogram_counts_up() {
        let mut totals = CommandTotals { buckets: vec![0; BUCKETS], ..Default::default() };
        totals.buckets[8] = 2;
        totals.buckets[10] = 1;
        totals.buckets[14] = 4;
        assert_eq!(cumulative(&totals), [(1, 3), (16, 7)]);
        assert_eq!(
            cumulative(&CommandTotals { buckets: vec![0; BUCKETS], ..Default::default() }),
            []
        );
    }
}
