import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { configSchema } from "../../../src/config/schema.ts";
import { PassiveHealth } from "../../../src/health/passive.ts";
import { passiveLimits } from "../../../src/health/passive_rule.ts";
import type { Backend } from "../../../src/pool/backend.ts";
import type { PoolEvent, ServerPool } from "../../../src/pool/server_pool.ts";
import { backendSpec, poolOf } from "../../support/pool.ts";
import { ManualClock } from "../../support/wait.ts";

interface Settings {
  readonly connectFailures?: number;
  readonly serverErrors?: number;
  readonly window?: string;
  readonly ejectFor?: string;
  readonly maxEjected?: number;
}

function limitsOf(settings: Settings, type: "http" | "none" = "http") {
  return passiveLimits(configSchema.parse({ passive: settings, health: { type } }));
}

/** A pool of `backends` backends, with what is told of them as `TYPE NUMBER: REASON`. */
function setUp(settings: Settings = {}, { backends = 2, healthType = "http" as "http" | "none" } = {}) {
  const pool = poolOf(Array<number>(backends).fill(1));
  const clock = new ManualClock();
  const events: string[] = [];
  pool.subscribe((event) => events.push(describe(event)));
  const passive = new PassiveHealth({ pool, limits: limitsOf(settings, healthType), clock });
  return { pool, clock, events, passive, backend: at(pool, 0) };
}

function describe({ type, backend, reason }: PoolEvent): string {
  return `${type} ${backend.url.replace("http://backend-", "")}: ${reason}`;
}

function at(pool: ServerPool, index: number): Backend {
  const backend = pool.backends[index];
  if (backend === undefined) throw new Error(`the pool has no backend ${index}`);
  return backend;
}

Deno.test("PassiveHealth.connectFailed() marks a backend down at the configured number in a row", () => {
  const { passive, backend, events } = setUp({ connectFailures: 3 });
  passive.connectFailed(backend, "connection refused");
  passive.connectFailed(backend, "connection refused");
  assertEquals(events, []);
  backend.answered(200, 1); // ends the row
  for (let time = 0; time < 3; time++) passive.connectFailed(backend, "connection refused");
  assertEquals(events, ["down 1: connect failed: connection refused"]);
  passive.connectFailed(backend, "connection refused");
  assertEquals(events.length, 1, "a request that was on its way changes nothing more");
});

Deno.test("PassiveHealth.connectFailed() marks down for as long as no check passes", async () => {
  const { passive, backend, clock } = setUp();
  passive.connectFailed(backend, "connection refused");
  assertEquals([backend.up, clock.pending], [false, 0]);
  await clock.advance(3_600_000);
  assertEquals(backend.up, false);
});

Deno.test("PassiveHealth.connectFailed() never marks down where connectFailures is 0", () => {
  for (const healthType of ["http", "none"] as const) {
    const { passive, backend, events } = setUp({ connectFailures: 0 }, { healthType });
    for (let time = 0; time < 50; time++) passive.connectFailed(backend, "connection refused");
    assertEquals(events, []);
  }
});

Deno.test("PassiveHealth.connectFailed() ejects for a time where nothing checks", async () => {
  const settings = { connectFailures: 2, ejectFor: "10s", maxEjected: 0 };
  const { passive, backend, clock, events } = setUp(settings, { healthType: "none" });
  passive.connectFailed(backend, "connection refused");
  passive.connectFailed(backend, "connection refused");
  passive.connectFailed(backend, "connection refused");
  assertEquals(events, ["down 1: connect failed: connection refused"], "maxEjected does not limit it");
  assertEquals([backend.up, backend.ejected], [true, true]);
  assertEquals(backend.ejectedUntil, clock.now() + 10_000);
  await clock.advance(9_999);
  assert(backend.ejected);
  await clock.advance(1);
  assertEquals(events.slice(1), ["up 1: ejection ended"]);
  assertEquals([backend.ejectedUntil, clock.pending], [0, 0]);
  passive.connectFailed(backend, "connection refused");
  assert(!backend.ejected, "a row of two begins anew");
});

Deno.test("PassiveHealth ejects at the configured number of failures within the window, whatever their kind", async () => {
  const { passive, backend, clock, events } = setUp({ serverErrors: 3, window: "10s", ejectFor: "20s" });
  passive.serverError(backend, 500);
  await clock.advance(5_000);
  passive.failed(backend, "connection lost");
  await clock.advance(5_000);
  assertEquals(events, []);
  passive.serverError(backend, 503);
  assertEquals(events, ["down 1: ejected: 3 failures in 10s"]);
  await clock.advance(19_999);
  assertEquals(events.length, 1);
  await clock.advance(1);
  assertEquals(events.slice(1), ["up 1: ejection ended"]);
});

