import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  NO_TRIES,
  plausible,
  renewalAloneAt,
  renewalAt,
  retryAt,
  retrySoonAt,
  type Tries,
} from "../../../../src/tls/acme/schedule.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const life = fc.tuple(fc.integer({ min: 0, max: 4e12 }), fc.integer({ min: 0, max: 800 * DAY }))
  .map(([fromMs, ms]) => ({ fromMs, untilMs: fromMs + ms }));

Deno.test("renewalAt() is after two thirds of the life, within the following day, and long before the end", () => {
  assertEquals(renewalAt({ fromMs: 0, untilMs: 90 * DAY }, 0), 60 * DAY);
  assertEquals(renewalAt({ fromMs: 0, untilMs: 90 * DAY }, 0.5), 60.5 * DAY);
  assertEquals(renewalAt({ fromMs: 0, untilMs: HOUR }, 0), 40 * MINUTE);
  fc.assert(fc.property(life, share, (life, share) => {
    const at = renewalAt(life, share);
    const third = (life.untilMs - life.fromMs) / 3;
    const earliest = life.untilMs - third;
    assert(at >= earliest - 1 && at <= earliest + Math.min(DAY, third / 4) + 1);
  }));
});

Deno.test("renewalAt() of many certificates of one moment spreads them evenly over the day", () => {
  const hours = new Array<number>(24).fill(0);
  for (let i = 0; i < 2400; i++) {
    const at = renewalAt({ fromMs: 0, untilMs: 90 * DAY }, i / 2400);
    hours[Math.floor((at - 60 * DAY) / HOUR)]!++; // `at` is within the day
  }
  assertEquals(new Set(hours), new Set([100]));
});

Deno.test("renewalAloneAt() is halfway from the usual time to the end", () => {
  fc.assert(fc.property(life, share, (life, share) => {
    const [usual, alone] = [renewalAt(life, share), renewalAloneAt(life, share)];
    assert(alone >= usual && alone <= Math.max(usual, life.untilMs));
  }));
  assertEquals(renewalAloneAt({ fromMs: 0, untilMs: 90 * DAY }, 0), 75 * DAY);
});

Deno.test("retryAt() leaves growing pauses, and never more than five orders in an hour", () => {
  let now = 0;
  const starts = [now];
  for (let failures = 1; failures <= 12; failures++) {
    now = retryAt({ ...NO_TRIES, failures, lastMs: now }, undefined, 0);
    starts.push(now);
  }
  const pauses = starts.slice(1).map((at, index) => (at - (starts[index] ?? 0)) / MINUTE);
  assertEquals(pauses, [1, 5, 15, 30, 60, 120, 240, 360, 360, 360, 360, 360]);
  for (const start of starts) assert(starts.filter((other) => other >= start && other < start + HOUR).length <= 5);
});

Deno.test("retryAt() pauses less when the certificate is about to end, but never less than a minute", () => {
  const tries: Tries = { ...NO_TRIES, failures: 8, lastMs: 0 };
  assertEquals(retryAt(tries, 2 * HOUR, 0), 30 * MINUTE);
  assertEquals(retryAt(tries, MINUTE, 0), MINUTE);
  assertEquals(retryAt(tries, -1, 0), 360 * MINUTE, "it has ended: there is no hurry left");
});

Deno.test("nothing makes an order come before the time that the authority has named, or within a minute of the last", () => {
  const tries = fc.record({
    failures: fc.nat(20),
    lastMs: fc.integer({ min: 0, max: 4e12 }),
    notBeforeMs: fc.oneof(fc.constant(-Infinity), fc.integer({ min: 0, max: 4e12 })),
    error: fc.constant(null),
  });
  const until = fc.option(fc.integer({ min: 0, max: 4e12 }), { nil: undefined });
  fc.assert(fc.property(tries, until, share, (tries, until, share) => {
    for (const at of [retryAt(tries, until, share), retrySoonAt(tries)]) {
      assert(at >= tries.notBeforeMs && at >= tries.lastMs + MINUTE);
    }
    assert(retrySoonAt(tries) <= retryAt(tries, until, share));
  }));
});

// A machine that had started with a clock in the year 2099 kept that time, and would have ordered nothing until then.
Deno.test("plausible() believes no try in the future, and no pause of more than a week", () => {
  const kept: Tries = { failures: 3, lastMs: 5e12, notBeforeMs: 6e12, error: "no" };
  assertEquals(plausible(kept, 1e12), { failures: 3, lastMs: 1e12, notBeforeMs: 1e12 + 7 * DAY, error: "no" });
  assertEquals(plausible(NO_TRIES, 1e12), NO_TRIES);
});
