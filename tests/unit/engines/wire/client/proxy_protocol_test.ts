import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { readProxyHeader } from "../../../../../src/engines/wire/client/proxy_protocol.ts";
import { MalformedMessage } from "../../../../../src/http1/malformed.ts";
import { concat } from "../../../../support/raw_client.ts";

const SIGNATURE = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a);

const bytesOf = (text: string) => new TextEncoder().encode(text);

/** A header of version 2 with this payload. */
function binary(command: number, family: number, payload: Uint8Array, length = payload.length): Uint8Array {
  return concat([SIGNATURE, Uint8Array.of(0x20 | command, family, length >> 8, length & 0xff), payload]);
}

const ipv4 = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)).map((parts) => Uint8Array.from(parts));
const ipv6 = fc.uint8Array({ minLength: 16, maxLength: 16 }).filter((bytes) => !isMapped(bytes));
const port = fc.nat(65535);

/** `::ffff:192.0.2.1` is shown as the IPv4 address that it is. */
function isMapped(bytes: Uint8Array): boolean {
  return bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
}

const v4Text = (bytes: Uint8Array) => bytes.join(".");

/** As the URL standard writes it (RFC 5952). */
function v6Text(bytes: Uint8Array): string {
  const groups = Array.from(
    { length: 8 },
    (_, at) => ((bytes[2 * at] ?? 0) * 256 + (bytes[2 * at + 1] ?? 0)).toString(16),
  );
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}

interface Sample {
  readonly header: Uint8Array;
  readonly client: string | undefined;
}

const valid: fc.Arbitrary<Sample> = fc.oneof(
  fc.tuple(ipv4, ipv4, port, port).map(([from, to, one, other]) => ({
    header: bytesOf(`PROXY TCP4 ${v4Text(from)} ${v4Text(to)} ${one} ${other}\r\n`),
    client: v4Text(from),
  })),
  fc.tuple(ipv6, ipv6, port, port).map(([from, to, one, other]) => ({
    header: bytesOf(`PROXY TCP6 ${v6Text(from)} ${v6Text(to)} ${one} ${other}\r\n`),
    client: v6Text(from),
  })),
  fc.constantFrom("", " ", " ffff::1 ffff::2 1 2", " anything at all").map((rest) => ({
    header: bytesOf(`PROXY UNKNOWN${rest}\r\n`),
    client: undefined,
  })),
  fc.tuple(ipv4, ipv4, fc.uint8Array({ minLength: 4, maxLength: 40 }), fc.constantFrom(0x11, 0x12)).map(
    ([from, to, rest, family]) => ({ header: binary(1, family, concat([from, to, rest])), client: v4Text(from) }),
  ),
  fc.tuple(ipv6, ipv6, fc.uint8Array({ minLength: 4, maxLength: 40 })).map(
    ([from, to, rest]) => ({ header: binary(1, 0x21, concat([from, to, rest])), client: v6Text(from) }),
  ),
  fc.tuple(fc.uint8Array({ maxLength: 50 }), fc.constantFrom([0, 0x11], [0, 0], [1, 0x00], [1, 0x31])).map(
    ([rest, [command = 0, family = 0]]) => ({ header: binary(command, family, rest), client: undefined }),
  ),
);

Deno.test("readProxyHeader() finds client and end, wherever the bytes are cut and whatever follows", () => {
  fc.assert(fc.property(valid, fc.uint8Array({ maxLength: 20 }), fc.nat(10), ({ header, client }, rest, offset) => {
    const bytes = concat([new Uint8Array(offset), header, rest]);
    for (let cut = 0; cut < header.length; cut++) {
      assertEquals(readProxyHeader(bytes, offset, offset + cut), undefined, `cut at ${cut}`);
    }
    for (let end = offset + header.length; end <= bytes.length; end++) {
      assertEquals(readProxyHeader(bytes, offset, end), { end: offset + header.length, client });
    }
  }));
});

