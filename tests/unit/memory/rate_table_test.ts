// The generic cell rate algorithm in shared memory, compared with a bucket of tokens, which says the same in other words.

import { assert, assertEquals, assertGreater, assertLessOrEqual } from "@std/assert";
import fc from "fast-check";
import { RateKeys } from "../../../src/guards/rate_key.ts";
import { type RateLimit, rateLimitOf, shareOf } from "../../../src/memory/rate_share.ts";
import { RateTable } from "../../../src/memory/rate_table.ts";
import type { HammerRates } from "./rate_worker.ts";

const NOW = 1_700_000_000_000;

/** A table with one isolate, and a way to ask it. */
function tableOf(limit: RateLimit, capacity = 1000) {
  const table = new RateTable(RateTable.allocate(NOW, capacity), 0);
  const keys = new RateKeys(table.seed);
  const take = (key: string, nowMs = NOW) => {
    keys.ofText(key);
    return table.take(keys, limit, nowMs);
  };
  const allows = (key: string, nowMs = NOW) => take(key, nowMs) >= 0;
  const peek = (key: string, nowMs = NOW) => {
    keys.ofText(key);
    return table.peek(keys, limit, nowMs);
  };
  return { table, take, allows, peek };
}

Deno.test("RateTable allows what a bucket of tokens allows, whatever the rate, the burst and the times", () => {
  const steps = fc.array(
    fc.record({ key: fc.constantFrom("a", "b"), waitMs: fc.oneof(fc.constant(0), fc.nat(50), fc.nat(5000)) }),
    { minLength: 1, maxLength: 200 },
  );
  const rate = { requests: fc.integer({ min: 1, max: 300 }), perMs: fc.integer({ min: 1, max: 5000 }) };
  fc.assert(fc.property(fc.record({ ...rate, burst: fc.integer({ min: 1, max: 20 }), steps }), (run) => {
    const limit = rateLimitOf(run.requests, run.perMs, run.burst);
    const { take, peek } = tableOf(limit);
    // In the unit "requests / perMs" the tokens are whole numbers: a millisecond gives `requests`, a request costs `perMs`.
    const full = run.burst * run.perMs;
    const buckets = new Map<string, { tokens: number; at: number }>();
    let now = NOW;
    for (const { key, waitMs } of run.steps) {
      now += waitMs;
      const bucket = buckets.get(key) ?? { tokens: full, at: now };
      const tokens = Math.min(full, bucket.tokens + (now - bucket.at) * run.requests);
      const allowed = tokens >= run.perMs;
      buckets.set(key, { tokens: allowed ? tokens - run.perMs : tokens, at: now });
      const peeked = peek(key, now);
      const taken = take(key, now);
      assertEquals(taken >= 0, allowed);
      assertEquals(peeked, taken, "peek() says what take() does");
      const unit = run.perMs / limit.ticksPerRequest;
      assertEquals(taken * unit, allowed ? full - tokens + run.perMs : tokens - run.perMs);
    }
  }));
});

Deno.test("RateTable lets a full burst and the rate pass in the first period, to the request", () => {
  const { allows } = tableOf(rateLimitOf(100, 1000, 100));
  let allowed = 0;
  for (let ms = 0; ms <= 1000; ms++) {
    for (let tries = 0; tries < (ms === 0 ? 500 : 3); tries++) if (allows("a", NOW + ms)) allowed++;
  }
  assertEquals(allowed, 200);
});

Deno.test("RateTable keeps the rate of a million requests a second, and of one a month, over years", () => {
  const month = 30 * 86_400_000;
  const rare = tableOf(rateLimitOf(1, month, 1));
  assert(rare.allows("a", NOW));
  assert(!rare.allows("a", NOW + month - 1));
  assert(rare.allows("a", NOW + month));
  const often = tableOf(rateLimitOf(999_983, 1000, 1));
  const later = NOW + 10 * 365 * 86_400_000;
  let allowed = 0;
  for (let ms = 0; ms < 100; ms++) for (let tries = 0; tries < 3; tries++) if (often.allows("a", later + ms)) allowed++;
  assertEquals(allowed, 100, "one at a time: with a burst of one, the clock's milliseconds are the limit");
});

