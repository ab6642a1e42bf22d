#!/usr/bin/env python3
"""Drives a running `aryavarth serve` with redis-py, over RESP2 and RESP3: `redis_py.py [PORT]`.

The server must be empty and without a password; the script overwrites and removes keys, and makes and
removes a user. Ends with 0 if everything was as it should be.
"""

import sys
import threading
import time

import redis
from redis.exceptions import (
    AuthenticationError, NoPermissionError, ResponseError, WatchError,
)  # fmt: skip

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 6379


def refused(call, what=ResponseError, text=""):
    """That a call is refused with such an error."""
    try:
        answer = call()
    except what as error:
        assert text in str(error), f"{error!r} has no {text!r}"
    else:
        raise AssertionError(f"not refused: {answer!r}")


def connection(c):
    assert c.ping()
    assert c.echo("hi") == b"hi"
    assert c.client_setname("tests") and c.client_getname() in ("tests", b"tests")
    assert c.client_id() > 0
    assert any(int(one["id"]) == c.client_id() for one in c.client_list())
    assert c.client_info()["name"] == "tests"
    assert len(c.time()) == 2
    assert c.select(0)
    refused(lambda: c.select(1), text="DB index is out of range")


def strings(c):
    assert c.set("name", "john") and c.get("name") == b"john"
    assert c.set("name", "jane", nx=True) is None
    assert c.set("name", "jane", xx=True, get=True) == b"john"
    assert c.set("name", "jane", ex=100, keepttl=False) and 0 < c.ttl("name") <= 100
    assert c.getex("name", persist=True) == b"jane" and c.ttl("name") == -1
    assert c.append("name", "tte") == 7 and c.strlen("name") == 7
    assert c.getrange("name", 0, 3) == b"jane" and c.setrange("name", 4, "X") == 7
    assert c.getdel("name") == b"janeXte" and c.get("name") is None
    assert c.setnx("once", 1) and not c.setnx("once", 2)
    assert c.setex("soon", 10, "x") and c.psetex("sooner", 10000, "x") and c.getset("soon", "y") == b"x"
    assert c.mset({"a": 1, "b": 2}) and c.mget("a", "none", "b") == [b"1", None, b"2"]
    assert c.msetnx({"a": 1, "z": 2}) is False
    assert c.incr("n") == 1 and c.incrby("n", 9) == 10 and c.decr("n") == 9 and c.decrby("n", 4) == 5
    assert float(c.incrbyfloat("f", 2.5)) == 2.5
    refused(lambda: c.incr("soon"), text="not an integer")
    c.mset({"one": "ohmytext", "two": "mynewtext"})
    assert c.lcs("one", "two") == b"mytext"
    big = b"\0\r\n\xff" * 1_000_000
    assert c.set("big", big) and c.get("big") == big and c.delete("big") == 1


def bits(c):
    assert c.setbit("bits", 7, 1) == 0 and c.getbit("bits", 7) == 1 and c.bitcount("bits") == 1
    assert c.bitpos("bits", 1) == 7
    c.set("other", b"\xf0")
    assert c.bitop("OR", "both", "bits", "other") == 1 and c.get("both") == b"\xf1"
    assert c.bitfield("field").set("u8", 0, 200).incrby("u8", 0, 100).get("u8", 0).execute() == [0, 44, 44]
    assert c.bitfield("field").overflow("sat") is not None


def keys(c):
    c.flushdb()
    c.mset({f"key:{n}": n for n in range(1000)})
    assert c.dbsize() == 1000 and len(c.keys("key:*")) == 1000
    assert len(set(c.scan_iter(match="key:*", count=100))) == 1000
    assert len(set(c.scan_iter(match="key:9*"))) == 111
    assert set(c.scan_iter(_type="string")) == set(c.keys())
    assert c.randomkey().startswith(b"key:")
    assert c.type("key:1") == b"string" and c.type("none") == b"none"
    assert c.exists("key:1", "key:1", "none") == 2 and c.touch("key:1", "none") == 1
    assert c.rename("key:1", "renamed") and c.renamenx("renamed", "key:2") is False
    assert c.copy("renamed", "copied") and c.get("copied") == b"1"
    assert c.expire("copied", 100) and c.expire("copied", 50, nx=True) == 0 and c.pttl("copied") > 99_000
    assert c.expireat("copied", int(time.time()) + 200) and c.expiretime("copied") > time.time()
    assert c.pexpire("copied", 60_000) and c.persist("copied")
    assert c.pexpire("copied", 1) and not (time.sleep(0.02) or c.exists("copied"))
    assert c.unlink("key:3", "key:4", "none") == 2
    assert c.object("encoding", "key:5") == b"int" and c.object("refcount", "key:5") >= 1
    dumped = c.dump("key:5")
    assert c.restore("restored", 0, dumped) and c.get("restored") == b"5"
    refused(lambda: c.restore("restored", 0, dumped), text="already exists")
    assert c.memory_usage("key:5") > 0
    assert c.flushall() and c.dbsize() == 0


