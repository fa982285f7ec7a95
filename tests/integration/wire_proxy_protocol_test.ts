// The PROXY protocol in front of engine wire: whose connection it is, and that none without a header is served.

import { assertEquals } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { ask, get, within } from "../conformance/engine_under_test.ts";
import { TestProxy } from "../support/proxy.ts";
import { concat, RawClient, textOf } from "../support/raw_client.ts";
import { ok, RecordingBackend, valuesOf } from "../support/raw_recorder.ts";

const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
const V6 = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x09];

const bytesOf = (text: string) => new TextEncoder().encode(text);

function binary(command: number, family: number, payload: readonly number[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(...SIGNATURE, 0x20 | command, family, payload.length >> 8, payload.length & 0xff, ...payload);
}

/** Headers, and whom they name; `undefined`: the sender itself. */
const HEADERS: readonly (readonly [header: Uint8Array<ArrayBuffer>, client: string | undefined])[] = [
  [bytesOf("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"), "192.0.2.7"],
  [bytesOf("PROXY TCP6 2001:db8::9 2001:db8::1 56324 443\r\n"), "2001:db8::9"],
  [bytesOf("PROXY UNKNOWN\r\n"), undefined],
  [bytesOf("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), undefined],
  [binary(1, 0x11, [192, 0, 2, 7, 198, 51, 100, 1, 1, 2, 3, 4]), "192.0.2.7"],
  [binary(1, 0x21, [...V6, ...V6, 1, 2, 3, 4, 0x04, 0, 1, 0]), "2001:db8::9"],
  [binary(0, 0x00, []), undefined],
  [binary(0, 0x11, [192, 0, 2, 7, 198, 51, 100, 1, 1, 2, 3, 4]), undefined],
];

function startWire(settings: ConfigFile): Promise<TestProxy> {
  return TestProxy.start({ engine: "wire", ...settings, proxy: { proxyProtocol: true, ...settings.proxy } });
}

Deno.test("a PROXY header of either version is whose connection it is, for all its requests, wherever it is cut", async () => {
  await using backend = new RecordingBackend();
  await using proxy = await startWire({ backends: [backend.url] });
  for (const [header, client] of HEADERS) {
    const whole = concat([header, bytesOf(get("/first"))]);
    for (const cut of [0, 1, 5, 12, 13, header.length - 1, header.length, header.length + 3]) {
      using connection = await RawClient.connect(proxy.port);
      if (cut > 0) {
        await connection.send(whole.slice(0, cut));
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      await connection.send(whole.slice(cut));
      assertEquals((await within(connection.response(), "an answer"))?.status, 200);
      assertEquals(valuesOf(backend.last, "x-forwarded-for"), [client ?? "127.0.0.1"]);
      assertEquals((await ask(connection, get("/second"))).status, 200);
      assertEquals(valuesOf(backend.last, "x-forwarded-for"), [client ?? "127.0.0.1"]);
    }
  }
  assertEquals(backend.violations, []);
  await proxy.idle();
});

Deno.test("a connection without a valid PROXY header is closed without an answer, and never reaches a backend", async () => {
  await using backend = new RecordingBackend();
  await using proxy = await startWire({ backends: [backend.url], timeouts: { header: 200 } });
  const wrong = [
    bytesOf(get("/")),
    bytesOf(`PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n${get("/")}`),
    bytesOf(`PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n${get("/")}`),
    bytesOf(`\r\n${get("/")}`),
    concat([binary(2, 0x11, [1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 0, 2]), bytesOf(get("/"))]),
    concat([binary(1, 0x11, [1, 2, 3]), bytesOf(get("/"))]),
    bytesOf("PROXY TCP4 192.0.2.7"), // and no more, until the limit
    bytesOf(""),
  ];
  for (const bytes of wrong) {
    using client = await RawClient.connect(proxy.port);
    await client.send(bytes);
    assertEquals((await within(client.rest(), "the end")).length, 0, new TextDecoder().decode(bytes));
  }
  using halved = await RawClient.connect(proxy.port);
  await halved.send("PROXY TCP4 192");
  await halved.connection.closeWrite();
  assertEquals((await within(halved.rest(), "the end")).length, 0);
  assertEquals(backend.requests, []);
});

Deno.test("a PROXY header with as many extensions as may be is read, and one byte more is refused", async () => {
  // A header of the size of a client's read buffer, or above, was never read to its end: the client hung until
  // `timeouts.header`.
  await using backend = new RecordingBackend();
  await using proxy = await startWire({ backends: [backend.url] });
  const addresses = [192, 0, 2, 7, 198, 51, 100, 1, 1, 2, 3, 4];
  const headerOf = (bytes: number) =>
    binary(1, 0x11, [...addresses, ...new Array<number>(bytes - addresses.length).fill(0)]);
  for (const bytes of [1500, 1519, 1520, 1521, 1536, 2048]) {
    using client = await RawClient.connect(proxy.port);
    await client.send(headerOf(bytes));
    assertEquals((await ask(client, get("/"))).status, 200, `${bytes} bytes`);
    assertEquals(valuesOf(backend.last, "x-forwarded-for"), ["192.0.2.7"]);
  }
  using client = await RawClient.connect(proxy.port);
  await client.send(headerOf(2049));
  assertEquals((await within(client.rest(), "the end")).length, 0);
});

Deno.test("two PROXY headers are one and a malformed request", async () => {
  await using backend = new RecordingBackend();
  await using proxy = await startWire({ backends: [backend.url] });
  using client = await RawClient.connect(proxy.port);
  const header = "PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\n";
  assertEquals((await ask(client, header + header + get("/"), "GET")).status, 400);
  assertEquals(backend.requests, []);
});

Deno.test("ip-hash and trustForwarded go by the address of the PROXY header", async () => {
  await using one = new RecordingBackend(() => ok("one"));
  await using two = new RecordingBackend(() => ok("two"));
  await using proxy = await startWire({
    backends: [one.url, two.url],
    strategy: "ip-hash",
    proxy: { trustForwarded: ["192.0.2.0/24"] },
  });
  const from = async (address: string, lines = "") => {
    using client = await RawClient.connect(proxy.port);
    return textOf(await ask(client, `PROXY TCP4 ${address} 198.51.100.1 1 2\r\n${get("/", lines)}`, "GET"));
  };
  const served = new Map<string, string>();
  for (let host = 1; host <= 20; host++) served.set(`203.0.113.${host}`, await from(`203.0.113.${host}`));
  assertEquals(new Set(served.values()), new Set(["one", "two"]));
  for (const [address, name] of served) {
    assertEquals(await from(address), name);
    assertEquals(await from("192.0.2.1", `X-Forwarded-For: ${address}\r\n`), name); // believed
  }
  const [first = "", second = ""] = [...served].filter(([, name]) => name === "one").map(([address]) => address);
  const other = [...served].find(([, name]) => name === "two")?.[0] ?? "";
  assertEquals(await from(first, `X-Forwarded-For: ${other}\r\n`), served.get(second)); // not believed
  await proxy.idle();
});
