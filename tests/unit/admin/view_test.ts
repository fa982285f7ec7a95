// What the admin API shows of a backend.

import { assert, assertEquals } from "@std/assert";
import { answerJson, backendView } from "../../../src/admin/view.ts";
import { poolOf } from "../../support/pool.ts";

Deno.test("backendView() shows health and operator state apart, and null where nothing is known", () => {
  const pool = poolOf([7]);
  const [backend] = pool.backends;
  if (backend === undefined) throw new Error("the pool is empty");
  pool.setEjected(backend, true, "test");
  pool.update(backend, { state: "draining", maxConnections: 5, backup: true }, "test");
  const { id, lastChange, ...shown } = backendView(backend);
  assertEquals(id, backend.id);
  assertEquals([lastChange?.to, lastChange?.reason], ["draining", "test"]);
  assertEquals(shown, {
    url: "http://backend-1",
    alive: false,
    state: "draining",
    weight: 7,
    backup: true,
    currentConnections: 0,
    maxConnections: 5,
    totalRequests: 0,
    totalFailures: 0,
    responses: { "2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0 },
    lastMinute: { requests: 0, failures: 0, answers: 0, "4xx": 0, "5xx": 0, perSecond: 0 },
    latencyMs: { ewma: null, p50: null, p95: null, p99: null },
    lastCheck: null,
  });
  const before = backend.settings;
  pool.update(backend, { weight: 1, maxConnections: null, backup: false, state: "active" }, "test");
  // A copy: an audit line keeps what was.
  assertEquals(before, { weight: 7, maxConnections: 5, backup: true, state: "draining" });
  assertEquals(backend.settings, { weight: 1, maxConnections: null, backup: false, state: "active" });
});

Deno.test("answerJson() declares its length in bytes and forbids caching", async () => {
  const response = answerJson({ name: "ü" }, { status: 201, headers: { location: "/x" } });
  assertEquals([response.status, response.headers.get("location")], [201, "/x"]);
  assertEquals(response.headers.get("content-length"), "13");
  assertEquals(response.headers.get("cache-control"), "no-store");
  assertEquals(await response.json(), { name: "ü" });
});

// Every answer was a 500, and everything stayed green: answers were counted nowhere beside the failures. With
// `retries.statuses` clients did not even see them.
Deno.test("backendView() counts the answers to attempts by class of status", () => {
  const [backend] = poolOf([1]).backends;
  assert(backend !== undefined);
  for (const status of [101, 200, 299, 304, 404, 499, 404, 500, 599, 600, 999, 599, 503]) backend.answered(status, 1);
  assertEquals(backendView(backend).responses, { "2xx": 2, "3xx": 1, "4xx": 3, "5xx": 4 });
});

// A backend without any traffic was shown with the latency of its last busy moment.
Deno.test("backendView() shows latencies of the last minute only", () => {
  const [fresh, stale] = poolOf([1, 1]).backends;
  assert(fresh !== undefined && stale !== undefined);
  for (let count = 0; count < 100; count++) {
    fresh.answered(200, count < 90 ? 10 : 200);
    stale.answered(200, 10, Date.now() - 61_000);
  }
  const { ewma, p50, p95, p99 } = backendView(fresh).latencyMs;
  assertEquals(ewma, fresh.latencyMs);
  assert(p50 !== null && Math.abs(p50 - 10) < 0.5, `p50 is ${p50}`);
  assert(p95 !== null && Math.abs(p95 - 200) < 10, `p95 is ${p95}`);
  assertEquals(p99, p95);
  assertEquals(backendView(stale).latencyMs, { ewma: null, p50: null, p95: null, p99: null });
  assertEquals(stale.latencyMs, 10, "strategies still use it");
});
