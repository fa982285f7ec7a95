// A request read the clocks six times. One reading must never outlive the turn that took it: a time that stands still
// would make answers look instant, and sessions last for ever.

import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { turnEpoch, turnNow } from "../../../src/net/turn_clock.ts";

/** Keeps the processor busy until the clock has gone on. */
function spin(): void {
  const begun = performance.now();
  while (performance.now() - begun < 3);
}

Deno.test("turnNow() and turnEpoch() stand still within a turn, and go on with the next", async () => {
  const [now, epoch] = [turnNow(), turnEpoch()];
  spin();
  assertEquals([turnNow(), turnEpoch()], [now, epoch]);
  await Promise.resolve();
  assertGreater(turnNow(), now + 2);
  assert(turnEpoch() > epoch);
});

Deno.test("turnNow() and turnEpoch() are the times of the usual clocks", async () => {
  await Promise.resolve();
  const before = [performance.now(), Date.now()] as const;
  const [now, epoch] = [turnNow(), turnEpoch()];
  assert(now >= before[0] && epoch >= before[1]);
  assertLess(now - before[0], 1000);
  assertLess(epoch - before[1], 1000);
});
