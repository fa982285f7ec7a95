// Heads over HTTP/2, byte by byte: what `:scheme`, `:path` and `:authority` may say (engine fetch alone speaks it).

import { assertEquals } from "@std/assert";
import { makeAuthority, makePair, TemporaryDirectory } from "../support/certificates.ts";
import { TestProxy } from "../support/proxy.ts";
import { concat, RawClient } from "../support/raw_client.ts";
import { RecordingBackend, valuesOf } from "../support/raw_recorder.ts";

const HEADERS = 1;
const SETTINGS = 4;
const END_OF_STREAM_AND_HEADERS = 5;

/** Statuses that HPACK has in its static table, by index (RFC 7541, appendix A). */
const STATUSES: Readonly<Record<number, number>> = { 8: 200, 9: 204, 12: 400, 13: 404, 14: 500 };

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  return concat([Uint8Array.of(0, payload.length >> 8, payload.length, type, flags, 0, 0, 0, stream), payload]);
}

/** A field spelled out (RFC 7541 §6.2.2). */
function field(name: string, value: string): Uint8Array {
  const encoder = new TextEncoder();
  return concat([
    Uint8Array.of(0, name.length),
    encoder.encode(name),
    Uint8Array.of(value.length),
    encoder.encode(value),
  ]);
}

/** The status of the answer to a head, on a connection of its own. */
async function statusOf(port: number, cert: string, head: readonly (readonly [string, string])[]): Promise<number> {
  const connection = await Deno.connectTls({
    hostname: "127.0.0.1",
    port,
    caCerts: [cert],
    alpnProtocols: ["h2"],
  });
  using client = new RawClient(connection);
  const block = concat(head.map(([name, value]) => field(name, value)));
  await client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  await client.send(frame(SETTINGS, 0, 0, new Uint8Array(0)));
  await client.send(frame(HEADERS, END_OF_STREAM_AND_HEADERS, 1, block));
  let bytes = new Uint8Array(0);
  while (true) {
    const chunk = await client.chunk();
    if (chunk.length === 0) throw new Error("the connection was closed before an answer");
    bytes = concat([bytes, chunk]);
    for (let at = 0; at + 9 < bytes.length; at += 9 + lengthAt(bytes, at)) {
      if (bytes[at + 3] === HEADERS && bytes[at + 8] === 1) return STATUSES[(bytes[at + 9] ?? 0) & 0x7f] ?? 0;
    }
  }
}

function lengthAt(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) * 65536 + (bytes[at + 1] ?? 0) * 256 + (bytes[at + 2] ?? 0);
}

// Envoy and nghttpx in front send `:scheme: http` over TLS, and got 400 for each request. `:path: *` became part of the
// authority, and of `Host`.
Deno.test("HTTP/2: the connection decides on the scheme, and :authority on the host", async () => {
  using directory = new TemporaryDirectory();
  const authority = await makeAuthority();
  const tls = directory.writePair(await makePair({ authority }));
  await using backend = new RecordingBackend();
  await using proxy = await TestProxy.start({ engine: "fetch", proxy: { tls }, backends: [backend.url] });
  const ask = (method: string, scheme: string, path: string, ...more: [string, string][]) =>
    statusOf(proxy.port, authority.cert, [[":method", method], [":scheme", scheme], [":path", path], ...more]);
  for (const scheme of ["https", "http"]) {
    assertEquals(await ask("GET", scheme, "/a?b", [":authority", "shop.example"]), 200, scheme);
    const seen = ["host", "x-forwarded-host", "x-forwarded-proto"].map((header) => valuesOf(backend.last, header));
    assertEquals(seen, [["shop.example"], ["shop.example"], ["https"]], scheme);
    assertEquals(backend.last.target, "/a?b");
  }
  assertEquals(await ask("GET", "https", "/", [":authority", "Shop.example"], ["host", "shop.Example"]), 200);
  assertEquals(await ask("GET", "https", "/", ["host", "shop.example"]), 200);
  assertEquals(valuesOf(backend.last, "host"), ["shop.example"]);
  assertEquals(await ask("OPTIONS", "https", "*", [":authority", "shop.example"]), 200);
  assertEquals([backend.last.target, valuesOf(backend.last, "host")], ["/", ["shop.example"]]);
  const before = backend.requests.length;
  assertEquals(await ask("GET", "https", "*", [":authority", "shop.example"]), 400);
  assertEquals(await ask("GET", "https", "/", [":authority", "a.example"], ["host", "b.example"]), 400);
  assertEquals(await ask("GET", "ftp", "/", [":authority", "a.example"]), 400);
  assertEquals(backend.requests.length, before);
  await proxy.idle();
});

Deno.test("HTTP/2: routes go by :authority, and by :path as it was sent", async () => {
  using directory = new TemporaryDirectory();
  const authority = await makeAuthority();
  const tls = directory.writePair(await makePair({ authority }));
  await using api = new RecordingBackend();
  await using shop = new RecordingBackend();
  await using proxy = await TestProxy.start({
    engine: "fetch",
    proxy: { tls },
    pools: { api: { backends: [api.url] }, shop: { backends: [shop.url] } },
    routes: {
      "api.example/*": "api",
      "api.example/admin/*": "shop",
      "*.shop.example/v1/*": { pool: "shop", stripPrefix: "/v1" },
      "old.example/*": { redirect: "{scheme}://api.example{uri}" },
      "closed.example/*": { respond: 404 },
    },
  });
  const ask = (host: string, path: string, ...more: [string, string][]) => {
    const head: [string, string][] = [[":method", "GET"], [":scheme", "https"], [":path", path], [":authority", host]];
    return statusOf(proxy.port, authority.cert, [...head, ...more]);
  };
  assertEquals([await ask("API.example:443", "/x?y"), api.last.target], [200, "/x?y"]);
  assertEquals([await ask("a.shop.example", "/v1/x"), shop.last.target], [200, "/x"]);
  const before = [api.requests.length, shop.requests.length];
  assertEquals(await ask("a.shop.example", "/x"), 404);
  assertEquals(await ask("closed.example", "/x"), 404);
  assertEquals(await ask("api.example", "/x", ["host", "a.shop.example"]), 400);
  assertEquals(await ask("a.shop.example", "/v1/x", ["host", "api.example"]), 400);
  for (const path of ["/x/../admin", "/x/..;/admin", "//admin", "/%2e/admin", "/x/..%2fadmin", "/\\admin", "/%00"]) {
    assertEquals(await ask("api.example", path), 400, path);
  }
  assertEquals([api.requests.length, shop.requests.length], before);
  await proxy.idle();
});