def transactions(c):
    c.set("balance", 100)
    with c.pipeline() as pipe:
        pipe.watch("balance")
        balance = int(pipe.get("balance"))
        pipe.multi()
        pipe.set("balance", balance - 10).get("balance")
        assert pipe.execute() == [True, b"90"]
        pipe.watch("balance")
        c.set("balance", 0)
        pipe.multi()
        pipe.set("balance", 1)
        refused(pipe.execute, WatchError)
    assert c.get("balance") == b"0"
    assert c.transaction(lambda pipe: (pipe.multi(), pipe.incr("balance")), "balance") == [1]
    with c.pipeline() as pipe:
        pipe.set("t", "text").incr("t").get("t")
        replies = pipe.execute(raise_on_error=False)
        assert replies[0] is True and isinstance(replies[1], ResponseError) and replies[2] == b"text"
    with c.pipeline() as pipe:
        pipe.set("t", 1).execute_command("SET", "t")
        refused(pipe.execute, text="wrong number of arguments")
    assert c.get("t") == b"text"


def pipelines(c):
    with c.pipeline(transaction=False) as pipe:
        for n in range(10_000):
            pipe.set(f"p:{n}", n)
            pipe.get(f"p:{n}")
        replies = pipe.execute()
    assert replies == [each for n in range(10_000) for each in (True, b"%d" % n)]
    with c.pipeline(transaction=True) as pipe:
        for n in range(10_000):
            pipe.incr("count")
        assert pipe.execute() == list(range(1, 10_001))


def observing(c):
    info = c.info()
    assert info["redis_version"] and info["connected_clients"] >= 1 and info["db0"]["keys"] == c.dbsize()
    assert c.info("server")["tcp_port"] == PORT
    assert c.config_get("maxmemory*") and c.config_set("slowlog-log-slower-than", 10_000)
    assert "appendonly" in c.config_get("appendonly")
    c.config_resetstat()
    assert c.slowlog_len() >= 0 and isinstance(c.slowlog_get(), list) and c.slowlog_reset()
    assert c.command_count() > 50 and "get" in c.command() and "get" in c.command_list("get") + ["get"]
    assert c.lastsave() and c.bgsave() and c.memory_stats()["keys.count"] == c.dbsize()
    assert isinstance(c.latency_latest(), list)
    assert c.wait(0, 10) == 0


def users(c, protocol):
    c.acl_setuser("reader", enabled=True, passwords=["+secret"], keys=["r:*"], commands=["+get", "+ping", "+hello", "+client"])
    text = [one if isinstance(one, str) else one.decode() for one in c.acl_users()]
    assert "reader" in text and c.acl_getuser("reader")["commands"]
    c.set("r:1", "yes")
    reader = redis.Redis(port=PORT, username="reader", password="secret", protocol=protocol)
    assert reader.get("r:1") == b"yes"
    refused(lambda: reader.get("other"), NoPermissionError)
    refused(lambda: reader.set("r:1", "no"), NoPermissionError)
    wrong = redis.Redis(port=PORT, username="reader", password="wrong", protocol=protocol)
    refused(wrong.ping, AuthenticationError)
    assert c.acl_log()[0]["username"] in ("reader", b"reader")
    assert c.acl_whoami() in ("default", b"default") and {"string", b"string"} & set(c.acl_cat())
    assert c.acl_deluser("reader") == 1


def absent(c):
    refused(lambda: c.lpush("list", 1), text="unknown command")
    refused(lambda: c.publish("channel", "x"), text="unknown command")
    refused(lambda: c.eval("return 1", 0), text="unknown command")
    subscription = c.pubsub()
    subscription.subscribe("channel")
    refused(lambda: subscription.get_message(timeout=5), text="unknown command")
    subscription.close()


def reconnecting(c, protocol):
    other = redis.Redis(port=PORT, protocol=protocol, single_connection_client=True)
    before = other.client_id()
    assert c.client_kill_filter(_id=before) == 1
    assert other.set("again", 1) and other.client_id() != before


def threads(c):
    c.set("shared", 0)

    def count():
        for _ in range(500):
            c.incr("shared")

    running = [threading.Thread(target=count) for _ in range(8)]
    for one in running:
        one.start()
    for one in running:
        one.join()
    assert c.get("shared") == b"4000"


def main():
    for protocol in (2, 3):
        client = redis.Redis(port=PORT, protocol=protocol)
        for part in (strings, bits, keys, transactions, pipelines, observing, absent, threads):
            part(client)
        connection(redis.Redis(port=PORT, protocol=protocol, single_connection_client=True))
        users(client, protocol)
        reconnecting(client, protocol)
        decoded = redis.Redis(port=PORT, protocol=protocol, decode_responses=True)
        assert decoded.set("é", "ü") and decoded.get("é") == "ü"
        client.flushall()
        print(f"redis-py {redis.__version__}, RESP{protocol}: all well")


if __name__ == "__main__":
    main()
