import { assertEquals } from "@std/assert";
import { lookups } from "../../../scripts/bench/lookups.ts";

Deno.test("lookups() finds a route for each of its requests: a look-up in vain would be too cheap", () => {
  const { decisions } = lookups();
  assertEquals(decisions.map(({ row, column }) => `${row}, ${column}`), [
    "HOST/PATH, 10 routes",
    "HOST/PATH, 10,000 routes",
    "*.HOST/PATH, 10 routes",
    "*.HOST/PATH, 10,000 routes",
  ]);
  for (const { decideOften } of decisions) assertEquals(decideOften(2_048), 2_048);
});
