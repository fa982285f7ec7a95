import { assertEquals } from "@std/assert";
import { parseResidentKiB, parseStat, withDescendants } from "../../../scripts/bench/proc.ts";

Deno.test("parseStat() finds its fields behind any name of a program", () => {
  const rest = "S 17 4242 4242 0 -1 4194560 1234 567 8 9 250 130 7 5 20 0 11 0 98765 1000000 2000";
  for (const name of ["nginx", "a b", "(x) S 1 2 3", ")", ""]) {
    assertEquals(parseStat(`4243 (${name}) ${rest}\n`), { parent: 17, cpu: { user: 257, system: 135 } }, name);
  }
});

Deno.test("parseResidentKiB() takes the resident size; a process that has ended has none", () => {
  assertEquals(parseResidentKiB("Name:\tdeno\nVmHWM:\t  99999 kB\nVmRSS:\t   45678 kB\nRssAnon:\t   1 kB\n"), 45_678);
  assertEquals(parseResidentKiB("Name:\tdeno\nState:\tZ (zombie)\n"), 0);
});

Deno.test("withDescendants() has children and grandchildren, not siblings or others", () => {
  const parentOf = new Map([[1, 0], [10, 1], [20, 1], [11, 10], [12, 10], [13, 12], [21, 20]]);
  assertEquals(withDescendants(10, parentOf), [10, 11, 12, 13]);
  assertEquals(withDescendants(21, parentOf), [21]);
  assertEquals(withDescendants(1, parentOf).toSorted((a, b) => a - b), [1, 10, 11, 12, 13, 20, 21]);
});
