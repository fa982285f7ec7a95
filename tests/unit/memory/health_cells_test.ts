import { assertEquals } from "@std/assert";
import { Memory } from "../../../src/memory/memory.ts";

Deno.test("HealthCells.downSince() goes on counting for a backend that comes back, answers nothing and is gone again", () => {
  let now = 1_000_000;
  const memory = Memory.allocate();
  const { health, answers } = memory;
  memory.resetSlot(0);
  const turn = (up: boolean, afterMs: number) => {
    health.setUp(0, up, now += afterMs);
    return health.downSince(0);
  };
  assertEquals(turn(false, 0), 1_000_000);
  for (let round = 0; round < 5; round++) {
    turn(true, 250);
    assertEquals(turn(false, 10), 1_000_000, "requests would wait for it for ever");
  }
  turn(true, 250);
  answers.recordLatency(0, 5, now + 1, 1000);
  assertEquals(turn(false, 2), now, "it has answered");
  turn(true, 250);
  assertEquals(turn(false, 1_000), now, "it was up for long");
  turn(true, 250);
  health.setEjected(0, true, now += 5_000);
  assertEquals([health.downSince(0), turn(false, 10)], [now - 10, now - 10], "it was out already");
});
