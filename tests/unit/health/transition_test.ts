import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { freshState, type HealthState, observe } from "../../../src/health/transition.ts";

const limits = { healthyThreshold: 2, unhealthyThreshold: 3 };

/** The states after each check of `checks` (`+` passed, `-` failed), `U` and `D` for up and down. */
function run(up: boolean, checks: string): string {
  let state = freshState(up);
  let story = "";
  for (const check of checks) {
    state = observe(state, check === "+", limits);
    story += state.up ? "U" : "D";
  }
  return story;
}

Deno.test("observe() takes a backend down at the third failure in a row, not before", () => {
  assertEquals(run(true, "---"), "UUD");
  assertEquals(run(true, "----"), "UUDD");
});

Deno.test("observe() brings a backend up at the second pass in a row, not before", () => {
  assertEquals(run(false, "++"), "DU");
});

Deno.test("observe() counts from anew after a check that agrees with the state", () => {
  assertEquals(run(true, "--+--+---"), "UUUUUUUUD");
  assertEquals(run(false, "+-+-++"), "DDDDDU");
});

Deno.test("observe() counts from anew after a change", () => {
  assertEquals(run(true, "---+---++"), "UUDDDDDDU");
});

Deno.test("observe() changes at once where the thresholds are 1", () => {
  const one = { healthyThreshold: 1, unhealthyThreshold: 1 };
  const down = observe(freshState(true), false, one);
  assertEquals(down, freshState(false));
  assertEquals(observe(down, true, one), freshState(true));
});

Deno.test("observe() leaves the state it was given alone", () => {
  const state: HealthState = Object.freeze(freshState(true));
  observe(state, false, limits);
  assertEquals(state, freshState(true));
});

/** What the whole history says: the state changed where the last checks since the last change all contradict it. */
function naiveModel(startUp: boolean, checks: readonly boolean[], healthy: number, unhealthy: number): boolean[] {
  let up = startUp;
  let changedAt = 0;
  return checks.map((_, index) => {
    const needed = up ? unhealthy : healthy;
    const sinceChange = checks.slice(changedAt, index + 1);
    if (sinceChange.length >= needed && sinceChange.slice(-needed).every((passed) => passed !== up)) {
      up = !up;
      changedAt = index + 1;
    }
    return up;
  });
}

Deno.test("observe() agrees with a model that looks at the whole history", () => {
  const threshold = fc.integer({ min: 1, max: 5 });
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.array(fc.boolean(), { maxLength: 60 }),
      threshold,
      threshold,
      (startUp, checks, healthyThreshold, unhealthyThreshold) => {
        let state = freshState(startUp);
        const states = checks.map((passed) => {
          state = observe(state, passed, { healthyThreshold, unhealthyThreshold });
          return state.up;
        });
        assertEquals(states, naiveModel(startUp, checks, healthyThreshold, unhealthyThreshold));
      },
    ),
    { numRuns: 2000 },
  );
});
