import { assertEquals } from "@std/assert";
import fc from "fast-check";
import type { Backend } from "../../../src/pool/backend.ts";
import { Memory } from "../../../src/memory/memory.ts";
import type { RequestCount, RequestMetrics } from "../../../src/memory/request_metrics.ts";
import { SLOTS } from "../../../src/memory/slots.ts";
import { BUCKET_BOUNDS_MS } from "../../../src/memory/stripes.ts";
import { ServerPool } from "../../../src/pool/server_pool.ts";
import { memories } from "../../support/memory.ts";
import { backendSpec } from "../../support/pool.ts";

function request(backend: Backend | undefined, count: Partial<RequestCount> = {}): RequestCount {
  return { backend, status: 200, durationMs: 1, bytesIn: 1, bytesOut: 10, ...count };
}

function isolates(count: number): RequestMetrics[] {
  return memories(count).map(({ metrics }) => metrics);
}

Deno.test("RequestMetrics sums what the isolates count, each backend apart", () => {
  const pool = new ServerPool(Memory.allocate().pool(0));
  // Every slot there is, so that a stripe too long or too short would show.
  const backends = Array.from(
    { length: SLOTS },
    (_, port) => pool.adopt(backendSpec(`http://h:${port + 1}`), port, ""),
  );
  const all = isolates(3);
  const counted = [undefined, backends[0], backends[1], backends[SLOTS - 1]];
  for (const [isolate, metrics] of all.entries()) {
    for (const [index, backend] of counted.entries()) {
      for (let count = 0; count <= index + isolate; count++) metrics.countRequest(request(backend));
    }
    metrics.countRetry("status");
    metrics.countError("internal");
    metrics.countSticky(true);
    metrics.countSticky(false);
    metrics.countWait(40_000);
  }
  for (const metrics of all) {
    for (const [index, backend] of counted.entries()) {
      const total = 3 * index + 6;
      const { byClass, bytesIn, bytesOut, durations } = metrics.answers(backend);
      assertEquals([byClass, bytesIn, bytesOut], [[0, total, 0, 0, 0, 0, 0, 0, 0], total, 10 * total]);
      assertEquals([durations.sumMs, durations.buckets[1], durations.buckets.length], [total, total, 16]);
    }
    assertEquals(metrics.answers(backends[2]).byClass, [0, 0, 0, 0, 0, 0, 0, 0, 0]);
    const { retries, errors, stickyHits, stickyMisses, queueWaits } = metrics.processCounts();
    assertEquals([...retries].filter(([, count]) => count > 0), [["status", 3]]);
    assertEquals([...errors].filter(([, count]) => count > 0), [["internal", 3]]);
    assertEquals([stickyHits, stickyMisses, queueWaits.sumMs, queueWaits.buckets.at(-1)], [3, 3, 120_000, 3]);
  }
});

Deno.test("RequestMetrics never shows a backend the counts of another that had its slot, however late those come", () => {
  const pool = new ServerPool(Memory.allocate().pool(0));
  const [one, two] = isolates(2);
  const old = pool.add(backendSpec("http://old"), "");
  one?.countRequest(request(old));
  two?.countRequest(request(old));
  pool.remove(old, "");
  const successor = pool.add(backendSpec("http://new"), "");
  assertEquals(successor.slot, old.slot);
  const total = (backend: Backend) => one?.answers(backend).byClass[1];
  assertEquals(total(successor), 0);
  one?.countRequest(request(old)); // it was on its way still
  one?.countRequest(request(successor));
  one?.countRequest(request(old));
  assertEquals([total(successor), total(old)], [1, 1]);
  two?.countRequest(request(old));
  two?.countRequest(request(successor));
  assertEquals([total(successor), total(old)], [2, 0]);
});

Deno.test("RequestMetrics sorts statuses by their first digit and leaves out what is not known", () => {
  const metrics = Memory.allocate().metrics;
  for (const status of [200, 299, 301, 404, 499, 500, 599, 600, 999]) {
    metrics.countRequest(request(undefined, { status, bytesIn: null, bytesOut: null }));
  }
  const { byClass, bytesIn, bytesOut } = metrics.answers(undefined);
  assertEquals([byClass, bytesIn, bytesOut], [[0, 2, 1, 2, 2, 1, 0, 0, 1], 0, 0]);
  metrics.countRequest(request(undefined, { status: 101 })); // a tunnel's time is not a response time
  const { byClass: [tunnels], durations } = metrics.answers(undefined);
  assertEquals([tunnels, durations.sumMs], [1, 9]);
});

Deno.test("RequestMetrics puts every time into the first bucket that it does not exceed", () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 40_000, noNaN: true }), (durationMs) => {
      const metrics = Memory.allocate().metrics;
      metrics.countRequest(request(undefined, { durationMs }));
      const { buckets, sumMs } = metrics.answers(undefined).durations;
      const expected = [...BUCKET_BOUNDS_MS, Infinity].findIndex((bound) => durationMs <= bound);
      assertEquals([buckets.indexOf(1), sumMs], [expected, durationMs]);
    }),
    { numRuns: 50, examples: BUCKET_BOUNDS_MS.map((bound): [number] => [bound]) },
  );
});
