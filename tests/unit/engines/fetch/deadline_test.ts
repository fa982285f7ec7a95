import { assert, assertEquals } from "@std/assert";
import { Deadline, type Moment } from "../../../../src/engines/fetch/deadline.ts";

Deno.test("Deadline.start() tells those who still wait, each no sooner than the limit, and nobody who left", async () => {
  const deadline = new Deadline(200);
  const told: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const start = performance.now();
  const waiter = (name: string) => ({
    limitPassed(moment: Moment) {
      assert(moment.signal.aborted);
      assert(performance.now() - start >= 200, `${name} was told too soon`);
      told.push(name);
      if (name === "later") resolve();
    },
  });
  deadline.start(waiter("first"));
  const leaving = waiter("leaving");
  deadline.start(leaving).leave(leaving);
  await new Promise((resolve) => setTimeout(resolve, 20)); // more than a hundredth of the limit: another moment
  deadline.start(waiter("later"));
  await promise;
  assertEquals(told, ["first", "later"]);
});

Deno.test("Deadline.start() makes one timer for all who start together", () => {
  const deadline = new Deadline(60_000);
  const nobody = { limitPassed: () => {} };
  const moments = new Set(Array.from({ length: 100 }, () => deadline.start(nobody)));
  assert(moments.size <= 2);
});
