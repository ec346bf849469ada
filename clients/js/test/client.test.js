/** What an app leans on beside the network: `tests/integration/client` has the rest, over a real gateway. */

import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { inFile } from "../file-storage.js";
import { inMemory, QueueClient } from "../index.js";

const nowhere = () => Promise.reject(new TypeError("no network"));

function clientWith(storage, more = {}) {
  const options = { url: "https://tickets.example/any/page", event: "sale", push: "none" };
  return new QueueClient({ ...options, storage, fetch: nowhere, crypto: webcrypto, ...more });
}

test("without WebCrypto it says what to do", () => {
  assert.throws(() => clientWith(inMemory(), { crypto: {} }), /pass `crypto`/);
});

test("the key of a join is kept before anything is asked", async () => {
  const storage = inMemory();
  const seen = [];
  const fetch = (url) => {
    seen.push([url, JSON.parse(storage.get("admission:https://tickets.example:sale")).join_key]);
    return nowhere();
  };
  const client = clientWith(storage, { fetch });
  await client.start();
  assert.equal(client.view.status, "idle");
  await client.join();
  await new Promise((resolve) => setImmediate(resolve));
  client.stop();
  assert.equal(client.view.status, "joining");
  assert.ok(seen.length >= 1);
  for (const [, key] of seen) assert.match(key, /^[A-Za-z0-9_-]{22,64}$/);
});

test("another process goes on with the same key", async () => {
  const storage = inMemory();
  const keys = new Set();
  for (let life = 0; life < 3; life += 1) {
    const client = clientWith(storage);
    await client.start();
    if (client.view.status === "idle") await client.join();
    client.stop();
    keys.add(JSON.parse(storage.get("admission:https://tickets.example:sale")).join_key);
  }
  assert.equal(keys.size, 1);
});

test("a storage that fails moves nothing", async () => {
  const storage = { ...inMemory(), set: () => Promise.reject(new Error("full")) };
  const client = clientWith(storage);
  await client.start();
  await assert.rejects(client.join(), /full/);
  assert.equal(client.view.status, "idle");
  client.stop();
});

test("who listens is told of changes, and no more once that has ended", async () => {
  const client = clientWith(inMemory());
  const told = [];
  const end = client.subscribe((view) => told.push(view.status));
  await client.start();
  await client.join();
  assert.ok(told.includes("joining"));
  end();
  const before = told.length;
  await client.leave();
  client.stop();
  assert.equal(client.view.status, "idle");
  assert.equal(told.length, before);
});

test("a client that was stopped may be started again, and keeps no process alive", async () => {
  const client = clientWith(inMemory());
  for (let turn = 0; turn < 3; turn += 1) {
    await client.start();
    client.stop();
  }
  assert.equal(client.view.status, "idle");
});

test("a file holds one record, which its owner alone reads", async () => {
  const folder = await mkdtemp(join(tmpdir(), "client-"));
  try {
    const storage = inFile(join(folder, "record"));
    assert.equal(await storage.get("any"), null);
    await storage.set("any", "one");
    await storage.set("any", "two");
    assert.equal(await storage.get("any"), "two");
    assert.equal((await stat(join(folder, "record"))).mode & 0o777, 0o600);
    assert.deepEqual(await readdir(folder), ["record"]);
    await storage.remove("any");
    assert.equal(await storage.get("any"), null);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("a session ends by the server's time, and by nothing else", async () => {
  const folder = new URL("../../../tests/vectors/", import.meta.url);
  const vectors = (name) => JSON.parse(readFileSync(new URL(`${name}.json`, folder), "utf8"));
  const [{ token }] = vectors("tokens").genuine;
  const [{ statement, issued_at }] = vectors("pointers").genuine;
  const storage = inMemory();
  const record = { version: 1, stage: "admitted", token, pass: "any", session_ends_at: issued_at - 1 };
  storage.set("admission:https://tickets.example:sale", JSON.stringify(record));
  const headers = { "content-type": "application/jose" };
  const fetch = () => Promise.resolve(new Response(statement, { headers }));
  const client = clientWith(storage, { fetch, keys: vectors("keys") });
  const over = new Promise((resolve) => {
    client.subscribe((view) => view.status === "over" && resolve(view));
  });
  assert.equal((await client.start()).status, "admitted");
  const view = await over;
  client.stop();
  assert.equal(view.why, "session-ended");
  assert.equal(view.pass, null);
});
