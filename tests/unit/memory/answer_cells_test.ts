import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { Memory } from "../../../src/memory/memory.ts";

Deno.test("AnswerCells.countConnectFailure() counts a row that a success ends", () => {
  const { answers } = Memory.allocate();
  assertEquals([answers.countConnectFailure(0), answers.countConnectFailure(0)], [1, 2]);
  answers.clearConnectFailures(0);
  assertEquals(answers.countConnectFailure(0), 1);
});

Deno.test("AnswerCells.refusingSince() is when the row of failed connections began", () => {
  const { answers } = Memory.allocate();
  assertEquals(answers.refusingSince(0), 0);
  answers.countConnectFailure(0, 5);
  answers.countConnectFailure(0, 9);
  assertEquals(answers.refusingSince(0), 5);
  answers.clearConnectFailures(0);
  assertEquals(answers.refusingSince(0), 0);
});

Deno.test("AnswerCells.recordLatency() rises at once and falls by the time that has passed", () => {
  const { answers } = Memory.allocate();
  answers.recordLatency(0, 10, 0, 1000);
  answers.recordLatency(0, 100, 1, 1000);
  assertEquals(answers.latencyMs(0), 100);
  answers.recordLatency(0, 10, 101, 1000);
  const soon = answers.latencyMs(0) ?? 0;
  assertLess(soon, 100);
  assertGreater(soon, 90);
  answers.recordLatency(0, 10, 60_000, 1000);
  assert(Math.abs((answers.latencyMs(0) ?? 0) - 10) < 0.001);
});
