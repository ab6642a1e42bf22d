#!/usr/bin/env python3
"""Measures clusters of several builds of `aryavarth` beside each other, on one machine.

The clusters are up all the while, and are put to work in turn, for two seconds each: a machine shared with others swings
more from one minute to the next than two builds differ. Needs what compare.py needs, but no peer.
"""

import argparse
import os
import signal
import statistics
import sys
from contextlib import ExitStack

import compare
from compare import HERE, server


def named(text):
    name, separator, path = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text}: say NAME=PATH")
    if not os.access(path, os.X_OK):
        raise argparse.ArgumentTypeError(f"there is no program {path}")
    return name, path


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    number = {"type": int, "metavar": "N"}
    parser.add_argument("builds", nargs="+", type=named, metavar="NAME=PATH", help="what to measure")
    parser.add_argument("--rounds", help="rounds that count (8)", default=8, **number)
    parser.add_argument("--seconds", help="seconds of each load (2)", default=2, **number)
    parser.add_argument("--keys", help="keys in use (20000)", default=20_000, **number)
    parser.add_argument("--shards", help="shards, from the beginning (one, split until each node has one)", **number)
    parser.add_argument("--rows", metavar="NAME,…", default="puts", help="rows of compare.py whose names begin like this; `=NAME` is exact")
    parser.add_argument("--load", metavar="PATH", default=HERE / "target/release/aryavarth-cluster-bench")
    parser.add_argument("--workdir", metavar="DIR", default=compare.ROOT / "target/compare-cluster")
    options = parser.parse_args()
    options.quick, options.add_keys, options.etcd, options.redis = False, None, "true", "true"
    options.aryavarth = options.builds[0][1]
    return options


def begin(stack, run, build):
    """A cluster of a build, filled."""
    name, run.aryavarth = build
    cluster = stack.enter_context(compare.Ours(run))
    compare.fill(run, cluster, run.keys)
    return name, cluster


def entries(cluster):
    """Batches that were proposed so far, and their effects."""
    batches = effects = 0
    for node in cluster.nodes:
        with server.Connection(node.client) as client:
            info = client.info()
            batches += int(info["aryavarth_batches"])
            effects += int(info["aryavarth_batch_operations"])
    return batches, effects


def measure(run, cluster, row):
    before = entries(cluster)
    report = compare.load(run, cluster, row.work, row.clients, row.pipeline, warm_up=run.warm_up)
    batches, effects = (after - then for after, then in zip(entries(cluster), before))
    return {
        "ops_per_s": report["ops_per_s"],
        "p50_ms": report["p50_ms"],
        "p99_ms": report["p99_ms"],
        "cpu": compare.server_cpu_us(report),
        "effects": effects / max(batches, 1),
    }


def duel(options):
    names = compare.chosen(options.rows)
    rows = [row for row in compare.RATIOS if row.name in names]
    found = {}
    run = compare.Run(options)
    run.warm_up = 0.3
    with ExitStack() as stack:
        stack.callback(run.clean)
        sides = [begin(stack, run, build) for build in options.builds]
        # The first round warms up.
        for number in range(options.rounds + 1):
            for row in rows:
                for name, cluster in server.turns(sides, number):
                    result = measure(run, cluster, row)
                    if number > 0:
                        found.setdefault((row.name, name), []).append(result)
    print(f"{'':<15}{'':<12}{'ops/s':>10}{'from':>10}{'to':>10}{'CPU µs':>9}{'p50 ms':>9}{'p99 ms':>9}{'effects':>9}")
    for (row, name), results in found.items():
        median = lambda what: statistics.median(result[what] for result in results)  # noqa: E731
        every = [result["ops_per_s"] for result in results]
        print(
            f"{row:<15}{name:<12}{median('ops_per_s'):>10,.0f}{min(every):>10,.0f}{max(every):>10,.0f}{median('cpu'):>9.1f}"
            f"{median('p50_ms'):>9.2f}{median('p99_ms'):>9.2f}{median('effects'):>9.1f}"
        )


def main():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, server.end)
    duel(parse())


if __name__ == "__main__":
    try:
        main()
    except compare.Failed as failure:
        sys.exit(f"duel.py: {failure}")
