#!/usr/bin/env python3
"""Measures a cluster of three `aryavarth` nodes beside one of three `etcd` nodes, on one machine.

Every write is synced on a majority by both, and the same program, `aryavarth-cluster-bench`, is the client of
both. README.md, beside this file, says what each row is. Needs Linux, Python 3.8, etcd and redis-server.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]


def neighbour():
    """The comparison of single servers has what both need: processes that end with it, the machine's figures."""
    spec = importlib.util.spec_from_file_location("server_compare", HERE.parent / "server/compare.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


server = neighbour()
Failed, fail, verdict = server.Failed, server.fail, server.verdict
PROCESSES = server.PROCESSES

OURS, ETCD, REDIS = "aryavarth", "etcd", "redis"
NODES, FACTOR = 3, 3
KEY, VALUE = 24, 128


@dataclass(frozen=True)
class Ratio:
    """A load on both, and how many times the peer's operations a second are aimed at."""

    name: str
    work: str
    clients: int
    pipeline: int
    peer: str
    # None where the peer only shows what the machine can do.
    target: Optional[float]


# The one place to change a target.
RATIOS = [
    Ratio("puts-64", "put", 64, 1, ETCD, 10),
    Ratio("puts-256", "put", 256, 1, ETCD, 10),
    Ratio("gets-64", "get", 64, 1, ETCD, 15),
    Ratio("gets-256", "get", 256, 1, ETCD, 15),
    Ratio("puts-1", "put", 1, 1, ETCD, 1.5),
    Ratio("puts-50-p16", "put", 50, 16, REDIS, 0.5),
    # One server, in memory, which asks nobody: no cluster on this machine can be much faster.
    Ratio("limit-puts-64", "put", 64, 1, REDIS, None),
    Ratio("limit-puts-256", "put", 256, 1, REDIS, None),
    Ratio("limit-gets-64", "get", 64, 1, REDIS, None),
    Ratio("limit-gets-256", "get", 256, 1, REDIS, None),
]
DISK, DISK_TARGET = "disk", 1.3
IDLE, IDLE_SHARDS, IDLE_JUDGED, IDLE_TARGET = "idle", (16, 64, 256), 64, 5.0
KILL, KILL_TARGET_MS = "leader-killed", 2000
ADD, ADD_TARGET = "node-added", 0.7
ROLL, ROLL_TARGET_MS = "rolling-restart", 250
NAMES = [row.name for row in RATIOS] + [DISK] + [f"{IDLE}-{n}" for n in IDLE_SHARDS] + [KILL, ADD, ROLL]


# --- waiting ---------------------------------------------------------------------------------


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def await_true(what, condition, patience, nodes=()):
    """Waits until it holds; says how long that took."""
    begun = time.monotonic()
    while True:
        for node in nodes:
            if node.process.poll() is not None:
                fail(f"{node.name} ended while waiting until {what}: {node.tail()}")
        with contextlib.suppress(OSError, Failed, ValueError, KeyError):
            if condition():
                return time.monotonic() - begun
        if time.monotonic() - begun > patience:
            fail(f"waited {patience} s in vain until {what}" + "".join(f"\n{node.name}: {node.tail()}" for node in nodes))
        time.sleep(0.05)


# --- clusters --------------------------------------------------------------------------------


class Node:
    """A process, its directory and its ports."""

    def __init__(self, name, directory):
        self.name, self.directory = name, directory
        self.client, self.peer = free_ports(2)
        self.process = None
        directory.mkdir(exist_ok=True)

    def start(self, arguments):
        self.output = open(f"{self.directory}.output", "ab")
        streams = {"stdout": self.output, "stderr": self.output, "stdin": subprocess.DEVNULL}
        self.process = PROCESSES.start([str(argument) for argument in arguments], **streams)

    def tail(self):
        text = Path(f"{self.directory}.output").read_bytes()[-600:]
        return text.decode(errors="replace").strip()

    def kill(self):
        self.process.kill()
        self.process.wait()
        PROCESSES.stop(self.process)

    def stop(self):
        PROCESSES.stop(self.process, patience=30)

    def cpu_seconds(self):
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        return sum(int(field) for field in stat.rsplit(")", 1)[1].split()[11:13]) / server.TICKS


class Cluster:
    """Some nodes; to be used with `with`."""

    def __init__(self, run, kind):
        self.run, self.kind, self.nodes = run, kind, []
        self.directory = run.fresh_directory(kind)

    def __enter__(self):
        self.begin()
        return self

    def __exit__(self, *_):
        for node in self.nodes:
            PROCESSES.stop(node.process, patience=5)
        shutil.rmtree(self.directory, ignore_errors=True)

    def new_node(self):
        number = len(self.nodes) + 1
        node = Node(f"{self.kind} {number}", self.directory / str(number))
        self.nodes.append(node)
        return node

    def endpoints(self):
        return ",".join(f"127.0.0.1:{node.client}" for node in self.nodes)

    def pids(self):
        return ",".join(str(node.process.pid) for node in self.nodes)


class Etcd(Cluster):
    peer = "etcd"

    def __init__(self, run):
        super().__init__(run, ETCD)

    def begin(self):
        for _ in range(NODES):
            self.new_node()
        members = ",".join(f"{node.directory.name}=http://127.0.0.1:{node.peer}" for node in self.nodes)
        for node in self.nodes:
            client, peer = f"http://127.0.0.1:{node.client}", f"http://127.0.0.1:{node.peer}"
            node.start([
                self.run.etcd, "--name", node.directory.name, "--data-dir", node.directory,
                "--listen-client-urls", client, "--advertise-client-urls", client,
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                "--initial-cluster", members, "--initial-cluster-state", "new",
                # Else it refuses writes after 2 GiB.
                "--quota-backend-bytes", 8 << 30, "--logger", "zap", "--log-level", "error",
            ])  # fmt: skip
        await_true("etcd is healthy", self.is_healthy, 60, self.nodes)

    def ask(self, node, path, body=None):
        url = f"http://127.0.0.1:{node.client}{path}"
        with urllib.request.urlopen(url, data=body, timeout=3) as answer:
            return json.load(answer)

    def is_healthy(self):
        return all(self.ask(node, "/health")["health"] == "true" for node in self.nodes)

    def leader(self):
        for node in self.nodes:
            status = self.ask(node, "/v3/maintenance/status", b"{}")
            if status["header"]["member_id"] == status["leader"]:
                return node
        fail("etcd has no leader")


class Ours(Cluster):
    peer = "cluster"

    def __init__(self, run, shards=None):
        super().__init__(run, OURS)
        # None: it grows, and comes to have a shard for each node.
        self.shards = shards or run.shards

    def begin(self):
        fixed = ("--shards", self.shards) if self.shards else ()
        self.start(self.new_node(), "--init", *fixed)
        await_true("the first node serves", self.is_settled, 30, self.nodes)
        for _ in range(NODES - 1):
            self.join()
        await_true("all replicas are in place", self.is_settled, 120, self.nodes)

    def start(self, node, *arguments):
        client, peer = f"127.0.0.1:{node.client}", f"127.0.0.1:{node.peer}"
        node.start([
            self.run.aryavarth, "serve", "--cluster", "--dir", node.directory, "--addr", client,
            "--peer-addr", peer, "--admin-address", "", *arguments,
        ])  # fmt: skip

    def join(self):
        node = self.new_node()
        self.start(node, "--join", f"127.0.0.1:{self.nodes[0].peer}")
        return node

    def status(self, node=None):
        with server.Connection((node or self.nodes[0]).client, timeout=5) as client:
            return json.loads(client.call("CLUSTER", "STATUS"))

    def is_settled(self):
        """Nothing moves, everybody is there, and every shard has its leader and all its replicas."""
        status = self.status()
        count = len(self.nodes)
        data = [shard for shard in status["shards"] if shard["slots"] is not None]
        voters = FACTOR if count >= FACTOR else 1
        return (
            status["state"] == "ok"
            and len(status["nodes"]) == count
            and all(node["state"] == "active" and node["sight"] == "reachable" for node in status["nodes"])
            and len(data) == (self.shards or (count if count >= FACTOR else 1))
            and all(is_in_place(shard, voters) for shard in data)
            and (count < FACTOR or held(status)[1] - held(status)[0] <= 2)
        )

    def leader(self):
        """The node that leads the most shards."""
        leads = {node["client"]: node["leads"] or 0 for node in self.status()["nodes"]}
        return max(self.nodes, key=lambda node: leads.get(f"127.0.0.1:{node.client}", 0))

    def log_bytes(self):
        total = 0
        for node in self.nodes:
            with server.Connection(node.client) as client:
                total += int(client.info()["aryavarth_log_bytes"])
        return total


def is_in_place(shard, voters):
    moving = shard["moving"] or {"add": [], "remove": []}
    lags = [lag for lag in (shard["lag"] or {}).values() if lag is not None]
    return (
        shard["leader"] is not None
        and len(shard["voters"]) == voters
        and not shard["learners"]
        and not moving["add"]
        and not moving["remove"]
        and all(lag < 10_000 for lag in lags)
    )


def held(status):
    """The fewest and the most replicas that a node has."""
    counts = [sum(node["id"] in shard["voters"] for shard in status["shards"]) for node in status["nodes"]]
    return min(counts), max(counts)


class Redis(Cluster):
    """One server, to compare pipelines with."""

    peer = "redis"

    def __init__(self, run):
        super().__init__(run, REDIS)

    def begin(self):
        node = self.new_node()
        node.start([
            self.run.redis, "--port", node.client, "--bind", "127.0.0.1", "--dir", node.directory,
            "--appendonly", "yes", "--appendfsync", "always", "--save", "",
        ])  # fmt: skip
        await_true("redis answers", self.is_healthy, 30, self.nodes)

    def is_healthy(self):
        with server.Connection(self.nodes[0].client) as client:
            return client.call("PING") == "PONG"


KINDS = {OURS: Ours, ETCD: Etcd, REDIS: Redis}


# --- load ------------------------------------------------------------------------------------


class Load:
    """The client program at work."""

    def __init__(self, run, cluster, work, clients=64, pipeline=1, seconds=None, until_told=False, **more):
        options = {
            "peer": cluster.peer, "work": work, "endpoints": cluster.endpoints(), "clients": clients,
            "pipeline": pipeline, "seconds": seconds or run.seconds, "keys": run.keys,
            "key-size": KEY, "value-size": VALUE, "pid": cluster.pids(),
        }  # fmt: skip
        options.update({name.replace("_", "-"): value for name, value in more.items()})
        arguments = [run.load] + [word for name, value in options.items() for word in (f"--{name}", str(value))]
        pipe = subprocess.PIPE
        if until_told:
            arguments.append("--until-eof")
        stdin = pipe if until_told else subprocess.DEVNULL
        self.process = PROCESSES.start(arguments, stdout=pipe, stderr=pipe, stdin=stdin)

    def finish(self):
        """Waits for its end; what it says."""
        output, errors = self.process.communicate()
        PROCESSES.stop(self.process)
        if self.process.returncode != 0:
            fail(f"the load failed: {errors.decode(errors='replace').strip()}")
        return json.loads(output)

    def end(self):
        self.process.stdin.close()
        self.process.stdin = None
        return self.finish()


def load(*arguments, **options):
    return Load(*arguments, **options).finish()


def fill(run, cluster, keys):
    pipeline = 1 if cluster.kind == ETCD else 16
    report = load(run, cluster, "fill", clients=64, pipeline=pipeline, seconds=3600, keys=keys)
    if report["errors"]:
        fail(f"{cluster.kind} did not take all keys: {report['first_error']}")
    return report


def note(run, text):
    run.reports.append(text)
    if sys.stderr.isatty():
        print(f"\r\x1b[K{str(text)[:150]}", end="\r", file=sys.stderr, flush=True)


# --- rows ------------------------------------------------------------------------------------


class Table:
    """What is printed, and kept for `--json`."""

    def __init__(self):
        self.results = []

    def head(self):
        print(f"{'':<17}{'ours':>12}{'peer':>12}{'ratio':>8}  {'target':<16}  remarks")

    def row(self, name, ours, peer, ratio, target, met, remarks=""):
        text = lambda value: "–" if value is None else value if isinstance(value, str) else f"{value:,.0f}"  # noqa: E731
        judged = target if met is None else f"{target} {verdict(met)}"
        ratio = "–" if ratio is None else f"{ratio:.2f}"
        print(f"{name:<17}{text(ours):>12}{text(peer):>12}{ratio:>8}  {judged:<16}  {remarks}", flush=True)
        self.results.append({"row": name, "ours": ours, "peer": peer, "ratio": ratio, "target": target, "met": met, "remarks": remarks})


def measure_ratios(run, rows):
    """Each round starts both clusters anew, one after the other, and puts all loads on each."""
    kinds = [OURS] + sorted({row.peer for row in rows})
    rounds = {(row.name, kind): [] for row in rows for kind in (OURS, row.peer)}
    for number in range(run.rounds):
        for kind in server.turns(kinds, number):
            with KINDS[kind](run) as cluster:
                fill(run, cluster, run.keys)
                for row in rows:
                    if kind not in (OURS, row.peer):
                        continue
                    report = load(run, cluster, row.work, row.clients, row.pipeline, warm_up=run.warm_up)
                    if report["missing"]:
                        fail(f"{kind} has lost keys in {row.name}")
                    rounds[row.name, kind].append(report)
                    note(run, {"row": row.name, "round": number, "kind": kind, **report})
    return rounds


def compare_ratios(run, table, rows):
    rounds = measure_ratios(run, rows)
    for row in rows:
        median = lambda kind, what: statistics.median(one[what] for one in rounds[row.name, kind])  # noqa: E731
        ours, peer = median(OURS, "ops_per_s"), median(row.peer, "ops_per_s")
        errors = [sum(one["errors"] for one in rounds[row.name, kind]) for kind in (OURS, row.peer)]
        cpu = lambda kind: statistics.median(server_cpu_us(one) for one in rounds[row.name, kind])  # noqa: E731
        remarks = (
            f"p50 {median(OURS, 'p50_ms'):.2f} / {median(row.peer, 'p50_ms'):.2f} ms, "
            f"p99 {median(OURS, 'p99_ms'):.2f} / {median(row.peer, 'p99_ms'):.2f} ms, "
            f"CPU of the servers {cpu(OURS):.1f} / {cpu(row.peer):.1f} µs an op"
            + (f", against {row.peer}" if row.peer != ETCD else "")
            + (f", ERRORS {errors[0]} / {errors[1]}" if any(errors) else "")
        )
        target = "–" if row.target is None else f"≥{row.target:g}"
        met = None if row.target is None else ours / peer >= row.target
        table.row(row.name, ours, peer, ours / peer, target, met, remarks)


def server_cpu_us(report):
    return sum(one["cpu_seconds"] for one in report["servers"] if one) / max(report["ops"], 1) * 1e6


def compare_disk(run, table):
    """Distinct keys, so that there is nothing to compact."""
    figures = {}
    for kind in (OURS, ETCD):
        with KINDS[kind](run) as cluster:
            log_before = cluster.log_bytes() if kind == OURS else 0
            report = fill(run, cluster, run.disk_keys)
            put = run.disk_keys * (KEY + VALUE) * NODES
            figures[kind] = sum(one["write_bytes"] for one in report["servers"]) / put
            if kind == OURS:
                log = (cluster.log_bytes() - log_before) / put
            note(run, {"row": DISK, "kind": kind, **report})
    ours, peer = figures[OURS], figures[ETCD]
    remarks = f"write_bytes of the kernel; the log itself grew by {log:.2f}"
    table.row(DISK, f"{ours:.2f}", f"{peer:.2f}", ours / peer, f"≤{DISK_TARGET:g}", ours <= DISK_TARGET, remarks)


def compare_idle(run, table, shards):
    with Ours(run, shards) as cluster:
        time.sleep(run.idle_seconds / 4)
        before, begun = [node.cpu_seconds() for node in cluster.nodes], time.monotonic()
        time.sleep(run.idle_seconds)
        elapsed = time.monotonic() - begun
        percent = [100 * (node.cpu_seconds() - b) / elapsed for node, b in zip(cluster.nodes, before)]
    judged = shards == IDLE_JUDGED
    worst = max(percent)
    note(run, {"row": f"{IDLE}-{shards}", "percent": percent})
    remarks = "percent of a core, each node: " + " ".join(f"{one:.1f}" for one in percent)
    table.row(f"{IDLE}-{shards}", f"{worst:.1f} %", None, None, f"≤{IDLE_TARGET:g} %" if judged else "stated", worst <= IDLE_TARGET if judged else None, remarks)


def compare_kill(run, table):
    gaps, details = {OURS: [], ETCD: []}, []
    for number in range(run.rounds):
        for kind in server.turns([OURS, ETCD], number):
            with KINDS[kind](run) as cluster:
                fill(run, cluster, run.keys)
                work = Load(run, cluster, "put", seconds=600, until_told=True)
                time.sleep(run.before)
                cluster.leader().kill()
                time.sleep(run.after_kill)
                report = work.end()
                gaps[kind].append(report["longest_gap_ms"])
                note(run, {"row": KILL, "round": number, "kind": kind, **report})
                if kind == OURS:
                    details.append(report)
    ours, peer = (statistics.median(gaps[kind]) for kind in (OURS, ETCD))
    remarks = f"worst {max(gaps[OURS])} / {max(gaps[ETCD])} ms; longest single put {max(one['max_ms'] for one in details):.0f} ms, "
    remarks += f"errors {sum(one['errors'] for one in details)}, without an answer {sum(one['lost'] for one in details)}"
    table.row(KILL, f"{ours:.0f} ms", f"{peer:.0f} ms", ours / max(peer, 1), f"≤{KILL_TARGET_MS} ms", max(gaps[OURS]) <= KILL_TARGET_MS, remarks)


def compare_add(run, table):
    with Ours(run) as cluster:
        fill(run, cluster, run.add_keys)
        work = Load(run, cluster, "put", seconds=3600, until_told=True, keys=run.add_keys, timeline=1000)
        time.sleep(run.before)
        begun_unix, begun = time.time(), time.monotonic()
        cluster.join()
        await_true("the new node has its replicas", cluster.is_settled, 1800, cluster.nodes)
        took, ended_unix = time.monotonic() - begun, time.time()
        time.sleep(run.before / 3)
        report = work.end()
    note(run, {"row": ADD, "took": took, "joined_unix": begun_unix, "settled_unix": ended_unix, **report})
    seconds = report["timeline"]
    second = lambda unix: max(int(unix - report["began_unix_ms"] / 1000), 0)  # noqa: E731
    # The first second is the clients' own beginning, the last one is cut short.
    before = seconds[1 : second(begun_unix)] or seconds[:1]
    during = seconds[second(begun_unix) : max(second(ended_unix) + 1, second(begun_unix) + 3)][: len(seconds) - 1 - second(begun_unix)]
    if not during:
        fail("the load ended before the node was there")
    usual = statistics.mean(before)
    windows = [statistics.mean(during[i : i + 3]) for i in range(max(len(during) - 2, 1))]
    worst = min(windows) / usual
    remarks = (
        f"{run.add_keys:,} keys; all in place after {took:.1f} s; before {usual:,.0f}/s, worst 3 s {min(windows):,.0f}/s, "
        f"worst second {min(during) / usual:.2f}, mean {statistics.mean(during) / usual:.2f}; errors {report['errors']}"
    )
    table.row(ADD, f"{worst:.2f}", None, None, f"≥{ADD_TARGET:g}", worst >= ADD_TARGET, remarks)


def compare_roll(run, table):
    with Ours(run) as cluster:
        fill(run, cluster, run.keys)
        work = Load(run, cluster, "put", seconds=3600, until_told=True)
        time.sleep(run.before)
        for node in cluster.nodes:
            node.stop()
            cluster.start(node)
            await_true("the node is back", cluster.is_settled, 120, cluster.nodes)
            time.sleep(run.before / 4)
        report = work.end()
    note(run, {"row": ROLL, **report})
    met = report["p99_ms"] <= ROLL_TARGET_MS and report["errors"] == 0
    remarks = (
        f"p99; errors {report['errors']}, longest put {report['max_ms']:.0f} ms, longest gap {report['longest_gap_ms']} ms, "
        f"redirects {report['redirects']}, refused {report['refused']}, without an answer {report['lost']}"
        + (f"; first error: {report['first_error']}" if report["errors"] else "")
    )
    table.row(ROLL, f"{report['p99_ms']:.1f} ms", None, None, f"≤{ROLL_TARGET_MS} ms", met, remarks)


# --- the run ---------------------------------------------------------------------------------


class Run:
    """The options, and a directory for everything."""

    def __init__(self, options):
        quick = self.quick = options.quick
        self.rounds = options.rounds or (1 if quick else 3)
        self.seconds = options.seconds or (1 if quick else 10)
        self.warm_up = 0.2 if quick else 2
        self.shards = options.shards
        self.keys = options.keys or (2_000 if quick else 100_000)
        self.disk_keys = 10_000 if quick else 1_000_000
        self.add_keys = options.add_keys or (20_000 if quick else 2_000_000)
        self.idle_seconds = 2 if quick else 20
        self.before = 2 if quick else 15
        self.after_kill = 4 if quick else 15
        self.aryavarth, self.load = str(options.aryavarth), str(options.load)
        self.etcd = shutil.which(options.etcd) or fail(f"there is no {options.etcd}")
        self.redis = shutil.which(options.redis) or fail(f"there is no {options.redis}")
        for program, where in ((self.load, HERE), (self.aryavarth, ROOT)):
            if not os.access(program, os.X_OK):
                fail(f"there is no {program}; build it: cd {where} && cargo build --release")
        self.reports, self.number = [], 0
        above = Path(options.workdir)
        above.mkdir(parents=True, exist_ok=True)
        server.Run.sweep(above)
        self.directory = above / f"compare-{os.getpid()}"
        self.directory.mkdir()

    def fresh_directory(self, kind):
        self.number += 1
        directory = self.directory / f"{self.number}-{kind}"
        directory.mkdir()
        return directory

    def clean(self):
        PROCESSES.stop_all()
        shutil.rmtree(self.directory, ignore_errors=True)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    number = {"type": int, "metavar": "N"}
    parser.add_argument("--rounds", help="rounds of what has a peer (3)", **number)
    parser.add_argument("--seconds", help="seconds of each load (10)", **number)
    parser.add_argument("--keys", help="keys in use (100000)", **number)
    parser.add_argument("--add-keys", help="keys that are there when a node is added (2000000)", **number)
    parser.add_argument("--shards", help="shards of ours, from the beginning (one, split until each node has one)", **number)
    parser.add_argument("--rows", metavar="NAME,…", help="only rows whose names begin like this; `=NAME` is exact")
    parser.add_argument("--list", action="store_true", help="show the names of the rows")
    parser.add_argument("--quick", action="store_true", help="does everything work? no figures to believe")
    parser.add_argument("--aryavarth", metavar="PATH", default=ROOT / "target/release/aryavarth")
    parser.add_argument("--load", metavar="PATH", default=HERE / "target/release/aryavarth-cluster-bench")
    parser.add_argument("--etcd", metavar="PATH", default="etcd")
    parser.add_argument("--redis", metavar="PATH", default="redis-server")
    parser.add_argument("--json", metavar="FILE", help="write every report there too")
    parser.add_argument("--workdir", metavar="DIR", default=ROOT / "target/compare-cluster", help="on the disk that matters, not tmpfs")
    return parser.parse_args()


def chosen(asked):
    if not asked:
        return NAMES
    fits = lambda name: any(name == a[1:] if a[:1] == "=" else name.startswith(a) for a in asked.split(","))  # noqa: E731
    return [name for name in NAMES if fits(name)] or fail(f"no such rows; there are {', '.join(NAMES)}")


def head(run):
    kind = server.file_system(str(run.directory.resolve()))
    rate = server.fdatasync_rate(run.directory)
    print(f"{server.cpu_model()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}; {kind}, {rate:,.0f} fdatasync/s")
    versions = [server.version_of(program, "--version") for program in (run.aryavarth, run.etcd, run.redis)]
    print("; ".join(versions))
    if kind in ("tmpfs", "ramfs"):
        print("NOT MEANINGFUL: this is memory, not a disk; choose another --workdir")
    quick = "; QUICK: figures mean nothing" if run.quick else ""
    shards = f"{run.shards} shards" if run.shards else "a shard for each node"
    print(f"{NODES} nodes each, {shards}, {run.keys:,} keys of {KEY} B, values of {VALUE} B, medians of {run.rounds} rounds{quick}\n")
    return {"fdatasync_per_s": rate, "file_system": kind, "versions": versions}


def compare(run, names):
    machine, table = head(run), Table()
    table.head()
    jobs = []
    rows = [row for row in RATIOS if row.name in names]
    if rows:
        jobs.append((rows[0].name, lambda: compare_ratios(run, table, rows)))
    singles = {DISK: compare_disk, KILL: compare_kill, ADD: compare_add, ROLL: compare_roll}
    for name in names:
        if name in singles:
            jobs.append((name, lambda name=name: singles[name](run, table)))
        elif name.startswith(IDLE):
            jobs.append((name, lambda name=name: compare_idle(run, table, int(name.rpartition("-")[2]))))
    for name, job in jobs:
        try:
            job()
        except Failed as failure:
            # One row that can't be measured must not cost the others.
            PROCESSES.stop_all()
            table.row(name, None, None, None, "", False, f"NOT MEASURED: {failure}")
    missed = [result["row"] for result in table.results if result["met"] is False]
    print(f"\ndisk at the end: {server.fdatasync_rate(run.directory):,.0f} fdatasync/s")
    print(f"targets missed in {len(missed)} of {len(table.results)} rows" + (f": {', '.join(missed)}" if missed else ""))
    return {"machine": machine, "results": table.results, "reports": run.reports, "quick": run.quick}


def main():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, server.end)
    options = parse()
    if options.list:
        print("\n".join(chosen(options.rows)))
        return
    names = chosen(options.rows)
    run = Run(options)
    try:
        report = compare(run, names)
    finally:
        run.clean()
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(f"compare.py: {failure}")
