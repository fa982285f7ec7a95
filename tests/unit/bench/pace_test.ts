import { assertEquals } from "@std/assert";
import { Pace } from "../../../scripts/bench/load/pace.ts";

function released(pace: Pace, now: number): [index: number, since: number][] {
  const all: [number, number][] = [];
  pace.releaseDue(now, (index, since) => all.push([index, since]));
  return all;
}

Deno.test("Pace releases what is due, each once, whatever became of those before", () => {
  const pace = new Pace(1_000, 5);
  assertEquals(released(pace, 0), [[0, 0]]);
  assertEquals(released(pace, 0.9), []);
  assertEquals(released(pace, 2.5), [[1, 2.5], [2, 2.5]]);
  assertEquals(pace.isOver, false);
  assertEquals(released(pace, 100).map(([index]) => index), [3, 4]);
  assertEquals(pace.isOver, true);
  assertEquals(released(pace, 200), []);
});

// A generator that was stopped for a while sent late what was due, timed it from then, and so reported no wait at all.
Deno.test("Pace times requests from when they were due when the generator was late beyond its grain", () => {
  const pace = new Pace(100, 4);
  assertEquals(released(pace, 32), [[0, 2], [1, 12], [2, 22], [3, 32]]);
});
