import { assert, assertEquals } from "@std/assert";
import { Deadline, type Moment } from "../../../../src/engines/fetch/deadline.ts";

Deno.test("Deadline.start() tells those who still wait, each no sooner than the limit, and nobody who left", async () => {
  const deadline = new Deadline(200, { startsAnew: false });
  const told: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const start = performance.now();
  const waiter = (name: string) => ({
    limitPassed(moment: Moment) {
      assert(moment.passed && moment.signal.aborted);
      assert(performance.now() - start >= 200, `${name} was told too soon`);
      told.push(name);
      if (told.length === 2) resolve();
    },
  });
  deadline.start(waiter("first"));
  const leaving = waiter("leaving");
  deadline.start(leaving).leave(leaving);
  await new Promise((resolve) => setTimeout(resolve, 20)); // more than a hundredth of the limit: another moment
  deadline.start(waiter("later"));
  await promise;
  assertEquals(told.sort(), ["first", "later"]); // in any order, where both limits passed during a stall
});

Deno.test("Deadline.start() makes one timer for all who start together", () => {
  const deadline = new Deadline(60_000, { startsAnew: true });
  const nobody = { limitPassed: () => {} };
  const moments = new Set(Array.from({ length: 100 }, () => deadline.start(nobody)));
  assert(moments.size <= 2);
  for (const moment of moments) moment.leave(nobody); // with nobody left there is no timer
});

Deno.test("Deadline.start() begins another moment when everybody has left the last one", () => {
  const deadline = new Deadline(60_000, { startsAnew: true });
  const [one, other] = [{ limitPassed: () => {} }, { limitPassed: () => {} }];
  const first = deadline.start(one);
  assertEquals(deadline.start(other), first);
  first.leave(one);
  first.leave(other);
  const second = deadline.start(one);
  assert(second !== first);
  second.leave(one);
  assertEquals([first.passed, second.passed, second.over], [false, false, true]);
});
