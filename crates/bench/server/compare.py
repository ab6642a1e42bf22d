#!/usr/bin/env python3
"""Measures `aryavarth serve` beside `redis-server`, both under `redis-benchmark`.

One server runs at a time, in a fresh directory on a real disk; the two take turns over several
rounds, and what is reported are medians of the rounds. README.md, beside this file, says what
each figure is. Needs Linux, Python 3.8 and the three programs of Redis; nothing else.
"""

import argparse
import contextlib
import csv
import ctypes
import io
import itertools
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
OURS, REDIS = "aryavarth", "redis"
TICKS = os.sysconf("SC_CLK_TCK")
DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


@dataclass(frozen=True)
class Row:
    """One line of the comparison: a load, and what the figures should be (ours to Redis')."""

    name: str
    test: str  # as redis-benchmark calls it
    size: int  # bytes of a value
    pipeline: int
    clients: int
    durability: str  # as Redis calls it
    requests: int
    ops: float  # at least this many times the operations a second of Redis
    cpu: Optional[float]  # at most this part of its CPU time an operation


# The one place to change a target.
ROWS = [
    Row("get", "get", 64, 1, 50, "everysec", 500_000, 1.0, 0.9),
    Row("set", "set", 64, 1, 50, "everysec", 500_000, 1.0, 0.9),
    Row("get-p16", "get", 64, 16, 50, "everysec", 4_000_000, 1.2, 0.7),
    Row("set-p16", "set", 64, 16, 50, "everysec", 3_000_000, 1.4, 0.7),
    Row("incr-p16", "incr", 64, 16, 50, "everysec", 3_000_000, 1.4, 0.7),
    Row("set-always", "set", 64, 1, 50, "always", 100_000, 1.4, 0.8),
    Row("set-p16-always", "set", 64, 16, 50, "always", 1_000_000, 1.6, 0.7),
    Row("set-1k-p16", "set", 1024, 16, 50, "everysec", 1_000_000, 1.6, 0.7),
    Row("set-1k-p16-always", "set", 1024, 16, 50, "always", 500_000, 1.6, 0.7),
    Row("get-1k-p16", "get", 1024, 16, 50, "everysec", 2_000_000, 1.1, 0.8),
    Row("set-1c-always", "set", 64, 1, 1, "always", 5_000, 0.95, None),
]
TAIL = "get-p99-compaction"  # of ours alone: p99 of GET beside compaction and checkpoints
TAIL_SIZE, TAIL_REQUESTS, TAIL_RATIO = 1024, 1_000_000, 2.0
OVERWRITES, EVERY = 200, 0.01  # values of TAIL_SIZE beside the gets: 20 MB/s
MEMORY = "memory"
MEMORY_VALUE, MEMORY_RATIO = 64, 1 / 5
QUICK_PART, QUICK_KEYSPACE, QUICK_MEMORY_KEYS = 50, 10_000, 100_000


class Failed(Exception):
    """Why nothing can be measured."""


def fail(text):
    raise Failed(text)


# --- processes -------------------------------------------------------------------------------


class Processes:
    """Everything that was started, so that nothing outlives the script."""

    def __init__(self):
        self.running = []
        self.libc = ctypes.CDLL(None)

    def start(self, arguments, **options):
        # The kernel ends the child even if this script is killed.
        prepare = lambda: self.libc.prctl(DEATH_SIGNAL, signal.SIGKILL)  # noqa: E731
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ARYAVARTH_")}
        process = subprocess.Popen(arguments, preexec_fn=prepare, env=environment, **options)
        self.running.append(process)
        return process

    def stop(self, process, patience=20):
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process in self.running:
            self.running.remove(process)

    def stop_all(self):
        for process in list(self.running):
            self.stop(process, patience=2)


PROCESSES = Processes()


