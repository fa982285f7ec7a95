import { assert } from "@std/assert";
import fc from "fast-check";
import { RetryBudget } from "../../../src/memory/retry_budget.ts";
import { arenas } from "../../support/memory.ts";

Deno.test("RetryBudget keeps retries below budget × requests + 10 in any 10 s, over all isolates", () => {
  const step = fc.record({ advanceMs: fc.nat(3000), requests: fc.nat(30), isolate: fc.nat(1) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.double({ min: 0, max: 1, noNaN: true }), (steps, budget) => {
      const [first, second] = arenas(2, RetryBudget.lines(2)).map((arena) => new RetryBudget(arena));
      assert(first !== undefined && second !== undefined);
      const requests: number[] = [];
      const retries: number[] = [];
      let now = 1_700_000_000_000;
      for (const { advanceMs, requests: count, isolate } of steps) {
        now += advanceMs;
        const ring = isolate === 0 ? first : second;
        for (let index = 0; index < count; index++) {
          ring.countRequest(now);
          requests.push(now);
        }
        const windowStart = Math.floor(now / 1000) - 9;
        const inWindow = (times: readonly number[]) =>
          times.filter((at) => Math.floor(at / 1000) >= windowStart).length;
        while (ring.allows(budget, now)) {
          assert(ring.take(budget, now));
          retries.push(now);
          assert(inWindow(retries) < budget * inWindow(requests) + 10);
        }
        assert(!ring.take(budget, now), "a retry was counted that the budget does not allow");
        assert(inWindow(retries) + 1 >= budget * inWindow(requests) + 10, "a retry was refused too early");
      }
    }),
  );
});
