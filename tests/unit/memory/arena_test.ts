import { assertEquals, assertThrows } from "@std/assert";
import { Arena, linesFor } from "../../../src/memory/arena.ts";
import { arenas } from "../../support/memory.ts";

Deno.test("Arena hands out the same regions to every isolate, each on lines of its own", () => {
  const [one, two] = arenas(2, 10);
  const regionsOf = (arena: Arena | undefined) => {
    const first = arena?.take(1);
    const part = arena?.takeArenas(3, 2);
    return [first, part?.(0).take(2), part?.(1).take(1), part?.(2).take(2), arena?.take(3)];
  };
  const [here, there] = [regionsOf(one), regionsOf(two)];
  for (const [index, region] of here.entries()) region?.words.fill(index + 1);
  assertEquals(there.map((region) => [...new Set(region?.words)]), [[1], [2], [3], [4], [5]]);
  assertEquals(here.map((region) => region?.words.length), [16, 32, 16, 32, 48]);
  assertEquals(here.map((region) => region?.floats.length), [8, 16, 8, 16, 24]);
  assertEquals(there.map((region) => region?.floats.byteOffset), [0, 64, 192, 320, 448]);
});

Deno.test("Arena hands out no more than there is", () => {
  assertThrows(() => Arena.allocate(1, 3).take(4), RangeError);
  assertThrows(() => Arena.allocate(1, 3).takeArenas(2, 2), RangeError);
  const parts = Arena.allocate(1, 4).takeArenas(2, 2);
  assertThrows(() => parts(2), RangeError);
  assertThrows(() => parts(0).take(3), RangeError);
});

Deno.test("linesFor() counts whole lines", () => {
  assertEquals([0, 1, 16, 17].map((cells) => linesFor(cells, 16)), [0, 1, 1, 2]);
});
