import { assert, assertEquals, assertThrows } from "@std/assert";
import { Memory } from "../../../src/memory/memory.ts";
import { POOLS, SLOTS } from "../../../src/memory/slots.ts";
import { NO_TICKET } from "../../../src/memory/waiting_line.ts";
import { memories } from "../../support/memory.ts";

Deno.test("Memory counts a million leases of two workers down to zero, and every turn once", async () => {
  const leases = 500_000;
  const memory = Memory.allocate(3);
  for (const slot of [0, 1, 2]) memory.resetSlot(slot);
  await Promise.all([1, 2].map((isolate) => {
    const worker = new Worker(new URL("./hammer_worker.ts", import.meta.url), { type: "module" });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    worker.onmessage = () => resolve();
    worker.onerror = (event) => reject(new Error(event.message));
    worker.postMessage({ shared: memory.sharedWith(isolate), leases });
    return promise.finally(() => worker.terminate());
  }));
  const { connections } = memory;
  assertEquals([0, 1, 2].map((slot) => connections.current(slot)), [0, 0, 0]);
  assertEquals(memory.requestTotals(), { total: 2 * leases, active: 0, failed: 0, retried: 0, queued: 0 });
  assertEquals(memory.pool(0).cells.takeTurn(), 2 * leases);
  const counts = [0, 1, 2].map((slot) => connections.requests(slot)).sort();
  assertEquals(counts, [333_333, 333_333, 333_334]);
});

/** Writes to every cell of a slot. */
function fillSlot({ health, settings, connections, answers }: Memory, slot: number): void {
  health.setUp(slot, false);
  health.setEjected(slot, true);
  health.setRecheckAt(slot, 11);
  health.setEjectedUntil(slot, 12);
  settings.setState(slot, "draining");
  settings.setWeight(slot, 256);
  settings.setRamp(slot, 4);
  settings.setBackup(slot, true);
  settings.setConnectionLimit(slot, 9);
  answers.countConnectFailure(slot, 13);
  answers.recordLatency(slot, 5, 1000, 10_000);
  connections.open(slot);
  connections.countFailure(slot);
}

/** All that the memory says of a slot. */
function viewOf({ health, settings, connections, answers }: Memory, slot: number): Record<string, readonly unknown[]> {
  return {
    health: [health.isUp(slot), health.isEjected(slot), health.recheckAt(slot), health.ejectedUntil(slot)],
    settings: [settings.state(slot), settings.weight(slot), settings.ramp(slot), settings.isBackup(slot)],
    connections: [connections.room(slot), connections.current(slot), connections.isIdle(slot)],
    counts: [connections.requests(slot), connections.failures(slot)],
    answers: [answers.latencyMs(slot), answers.answeredAt(slot), answers.refusingSince(slot)],
  };
}

const NEW_SLOT = {
  health: [true, false, 0, 0],
  settings: ["active", 0, 10, false],
  connections: [Infinity, 0, true],
  counts: [0, 0],
  answers: [null, 0, 0],
};

Deno.test("Memory keeps every cell of a backend apart from every other, whichever isolate writes", () => {
  const [memory, other] = memories(2);
  assert(memory !== undefined && other !== undefined);
  for (const slot of [0, 1, 2, SLOTS - 1]) memory.resetSlot(slot);
  fillSlot(other, 1);
  fillSlot(memory, SLOTS - 1);
  const filled = {
    health: [false, true, 11, 12],
    settings: ["draining", 256, 4, true],
    connections: [8, 1, false],
    counts: [1, 1],
    answers: [5, 1000, 13],
  };
  for (const view of [memory, other]) {
    assertEquals([viewOf(view, 0), viewOf(view, 2)], [NEW_SLOT, NEW_SLOT]);
    assertEquals([viewOf(view, 1), viewOf(view, SLOTS - 1)], [filled, filled]);
  }
  assertEquals(memory.requestTotals(), { total: 0, active: 0, failed: 0, retried: 0, queued: 0 });
  assertEquals(memory.pool(0).cells.epoch, 0);
});