Deno.test("PassiveHealth forgets failures that have left the window", async () => {
  const { passive, backend, clock, events } = setUp({ serverErrors: 3, window: "10s" });
  for (let time = 0; time < 20; time++) {
    passive.serverError(backend, 500);
    await clock.advance(5_001); // never three within 10 s
  }
  assertEquals(events, []);
});

Deno.test("PassiveHealth forgets a backend's failures when its ejection ends", async () => {
  const { passive, backend, clock, events } = setUp({ serverErrors: 2, window: "1h", ejectFor: "1s" });
  passive.serverError(backend, 500);
  passive.serverError(backend, 500);
  passive.serverError(backend, 500); // of a request that was on its way
  await clock.advance(1_000);
  passive.serverError(backend, 500);
  assertEquals(events.length, 2);
  passive.serverError(backend, 500);
  assertEquals(events.length, 3);
});

Deno.test("PassiveHealth does not prolong an ejection for what fails meanwhile", async () => {
  for (const healthType of ["http", "none"] as const) {
    const { pool, passive, clock, events } = setUp({ serverErrors: 1, ejectFor: "10s" }, { backends: 3, healthType });
    const [refusing, failing] = [at(pool, 0), at(pool, 1)];
    for (let second = 0; second < 10; second++) {
      if (healthType === "none") passive.connectFailed(refusing, "connection refused");
      passive.serverError(failing, 500);
      await clock.advance(1_000);
    }
    assertEquals([failing.alive, refusing.alive, clock.pending], [true, true, 0]);
    assertEquals(events.length, healthType === "none" ? 4 : 2);
  }
});

Deno.test("PassiveHealth ejects at the first failure where one is enough, and says so in the singular", () => {
  const { passive, backend, events } = setUp({ serverErrors: 1, window: "1m30s" });
  passive.failed(backend, "connection lost");
  assertEquals(events, ["down 1: ejected: 1 failure in 1m30s"]);
});

Deno.test("PassiveHealth counts each backend's failures by themselves", () => {
  const { pool, passive, events } = setUp({ serverErrors: 2 }, { backends: 2 });
  passive.serverError(at(pool, 0), 500);
  passive.serverError(at(pool, 1), 500);
  assertEquals(events, []);
  passive.serverError(at(pool, 1), 500);
  assertEquals(events, ["down 2: ejected: 2 failures in 10s"]);
});

Deno.test("PassiveHealth does nothing about failures where serverErrors is 0", () => {
  const { passive, backend, clock, events } = setUp({ serverErrors: 0 });
  for (let time = 0; time < 1000; time++) {
    passive.serverError(backend, 500);
    passive.failed(backend, "connection lost");
  }
  assertEquals([events, clock.pending], [[], 0]);
});

Deno.test("PassiveHealth ejects whatever checks say: a passed check does not end it", async () => {
  const { pool, passive, backend, clock, events } = setUp({ serverErrors: 1, ejectFor: "10s" });
  passive.serverError(backend, 500);
  pool.setUp(backend, false, "check failed");
  pool.setUp(backend, true, "check passed");
  assert(!backend.alive);
  pool.setUp(backend, false, "check failed");
  await clock.advance(10_000);
  assertEquals(events, ["down 1: ejected: 1 failure in 10s"]);
  assertEquals([backend.ejected, backend.alive], [false, false], "the end of an ejection does not make it up");
});

Deno.test("PassiveHealth never ejects more than maxEjected of the backends, rounded down", async () => {
  const { pool, passive, events, clock } = setUp({ serverErrors: 1, maxEjected: 0.5, ejectFor: "10s" }, {
    backends: 5,
  });
  for (const backend of pool.backends) passive.serverError(backend, 500);
  assertEquals(events.map((event) => event.slice(0, 6)), ["down 1", "down 2"]);
  await clock.advance(10_000);
  passive.serverError(at(pool, 4), 500);
  assertEquals(events.at(-1), "down 5: ejected: 1 failure in 10s", "the end of an ejection makes room");
});

Deno.test("PassiveHealth ejects nobody of a pool that maxEjected rounds down to 0", () => {
  const { passive, backend, events } = setUp({ serverErrors: 1, maxEjected: 0.4 });
  for (let time = 0; time < 10; time++) passive.serverError(backend, 500);
  assertEquals(events, []);
});

Deno.test("PassiveHealth lets those longest out back in when the pool shrinks below what maxEjected allows", async () => {
  const { pool, passive, events, clock } = setUp({ serverErrors: 1, maxEjected: 0.5 }, { backends: 4 });
  passive.serverError(at(pool, 1), 500);
  await clock.advance(1);
  passive.serverError(at(pool, 0), 500);
  pool.remove(at(pool, 3), "operator");
  assertEquals(events.slice(2), ["removed 4: operator", "up 2: ejection ended"]);
  assertEquals(clock.pending, 1);
});

