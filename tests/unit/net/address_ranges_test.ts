// Addresses are read and looked up without the library: it has to come to the same result for every address.

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import ipaddr from "ipaddr.js";
import { AddressRanges } from "../../../src/net/address_ranges.ts";
import { ipv4Number, IPV6_GROUPS, NOT_IPV4, readIpv6 } from "../../../src/net/address_text.ts";

const byte = fc.oneof(fc.constantFrom(0, 1, 127, 128, 255), fc.integer({ min: 0, max: 255 }));
const ipv4 = fc.tuple(byte, byte, byte, byte).map((bytes) => bytes.join("."));
const group = fc.oneof(fc.constantFrom(0, 0, 1, 0xffff), fc.integer({ min: 0, max: 0xffff }));
const groups = fc.array(group, { minLength: 8, maxLength: 8 });
const ipv6 = fc.tuple(groups, fc.constantFrom("short", "long", "padded", "capitals")).map(([parts, spelling]) => {
  const address = new ipaddr.IPv6(parts);
  if (spelling === "short") return address.toRFC5952String();
  if (spelling === "padded") return parts.map((part) => part.toString(16).padStart(4, "0")).join(":");
  return spelling === "long" ? address.toNormalizedString() : address.toRFC5952String().toUpperCase();
});
const mapped = ipv4.map((address) => `::ffff:${address}`);
const address = fc.oneof(ipv4, ipv6, mapped);
const range = fc.oneof(
  address,
  fc.tuple(ipv4, fc.integer({ min: 0, max: 32 })).map(([address, bits]) => `${address}/${bits}`),
  fc.tuple(fc.oneof(ipv6, mapped), fc.integer({ min: 0, max: 128 })).map(([address, bits]) => `${address}/${bits}`),
);

/** What the library says. */
function isIn(address: string, range: string): boolean {
  const parsed = ipaddr.process(address);
  let [net, bits] = range.includes("/") ? ipaddr.parseCIDR(range) : [ipaddr.parse(range), undefined];
  bits ??= net.kind() === "ipv4" ? 32 : 128;
  if (net instanceof ipaddr.IPv6 && net.isIPv4MappedAddress() && bits >= 96) {
    [net, bits] = [net.toIPv4Address(), bits - 96];
  }
  return parsed.kind() === net.kind() && parsed.match([net, bits] as ReturnType<typeof ipaddr.parseCIDR>);
}

Deno.test("AddressRanges finds what the library finds, range by range", () => {
  fc.assert(fc.property(fc.array(range, { maxLength: 12 }), fc.array(address, { minLength: 1 }), (ranges, asked) => {
    const compiled = new AddressRanges(ranges);
    const own = ranges.map((range) => range.split("/")[0] ?? ""); // the first of each range is in it, or near it
    for (const address of [...asked, ...own]) {
      assertEquals(compiled.has(address), ranges.some((range) => isIn(address, range)), `${address} in ${ranges}`);
    }
  }));
});

Deno.test("AddressRanges takes the ends of a range and what lies beside them", () => {
  const ranges = new AddressRanges(["10.0.0.0/24", "10.0.2.0/24", "10.0.2.128/25", "2001:db8::/33", "255.255.255.255"]);
  for (const inside of ["10.0.0.0", "10.0.0.255", "10.0.2.255", "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff"]) {
    assert(ranges.has(inside), inside);
  }
  assert(ranges.has("255.255.255.255"));
  assert(ranges.has("::ffff:10.0.0.1") && ranges.has("::ffff:a00:1"), "IPv4 in IPv6 clothes");
  for (const outside of ["9.255.255.255", "10.0.1.0", "10.0.3.0", "2001:db8:8000::", "::a00:1", "unix", "", "1.2.3"]) {
    assert(!ranges.has(outside), outside);
  }
  assert(new AddressRanges(["::ffff:10.0.0.0/104"]).has("10.9.9.9"), "a range in IPv6 clothes holds IPv4 clients");
  assert(!new AddressRanges(["::/0"]).has("10.0.0.1"));
  assert(new AddressRanges(["0.0.0.0/0"]).has("10.0.0.1"));
  assert(!new AddressRanges([]).has("10.0.0.1"));
});

Deno.test("ipv4Number() and readIpv6() read what the library reads, and nothing that it refuses", () => {
  const read = new Uint16Array(IPV6_GROUPS);
  const near = fc.array(fc.constantFrom(..."0123456789abcdefAF.:g%/ "), { maxLength: 24 }).map((all) => all.join(""));
  fc.assert(
    fc.property(fc.oneof(address, near), (text) => {
      const isPlain = ipaddr.IPv4.isValidFourPartDecimal(text);
      const expected = isPlain ? ipaddr.IPv4.parse(text).octets.reduce((all, one) => all * 256 + one, 0) : NOT_IPV4;
      assertEquals(ipv4Number(text), expected);
      const isHex = ipaddr.IPv6.isValid(text) && !text.includes(".") && !text.includes("%");
      assertEquals(readIpv6(text, read), isHex, text);
      if (isHex) assertEquals([...read], ipaddr.IPv6.parse(text).parts);
    }),
    { numRuns: 2000 },
  );
});
