// The sentence at the top of the dashboard: which backend is failing, and why.

import { assertEquals } from "@std/assert";
import type { BackendStatus, Status } from "../../../../src/admin/dashboard/status.d.ts";
import { healthOf, reasonOf, takingTraffic, verdictOf } from "../../../../src/admin/dashboard/verdict.js";
import { backendStatus, poolStatus, status } from "../../../support/status.ts";

const NOW = Date.parse("2026-01-01T00:01:00.000Z");
const at = "2026-01-01T00:00:00.000Z";
const up = (id: string) => backendStatus(id);
const down = (id: string) =>
  backendStatus(id, { alive: false, lastChange: { at, to: "down", reason: "check failed: connection refused" } });

type LastMinute = BackendStatus["lastMinute"];
type Differs = Readonly<Record<string, Partial<LastMinute>>>;

/** @param lately what backends have done in the last minute */
function verdict(backends: readonly BackendStatus[], lately: Differs = {}, pools: Status["pools"] = {}) {
  const done = (backend: BackendStatus) => ({
    ...backend,
    lastMinute: { ...backend.lastMinute, ...lately[backend.id] },
  });
  const others = Object.entries(pools).map(([name, pool]) => [name, { ...pool, backends: pool.backends.map(done) }]);
  const { level, headline, details } = verdictOf(
    status(60, backends.map(done), { pools: Object.fromEntries(others) }),
    NOW,
  );
  return [level, headline, ...details.map(({ url, text }) => `${url}: ${text}`)];
}

/** Answers of the last minute. */
function answers(count: number, serverErrors: number, perSecond = 0): Partial<LastMinute> {
  return { requests: count, answers: count, "5xx": serverErrors, perSecond };
}

Deno.test("verdictOf() says that all is well, and who takes traffic", () => {
  assertEquals(verdict([up("a")]), ["ok", "The backend is up and takes traffic"]);
  assertEquals(verdict([up("a"), up("b"), up("c")]), ["ok", "All 3 backends are up and take traffic"]);
  const drained = backendStatus("b", { state: "draining" });
  assertEquals(verdict([up("a"), drained]), ["ok", "All 2 backends are up; 1 of them takes traffic"]);
});

Deno.test("verdictOf() names each backend that is down, why and since when", () => {
  assertEquals(verdict([up("a"), down("b"), up("c")]), [
    "bad",
    "1 of 3 backends is down",
    "http://b: check failed: connection refused, 1 min ago",
  ]);
});

Deno.test("verdictOf() says when requests get 503", () => {
  assertEquals(verdict([]), ["bad", "The pool is empty: every request gets 503"]);
  assertEquals(verdict([down("a"), down("b")])[1], "Every backend is down: requests get 503");
  const disabled = backendStatus("b", { state: "disabled" });
  assertEquals(verdict([disabled, down("a")])[1], "No backend takes traffic: requests get 503");
});

Deno.test("verdictOf() names a backend that is still up, but failing", () => {
  const shaky = backendStatus("b", { lastCheck: { at, ok: false, status: 500, durationMs: 1, error: null } });
  assertEquals(verdict([up("a"), shaky], { a: { failures: 1 } }), [
    "warning",
    "2 backends are up, but failing",
    "http://a: 1 attempt failed in the last minute",
    "http://b: last check: check failed with status 500",
  ]);
});

// Every answer was a 500, and everything stayed green.
Deno.test("verdictOf() says how many answers are 5xx before it says that all is well", () => {
  const headline = (errors: number, count = 1000) => verdict([up("a")], { a: answers(count, errors) }).slice(0, 2);
  assertEquals(
    [1, 10, 20, 51, 100, 150, 333, 500, 667, 750, 900, 960, 1000].map((errors) => headline(errors)),
    [
      ["ok", "The backend is up and takes traffic"],
      ["warning", "One answer in 100 is a 5xx"],
      ["warning", "One answer in 50 is a 5xx"],
      ["warning", "One answer in 20 is a 5xx"],
      ["bad", "One answer in ten is a 5xx"],
      ["bad", "One answer in seven is a 5xx"],
      ["bad", "One answer in three is a 5xx"],
      ["bad", "Every second answer is a 5xx"],
      ["bad", "Two answers in three are 5xx"],
      ["bad", "Three answers in four are 5xx"],
      ["bad", "Nine answers in ten are 5xx"],
      ["bad", "Almost every answer is a 5xx"],
      ["bad", "Every answer is a 5xx"],
    ],
  );
  assertEquals(verdict([up("a"), up("b")], { a: answers(200, 0), b: answers(100, 100) }), [
    "bad",
    "One answer in three is a 5xx",
    "http://b: 100 of 100 answers in the last minute were 5xx",
  ]);
  assertEquals(verdict([up("a"), down("b")], { a: answers(4, 2) }).slice(0, 2), [
    "bad",
    "1 of 2 backends is down, and every second answer is a 5xx",
  ]);
});

