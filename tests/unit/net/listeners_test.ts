import { assertEquals } from "@std/assert";
import { Listeners } from "../../../src/net/listeners.ts";

Deno.test("Listeners are accepting when every one of them is, and tell of changes of the whole alone", () => {
  const told: boolean[] = [];
  const listeners = new Listeners((accepting) => told.push(accepting));
  const seen = [];
  for (
    const [name, accepting] of [[1, true], [1, false], [2, false], [1, false], [1, true], [2, true], [2, true]] as const
  ) {
    listeners.set(name, accepting);
    seen.push(listeners.accepting);
  }
  assertEquals(seen, [true, false, false, false, false, true, true]);
  assertEquals(told, [false, true]);
});
