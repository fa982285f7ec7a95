import { assertEquals } from "@std/assert";
import { pause } from "../../../src/net/pause.ts";
import { ManualClock, settle } from "../../support/wait.ts";

Deno.test("pause() ends with its time, or at once when it is stopped, and leaves no timer behind", async () => {
  const clock = new ManualClock();
  const stop = new AbortController();
  let ended = 0;
  pause(1000, clock, stop.signal).then(() => ended++);
  pause(5000, clock, stop.signal).then(() => ended++);
  await clock.advance(999);
  assertEquals([ended, clock.pending], [0, 2]);
  await clock.advance(1);
  assertEquals([ended, clock.pending], [1, 1]);
  stop.abort();
  await settle();
  assertEquals([ended, clock.pending], [2, 0]);
  await pause(5000, clock, stop.signal);
  assertEquals(clock.pending, 0);
});