Deno.test("PassiveHealth leaves ejections alone that a smaller pool still allows", () => {
  const { pool, passive, events } = setUp({ serverErrors: 1 }, { backends: 6 });
  for (const index of [0, 1, 2]) passive.serverError(at(pool, index), 500);
  pool.remove(at(pool, 5), "operator");
  assertEquals(events.slice(3), ["removed 6: operator"]);
});

Deno.test("PassiveHealth does not count what refused connections toward maxEjected", () => {
  const { pool, passive, events } = setUp({ serverErrors: 1, maxEjected: 0.5 }, { backends: 3, healthType: "none" });
  passive.connectFailed(at(pool, 0), "connection refused");
  passive.serverError(at(pool, 1), 500);
  assertEquals(events.length, 2);
});

Deno.test("PassiveHealth forgets a removed backend, and leaves its slot to the next owner", async () => {
  for (const healthType of ["http", "none"] as const) {
    const { pool, passive, backend, clock } = setUp({ serverErrors: 2 }, { backends: 2, healthType });
    passive.serverError(backend, 500);
    passive.serverError(backend, 500);
    pool.remove(backend, "operator");
    assertEquals(clock.pending, 0);
    const successor = pool.add(backendSpec(backend.url), "operator");
    assertEquals(successor.slot, backend.slot, "this test is about a slot that is used again");
    for (let time = 0; time < 5; time++) passive.failed(backend, "of a request that began before");
    passive.connectFailed(backend, "of a request that began before");
    passive.serverError(successor, 500);
    assertEquals([successor.alive, clock.pending], [true, 0]);
    await clock.advance(60_000);
    assert(successor.alive);
  }
});

Deno.test("PassiveHealth.stop() clears all timers, and later reports change nothing", () => {
  const { pool, passive, clock, events } = setUp({ serverErrors: 1 }, { backends: 3, healthType: "none" });
  passive.serverError(at(pool, 0), 500);
  passive.connectFailed(at(pool, 1), "connection refused");
  assertEquals(clock.pending, 2);
  passive.stop();
  passive.serverError(at(pool, 2), 500);
  passive.connectFailed(at(pool, 2), "connection refused");
  assertEquals([clock.pending, events.length], [0, 2]);
});

Deno.test("PassiveHealth.configure() keeps ejections under way and goes by the new limits", async () => {
  const { pool, passive, events, clock } = setUp({ serverErrors: 1, ejectFor: "10s" }, { backends: 4 });
  passive.serverError(at(pool, 0), 500);
  passive.serverError(at(pool, 1), 500);
  passive.configure(limitsOf({ serverErrors: 2, maxEjected: 0.25, ejectFor: "1h" }, "none"));
  assertEquals(events.slice(2), ["up 1: ejection ended"], "two of four are more than a quarter");
  passive.serverError(at(pool, 2), 500);
  passive.connectFailed(at(pool, 3), "connection refused");
  assertEquals([at(pool, 3).up, at(pool, 3).ejected], [true, true], "no check would let it in");
  await clock.advance(10_000);
  passive.serverError(at(pool, 2), 500);
  assertEquals(events.slice(4), ["up 2: ejection ended", "down 3: ejected: 2 failures in 10s"]);
});

Deno.test("PassiveHealth.configure() counts from anew where the number of failures changes, and only there", () => {
  const { passive, backend, events } = setUp({ serverErrors: 5 });
  for (let time = 0; time < 4; time++) passive.serverError(backend, 500);
  passive.configure(limitsOf({ serverErrors: 2 }));
  passive.serverError(backend, 500);
  assertEquals(events, []);
  passive.configure(limitsOf({ serverErrors: 2, ejectFor: "1m" }));
  passive.serverError(backend, 500);
  assertEquals(events, ["down 1: ejected: 2 failures in 10s"]);
});

Deno.test("PassiveHealth ejects exactly when a model with all failures does", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 600 }), { maxLength: 40 }),
      fc.integer({ min: 1, max: 4 }),
      async (pauses, serverErrors) => {
        const { passive, backend, clock } = setUp({ serverErrors, window: "1s", ejectFor: "700ms" });
        let failures: number[] = [];
        let outUntil = -Infinity;
        let lasts = 700;
        for (const pause of pauses) {
          await clock.advance(pause);
          passive.failed(backend, "connection lost");
          const now = clock.now();
          if (now >= outUntil) {
            failures = [...failures, now];
            if (failures.filter((time) => now - time <= 1000).length >= serverErrors) {
              // Repeated within ten times 700 ms it lasts twice as long, up to ten times.
              lasts = now - outUntil > 7000 ? 700 : Math.min(2 * lasts, 7000);
              outUntil = now + lasts;
              failures = [];
            }
          }
          assertEquals(backend.ejected, now < outUntil);
        }
      },
    ),
    { numRuns: 60 },
  );
});

