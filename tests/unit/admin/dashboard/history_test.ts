// Rates and shares out of totals, as the dashboard and `roundhouse top` compute them.

import { assertEquals } from "@std/assert";
import { History } from "../../../../src/admin/dashboard/history.js";
import { backendStatus, status } from "../../../support/status.ts";

/** When the made-up server started. */
const START = Date.UTC(2026, 0, 1) / 1000;

/** A status after so many seconds, in which each backend has had so many requests and failures. */
function after(seconds: number, totals: Record<string, [requests: number, failures: number]>) {
  const backends = Object.entries(totals).map(([id, [totalRequests, totalFailures]]) =>
    backendStatus(id, { totalRequests, totalFailures })
  );
  const total = backends.reduce((sum, { totalRequests }) => sum + totalRequests, 0);
  return status(seconds, backends, { requests: { total, failed: Math.floor(total / 10), retried: 2 } });
}

Deno.test("History: rates are per second of the server's clock, and unknown at first", () => {
  const history = new History();
  history.add(after(10, { a: [100, 0] }));
  assertEquals(history.current.requests, null);
  history.add(after(12, { a: [140, 6] }));
  assertEquals(history.current, { at: START + 12, requests: 20, failed: 2, attemptsFailed: 3 });
  history.add(after(12, { a: [140, 6] })); // the same again is not counted twice
  assertEquals([history.rates.length, history.current.requests], [2, 20]);
});

Deno.test("History: shares are of the last ten seconds, failures of the last minute and five", () => {
  const history = new History();
  for (let second = 0; second <= 100; second++) {
    const late = Math.max(0, second - 90); // b takes traffic in the last ten seconds only
    history.add(after(second, { a: [second * 3, Math.min(second, 30)], b: [late * 9, 0] }));
  }
  const traffic = history.traffic();
  assertEquals(traffic.get("a"), { share: 0.25, perSecond: 3, failures: 30, recentFailures: 0 });
  assertEquals(traffic.get("b"), { share: 0.75, perSecond: 9, failures: 0, recentFailures: 0 });
});

Deno.test("History: without any traffic nobody has a share", () => {
  const history = new History();
  history.add(after(1, { a: [5, 0] }));
  history.add(after(2, { a: [5, 0] }));
  assertEquals(history.traffic().get("a"), { share: null, perSecond: 0, failures: 0, recentFailures: 0 });
});

Deno.test("History: a backend that is new, or removed and added again, counts from 0", () => {
  const history = new History();
  history.add(after(1, { a: [500, 50] }));
  history.add(after(2, { a: [4, 1], b: [12, 0] }));
  assertEquals(history.traffic().get("a"), { share: 0.25, perSecond: 4, failures: 1, recentFailures: 1 });
  assertEquals(history.traffic().get("b")?.share, 0.75);
  assertEquals([history.current.requests, history.current.attemptsFailed], [0, 1], "never below 0");
});

Deno.test("History: a restart of the server begins anew and leaves a gap in the line", () => {
  const history = new History();
  history.add(after(500, { a: [900, 0] }));
  history.add(after(501, { a: [910, 0] }));
  history.interrupt();
  history.interrupt(); // once is enough
  history.add({ ...after(3, { a: [7, 0] }), startedAt: "2026-01-01T00:08:30.000Z" });
  assertEquals(history.rates.map(({ requests }) => requests), [null, 10, null, null]);
  assertEquals([history.increase("total"), history.seconds], [0, 0]);
});

Deno.test("History: forgets what is older than five minutes", () => {
  const history = new History();
  for (let second = 0; second <= 1000; second++) history.add(after(second, { a: [second, 0] }));
  assertEquals([history.rates.length, history.seconds, history.increase("total")], [301, 300, 300]);
});

Deno.test("History: times only ever rise, also when a restarted server's clock was set back", () => {
  const history = new History();
  for (const second of [100, 101, 102]) history.add(after(second, { a: [second, 0] }));
  history.add({ ...after(1, { a: [0, 0] }), startedAt: "2026-01-01T00:01:40.500Z" });
  assertEquals(history.rates.map(({ at }) => at - START), [100, 101, 101.5]);
});
