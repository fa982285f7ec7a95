import { assertEquals } from "@std/assert";
import { LongTurns } from "../../../../src/engines/fetch/long_turns.ts";

/** What `names` begin, in order. Nobody ends a turn by itself. */
function takeAll(turns: LongTurns, names: readonly string[]): string[] {
  const begun: string[] = [];
  for (const name of names) turns.take(() => begun.push(name));
  return begun;
}

Deno.test("LongTurns: one after the other, first come first served, with a rest between them", async () => {
  using turns = new LongTurns();
  const begun = takeAll(turns, ["a", "b", "c"]);
  assertEquals(begun, ["a"]);
  turns.end(0);
  assertEquals(begun, ["a"], "nobody begins before the rest is over");
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals(begun, ["a", "b"]);
  turns.end(0);
});

Deno.test("LongTurns: who gives up its place is not called", async () => {
  using turns = new LongTurns();
  const begun = takeAll(turns, ["a"]);
  const begin = () => begun.push("b");
  turns.take(begin);
  assertEquals([turns.withdraw(begin), turns.withdraw(begin)], [true, false]);
  turns.end(0);
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals(begun, ["a"]);
  turns.take(() => begun.push("c"));
  assertEquals(begun, ["a", "c"]);
});

Deno.test("LongTurns: at the end all that wait begin, and so do later ones", () => {
  const turns = new LongTurns();
  const begun = takeAll(turns, ["a", "b", "c"]);
  turns[Symbol.dispose]();
  turns.take(() => begun.push("d"));
  turns.end(5);
  turns.take(() => begun.push("e"));
  assertEquals(begun, ["a", "b", "c", "d", "e"]);
});