Deno.test("readProxyHeader() reads nothing beyond what has come", () => {
  // The buffer holds what an earlier connection's read left behind.
  const line = bytesOf("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n");
  assertEquals(readProxyHeader(line, 0, line.length - 1), undefined);
  const header = binary(1, 0x11, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 0, 2));
  assertEquals(readProxyHeader(header, 0, header.length - 1), undefined);
});

Deno.test("readProxyHeader() shows a mapped IPv4 address as what it is", () => {
  const line = bytesOf("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n");
  assertEquals(readProxyHeader(line, 0, line.length)?.client, "192.0.2.1");
  const address = concat([new Uint8Array(10), Uint8Array.of(0xff, 0xff, 192, 0, 2, 1)]);
  const header = binary(1, 0x21, concat([address, address, new Uint8Array(4)]));
  assertEquals(readProxyHeader(header, 0, header.length)?.client, "192.0.2.1");
});

Deno.test("readProxyHeader() refuses what is no header at the first byte that tells", () => {
  const malformed: [bytes: string | Uint8Array, seen?: number][] = [
    ["GET / HTTP/1.1\r\n", 1],
    ["PROXZ", 5],
    ["proxy TCP4", 1],
    ["\r\n\r\nGET", 5],
    [Uint8Array.of(0x16, 0x03, 0x01), 1],
    ["PROXY \r\n"],
    ["PROXY TCP4\r\n"],
    ["PROXY TCP4 192.0.2.1 198.51.100.1 1 2\n"],
    ["PROXY TCP4 192.0.2.1 198.51.100.1 1 2 \r\n"],
    ["PROXY  TCP4 192.0.2.1 198.51.100.1 1 2\r\n"],
    ["PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n"],
    ["PROXY TCP4 192.0.2.1 198.51.100.1 1 65536\r\n"],
    ["PROXY TCP4 192.0.2.1 198.51.100.1 -1 2\r\n"],
    ["PROXY TCP4 192.0.2.256 198.51.100.1 1 2\r\n"],
    ["PROXY TCP4 192.0.2 198.51.100.1 1 2\r\n"],
    ["PROXY TCP4 ::1 ::2 1 2\r\n"],
    ["PROXY TCP6 192.0.2.1 198.51.100.1 1 2\r\n"],
    ["PROXY TCP6 ::g ::2 1 2\r\n"],
    ["PROXY TCP5 192.0.2.1 198.51.100.1 1 2\r\n"],
    ["PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n"],
    ["PROXY UNKNOWN a\rb\r\n"],
    [`PROXY UNKNOWN ${"x".repeat(100)}`, 107],
    [concat([SIGNATURE, Uint8Array.of(0x11, 0x11, 0, 12)]), 16],
    [concat([SIGNATURE, Uint8Array.of(0x22, 0x11, 0, 12)]), 16],
    [binary(1, 0x11, new Uint8Array(0), 0xffff), 16],
    [binary(1, 0x11, new Uint8Array(11))],
    [binary(1, 0x21, new Uint8Array(35))],
  ];
  for (const [given, seen] of malformed) {
    const bytes = typeof given === "string" ? bytesOf(given) : given;
    assertThrows(() => readProxyHeader(bytes, 0, seen ?? bytes.length), MalformedMessage, undefined, String(given));
  }
});

Deno.test("readProxyHeader() takes anything without another error", () => {
  const beginning = fc.constantFrom(new Uint8Array(0), bytesOf("PROXY "), bytesOf("PROXY TCP4 1"), SIGNATURE);
  fc.assert(fc.property(beginning, fc.uint8Array({ maxLength: 200 }), (start, rest) => {
    const bytes = concat([start, rest]);
    try {
      const header = readProxyHeader(bytes, 0, bytes.length);
      if (header !== undefined) assertEquals(header.end <= bytes.length, true);
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
    }
  }));
});