Deno.test("PassiveHealth ejects for twice as long each time that it repeats soon, up to ten times ejectFor", async () => {
  const { passive, backend, clock } = setUp({ serverErrors: 1, ejectFor: "1s" });
  const ejected = async () => {
    passive.serverError(backend, 500);
    const lasts = backend.ejectedUntil - clock.now();
    await clock.advance(lasts - 1);
    assert(backend.ejected);
    await clock.advance(1);
    assert(!backend.ejected);
    return lasts;
  };
  for (const lasts of [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]) assertEquals(await ejected(), lasts);
  await clock.advance(10_000);
  assertEquals(await ejected(), 10_000, "within ten times ejectFor of the last");
  await clock.advance(10_001);
  assertEquals(await ejected(), 1_000);
});

Deno.test("PassiveHealth never ejects the last eligible backend, for whatever reason", () => {
  for (const healthType of ["http", "none"] as const) {
    for (const out of ["down", "disabled", "weight 0"] as const) {
      const { pool, passive, backend } = setUp({ serverErrors: 1 }, { healthType });
      const other = at(pool, 1);
      if (out === "down") pool.setUp(other, false, "check failed");
      else pool.update(other, out === "disabled" ? { state: "disabled" } : { weight: 0 }, "operator");
      for (let time = 0; time < 5; time++) {
        passive.serverError(backend, 500);
        if (healthType === "none") passive.connectFailed(backend, "connection refused");
      }
      assertEquals(backend.alive, true, `${healthType}, ${out}`);
      // A worker may have taken it out at the moment when the other one went.
      pool.shared.memory.health.setEjected(backend.slot, true);
      passive.tookOut(backend, "refused", true);
      assertEquals(backend.alive, true, `${healthType}, ${out}`);
    }
  }
});

Deno.test("PassiveHealth ends the longest ejection when nobody else is left", async () => {
  for (const out of ["down", "disabled", "weight 0", "removed"] as const) {
    const { pool, passive, clock, events } = setUp({ serverErrors: 1 }, { backends: 3 });
    passive.serverError(at(pool, 1), 500);
    await clock.advance(1);
    passive.serverError(at(pool, 0), 500);
    const last = at(pool, 2);
    if (out === "down") pool.setUp(last, false, "check failed");
    else if (out === "removed") pool.remove(last, "operator");
    else pool.update(last, out === "disabled" ? { state: "disabled" } : { weight: 0 }, "operator");
    assertEquals(events.at(-1), "up 2: ejection ended: no other backend is left", out);
    assertEquals([at(pool, 0).alive, clock.pending], [false, 1]);
    passive.stop();
  }
});

Deno.test("PassiveHealth.tookOut() tells what another isolate did, and ends the ejection that it began", async () => {
  const { passive, backend, pool, clock, events } = setUp({ ejectFor: "10s" }, { healthType: "none" });
  pool.shared.memory.health.setEjected(backend.slot, true); // as a worker does
  passive.tookOut(backend, "refused", true);
  assertEquals([events, backend.alive], [["down 1: connect failed: refused"], false]);
  await clock.advance(10_000);
  assertEquals(events.slice(1), ["up 1: ejection ended"]);
  assert(backend.alive);
});

Deno.test("PassiveHealth.tookOut() leaves a backend that is checked to the checks", async () => {
  const { passive, backend, pool, clock, events } = setUp({}, { healthType: "http" });
  pool.shared.memory.health.setUp(backend.slot, false);
  passive.tookOut(backend, "refused", true);
  await clock.advance(3_600_000);
  assertEquals([events, backend.alive, clock.pending], [["down 1: connect failed: refused"], false, 0]);
  pool.setUp(backend, true, "check passed");
  passive.tookOut(backend, "old news", true);
  assertEquals(events.slice(1), ["up 1: check passed"]);
});

Deno.test("PassiveHealth.tookOut() lets a backend back in that a worker marked down after checks were turned off", async () => {
  // A reload turns checks off while a worker marks a backend down: nobody would ever have marked it up again.
  const { passive, backend, pool, clock } = setUp({ ejectFor: "10s" }, { healthType: "none" });
  pool.shared.memory.health.setUp(backend.slot, false);
  passive.tookOut(backend, "refused", true);
  assertEquals([backend.up, backend.ejected], [true, true]);
  await clock.advance(10_000);
  assert(backend.alive);
});
