import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { Deadline } from "../../../../src/engines/fetch/deadline.ts";

Deno.test("Deadline.signal() is shared by attempts of the same moment and fires no sooner than the limit", async () => {
  const deadline = new Deadline(200);
  const start = performance.now();
  const first = deadline.signal(start);
  assertEquals(deadline.signal(start + 2), first);
  const later = deadline.signal(start + 3);
  assertNotEquals(later, first);
  await new Promise((resolve) => later.addEventListener("abort", resolve));
  assert(first.aborted);
  assert(performance.now() - start >= 200);
});