Deno.test("Memory.resetSlot() leaves nothing of the backend that had the slot but the count of them", () => {
  const [memory, other] = memories(2);
  assert(memory !== undefined && other !== undefined);
  memory.resetSlot(7);
  for (const view of [memory, other]) fillSlot(view, 7);
  for (const view of [memory, other]) view.connections.close(7);
  memory.resetSlot(7);
  assertEquals([viewOf(other, 7), other.settings.generation(7)], [NEW_SLOT, 2]);
});

Deno.test("Memory.pool() keeps what is a pool's own apart from every other pool, and alike in all isolates", () => {
  const [memory, other] = memories(2);
  assert(memory !== undefined && other !== undefined);
  for (const number of [0, 1, 2, POOLS - 1]) {
    const { cells, line, retryBudget } = memory.pool(number);
    for (let turn = 0; turn < number % 5; turn++) cells.takeTurn();
    cells.setFailingOpen(number === 1);
    for (let place = 0; place <= number % 3; place++) assert(line.join(99) !== NO_TICKET);
    while (retryBudget.take(0, 5000 * number));
  }
  for (const number of [0, 1, 2, POOLS - 1]) {
    const { cells, line, retryBudget } = other.pool(number);
    assertEquals([cells.turn, cells.failingOpen], [number % 5, number === 1]);
    assertEquals(line.queued(), 1 + number % 3);
    assertEquals([retryBudget.allows(0, 5000 * number), retryBudget.allows(0, 5000 * number + 11_000)], [false, true]);
  }
  assertEquals(memory.requestTotals().queued, 1 + 2 + 3 + 1 + (POOLS - 1) % 3, "those of all pools");
  assertThrows(() => memory.pool(POOLS), RangeError);
});

Deno.test("Memory.reclaim() gives back what one isolate held, and nothing of another", () => {
  const [control, one, two] = memories(3);
  assert(control !== undefined && one !== undefined && two !== undefined);
  const lineOf = (memory: Memory) => memory.pool(0).line;
  for (const slot of [0, 4095]) control.resetSlot(slot);
  control.settings.setConnectionLimit(0, 4);
  for (const [memory, connections] of [[one, 3], [two, 1]] as const) {
    for (let connection = 0; connection < connections; connection++) {
      memory.requests.started();
      assert(memory.connections.open(0));
    }
    memory.requests.started();
    assert(lineOf(memory).join(2) !== NO_TICKET);
    lineOf(memory).startHold();
    memory.connections.open(4095);
  }
  const line = lineOf(control);
  assertEquals([one.connections.open(0), lineOf(two).join(2)], [false, NO_TICKET], "the limits count both");
  assertEquals(control.reclaim(1), { requests: 4, connections: 4 });
  assertEquals([control.connections.current(0), control.connections.current(4095), line.queued()], [1, 1, 1]);
  assertEquals(line.holding(), 1);
  assertEquals(control.requestTotals(), { total: 6, active: 2, failed: 4, retried: 0, queued: 1 });
  for (let place = 0; place < 3; place++) assert(two.connections.open(0), "the limit has its places back");
  assertEquals(two.connections.open(0), false);
  assertEquals([lineOf(two).join(2) !== NO_TICKET, lineOf(two).join(2)], [true, NO_TICKET]);
  assertEquals(control.reclaim(1), { requests: 0, connections: 0 });
  const isIdle = () => control.connections.isIdle(0);
  assertEquals([isIdle(), control.reclaim(2).connections, isIdle()], [false, 5, true]);
});

Deno.test("Memory.reclaim() takes a dead isolate out of the lines of all pools", () => {
  const [control, dead] = memories(2);
  assert(control !== undefined && dead !== undefined);
  for (const number of [0, 3]) {
    const { line } = dead.pool(number);
    line.beSeen();
    line.show(40 + number, line.join(9));
  }
  const claim = (number: number) =>
    control.pool(number).line.lets({ slot: 40 + number, ticket: NO_TICKET, room: 1, open: true });
  assertEquals([claim(0), claim(3)], [false, false]);
  control.reclaim(1);
  assertEquals([claim(0), claim(3), control.requestTotals().queued], [true, true, 0]);
});
