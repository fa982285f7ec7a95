// The numbers of pools: a reload can exchange pools for ever, and no pool gets a number whose last pool is still used.

import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { NO_TICKET } from "../../../src/memory/waiting_line.ts";
import { PoolAllotment } from "../../../src/memory/pool_allotment.ts";
import { DEFAULT_POOL, POOLS } from "../../../src/memory/slots.ts";
import { memories } from "../../support/memory.ts";

Deno.test("PoolAllotment never gives a number twice, nor one that is still used, nor the default pool's", () => {
  const steps = fc.array(fc.record({ takes: fc.boolean(), which: fc.nat(), unused: fc.boolean() }), { maxLength: 60 });
  fc.assert(fc.property(steps, (steps) => {
    const allotment = new PoolAllotment();
    const taken = new Set<number>();
    const used = new Map<number, boolean>();
    for (const { takes, which, unused } of steps) {
      const [number] = [...taken].slice(which % Math.max(taken.size, 1));
      if (takes || number === undefined) {
        const room = allotment.room;
        const fresh = allotment.take();
        assertEquals([taken.has(fresh), used.get(fresh) ?? false, fresh === DEFAULT_POOL], [false, false, false]);
        assertEquals(allotment.room, room - 1);
        used.delete(fresh);
        taken.add(fresh);
      } else {
        taken.delete(number);
        used.set(number, !unused);
        allotment.giveBack(number, () => used.get(number) === false);
      }
    }
  }));
});

Deno.test("PoolAllotment uses the same few numbers for ten thousand pools, one after the other", () => {
  const allotment = new PoolAllotment();
  const before = allotment.room;
  const numbers = new Set<number>();
  for (let round = 0; round < 10_000; round++) {
    const number = allotment.take();
    numbers.add(number);
    allotment.giveBack(number, () => true);
  }
  assertEquals([numbers.size, allotment.room], [1, before]);
});

Deno.test("PoolAllotment has an end, and takes what becomes unused", () => {
  const allotment = new PoolAllotment();
  let unused = false;
  allotment.giveBack(allotment.take(), () => unused);
  for (let number = 2; number < POOLS; number++) allotment.take();
  assertEquals(allotment.room, 0);
  assertThrows(() => allotment.take(), RangeError, "no room for another pool");
  unused = true;
  assertEquals([allotment.room, allotment.take()], [1, 1]);
});

Deno.test("Memory.takePool() gives memory without a trace of the pool that had it, in all isolates", async () => {
  const [control, worker] = memories(2);
  const first = control?.takePool();
  const seen = first && worker?.pool(first.number);
  if (control === undefined || worker === undefined || first === undefined || seen === undefined) throw new Error();
  for (const view of [first, seen]) {
    view.cells.bumpEpoch();
    view.cells.takeTurn();
    view.cells.setFailingOpen(true);
    while (view.retryBudget.take(0, 5000));
  }
  const rung = seen.line.rung();
  control.givePoolBack(first, () => true);
  const next = control.takePool();
  assertEquals(next.number, first.number);
  for (const { cells, line, retryBudget } of [next, seen]) {
    assertEquals([cells.epoch, cells.turn, cells.failingOpen, line.queued()], [0, 0, false, 0]);
    assertEquals(retryBudget.allows(0, 5000), true);
  }
  await rung; // a queue of the earlier pool does not listen for ever
});

Deno.test("Memory counts and reclaims the requests that wait in any pool, also in one that came late", () => {
  const [control, worker] = memories(2);
  if (control === undefined || worker === undefined) throw new Error();
  const pools = [control.pool(DEFAULT_POOL), control.takePool(), control.takePool()];
  for (const { number } of pools) {
    if (worker.pool(number).line.join(9) === NO_TICKET) throw new Error();
  }
  assertEquals(control.requestTotals().queued, 3);
  control.reclaim(1);
  assertEquals([control.requestTotals().queued, ...pools.map(({ line }) => line.queued())], [0, 0, 0, 0]);
});
