import { assertEquals } from "@std/assert";
import { SlowStart } from "../../../src/health/slow_start.ts";
import type { Backend } from "../../../src/pool/backend.ts";
import type { ServerPool } from "../../../src/pool/server_pool.ts";
import { backendSpec, poolOf } from "../../support/pool.ts";
import { ManualClock } from "../../support/wait.ts";

/** A pool of one backend of weight 3 with a slow start of a second. */
function setUp(durationMs = 1000) {
  const pool = poolOf([3]);
  const clock = new ManualClock();
  const slowStart = new SlowStart({ pool, durationMs, clock });
  return { pool, clock, slowStart, backend: onlyOne(pool) };
}

function onlyOne(pool: ServerPool): Backend {
  const [backend] = pool.backends;
  if (backend === undefined) throw new Error("the pool is empty");
  return backend;
}

function bounce(pool: ServerPool, backend: Backend): void {
  pool.setUp(backend, false, "test");
  pool.setUp(backend, true, "test");
}

Deno.test("SlowStart gives a returning backend a tenth more of its weight each tenth of the duration", async () => {
  const { pool, clock, backend } = setUp();
  assertEquals(backend.effectiveWeight, 30, "a backend that has not been down has all of it");
  bounce(pool, backend);
  const weights = [backend.effectiveWeight];
  for (let tenth = 1; tenth <= 10; tenth++) {
    await clock.advance(99);
    assertEquals(backend.effectiveWeight, weights.at(-1), "no step before its time");
    await clock.advance(1);
    weights.push(backend.effectiveWeight);
  }
  assertEquals(weights, [3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 30]);
  assertEquals(clock.pending, 0);
});

Deno.test("SlowStart gives a new backend a tenth of its weight first, unless it is down", () => {
  const { pool, clock } = setUp();
  const added = pool.add(backendSpec("http://added"), "operator");
  assertEquals([added.ramp, clock.pending], [1, 1]);
  const down = pool.add(backendSpec("http://down"), "operator", false);
  assertEquals([down.ramp, clock.pending], [10, 1]);
  pool.setUp(down, true, "check passed");
  assertEquals([down.ramp, clock.pending], [1, 2]);
});

Deno.test("SlowStart tells every isolate of each step", async () => {
  const { pool, clock, backend } = setUp();
  bounce(pool, backend);
  const { epoch } = pool.shared.cells;
  await clock.advance(100);
  assertEquals(pool.shared.cells.epoch, epoch + 1);
});

Deno.test("SlowStart begins again when a backend goes down on its way, with one timer at a time", async () => {
  const { pool, clock, backend } = setUp();
  bounce(pool, backend);
  await clock.advance(450);
  assertEquals(backend.ramp, 5);
  pool.setUp(backend, false, "test");
  assertEquals(clock.pending, 0);
  pool.setUp(backend, true, "test");
  assertEquals([backend.ramp, clock.pending], [1, 1]);
  await clock.advance(99);
  assertEquals(backend.ramp, 1, "a step of the first climb must not count");
});

Deno.test("SlowStart applies to a backend whose ejection ends", () => {
  const { pool, backend } = setUp();
  pool.setEjected(backend, true, "test");
  pool.setEjected(backend, false, "test");
  assertEquals(backend.ramp, 1);
});

Deno.test("SlowStart forgets a removed backend, so that its slot's next owner keeps its weight", async () => {
  const { pool, clock, backend } = setUp();
  bounce(pool, backend);
  pool.remove(backend, "test");
  assertEquals(clock.pending, 0);
  await clock.advance(1000);
  assertEquals(backend.ramp, 1);
});

Deno.test("SlowStart.stop() clears its timers and listens no more", () => {
  const { pool, clock, slowStart, backend } = setUp();
  bounce(pool, backend);
  slowStart.stop();
  bounce(pool, backend);
  assertEquals(clock.pending, 0);
});

Deno.test("a later SlowStart takes over where an earlier one stopped", async () => {
  const { pool, clock, slowStart, backend } = setUp();
  bounce(pool, backend);
  await clock.advance(350);
  slowStart.stop();
  const next = new SlowStart({ pool, durationMs: 2000, clock });
  await clock.advance(199);
  assertEquals(backend.ramp, 4);
  await clock.advance(1);
  assertEquals(backend.ramp, 5);
  next.stop();
});

Deno.test("SlowStart with no duration leaves weights alone and ends ramps that stand", () => {
  const { pool, clock, backend } = setUp(0);
  bounce(pool, backend);
  assertEquals([backend.ramp, clock.pending], [10, 0]);
  pool.setRamp(backend, 4);
  new SlowStart({ pool, durationMs: 0, clock });
  assertEquals(backend.ramp, 10);
});