Deno.test("RateTable has a fixed number of keys: a new one takes the place of the oldest that was not used again", () => {
  const { table, allows, peek } = tableOf(rateLimitOf(1, 3_600_000, 2), 4);
  for (const key of ["a", "b", "c", "d"]) assert(allows(key));
  assert(allows("a")); // used again: it is spared
  const isKnown = (key: string) => peek(key) !== 3_600_000;
  assert(allows("e"));
  assertEquals(["a", "c", "d", "e"].filter((key) => !isKnown(key) && key === "a"), []);
  assertEquals(table.size, 4);
  assert(!allows("a"), "both of its requests are spent");
  const { allows: allowsOnce } = tableOf(rateLimitOf(1, 3_600_000, 1), 4);
  for (const key of ["a", "b", "c", "d", "e"]) assert(allowsOnce(key));
  assert(!allowsOnce("b") && !allowsOnce("e"));
  assert(allowsOnce("a"), "the oldest was forgotten");
});

Deno.test("RateTable replaces the first key when all of them were used again", () => {
  const { allows } = tableOf(rateLimitOf(1, 3_600_000, 2), 100);
  const names = Array.from({ length: 100 }, (_, index) => `key ${index}`);
  for (let round = 0; round < 2; round++) for (const name of names) assert(allows(name));
  assert(allows("new"));
  assertEquals(names.filter((name) => allows(name)).slice(0, 1), ["key 0"]);
});

Deno.test("RateTable looks at 1,000 keys at most for one that was not used again", () => {
  // With 100,000 keys in use it looked at each of them, and held the lock that all isolates wait for: 137 ms.
  const { allows } = tableOf(rateLimitOf(1, 3_600_000, 2), 5000);
  const names = Array.from({ length: 5000 }, (_, index) => `key ${index}`);
  for (let round = 0; round < 2; round++) for (const name of names) assert(allows(name));
  assert(allows("new"));
  assertEquals(names.filter((name) => allows(name)).slice(0, 1), ["key 1000"]);
});

Deno.test("RateTable finds every one of 100,000 keys, and keeps their number over many more", () => {
  const { table, allows } = tableOf(rateLimitOf(1, 3_600_000, 1), 100_000);
  for (let key = 0; key < 100_000; key++) assert(allows(`${key}`));
  for (let key = 0; key < 100_000; key += 97) assert(!allows(`${key}`), `${key}`);
  for (let key = 100_000; key < 250_000; key++) assert(allows(`${key}`));
  assertEquals(table.size, 100_000);
  for (let key = 150_000; key < 250_000; key += 97) assert(!allows(`${key}`), `${key}`);
});

Deno.test("RateTable lets nobody wait for a clock that was set back, and takes a clock that is late for what it is", () => {
  const { allows } = tableOf(rateLimitOf(1, 60_000, 1));
  assert(allows("a", NOW + 86_400_000));
  assert(allows("a", NOW), "a day back");
  assert(!allows("a", NOW - 500), "another isolate whose clock was read earlier");
});

Deno.test("however the clock is set, a limit gives back no more than a burst each time, and nobody waits for long", () => {
  const jumps = fc.array(
    fc.record({ waitMs: fc.nat(20_000), jumpMs: fc.integer({ min: -100_000_000, max: 60_000 }), asks: fc.nat(8) }),
    { minLength: 1, maxLength: 20 },
  );
  const rate = { perMs: fc.integer({ min: 10, max: 60_000 }), burst: fc.integer({ min: 1, max: 5 }) };
  fc.assert(fc.property(fc.record({ ...rate, jumps }), ({ perMs, burst, jumps }) => {
    const { allows, take } = tableOf(rateLimitOf(1, perMs, burst));
    let now = NOW;
    let passed = 0;
    let elapsedMs = 0; // of the time that the clock has shown to go forward
    for (const { waitMs, jumpMs, asks } of jumps) {
      now += waitMs + jumpMs;
      elapsedMs += waitMs + Math.max(jumpMs, 0);
      for (let ask = 0; ask < asks; ask++) if (allows("a", now)) passed++;
    }
    const setBack = jumps.filter(({ jumpMs }) => jumpMs < 0).length;
    assertLessOrEqual(passed, burst * (1 + setBack) + Math.ceil(elapsedMs / perMs));
    const waits = -take("a", now);
    if (waits <= 0) return;
    const limit = rateLimitOf(1, perMs, burst);
    assertLessOrEqual(
      waits / limit.ticksPerMs,
      perMs + 10_000,
      "the time for one request, and what the clock may be off",
    );
  }));
});

