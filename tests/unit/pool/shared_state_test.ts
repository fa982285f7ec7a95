import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { SharedState } from "../../../src/pool/shared_state.ts";
import { NO_TICKET } from "../../../src/pool/waiting_line.ts";

Deno.test("SharedState counts a million leases of two workers down to zero, and every turn once", async () => {
  const leases = 500_000;
  const shared = SharedState.allocate(3);
  for (const slot of [0, 1, 2]) shared.resetSlot(slot);
  await Promise.all([1, 2].map((isolate) => {
    const worker = new Worker(new URL("./hammer_worker.ts", import.meta.url), { type: "module" });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    worker.onmessage = () => resolve();
    worker.onerror = (event) => reject(new Error(event.message));
    worker.postMessage({ buffer: shared.buffer, isolates: 3, isolate, leases });
    return promise.finally(() => worker.terminate());
  }));
  assertEquals([0, 1, 2].map((slot) => shared.currentConnections(slot)), [0, 0, 0]);
  assertEquals(shared.requestTotals(), { total: 2 * leases, active: 0, failed: 0, retried: 0, queued: 0 });
  assertEquals(shared.takeTurn(), 2 * leases);
  const counts = [0, 1, 2].map((slot) => shared.backendRequests(slot)).sort();
  assertEquals(counts, [333_333, 333_333, 333_334]);
});

Deno.test("SharedState keeps every cell of a backend apart from every other", () => {
  const shared = SharedState.allocate(2);
  const other = SharedState.attach(shared.buffer, 2, 1);
  for (const slot of [0, 1, 4095]) shared.resetSlot(slot);
  shared.setUp(1, false);
  shared.setEjected(1, true);
  shared.setState(1, "draining");
  shared.setWeight(1, 256);
  shared.setRamp(1, 4);
  shared.setBackup(1, true);
  shared.setMaxConnections(1, 9);
  shared.countConnectFailure(1);
  shared.recordLatency(1, 5, 1000, 10_000);
  shared.setRecheckAt(1, 11);
  shared.setEjectedUntil(1, 12);
  other.openConnection(1);
  other.countBackendFailure(1);
  const view = (slot: number) => [
    [shared.isUp(slot), shared.isEjected(slot), shared.state(slot), shared.weight(slot), shared.ramp(slot)],
    [shared.isBackup(slot), shared.maxConnections(slot), shared.latencyMs(slot), shared.recheckAt(slot)],
    [
      shared.ejectedUntil(slot),
      shared.currentConnections(slot),
      shared.backendRequests(slot),
      shared.backendFailures(slot),
    ],
  ];
  assertEquals(view(1), [[false, true, "draining", 256, 4], [true, 9, 5, 11], [12, 1, 1, 1]]);
  for (const slot of [0, 4095]) {
    assertEquals(view(slot), [[true, false, "active", 0, 10], [false, null, null, 0], [0, 0, 0, 0]]);
  }
  assertEquals(shared.requestTotals(), { total: 0, active: 0, failed: 0, retried: 0, queued: 0 });
});

Deno.test("SharedState.countConnectFailure() counts a row that a success ends", () => {
  const shared = SharedState.allocate();
  assertEquals([shared.countConnectFailure(0), shared.countConnectFailure(0)], [1, 2]);
  shared.clearConnectFailures(0);
  assertEquals(shared.countConnectFailure(0), 1);
});

Deno.test("SharedState.recordLatency() rises at once and falls by the time that has passed", () => {
  const shared = SharedState.allocate();
  shared.recordLatency(0, 10, 0, 1000);
  shared.recordLatency(0, 100, 1, 1000);
  assertEquals(shared.latencyMs(0), 100);
  shared.recordLatency(0, 10, 101, 1000);
  const soon = shared.latencyMs(0) ?? 0;
  assertLess(soon, 100);
  assertGreater(soon, 90);
  shared.recordLatency(0, 10, 60_000, 1000);
  assert(Math.abs((shared.latencyMs(0) ?? 0) - 10) < 0.001);
});

Deno.test("SharedState.reclaim() gives back what one isolate held, and nothing of another", () => {
  const control = SharedState.allocate(3);
  const [one, two] = [1, 2].map((isolate) => SharedState.attach(control.buffer, 3, isolate));
  assert(one !== undefined && two !== undefined);
  for (const slot of [0, 4095]) control.resetSlot(slot);
  control.setMaxConnections(0, 4);
  for (const [shared, connections] of [[one, 3], [two, 1]] as const) {
    for (let connection = 0; connection < connections; connection++) {
      shared.requestStarted();
      assert(shared.openConnection(0));
    }
    shared.requestStarted();
    assert(shared.line.join(2) !== NO_TICKET);
    shared.line.startHold();
    shared.openConnection(4095);
  }
  assertEquals([one.openConnection(0), two.line.join(2)], [false, NO_TICKET], "the limits count both");
  assertEquals(control.reclaim(1), { requests: 4, connections: 4 });
  assertEquals([control.currentConnections(0), control.currentConnections(4095), control.line.queued()], [1, 1, 1]);
  assertEquals(control.line.holding(), 1);
  assertEquals(control.requestTotals(), { total: 6, active: 2, failed: 4, retried: 0, queued: 1 });
  for (let place = 0; place < 3; place++) assert(two.openConnection(0), "the limit has its places back");
  assertEquals([two.openConnection(0), two.line.join(2) !== NO_TICKET, two.line.join(2)], [false, true, NO_TICKET]);
  assertEquals(control.reclaim(1), { requests: 0, connections: 0 });
  assertEquals([control.isIdle(0), control.reclaim(2).connections, control.isIdle(0)], [false, 5, true]);
});

Deno.test("SharedState.downSince() goes on counting for a backend that comes back, answers nothing and is gone again", () => {
  let now = 1_000_000;
  const shared = SharedState.allocate();
  shared.resetSlot(0);
  const turn = (up: boolean, afterMs: number) => {
    shared.setUp(0, up, now += afterMs);
    return shared.downSince(0);
  };
  assertEquals(turn(false, 0), 1_000_000);
  for (let round = 0; round < 5; round++) {
    turn(true, 250);
    assertEquals(turn(false, 10), 1_000_000, "requests would wait for it for ever");
  }
  turn(true, 250);
  shared.recordLatency(0, 5, now + 1, 1000);
  assertEquals(turn(false, 2), now, "it has answered");
  turn(true, 250);
  assertEquals(turn(false, 1_000), now, "it was up for long");
  turn(true, 250);
  shared.setEjected(0, true, now += 5_000);
  assertEquals([shared.downSince(0), turn(false, 10)], [now - 10, now - 10], "it was out already");
});

Deno.test("SharedState.refusingSince() is when the row of failed connections began", () => {
  const shared = SharedState.allocate();
  assertEquals(shared.refusingSince(0), 0);
  shared.countConnectFailure(0, 5);
  shared.countConnectFailure(0, 9);
  assertEquals(shared.refusingSince(0), 5);
  shared.clearConnectFailures(0);
  assertEquals(shared.refusingSince(0), 0);
});
