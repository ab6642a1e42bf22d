// Drives a running `aryavarth serve` with ioredis: `node ioredis.js [PORT]`.
//
// The server must be empty and without a password; the script overwrites and removes keys, and makes
// and removes a user. Ends with 0 if everything was as it should be.
"use strict";

const assert = require("node:assert/strict");
const Redis = require("ioredis");

const port = Number(process.argv[2] ?? 6379);

async function refused(call, text) {
  await assert.rejects(call, (error) => {
    assert.match(error.message, text);
    return true;
  });
}

async function strings(c) {
  assert.equal(await c.set("name", "john"), "OK");
  assert.equal(await c.get("name"), "john");
  assert.equal(await c.set("name", "jane", "NX"), null);
  assert.equal(await c.set("name", "jane", "EX", 100, "GET"), "john");
  assert.ok((await c.ttl("name")) > 90);
  assert.deepEqual(await c.mset({ a: 1, b: 2 }), "OK");
  assert.deepEqual(await c.mget("a", "none", "b"), ["1", null, "2"]);
  assert.equal(await c.incrby("a", 41), 42);
  assert.equal(await c.incrbyfloat("a", 0.5), "42.5");
  assert.equal(await c.append("name", "!"), 5);
  assert.equal(await c.getrange("name", 0, 1), "ja");
  assert.equal(await c.setbit("bits", 7, 1), 0);
  assert.equal(await c.bitcount("bits"), 1);
  assert.deepEqual(await c.bitfield("field", "SET", "u8", 0, 255, "GET", "u4", 0), [0, 15]);
  const bytes = Buffer.from([0, 13, 10, 255]);
  await c.set("bytes", bytes);
  assert.deepEqual(await c.getBuffer("bytes"), bytes);
  const dump = await c.dumpBuffer("bytes");
  assert.equal(await c.restore("again", 0, dump), "OK");
  assert.deepEqual(await c.getBuffer("again"), bytes);
  await refused(() => c.incr("name"), /not an integer/);
}

async function keys(c) {
  await c.flushdb();
  await c.mset(Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`key:${n}`, n])));
  assert.equal(await c.dbsize(), 1000);
  const seen = new Set();
  for await (const found of c.scanStream({ match: "key:*", count: 100 })) {
    for (const key of found) seen.add(key);
  }
  assert.equal(seen.size, 1000);
  assert.equal(await c.exists("key:1", "none"), 1);
  assert.equal(await c.rename("key:1", "renamed"), "OK");
  assert.equal(await c.unlink("renamed", "key:2"), 2);
  assert.equal(await c.pexpire("key:3", 1), 1);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(await c.get("key:3"), null);
}

async function transactions(c) {
  assert.deepEqual(await c.multi().set("t", 1).incr("t").get("t").exec(), [[null, "OK"], [null, 2], [null, "2"]]);
  const other = c.duplicate();
  await c.watch("t");
  await other.set("t", 9);
  assert.equal(await c.multi().set("t", 0).exec(), null);
  const mixed = await c.multi().set("t", "text").incr("t").exec();
  assert.equal(mixed[0][1], "OK");
  assert.match(mixed[1][0].message, /not an integer/);
  await refused(() => c.multi().set("t", 1).call("set", "t").exec(), /EXECABORT/);
  assert.equal(await c.get("t"), "text");
  await other.quit();
}

async function pipelines(c) {
  const pipeline = c.pipeline();
  for (let n = 0; n < 10_000; n += 1) pipeline.set(`p:${n}`, n).get(`p:${n}`);
  const replies = await pipeline.exec();
  assert.equal(replies.length, 20_000);
  replies.forEach(([error, reply], at) => {
    assert.equal(error, null);
    assert.equal(reply, at % 2 === 0 ? "OK" : String((at - 1) / 2));
  });
  // Each on its own, all at once: ioredis gathers them.
  const all = await Promise.all(Array.from({ length: 10_000 }, () => c.incr("count")));
  assert.deepEqual(all, Array.from({ length: 10_000 }, (_, n) => n + 1));
}

async function users(c) {
  assert.equal(await c.acl("SETUSER", "reader", "on", ">secret", "~r:*", "+get", "+info", "+client"), "OK");
  await c.set("r:1", "yes");
  const reader = new Redis({ port, username: "reader", password: "secret" });
  assert.equal(await reader.get("r:1"), "yes");
  await refused(() => reader.get("other"), /NOPERM/);
  await refused(() => reader.set("r:1", "no"), /NOPERM/);
  reader.disconnect();
  const wrong = new Redis({ port, username: "reader", password: "wrong", retryStrategy: null });
  wrong.on("error", () => {});
  await refused(() => wrong.get("r:1"), /WRONGPASS|NOAUTH|closed/);
  wrong.disconnect();
  assert.equal(await c.acl("DELUSER", "reader"), 1);
}

async function reconnecting(c) {
  const other = c.duplicate();
  const before = await other.client("ID");
  assert.equal(await c.client("KILL", "ID", before), 1);
  assert.equal(await other.set("again", 1), "OK");
  assert.notEqual(await other.client("ID"), before);
  await other.quit();
}

async function absent(c) {
  await refused(() => c.lpush("list", 1), /unknown command/);
  await refused(() => c.publish("channel", "x"), /unknown command/);
  const subscriber = c.duplicate();
  await refused(() => subscriber.subscribe("channel"), /unknown command/);
  subscriber.disconnect();
}

async function main() {
  const client = new Redis({ port, connectionName: "tests" });
  assert.equal(await client.ping(), "PONG");
  assert.equal(await client.client("GETNAME"), "tests");
  assert.match(await client.info(), /redis_version:/);
  for (const part of [strings, keys, transactions, pipelines, users, reconnecting, absent]) {
    await part(client);
  }
  const [map] = [await client.call("HELLO", "2")];
  assert.ok(map.includes("version"));
  await client.flushall();
  await client.quit();
  console.log(`ioredis ${require("ioredis/package.json").version}: all well`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
