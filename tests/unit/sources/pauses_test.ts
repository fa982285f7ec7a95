import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { jittered, pause, Pauses } from "../../../src/sources/pauses.ts";
import { ManualClock, settle } from "../../support/wait.ts";

Deno.test("Pauses grow from 250 ms to 10 s, begin anew after a success, and are moved by up to a fifth", () => {
  const pauses = new Pauses(() => 0.5);
  const first = Array.from({ length: 8 }, () => pauses.next());
  assertEquals(first, [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
  pauses.reset();
  assertEquals(pauses.next(), 250);
  assertEquals([new Pauses(() => 0).next(), new Pauses(() => 1).next()], [200, 300]);
});

Deno.test("jittered() stays within its part, whatever the dice say", () => {
  fc.assert(fc.property(
    fc.nat(1_000_000),
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.double({ min: 0, max: 1, noNaN: true }),
    (ms, part, random) => {
      const moved = jittered(ms, part, () => random);
      assert(Number.isInteger(moved) && moved >= Math.floor(ms * (1 - part)) && moved <= Math.ceil(ms * (1 + part)));
    },
  ));
});

Deno.test("pause() ends with its time, or at once when it is stopped, and leaves no timer behind", async () => {
  const clock = new ManualClock();
  const stop = new AbortController();
  let ended = 0;
  pause(1000, clock, stop.signal).then(() => ended++);
  pause(5000, clock, stop.signal).then(() => ended++);
  await clock.advance(999);
  assertEquals([ended, clock.pending], [0, 2]);
  await clock.advance(1);
  assertEquals([ended, clock.pending], [1, 1]);
  stop.abort();
  await settle();
  assertEquals([ended, clock.pending], [2, 0]);
  await pause(5000, clock, stop.signal);
  assertEquals(clock.pending, 0);
});