class Connection:
    """A client that knows as much of the protocol as is needed here."""

    def __init__(self, port, timeout=60):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def call(self, *words):
        self.socket.sendall(request(*(str(word).encode() for word in words)))
        line = self.file.readline()
        if not line:
            fail("the server closed the connection")
        kind, rest = line[:1], line[1:].rstrip()
        if kind == b"$":
            return self.file.read(int(rest) + 2)[:-2].decode()
        return rest.decode()

    def info(self):
        pairs = (line.split(":", 1) for line in self.call("INFO").splitlines() if ":" in line)
        return {name: value.strip() for name, value in pairs}

    def set_all(self, pairs):
        """Sets them in chunks, one chunk being sent while the one before it is carried out."""
        chunk, waiting = [], 0
        for key, value in pairs:
            chunk.append(request(b"SET", key, value))
            if len(chunk) == 1000:
                self.socket.sendall(b"".join(chunk))
                self.acknowledged(waiting)
                chunk, waiting = [], len(chunk)
        self.socket.sendall(b"".join(chunk))
        self.acknowledged(waiting + len(chunk))

    def acknowledged(self, count):
        expected = b"+OK\r\n" * count
        replies = self.file.read(len(expected))
        if replies != expected:
            fail(f"a SET was refused: {replies[:200]!r}")


def request(*words):
    parts = [b"*%d\r\n" % len(words)]
    parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
    return b"".join(parts)


class Server:
    """A server of either kind, in a directory of its own; to be used with `with`."""

    def __init__(self, run, kind, durability):
        self.kind = kind
        self.directory = run.fresh_directory(kind)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        common = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory)]
        if kind == OURS:
            level = {"everysec": "interval:1s", "always": "always"}[durability]
            arguments = [run.aryavarth, "serve", "--durability", level, "--admin-address", ""]
        else:
            arguments = [run.redis, "--save", "", "--appendonly", "yes", "--appendfsync", durability]
        self.output = open(self.directory / "output", "w+b")
        streams = {"stdout": self.output, "stderr": self.output, "stdin": subprocess.DEVNULL}
        self.process = PROCESSES.start(arguments + common, **streams)
        self.await_pong()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        PROCESSES.stop(self.process)
        self.output.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def connect(self):
        return Connection(self.port)

    def await_pong(self):
        for _ in range(400):
            if self.process.poll() is not None:
                self.output.seek(0)
                fail(f"{self.kind} ended at once: {self.output.read()[-500:].decode(errors='replace')}")
            with contextlib.suppress(OSError, Failed), self.connect() as client:
                if client.call("PING") == "PONG":
                    return
            time.sleep(0.05)
        fail(f"{self.kind} does not answer")

    def cpu_seconds(self):
        """User and system time of all threads, and of children that have ended."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        fields = stat.rsplit(")", 1)[1].split()
        return sum(int(field) for field in fields[11:15]) / TICKS

    def status_bytes(self, field):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        fail(f"no {field} in /proc")

    def preload(self, keyspace, size):
        """Sets every key that redis-benchmark may ask for."""
        value = b"x" * size
        with self.connect() as client:
            client.set_all((b"key:%012d" % n, value) for n in range(keyspace))
            self.await_rest(client)
            if client.call("DBSIZE") != str(keyspace):
                fail(f"{self.kind} has not all keys")

    def await_rest(self, client, patience=60):
        """Waits until nothing is rewritten in the background."""
        for _ in range(patience * 5):
            time.sleep(0.2)
            info = client.info()
            busy = info.get("aof_rewrite_in_progress", "0"), info.get("aof_rewrite_scheduled", "0")
            debt = info.get("aryavarth_compaction_debt_bytes", "0")
            if busy == ("0", "0") and debt == "0":
                return


# --- measuring -------------------------------------------------------------------------------


def benchmark_arguments(run, port, test, size, clients, pipeline, requests):
    return [
        run.benchmark, "-h", "127.0.0.1", "-p", str(port), "-t", test, "-d", str(size), "--csv",
        "-c", str(clients), "-P", str(pipeline), "-n", str(requests), "-r", str(run.keyspace),
    ]  # fmt: skip


def benchmark(run, port, *load):
    """Runs redis-benchmark to its end: operations a second, p99 in ms, its own CPU use."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    started = time.monotonic()
    process = PROCESSES.start(benchmark_arguments(run, port, *load), **options)
    output = process.stdout.read()
    errors = process.stderr.read().decode(errors="replace")
    # Waited for by hand, as this is what tells the CPU time of one child.
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status) if sys.version_info >= (3, 9) else status
    PROCESSES.stop(process)
    # Its own progress may share the line with the header.
    lines = [line for line in output.decode().replace("\r", "\n").splitlines() if line.startswith('"')]
    rows = list(csv.DictReader(io.StringIO("\n".join(lines))))
    if process.returncode != 0 or len(rows) != 1:
        fail(f"redis-benchmark failed: {errors.strip() or output[-300:]!r}")
    own_cpu = (usage.ru_utime + usage.ru_stime) / seconds
    return {
        "ops": float(rows[0]["rps"]),
        "p99_ms": float(rows[0]["p99_latency_ms"]),
        "client_cpu": own_cpu,
    }


