import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { percentile, spread } from "../../../scripts/bench/statistics.ts";

Deno.test("spread() is the middle and the ends, whatever the order", () => {
  assertEquals(spread([3, 1, 2]), { median: 2, min: 1, max: 3 });
  assertEquals(spread([10, 4, 1, 2]), { median: 3, min: 1, max: 10 });
  assertEquals(spread([7]), { median: 7, min: 7, max: 7 });
  assertEquals(spread([]), { median: NaN, min: NaN, max: NaN });
});

Deno.test("percentile() takes the nearest rank", () => {
  const thousand = Array.from({ length: 1_000 }, (_, index) => index + 1);
  assertEquals([50, 99, 99.9, 100, 0.01].map((percent) => percentile(thousand, percent)), [500, 990, 999, 1_000, 1]);
  assertEquals(percentile([5], 50), 5);
  assertEquals(percentile([], 50), NaN);
});

Deno.test("percentile() has at least its share of the values at or below it, and no smaller value has", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1 }),
      fc.integer({ min: 1, max: 100 }),
      (values, percent) => {
        const sorted = values.toSorted((a, b) => a - b);
        const found = percentile(sorted, percent);
        const upTo = (limit: number) => sorted.filter((value) => value <= limit).length;
        assert(sorted.includes(found));
        assert(upTo(found) * 100 >= percent * sorted.length);
        assert(upTo(found - 1) * 100 < percent * sorted.length);
      },
    ),
  );
});
