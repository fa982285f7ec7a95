import { assertEquals, assertNotEquals } from "@std/assert";
import fc from "fast-check";
import { RateKeys } from "../../../src/guards/rate_key.ts";

const SEED = [0x12345678, -5] as const;

function keyOf(make: (keys: RateKeys) => void, seed: readonly [number, number] = SEED): string {
  const keys = new RateKeys(seed);
  make(keys);
  return `${keys.high} ${keys.low}`;
}

const client = (address: string) => keyOf((keys) => keys.ofClient(address));
const text = (value: string) => keyOf((keys) => keys.ofText(value));

Deno.test("an IPv6 client is its network of 64 bits, an IPv4 client its address", () => {
  assertEquals(client("2001:db8:1:2::1"), client("2001:db8:1:2:ffff::9"));
  assertEquals(client("2001:db8:1:2::1"), client("2001:0DB8:1:2:0:0:0:1"));
  assertEquals(client("fe80::1%eth0"), client("fe80::2"));
  assertNotEquals(client("2001:db8:1:2::1"), client("2001:db8:1:3::1"));
  assertNotEquals(client("10.0.0.1"), client("10.0.0.2"));
  assertNotEquals(client("unix"), client("0.0.0.0"));
});

Deno.test("a header that reads like an address does not share the count of that client", () => {
  for (const address of ["10.0.0.1", "2001:db8::1", "unix"]) assertNotEquals(text(address), client(address));
});

Deno.test("keys differ where texts differ, of any length, and with another seed", () => {
  const long = "x".repeat(1000);
  const words = fc.oneof(fc.string({ maxLength: 8 }), fc.string({ unit: "binary", maxLength: 200 }), fc.constant(long));
  fc.assert(fc.property(words, words, (one, other) => {
    assertEquals(text(one) === text(other), one === other);
    assertNotEquals(text(one), keyOf((keys) => keys.ofText(one), [1, 2]));
  }));
  assertNotEquals(text(long), text(`${long}x`));
  assertNotEquals(text("a"), text("a\0"));
});

Deno.test("keys spread evenly over the buckets of a table", () => {
  const counts = new Int32Array(256);
  const keys = new RateKeys(SEED);
  for (let host = 0; host < 65_536; host++) {
    keys.ofClient(`10.0.${host >> 8}.${host & 255}`);
    const bucket = keys.low & 255;
    counts[bucket] = (counts[bucket] ?? 0) + 1;
  }
  assertEquals(counts.filter((count) => count < 150 || count > 370).length, 0, "256 each, give or take 7 deviations");
});
