// The only latency that was shown was a peak average that does not decay: 40 ms beside a median of 2.8 ms, and 186 ms
// for a backend without any traffic. People who looked for a slow backend were misled.

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { Arena } from "../../../src/memory/arena.ts";
import { RecentTimes } from "../../../src/memory/recent_times.ts";
import { arenas } from "../../support/memory.ts";

/** An arbitrary moment, at the beginning of a slice. */
const START = 1_800_000_000_000;

function recentTimes(entries = 1): RecentTimes {
  return new RecentTimes(Arena.allocate(1, RecentTimes.lines(entries)), entries);
}

Deno.test("RecentTimes reports percentiles that differ by at most 5 % from the true ones", () => {
  const duration = fc.double({ min: 0.0625, max: 65_000, noNaN: true });
  fc.assert(fc.property(fc.array(duration, { minLength: 1, maxLength: 200 }), (durations) => {
    const times = recentTimes();
    for (const ms of durations) times.record(0, ms, START);
    const sorted = durations.toSorted((a, b) => a - b);
    const shown = times.percentiles([0], START);
    assert(shown !== null);
    for (const [share, value] of [[0.5, shown.p50], [0.95, shown.p95], [0.99, shown.p99]] as const) {
      const truth = sorted[Math.ceil(share * sorted.length) - 1] ?? NaN;
      assert(Math.abs(value - truth) <= 0.05 * truth, `${share}: ${value} for ${truth}`);
    }
  }));
});

Deno.test("RecentTimes forgets a time after a minute at the latest, and not before 50 seconds", () => {
  const seconds = fc.integer({ min: 0, max: 200 });
  fc.assert(fc.property(fc.array(seconds, { maxLength: 50 }), seconds, (recordedAt, later) => {
    const times = recentTimes();
    const moments = recordedAt.toSorted((a, b) => a - b);
    const now = Math.max(later, ...moments);
    // The older a time is, the longer it took. So the percentiles tell which times are left.
    for (const moment of moments) times.record(0, 201 - moment, START + moment * 1000);
    const shown = times.percentiles([0], START + now * 1000);
    if (moments.every((moment) => now - moment >= 60)) return assertEquals(shown, null);
    if (moments.some((moment) => now - moment <= 50)) assert(shown !== null, "forgotten too early");
    if (shown !== null) assert(shown.p99 <= (201 - (now - 60)) * 1.05, `${shown.p99} is of an earlier minute`);
  }));
});

Deno.test("RecentTimes counts very short, very long and impossible times as the shortest and the longest", () => {
  for (const [ms, least, most] of [[0, 0.06, 0.07], [-1, 0.06, 0.07], [1e-9, 0.06, 0.07], [1e12, 60_000, 70_000]]) {
    const times = recentTimes();
    times.record(0, ms ?? 0, START);
    const { p50 = NaN } = times.percentiles([0], START) ?? {};
    assert(p50 >= (least ?? 0) && p50 <= (most ?? 0), `${ms}: ${p50}`);
  }
});

Deno.test("RecentTimes keeps entries apart, merges those asked for, and forgets one on request", () => {
  const times = recentTimes(3);
  for (let count = 0; count < 100; count++) {
    times.record(0, 1, START);
    times.record(2, 100, START);
  }
  const p50 = (...entries: number[]) => Math.round(times.percentiles(entries, START)?.p50 ?? 0);
  const p99 = (...entries: number[]) => Math.round((times.percentiles(entries, START)?.p99 ?? 0) / 10) * 10;
  assertEquals([p50(0), p99(2), p50(0, 1, 2), p99(0, 1, 2), times.percentiles([1], START)], [1, 100, 1, 100, null]);
  times.reset(0);
  assertEquals([times.percentiles([0], START), p99(2)], [null, 100]);
  times.record(0, 2, START);
  assertEquals([p50(0), p99(0)], [2, 0]);
});

Deno.test("RecentTimes shows nothing of the time before the clock was set back", () => {
  const times = recentTimes();
  times.record(0, 500, START + 3_600_000);
  assertEquals(times.percentiles([0], START), null);
  times.record(0, 2, START);
  assertEquals(Math.round(times.percentiles([0], START)?.p99 ?? 0), 2);
});

Deno.test("RecentTimes is one histogram for all isolates", () => {
  const [one, two] = arenas(2, RecentTimes.lines(1)).map((arena) => new RecentTimes(arena, 1));
  one?.record(0, 1, START);
  two?.record(0, 100, START);
  for (const times of [one, two]) {
    const { p50, p95 } = times?.percentiles([0], START) ?? { p50: 0, p95: 0 };
    assertEquals([Math.round(p50), Math.round(p95 / 10)], [1, 10]);
  }
});
