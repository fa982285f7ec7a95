import { assertEquals, assertMatch } from "@std/assert";
import { RandomHex } from "../../../src/proxy/ids.ts";

Deno.test("RandomHex.take() never repeats itself, across refills of its pool too", () => {
  const random = new RandomHex();
  const seen = new Set<string>();
  for (let index = 0; index < 5000; index++) {
    const text = random.take(16);
    assertMatch(text, /^[0-9a-f]{32}$/);
    seen.add(text);
  }
  assertEquals(seen.size, 5000);
});
