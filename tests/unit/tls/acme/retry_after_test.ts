import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { retryAfterMs } from "../../../../src/tls/acme/retry_after.ts";

const NOW = Date.UTC(2026, 0, 1);

Deno.test("retryAfterMs() reads seconds and dates", () => {
  assertEquals(retryAfterMs("120", NOW), 120_000);
  assertEquals(retryAfterMs(new Date(NOW + 90_000).toUTCString(), NOW), 90_000);
});

Deno.test("retryAfterMs() takes nothing for an answer where there is none", () => {
  for (const value of [undefined, "", "0", "-5", "soon", "1e9", "Infinity", new Date(NOW - 1000).toUTCString()]) {
    assertEquals(retryAfterMs(value, NOW), undefined, `${value}`);
  }
});

Deno.test("retryAfterMs() is more than nothing and at most a week, whatever an authority sends", () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.bigInt({ min: 0n }).map(String)), (value) => {
    const ms = retryAfterMs(value, NOW);
    assert(ms === undefined || ms > 0 && ms <= 7 * 86_400_000);
  }));
});
