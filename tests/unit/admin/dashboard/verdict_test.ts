// The sentence at the top of the dashboard: which backend is failing, and why.

import { assertEquals } from "@std/assert";
import type { BackendStatus } from "../../../../src/admin/dashboard/status.d.ts";
import { healthOf, reasonOf, takingTraffic, verdictOf } from "../../../../src/admin/dashboard/verdict.js";
import { backendStatus, status } from "../../../support/status.ts";

const NOW = Date.parse("2026-01-01T00:01:00.000Z");
const at = "2026-01-01T00:00:00.000Z";
const up = (id: string) => backendStatus(id);
const down = (id: string) =>
  backendStatus(id, { alive: false, lastChange: { at, to: "down", reason: "check failed: connection refused" } });

function verdict(backends: readonly BackendStatus[], failures: Record<string, number> = {}) {
  const traffic = new Map(
    Object.entries(failures).map((
      [id, count],
    ) => [id, { share: null, perSecond: 0, failures: count, recentFailures: count }]),
  );
  const { level, headline, details } = verdictOf(status(60, backends), traffic, NOW);
  return [level, headline, ...details.map(({ url, text }) => `${url}: ${text}`)];
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
  assertEquals(verdict([up("a"), shaky], { a: 1 }), [
    "warning",
    "2 backends are up, but failing",
    "http://a: 1 attempt failed in the last minute",
    "http://b: last check: check failed with status 500",
  ]);
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