def measure(run, row, kind):
    """One round of a row on one server."""
    requests = run.requests(row)
    with Server(run, kind, row.durability) as server:
        if row.test == "get":
            server.preload(run.keyspace, row.size)
        load = (row.test, row.size, row.clients, row.pipeline)
        benchmark(run, server.port, *load, max(requests // 20, 1))
        before = server.cpu_seconds()
        result = benchmark(run, server.port, *load, requests)
        if row.durability == "everysec" and row.test != "get":
            time.sleep(1.2)  # the last sync is part of the work
        result["cpu_us"] = (server.cpu_seconds() - before) / requests * 1e6
        return result


class Pressure:
    """Overwrites and checkpoints beside a measurement, and what the store did about them."""

    def __init__(self, run, server):
        self.run, self.server = run, server
        self.ended = threading.Event()
        self.checkpoints = self.compactions = self.written = 0

    def __enter__(self):
        self.threads = [
            threading.Thread(target=work, daemon=True) for work in (self.watch, self.overwrite)
        ]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join(10)

    def overwrite(self):
        """Writes at a steady pace and with little work: a client that took what processor it can
        get would be measured instead of the store."""
        value = b"x" * TAIL_SIZE
        keys = [b"key:%012d" % (n * 7919 % self.run.keyspace) for n in range(self.run.keyspace)]
        batches = [
            b"".join(request(b"SET", key, value) for key in keys[first : first + OVERWRITES])
            for first in range(0, len(keys), OVERWRITES)
        ]
        with contextlib.suppress(OSError, Failed), self.server.connect() as client:
            for batch in itertools.cycle(batches):
                if self.ended.wait(EVERY):
                    return
                client.socket.sendall(batch)
                client.acknowledged(OVERWRITES)
                self.written += OVERWRITES

    def watch(self):
        with contextlib.suppress(OSError, Failed), self.server.connect() as client:
            last, saves = 0, int(client.info()["rdb_saves"])
            while not self.ended.wait(0.1):
                client.call("BGSAVE")  # refused while one is under way
                info = client.info()
                size = int(info["aryavarth_log_bytes"])
                # The log only ever gets shorter when compaction has removed a segment.
                self.compactions += size < last
                last, self.checkpoints = size, int(info["rdb_saves"]) - saves

    def await_compaction(self, patience=20):
        deadline = time.monotonic() + patience
        while self.compactions == 0 and time.monotonic() < deadline:
            time.sleep(0.1)
        if self.written == 0:
            fail("nothing was overwritten")
        self.compactions = 0


def measure_tail(run):
    requests = run.scaled(TAIL_REQUESTS)
    load = ("get", TAIL_SIZE, 50, 1, requests)
    with Server(run, OURS, "everysec") as server:
        server.preload(run.keyspace, TAIL_SIZE)
        rest = benchmark(run, server.port, *load)
        with Pressure(run, server) as pressure:
            pressure.await_compaction(patience=2 if run.quick else 20)
            during = benchmark(run, server.port, *load)
            compactions, checkpoints = pressure.compactions, pressure.checkpoints
    return {
        "rest_p99_ms": rest["p99_ms"], "during_p99_ms": during["p99_ms"],
        "rest_ops": rest["ops"], "during_ops": during["ops"],
        "ratio": during["p99_ms"] / rest["p99_ms"],
        "compactions": compactions, "checkpoints": checkpoints,
    }  # fmt: skip


def measure_memory(run, kind):
    """Memory with many keys of 24 bytes: RssAnon of ours, VmRSS of Redis."""
    value = b"x" * MEMORY_VALUE
    with Server(run, kind, "everysec") as server, server.connect() as client:
        client.set_all((b"key:%020d" % n, value) for n in range(run.memory_keys))
        server.await_rest(client, patience=300)
        if client.call("DBSIZE") != str(run.memory_keys):
            fail(f"{kind} has not all keys")
        field = "RssAnon" if kind == OURS else "VmRSS"
        last = server.status_bytes(field)
        for _ in range(30):
            time.sleep(1)
            now = server.status_bytes(field)
            settled, last = abs(now - last) <= last / 100, now
            if settled:
                break
        return {"bytes": last, "field": field, "used_memory": int(client.info()["used_memory"])}


def fdatasync_rate(directory, seconds=1.0):
    """Syncs a second of appends of 4 KiB: what `always` can at most give one writer."""
    path = Path(directory) / "fdatasync"
    with open(path, "wb", buffering=0) as file:
        count, started = 0, time.monotonic()
        while (elapsed := time.monotonic() - started) < seconds:
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            count += 1
    path.unlink()
    return count / elapsed


# --- reporting -------------------------------------------------------------------------------


def verdict(met):
    return "met" if met else "MISSED"


def turns(kinds, number):
    """Who goes first changes from round to round."""
    return kinds if number % 2 == 0 else kinds[::-1]


def compare_row(run, row):
    rounds = {OURS: [], REDIS: []}
    for number in range(run.rounds):
        for kind in turns([OURS, REDIS], number):
            rounds[kind].append(measure(run, row, kind))
            run.note(f"{row.name}: round {number + 1}, {kind}: {rounds[kind][-1]['ops']:,.0f}/s")
    median = lambda kind, what: statistics.median(one[what] for one in rounds[kind])  # noqa: E731
    medians = {kind: {what: median(kind, what) for what in rounds[kind][0]} for kind in rounds}
    ours, redis = medians[OURS], medians[REDIS]
    ops = ours["ops"] / redis["ops"]
    # Too few requests for the clock of the kernel, which counts in hundredths of a second.
    cpu = ours["cpu_us"] / redis["cpu_us"] if redis["cpu_us"] > 0 else float("inf")
    ops_met, cpu_met = ops >= row.ops, row.cpu is None or cpu <= row.cpu
    cpu_goal = "–" if row.cpu is None else f"≤{row.cpu:g} {verdict(cpu_met)}"
    bound = [kind for kind in medians if medians[kind]["client_cpu"] > 0.95]
    print(
        f"{row.name:<19}{ours['ops']:>11,.0f}{redis['ops']:>11,.0f}{ops:>7.2f}  "
        f"{f'≥{row.ops:g} {verdict(ops_met)}':<13}{ours['cpu_us']:>8.2f}{redis['cpu_us']:>8.2f}{cpu:>7.2f}  "
        f"{cpu_goal:<13}{ours['p99_ms']:>9.3f}{redis['p99_ms']:>9.3f}"
        + (f"  client at its limit: {', '.join(bound)}" if bound else ""),
        flush=True,
    )
    return {
        "row": row.name, "rounds": rounds, "medians": medians, "ops_ratio": ops, "cpu_ratio": cpu,
        "ops_target": row.ops, "cpu_target": row.cpu, "met": ops_met and cpu_met,
    }  # fmt: skip


def compare_tail(run):
    rounds = [measure_tail(run) for _ in range(run.rounds)]
    medians = {what: statistics.median(one[what] for one in rounds) for what in rounds[0]}
    met = medians["ratio"] <= TAIL_RATIO
    print(
        f"\np99 of GET, ours, 1 KiB, 50 clients: at rest {medians['rest_p99_ms']:.3f} ms "
        f"({medians['rest_ops']:,.0f}/s); while compaction and checkpoint run "
        f"{medians['during_p99_ms']:.3f} ms ({medians['during_ops']:,.0f}/s); ratio "
        f"{medians['ratio']:.2f}  ≤{TAIL_RATIO:g} {verdict(met)}\n"
        f"  meanwhile the log became shorter {medians['compactions']:g} times and "
        f"{medians['checkpoints']:g} checkpoints were saved",
        flush=True,
    )
    if medians["compactions"] == 0 or medians["checkpoints"] == 0:
        print("  NOT MEANINGFUL: not both ran; give it more --requests", flush=True)
    return {"row": TAIL, "rounds": rounds, "medians": medians, "met": met}


def compare_memory(run):
    ours, redis = (measure_memory(run, kind) for kind in (OURS, REDIS))
    ratio = ours["bytes"] / redis["bytes"]
    met = ratio <= MEMORY_RATIO
    for kind, one in ((OURS, ours), (REDIS, redis)):
        print(
            f"{'' if kind == REDIS else chr(10)}memory, {run.memory_keys:,} keys of 24 B, values of "
            f"{MEMORY_VALUE} B: {kind:<9} {one['field']:<7} {one['bytes'] / 2**20:,.1f} MiB "
            f"({one['bytes'] / run.memory_keys:.1f} B a key), used_memory {one['used_memory'] / 2**20:,.1f} MiB"
        )
    print(f"  ratio {ratio:.3f}  ≤{MEMORY_RATIO:g} {verdict(met)}", flush=True)
    return {"row": MEMORY, OURS: ours, REDIS: redis, "ratio": ratio, "met": met}


def cpu_model():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def file_system(path):
    """The kind of file system that a path is on."""
    best = ("", "?")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, point, kind = line.split()[:3]
        inside = os.path.commonpath([point, path]) == point
        if inside and len(point) >= len(best[0]):
            best = (point, kind)
    return best[1]


def version_of(program, *arguments):
    result = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    return (result.stdout or result.stderr).strip().splitlines()[0]


class Run:
    """The options, and a directory for everything."""

    def __init__(self, options):
        self.quick = options.quick
        self.rounds = options.rounds or (1 if self.quick else 3)
        self.given_requests = options.requests
        self.keyspace = options.keyspace or (QUICK_KEYSPACE if self.quick else 100_000)
        self.memory_keys = options.memory_keys or (QUICK_MEMORY_KEYS if self.quick else 10_000_000)
        self.aryavarth = str(options.aryavarth)
        self.redis = shutil.which(options.redis) or fail(f"there is no {options.redis}")
        beside = Path(self.redis).with_name("redis-benchmark")
        found = str(beside) if beside.exists() else shutil.which("redis-benchmark")
        self.benchmark = found or fail("there is no redis-benchmark")
        if not os.access(self.aryavarth, os.X_OK):
            build = f"cd {ROOT} && cargo build --release -p aryavarth-cli"
            fail(f"there is no {self.aryavarth}; build it: {build}\nor name another with --aryavarth")
        self.number = 0
        above = Path(options.workdir)
        above.mkdir(parents=True, exist_ok=True)
        self.sweep(above)
        self.directory = above / f"compare-{os.getpid()}"
        self.directory.mkdir()

    @staticmethod
    def sweep(above):
        """Removes what runs that were killed have left."""
        for left in above.glob("compare-*"):
            if not Path("/proc", left.name.rpartition("-")[2]).exists():
                shutil.rmtree(left, ignore_errors=True)

    def fresh_directory(self, kind):
        self.number += 1
        directory = self.directory / f"{self.number}-{kind}"
        directory.mkdir()
        return directory

    def scaled(self, requests):
        if self.given_requests:
            return self.given_requests
        return max(requests // QUICK_PART, 100) if self.quick else requests

    def requests(self, row):
        requests = self.scaled(row.requests)
        # One client that waits for the disk takes 50 times as long.
        return max(requests // 50, 1) if self.given_requests and row.clients == 1 else requests

    def note(self, text):
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text}", end="\r", file=sys.stderr, flush=True)

    def machine(self):
        return {
            "cpu": cpu_model(), "cores": os.cpu_count(), "kernel": platform.release(),
            "aryavarth": version_of(self.aryavarth, "--version"),
            "redis": version_of(self.redis, "--version"),
            "benchmark": version_of(self.benchmark, "--version"),
            "file_system": file_system(str(self.directory.resolve())),
            "load": os.getloadavg()[0], "fdatasync_per_s": [fdatasync_rate(self.directory)],
        }  # fmt: skip

    def clean(self):
        PROCESSES.stop_all()
        shutil.rmtree(self.directory, ignore_errors=True)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    number = {"type": int, "metavar": "N"}
    parser.add_argument("--rounds", help="rounds of each row (3)", **number)
    parser.add_argument("--requests", help="requests of each row (fits the row)", **number)
    parser.add_argument("--keyspace", help="keys in use, -r of redis-benchmark (100000)", **number)
    parser.add_argument("--memory-keys", help="keys of the memory row (10000000)", **number)
    parser.add_argument("--rows", metavar="NAME,…", help="only rows whose names begin like this; `=NAME` is exact")
    parser.add_argument("--list", action="store_true", help="show the names of the rows")
    parser.add_argument("--quick", action="store_true", help="does everything work? no figures to believe")
    parser.add_argument("--aryavarth", metavar="PATH", default=ROOT / "target/release/aryavarth")
    parser.add_argument("--redis", metavar="PATH", default="redis-server", help="redis-benchmark is taken from beside it")
    parser.add_argument("--json", metavar="FILE", help="write every round there too")
    parser.add_argument("--workdir", metavar="DIR", default=ROOT / "target/compare", help="on the disk that matters, not tmpfs")
    return parser.parse_args()


def chosen(options):
    names = [row.name for row in ROWS] + [TAIL, MEMORY]
    if not options.rows:
        return names
    asked = options.rows.split(",")
    fits = lambda name: any(name == a[1:] if a[:1] == "=" else name.startswith(a) for a in asked)  # noqa: E731
    return [name for name in names if fits(name)] or fail(f"no such rows; there are {', '.join(names)}")


def compare(run, names):
    machine = run.machine()
    print(f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, load {machine['load']:.2f}")
    print(f"{machine['aryavarth']}; {machine['redis']}; {machine['benchmark']}")
    print(f"disk: {machine['file_system']}, {machine['fdatasync_per_s'][0]:,.0f} fdatasync/s")
    if machine["file_system"] in ("tmpfs", "ramfs"):
        print("NOT MEANINGFUL: this is memory, not a disk; choose another --workdir")
    print(f"medians of {run.rounds} rounds; {run.keyspace:,} keys{'; QUICK: figures mean nothing' if run.quick else ''}\n")
    rows = [row for row in ROWS if row.name in names]
    if rows:
        print(f"{'':<19}{'ops/s':>11}{'redis':>11}{'ratio':>7}  {'target':<13}{'µs CPU':>8}{'redis':>8}{'ratio':>7}  {'target':<13}{'p99 ms':>9}{'redis':>9}")
    results = [compare_row(run, row) for row in rows]
    if TAIL in names:
        results.append(compare_tail(run))
    if MEMORY in names:
        results.append(compare_memory(run))
    machine["fdatasync_per_s"].append(fdatasync_rate(run.directory))
    missed = [result["row"] for result in results if not result["met"]]
    print(f"\ndisk at the end: {machine['fdatasync_per_s'][1]:,.0f} fdatasync/s")
    print(f"targets missed in {len(missed)} of {len(results)} rows" + (f": {', '.join(missed)}" if missed else ""))
    return {"machine": machine, "rounds": run.rounds, "keyspace": run.keyspace, "quick": run.quick, "results": results}


def end(number, _):
    sys.exit(128 + number)


def main():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    options = parse()
    if options.list:
        print("\n".join(chosen(options)))
        return
    run = Run(options)
    try:
        report = compare(run, chosen(options))
    finally:
        run.clean()
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(f"compare.py: {failure}")