Deno.test("RateTable is empty after an isolate has died in the middle of a change, and not otherwise", () => {
  const buffer = RateTable.allocate(NOW, 100);
  const [own, dying] = [new RateTable(buffer, 0), new RateTable(buffer, 1)];
  const keys = new RateKeys(own.seed);
  keys.ofText("a");
  const limit = rateLimitOf(1, 60_000, 1);
  dying.take(keys, limit, NOW);
  own.reclaim(1);
  assertEquals(own.size, 1, "it did not hold the lock");
  new Int32Array(buffer)[0] = 2; // as if isolate 1 held it
  own.reclaim(1);
  assertEquals(own.size, 0);
  assertGreater(own.take(keys, limit, NOW), 0);
});

Deno.test("two isolates count the same keys to the request, also while keys are replaced", async () => {
  const [burst, keys, rounds] = [1000, 20, 40_000];
  const buffer = RateTable.allocate(NOW, 16_384);
  const gate = new SharedArrayBuffer(8);
  const run = (isolate: number) => {
    const worker = new Worker(new URL("rate_worker.ts", import.meta.url), { type: "module" });
    return new Promise<number>((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = reject;
      worker.postMessage({ buffer, gate, isolate, nowMs: NOW, burst, keys, rounds } satisfies HammerRates);
    }).finally(() => worker.terminate());
  };
  const allowed = await Promise.all([run(1), run(2)]);
  assertEquals(allowed.reduce((sum, one) => sum + one), burst * keys);
  const table = new RateTable(buffer, 0);
  assertLessOrEqual(table.size, 16_384);
});

Deno.test("the shares of any limit let no more through than the limit and one for each replica, whatever the times", () => {
  const run = fc.record({
    requests: fc.integer({ min: 1, max: 1000 }),
    perMs: fc.integer({ min: 1, max: 100_000 }),
    burst: fc.integer({ min: 1, max: 1000 }),
    replicas: fc.integer({ min: 1, max: 20 }),
    asked: fc.array(fc.record({ replica: fc.nat(19), afterMs: fc.nat(200), times: fc.nat(100) }), { maxLength: 50 }),
  });
  fc.assert(fc.property(run, ({ requests, perMs, burst, replicas, asked }) => {
    const limit = rateLimitOf(requests, perMs, burst);
    const share = shareOf(limit, replicas);
    const tables = Array.from({ length: replicas }, () => tableOf(share, 10).table);
    let now = NOW;
    let passed = 0;
    for (const { replica, afterMs, times } of asked) {
      now += afterMs;
      const table = tables[replica % replicas];
      for (let i = 0; i < times; i++) if ((table?.take({ high: 1, low: 1 }, share, now) ?? -1) >= 0) passed++;
    }
    assert(passed <= burst + requests * (now - NOW) / perMs + replicas, `${passed} passed`);
  }));
});

Deno.test("RateTable counts what keys were let through, for whoever takes the counts, and takes over what others spent", () => {
  const limit = rateLimitOf(10, 1000, 10);
  const table = new RateTable(RateTable.allocate(NOW, 3, [5, 6]), 0);
  assertEquals(table.seed, [5, 6]);
  const keys = [1, 2, 3, 4].map((low) => ({ high: 9, low }));
  const [first = { high: 0, low: 0 }, second = first, , fourth = first] = keys;
  for (let i = 0; i < 12; i++) table.take(first, limit, NOW);
  table.take(second, limit, NOW);
  assertEquals(table.takeCounts(1), [{ ...first, count: 10 }]);
  assertEquals([table.takeCounts(5), table.takeCounts(5)], [[{ ...second, count: 1 }], []]);
  // The others have spent 4 of the second key; one more was let through here meanwhile.
  table.take(second, limit, NOW);
  table.settle(second, limit, 4 * limit.ticksPerRequest, NOW);
  assertEquals(table.peek(second, limit, NOW), 6 * limit.ticksPerRequest);
  // More than all: then nothing passes, until there is something again.
  table.settle(fourth, limit, 99 * limit.ticksPerRequest, NOW);
  assertEquals(table.take(fourth, limit, NOW), -limit.ticksPerRequest);
  assert(table.take(fourth, limit, NOW + 100) > 0);
  // A new key in the place of an old one begins with its own count.
  table.takeCounts(5);
  for (let i = 0; i < 3; i++) table.take(first, limit, NOW + 5000);
  for (const key of keys) table.take(key, limit, NOW + 5000);
  const counts = table.takeCounts(5).map(({ count }) => count).sort();
  assert(counts.every((count) => count === 1 || count === 4), `${counts}`);
});
