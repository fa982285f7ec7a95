import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { FairLimit, isExcused, Lateness, withinLimit } from "../../../src/net/fair_limit.ts";
import { FakeTime } from "../../support/fake_time.ts";

/** A limit of 1,000 ms that notes when it passed, from its start. */
function limited(startsAnew: boolean) {
  const startedAt = performance.now();
  const passedAt: number[] = [];
  const limit = new FairLimit(1000, () => passedAt.push(performance.now() - startedAt), { startsAnew });
  return { limit, passedAt };
}

Deno.test("FairLimit passes on time where this program is on time, and never when it was cleared", () => {
  using time = new FakeTime();
  for (const startsAnew of [true, false]) {
    const { passedAt } = limited(startsAnew);
    const cleared = limited(startsAnew);
    time.advance(999);
    assertEquals(passedAt, []);
    cleared.limit.clear();
    time.advance(1);
    assertEquals(passedAt, [1000]);
    time.advance(5000);
    assertEquals([passedAt.length, cleared.passedAt.length, time.timers.size], [1, 0, 0]);
  }
});

Deno.test("FairLimit starts anew, once, where this program ran late by more than a quarter", () => {
  using time = new FakeTime();
  const { passedAt } = limited(true);
  time.stall(1500);
  time.advance(999); // looked at after 1500
  assertEquals(passedAt, []);
  time.stall(1500);
  time.advance(0);
  assertEquals(passedAt, [1500 + 999 + 1500]);
  assertEquals(time.timers.size, 0);
});

Deno.test("FairLimit takes many short stalls for what they are together, wherever they fall", () => {
  using time = new FakeTime();
  const { passedAt } = limited(true);
  for (let n = 0; n < 10; n++) {
    time.advance(50);
    time.stall(60);
  }
  time.advance(500);
  assertEquals(passedAt, []);
  time.advance(1000);
  assertEquals(passedAt.length, 1);
});

Deno.test("FairLimit does not start anew for less lateness, nor where it is not to", () => {
  using time = new FakeTime();
  const [fair, plain] = [limited(true), limited(false)];
  time.advance(100);
  time.stall(250);
  time.advance(650);
  assertEquals([fair.passedAt, plain.passedAt], [[1000], [1000]]);
  const late = limited(false);
  time.stall(1500);
  time.advance(0);
  assertEquals(late.passedAt, [1500]);
});

Deno.test("FairLimit gives what has come by then one more turn", () => {
  using time = new FakeTime();
  const { limit, passedAt } = limited(false);
  time.stall(2000);
  const [look] = time.timers.values();
  assert(look !== undefined);
  time.timers.clear();
  look.callback();
  limit.clear(); // what came was seen to after the timer fired
  time.advance(1);
  assertEquals([passedAt, time.timers.size], [[], 0]);
});

Deno.test("FairLimit is never cut short and lasts for two limits and the stalls at most", () => {
  const step = fc.record({ ms: fc.nat(400), stalls: fc.boolean() });
  fc.assert(fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
    using time = new FakeTime();
    const { passedAt } = limited(true);
    let stalledMs = 0;
    for (const { ms, stalls } of steps) {
      if (stalls) {
        time.stall(ms);
        stalledMs += ms;
      } else time.advance(ms);
    }
    time.advance(3000);
    assertEquals(passedAt.length, 1);
    const [at = 0] = passedAt;
    assert(at >= 1000 && at <= 2000 + stalledMs, `${at}, stalled ${stalledMs}`);
    if (stalledMs <= 250) assert(at <= 1000 + stalledMs, `started anew after ${stalledMs} ms of stalls`);
  }));
});

Deno.test("Lateness adds up how late timers fired, not what any timer may be late by", () => {
  using time = new FakeTime();
  const lateness = new Lateness();
  for (const lateMs of [0, 3, 4, 100]) {
    lateness.expect(10);
    time.stall(10 + lateMs);
    lateness.arrived(performance.now());
  }
  assertEquals(lateness.totalMs, 104);
  assertEquals([isExcused(104, 400), isExcused(100, 400)], [true, false]);
});

Deno.test("withinLimit() tells its work when the limit has passed, and leaves no timer", async () => {
  assertEquals(await withinLimit(60_000, () => Promise.resolve("done")), "done");
  await assertRejects(() => withinLimit(60_000, () => Promise.reject(new Error("broken"))), Error, "broken");
  const waiting = (signal: AbortSignal) => new Promise((_, reject) => signal.onabort = () => reject(signal.reason));
  const error = await assertRejects(() => withinLimit(5, waiting), DOMException);
  assertEquals(error.name, "TimeoutError");
});

Deno.test("withinLimit() gives up work that does not hear its signal", async () => {
  // A check whose abort was lost would never have ended: its backend was not checked again.
  const { promise: deaf, resolve } = Promise.withResolvers<void>();
  const error = await assertRejects(() => withinLimit(20, () => deaf), DOMException);
  assertEquals(error.name, "TimeoutError");
  resolve();
});
