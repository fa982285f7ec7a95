// Rates and shares out of totals, as the dashboard and `roundhouse top` compute them.

import { assert, assertEquals } from "@std/assert";
import { type BackendTraffic, History } from "../../../../src/admin/dashboard/history.js";
import { backendStatus, poolStatus, status } from "../../../support/status.ts";

/** A status after so many seconds, in which each backend has had so many requests and failures. */
function after(seconds: number, totals: Record<string, [requests: number, failures: number]>) {
  const backends = Object.entries(totals).map(([id, [totalRequests, totalFailures]]) =>
    backendStatus(id, { totalRequests, totalFailures })
  );
  const total = backends.reduce((sum, { totalRequests }) => sum + totalRequests, 0);
  return status(seconds, backends, { requests: { total, failed: Math.floor(total / 10), retried: 2 } });
}

/** The traffic of a backend without errors, with these changes. */
function traffic(differs: Partial<BackendTraffic>): BackendTraffic {
  return { share: null, perSecond: 0, failures: 0, clientErrors: 0, serverErrors: 0, ...differs };
}

Deno.test("History: shares are of the last ten seconds, failures of five minutes", () => {
  const history = new History();
  for (let second = 0; second <= 100; second++) {
    const late = Math.max(0, second - 90); // b takes traffic in the last ten seconds only
    history.add(after(second, { a: [second * 3, Math.min(second, 30)], b: [late * 9, 0] }));
  }
  const shown = history.traffic();
  assertEquals(shown.get("a"), traffic({ share: 0.25, perSecond: 3, failures: 30 }));
  assertEquals(shown.get("b"), traffic({ share: 0.75, perSecond: 9 }));
});

Deno.test("History: without any traffic nobody has a share", () => {
  const history = new History();
  history.add(after(1, { a: [5, 0] }));
  history.add(after(2, { a: [5, 0] }));
  assertEquals(history.traffic().get("a"), traffic({}));
});

Deno.test("History: a backend that is new, or removed and added again, counts from 0", () => {
  const history = new History();
  history.add(after(1, { a: [500, 50] }));
  history.add(after(2, { a: [4, 1], b: [12, 0] }));
  assertEquals(history.traffic().get("a"), traffic({ share: 0.25, perSecond: 4, failures: 1 }));
  assertEquals(history.traffic().get("b")?.share, 0.75);
});

Deno.test("History: a restart of the server begins anew", () => {
  const history = new History();
  history.add(after(500, { a: [900, 0] }));
  history.add(after(501, { a: [910, 0] }));
  history.add({ ...after(3, { a: [7, 0] }), startedAt: "2026-01-01T00:08:30.000Z" });
  assertEquals([history.increase("total"), history.seconds, history.perSecond], [0, 0, null]);
});

Deno.test("History: errors that backends answer are counted beside failures", () => {
  const history = new History();
  for (let second = 0; second <= 100; second++) {
    const responses = { "2xx": second * 2, "3xx": second, "4xx": second, "5xx": Math.max(0, second - 50) };
    history.add(status(second, [backendStatus("a", { totalRequests: second * 5, responses })]));
  }
  assertEquals(
    history.traffic().get("a"),
    traffic({ share: 1, perSecond: 5, clientErrors: 100, serverErrors: 50 }),
  );
});

// Whoever opened the page saw no share, no rate and no errors before it had watched for a while.
Deno.test("History: the first look shows what the server knows of the last minute", () => {
  const lastMinute = { requests: 60, failures: 2, answers: 58, "4xx": 1, "5xx": 7, perSecond: 3 };
  const history = new History();
  history.add(status(500, [backendStatus("a", { lastMinute }), backendStatus("b")]));
  const errors = { failures: 2, clientErrors: 1, serverErrors: 7 };
  assertEquals(history.traffic().get("a"), { share: 1, perSecond: 3, ...errors });
  assertEquals(history.traffic().get("b")?.share, 0);
});

Deno.test("History: a share is that of the backend's own pool", () => {
  const history = new History();
  for (const second of [1, 2]) {
    const [a, b, c] = [["a", 3], ["b", 1], ["c", 96]].map(([id, requests]) =>
      backendStatus(String(id), { totalRequests: second * Number(requests) })
    );
    assert(a !== undefined && b !== undefined && c !== undefined);
    history.add(status(second, [a, b], { pools: { default: poolStatus([a, b]), api: poolStatus([c]) } }));
  }
  const shown = history.traffic();
  assertEquals(["a", "b", "c"].map((id) => shown.get(id)?.share), [0.75, 0.25, 1]);
});

Deno.test("History: forgets what is older than five minutes", () => {
  const history = new History();
  for (let second = 0; second <= 1000; second++) history.add(after(second, { a: [second, 0] }));
  assertEquals([history.seconds, history.increase("total")], [300, 300]);
});