Deno.test("verdictOf() names a backend that fails where others answer so much that it hardly counts", () => {
  assertEquals(verdict([up("a"), up("b")], { a: answers(10_000, 0), b: answers(3, 1) }), [
    "warning",
    "1 backend is up, but failing",
    "http://b: 1 of 3 answers in the last minute was a 5xx",
  ]);
});

Deno.test("verdictOf() names a backend that is slow beside the others, and one that gets too much", () => {
  const timed = (id: string, p50: number) => backendStatus(id, { latencyMs: { ewma: p50, p50, p95: p50, p99: p50 } });
  const even = { a: answers(100, 0), b: answers(100, 0), c: answers(100, 0) };
  assertEquals(verdict([timed("a", 10), timed("b", 12), timed("c", 400)], even), [
    "warning",
    "1 backend is slower than the others",
    "http://c: half of its answers take 400 ms or more, those of the others 12 ms",
  ]);
  const ok = "All 3 backends are up and take traffic";
  assertEquals(verdict([timed("a", 1), timed("b", 1), timed("c", 12)], even)[1], ok, "11 ms are no matter");
  const few = { ...even, c: answers(9, 0) };
  assertEquals(verdict([timed("a", 10), timed("b", 12), timed("c", 400)], few)[1], ok, "that may be chance");
  const uneven = { a: answers(80, 0, 0.8), b: answers(10, 0, 0.1), c: answers(10, 0, 0.1) };
  assertEquals(verdict([up("a"), up("b"), up("c")], uneven), [
    "warning",
    "1 backend gets more than its share",
    "http://a: takes 80 % of the traffic, 33 % by its weight",
  ]);
  const heavy = backendStatus("a", { weight: 8 });
  assertEquals(verdict([heavy, up("b"), up("c")], uneven)[1], ok, "its weight asks for it");
});

Deno.test("verdictOf() says which pool can't serve, and leaves an unused default pool out", () => {
  const pools = (api: BackendStatus[], assets: BackendStatus[]) => ({
    api: poolStatus(api),
    assets: poolStatus(assets),
  });
  assertEquals(verdict([], {}, pools([up("a"), up("b")], [up("c")])), [
    "ok",
    "All 3 backends of 2 pools are up and take traffic",
  ]);
  assertEquals(verdict([up("x")], {}, pools([down("a")], [up("c")])), [
    "bad",
    "Every backend of pool api is down: its requests get 503",
    "http://a: pool api: check failed: connection refused, 1 min ago",
  ]);
  assertEquals(verdict([], {}, pools([up("a")], []))[1], "Pool assets is empty: its requests get 503");
  assertEquals(
    verdict([up("x")], {}, pools([], [down("c")]))[1],
    "2 of 3 pools have no backend that takes traffic: their requests get 503",
  );
});

Deno.test("takingTraffic() leaves backups out while another can", () => {
  const backup = backendStatus("backup", { backup: true });
  const weightless = backendStatus("w", { weight: 0 });
  const ids = (backends: BackendStatus[]) => takingTraffic(backends).map(({ id }) => id);
  assertEquals(ids([up("a"), backup, weightless]), ["a"]);
  assertEquals(ids([down("a"), backup, weightless]), ["backup"]);
});

Deno.test("healthOf() and reasonOf() put health before the operator's state", () => {
  const drainedThenDown = backendStatus("a", {
    alive: false,
    state: "draining",
    lastChange: { at, to: "draining", reason: "admin API" },
    lastCheck: { at, ok: false, status: null, durationMs: 1, error: "connection refused" },
  });
  assertEquals(healthOf(drainedThenDown), { kind: "down", text: "Down" });
  assertEquals(reasonOf(drainedThenDown, NOW), "connection refused");
  const drained = { ...drainedThenDown, alive: true };
  assertEquals([healthOf(drained).text, reasonOf(drained, NOW)], ["Draining", "draining for 1 min: admin API"]);
  const enabled = backendStatus("a", { lastChange: { at, to: "active", reason: "admin API" } });
  assertEquals(reasonOf(enabled, NOW), "enabled for 1 min: admin API");
  assertEquals(reasonOf({ ...down("a"), lastChange: null }, NOW), "no check has passed yet");
});
