/** The client is held to the vectors that the gateway itself is held to (`tests/vectors/README.md`). */

import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { turnOf } from "../src/draw.js";
import { NotGenuine, readPointer, readToken } from "../src/jws.js";
import * as place from "../src/place.js";

const { subtle } = webcrypto;
const folder = new URL("../../../tests/vectors/", import.meta.url);
const vectors = (name) => JSON.parse(readFileSync(new URL(`${name}.json`, folder), "utf8"));
const { keys } = vectors("keys");

for (const [name, read, text, content] of [
  ["tokens", readToken, "token", "claims"],
  ["pointers", readPointer, "statement", "document"],
]) {
  const { event, issuer, genuine, refused } = vectors(name);
  const expected = { keys, event, issuer, subtle };
  for (const entry of genuine) {
    test(`${name}: ${entry.name}`, async () => {
      const found = await read(entry[text], expected);
      assert.deepEqual(content === "claims" ? found : found.document, entry[content]);
      if (content === "document") assert.equal(found.issuedAt, entry.issued_at);
    });
  }
  for (const entry of refused) {
    test(`${name}, refused: ${entry.name}`, async () => {
      await assert.rejects(read(entry[text], expected), (failure) => {
        assert.ok(failure instanceof NotGenuine, String(failure));
        assert.equal(failure.fault, entry.fault);
        return true;
      });
    });
  }
}

for (const { draw, turns } of vectors("turns").draws) {
  test(`turns of a draw of ${draw.count}`, async () => {
    for (const { position, head_start, turn } of turns) {
      assert.equal(await turnOf(subtle, position, head_start, draw), turn, `position ${position}`);
    }
  });
}

test("a seed that was not promised draws nobody", async () => {
  const [{ draw }] = vectors("turns").draws;
  await assert.rejects(turnOf(subtle, 1, 0, { ...draw, seed: "00".repeat(32) }), RangeError);
  assert.equal(await turnOf(subtle, 1, 0, { ...draw, seed: null, count: null }), null);
});

test("people ahead", () => {
  for (const { turn, served_up_to, holes, ahead } of vectors("places").places) {
    assert.equal(place.peopleAhead(turn, served_up_to, holes), ahead);
  }
});

test("waits", () => {
  for (const { curve, ahead, low, high } of vectors("waits").waits) {
    assert.deepEqual(place.waitAt(curve, ahead), { low, high });
  }
});

for (const { name, steps } of vectors("shown_wait").stories) {
  test(`shown: ${name}`, () => {
    let shown = null;
    for (const step of steps) {
      const fresh = step.fresh && { low: step.fresh[0], high: step.fresh[1] };
      shown = place.showNext(shown, fresh, step.now_s);
      const left = shown && place.timeLeft(shown, step.now_s);
      assert.equal(shown?.move ?? null, step.move);
      assert.deepEqual(shown && [shown.from, shown.until], step.span);
      assert.deepEqual(left && [left.low, left.high], step.left);
    }
  });
}

const pauses = {
  poll: ({ poll, ahead, wait, chance }) => place.pollAfter(poll, ahead, wait, chance),
  retry: ({ failures, chance }) => place.retryAfter(failures, chance),
  full: ({ times, least, left, chance }) => place.whenFull(times, least, left, chance),
  enter: (at) => place.enterDelay(at.turn, at.served_before, at.served_up_to, at.most),
  hold: (at) => place.mayHoldFor(at.window, at.since_turn, at.margin),
};
for (const [name, entries] of Object.entries(vectors("back_off"))) {
  test(`pauses: ${name}`, () => {
    for (const entry of entries) assert.equal(pauses[name](entry), entry.seconds, JSON.stringify(entry));
  });
}
