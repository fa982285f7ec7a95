import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { CollectedBytes } from "../../../src/net/collected_bytes.ts";

Deno.test("parts of any size are one whole, and what there is no room for is not taken", () => {
  const parts = fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 8 });
  fc.assert(fc.property(parts, fc.nat(12_000), (parts, most) => {
    const collected = new CollectedBytes(most);
    const kept: number[] = [];
    for (const part of parts) {
      const fits = kept.length + part.length <= most;
      assertEquals(collected.add(part), fits);
      if (fits) kept.push(...part);
      assertEquals(collected.room, most - kept.length);
    }
    assertEquals([...collected.bytes], kept);
  }));
});
