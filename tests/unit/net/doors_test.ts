import { assertEquals } from "@std/assert";
import { Doors } from "../../../src/net/doors.ts";

Deno.test("Doors are open when every one of them is, and tell of changes of the whole alone", () => {
  const told: boolean[] = [];
  const doors = new Doors((open) => told.push(open));
  const seen = [];
  for (
    const [name, open] of [[1, true], [1, false], [2, false], [1, false], [1, true], [2, true], [2, true]] as const
  ) {
    doors.set(name, open);
    seen.push(doors.open);
  }
  assertEquals(seen, [true, false, false, false, false, true, true]);
  assertEquals(told, [false, true]);
});
