import { assertEquals } from "@std/assert";
import fc from "fast-check";
import ipaddr from "ipaddr.js";
import { peerAddress } from "../../../src/net/peer.ts";
import { ForwardedTrust } from "../../../src/proxy/forwarded.ts";

// Some balancers write a port behind each address: whoever came through them counted as the balancer itself. And
// 010.0.0.1 was read as octal, another address than other readers of the header see.
Deno.test("ForwardedTrust.client() takes ports and brackets, and no leading zeros", () => {
  const trust = new ForwardedTrust(["10.0.0.0/8"]);
  const cases = [
    ["192.0.2.1:4711", "192.0.2.1"],
    ["[2001:db8::1]:443", "2001:db8::1"],
    ["[2001:db8::1]", "2001:db8::1"],
    ["2001:db8::1", "2001:db8::1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["192.0.2.1, 10.0.0.2:80", "192.0.2.1"],
    ...["010.0.0.1", "0x7f.0.0.1", "127.1", "1", "192.0.2.1:", "192.0.2.1:x", "[192.0.2.1]", "[::1", "unknown"]
      .map((entry) => [entry, "10.0.0.9"]),
  ];
  for (const [entry = "", client = ""] of cases) assertEquals(trust.client(entry, "10.0.0.9"), client, entry);
});

// Plain IPv4 addresses are read without the library, which is what decides about all others.
Deno.test("ForwardedTrust.client() reads IPv4 addresses as the library does", () => {
  const trust = new ForwardedTrust([]);
  const part = fc.oneof(fc.nat(260).map(String), fc.constantFrom("", "00", "01", "1a", "-1"));
  fc.assert(fc.property(fc.array(part, { minLength: 3, maxLength: 5 }), (parts) => {
    const entry = parts.join(".");
    const read = ipaddr.IPv4.isValidFourPartDecimal(entry) ? ipaddr.process(entry).toString() : "peer";
    assertEquals(trust.client(entry, "peer"), read);
  }));
});

Deno.test("peerAddress() knows an IPv4 client of an IPv6 listener as what it is", () => {
  const cases = [["::ffff:192.0.2.1", "192.0.2.1"], ["::1", "::1"], ["192.0.2.1", "192.0.2.1"], [
    "::ffff:1",
    "::ffff:1",
  ]];
  for (const [hostname = "", address] of cases) assertEquals(peerAddress(hostname), address);
});
