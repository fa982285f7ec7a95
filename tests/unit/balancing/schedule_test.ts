import { assertEquals, assertLessOrEqual } from "@std/assert";
import fc from "fast-check";
import { smoothSchedule } from "../../../src/balancing/schedule.ts";

/** nginx's rule, word for word, as the reference. */
function naiveOrder(weights: readonly number[]): number[] {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const current = weights.map(() => 0);
  return Array.from({ length: total }, () => {
    let best = 0;
    weights.forEach((weight, index) => {
      current[index] = (current[index] ?? 0) + weight;
      if ((current[index] ?? 0) > (current[best] ?? 0)) best = index;
    });
    current[best] = (current[best] ?? 0) - total;
    return best;
  });
}

Deno.test("smoothSchedule() orders weights 5,1,1 as a a b a c a a", () => {
  assertEquals([...smoothSchedule([5, 1, 1])].map((index) => "abc"[index]).join(" "), "a a b a c a a");
});

Deno.test("smoothSchedule() divides by the greatest common divisor", () => {
  assertEquals([...smoothSchedule([50, 10, 10])], [...smoothSchedule([5, 1, 1])]);
});

Deno.test("smoothSchedule() agrees with nginx's rule for any weights", () => {
  fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 20 }), (weights) => {
    const schedule = [...smoothSchedule(weights)];
    const naive = naiveOrder(weights);
    // A common divisor only shortens the order: nginx's repeats itself then.
    naive.forEach((index, step) => assertEquals(schedule[step % schedule.length], index));
  }));
});

Deno.test("smoothSchedule() is exact and smooth for many different weights too", () => {
  const weights = fc.array(fc.integer({ min: 1, max: 256 }), { minLength: 40, maxLength: 300 });
  fc.assert(
    fc.property(weights, (weights) => {
      const schedule = smoothSchedule(weights);
      const counts = weights.map(() => 0);
      let last = -1;
      let repeats = 0;
      for (const index of schedule) {
        counts[index] = (counts[index] ?? 0) + 1;
        if (index === last) repeats++;
        last = index;
      }
      const scale = (counts[0] ?? 0) / (weights[0] ?? 1);
      assertEquals(counts, weights.map((weight) => weight * scale));
      // With 40 or more members none has half of the weight, so hardly ever should one come twice in a row.
      assertLessOrEqual(repeats, schedule.length / 10);
    }),
    { numRuns: 20 },
  );
});
