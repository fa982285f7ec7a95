import { assertEquals } from "@std/assert";
import { PoolCounts } from "../../../src/memory/pool_counts.ts";
import { arenas } from "../../support/memory.ts";

Deno.test("PoolCounts sums what the isolates count, until a reset", () => {
  const all = arenas(3, PoolCounts.lines(3)).map((arena) => new PoolCounts(arena));
  for (const counts of all) {
    for (const status of [101, 200, 304, 399, 400, 499, 500, 599, 600, 999]) counts.count(status, false);
    counts.count(503, true);
  }
  for (const counts of all) assertEquals(counts.sums(), { requests: 33, failed: 3, "4xx": 6, "5xx": 9 });
  all[0]?.reset();
  for (const counts of all) assertEquals(counts.sums(), { requests: 0, failed: 0, "4xx": 0, "5xx": 0 });
});
