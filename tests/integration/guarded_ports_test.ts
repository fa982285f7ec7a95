// The ports beside the proxy's own, `redirectFrom` and the admin API: whatever a client does there, others are served.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import type { ConfigFile } from "../../src/config/schema.ts";
import { TemporaryDirectory } from "../support/certificates.ts";
import { TestProxy } from "../support/proxy.ts";
import { headerOf, RawClient, type RawResponse, textOf } from "../support/raw_client.ts";

const PORTS = ["redirect", "admin"] as const;
type Port = (typeof PORTS)[number];

/** What each of them answers to a request that is well-formed. */
const FINE = { redirect: 308, admin: 200 } as const;
const REQUEST = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

interface Guarded extends AsyncDisposable {
  readonly proxy: TestProxy;
  readonly port: number;
  connect(): Promise<RawClient>;
}

/** A proxy with this port. */
async function start(port: Port, settings: ConfigFile = {}): Promise<Guarded> {
  const directory = new TemporaryDirectory();
  const tls = { selfSigned: ["localhost"], redirectFrom: 0 };
  const proxy = await TestProxy.start({ ...settings, proxy: port === "admin" ? {} : { ...settings.proxy, tls } });
  const clients: RawClient[] = [];
  const number = Number(new URL(port === "admin" ? proxy.adminUrl : proxy.roundhouse.redirectUrl ?? "").port);
  return {
    proxy,
    port: number,
    async connect() {
      const client = await RawClient.connect(number);
      clients.push(client);
      return client;
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.close();
      await proxy[Symbol.asyncDispose]();
      directory[Symbol.dispose]();
    },
  };
}

function problemOf(response: RawResponse | undefined): { readonly status: number; readonly detail: string } {
  assert(response !== undefined, "no answer");
  assertEquals(headerOf(response, "content-type"), "application/problem+json");
  assertEquals(headerOf(response, "connection"), "close");
  const { status, detail } = JSON.parse(textOf(response));
  assertEquals(status, response.status);
  return { status, detail };
}

for (const name of PORTS) {
  Deno.test(`port ${name}: heads without an end get 408, and whoever waited for a place is served`, async () => {
    // There was no limit: clients with half a head held every file descriptor for as long as they liked.
    const held = name === "redirect" ? 20 : 256;
    await using guarded = await start(name, { proxy: { maxConnections: held }, timeouts: { header: "500ms" } });
    const clients = await Promise.all(Array.from({ length: held }, () => guarded.connect()));
    await Promise.all(clients.map((client) => client.send("GET / HTTP/1.1\r\nHost:")));
    const waits = await guarded.connect();
    let served = false;
    const answer = waits.request(REQUEST).then((response) => (served = true, response));
    const answers = await Promise.all(clients.map((client) => client.response()));
    // The one that had waited for longest may have made room for the last.
    const late = answers.filter((response) => response !== undefined).map(problemOf);
    assert(late.length >= held - 1, `${late.length} answers`);
    for (const problem of late) {
      assertEquals(problem, { status: 408, detail: "The request's head did not arrive in time." });
    }
    for (const client of clients) assertEquals(await client.closed(), true);
    assertEquals((await answer)?.status, FINE[name]);
    assert(served);
  });

  Deno.test(`port ${name}: idle connections are closed after timeouts.keepAlive`, async () => {
    await using guarded = await start(name, { timeouts: { keepAlive: "100ms" } });
    const [silent, used] = [await guarded.connect(), await guarded.connect()];
    assertEquals((await used.request(REQUEST))?.status, FINE[name]);
    assertEquals([await silent.closed(), await used.closed()], [true, true]);
  });

  Deno.test(`port ${name}: at its limit the connection that has been idle for longest makes room`, async () => {
    const most = name === "redirect" ? 3 : 256;
    await using guarded = await start(name, { proxy: { maxConnections: most } });
    const idle: RawClient[] = [];
    while (idle.length < most) idle.push(await guarded.connect());
    const next = await guarded.connect();
    assertEquals((await next.request(REQUEST))?.status, FINE[name]);
    assertEquals(await idle[0]?.closed(), true);
    assertEquals((await idle[1]?.request(REQUEST))?.status, FINE[name]);
  });

  Deno.test(`port ${name}: what is no request gets 400 or 431, and its connection is closed`, async () => {
    await using guarded = await start(name);
    const long = "x".repeat(70_000);
    for (
      const [text, status] of [
        ["\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400], // a client that speaks TLS
        ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400],
        ["GET /\r\n\r\n", 400],
        ["GET / HTTP/1.1\nHost: a\n\n", 400],
        ["GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400],
        ["GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400],
        ["GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400],
        ["GET ftp://evil.example/ HTTP/1.1\r\nHost: vil.example\r\n\r\n", 400],
        ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400],
        ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400],
        [`GET / HTTP/1.1\r\nHost: a\r\nX: ${long}\r\n\r\n`, 431],
        [`GET /${long} HTTP/1.1\r\nHost: a\r\n\r\n`, 431],
        [`GET / HTTP/1.1\r\nHost: a\r\n${"X: y\r\n".repeat(200)}\r\n`, 431],
      ] as const
    ) {
      const client = await guarded.connect();
      assertEquals(problemOf(await client.request(text, "GET")).status, status, JSON.stringify(text.slice(0, 60)));
      assertEquals(await client.closed(), true);
    }
    assertEquals((await (await guarded.connect()).request(REQUEST))?.status, FINE[name]);
    assertEquals(guarded.proxy.log.lines.filter(({ level }) => level === "error" || level === "warn"), []);
  });

  Deno.test(`port ${name}: however a request is cut into packets, the answer is the same`, async () => {
    await using guarded = await start(name);
    const text = `\r\n${REQUEST.replace("GET", "POST").replace("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n")}` +
      "1\r\na\r\n2;x=y\r\nbc\r\n0\r\nT: r\r\n\r\n";
    const whole = await (await guarded.connect()).request(text, "POST");
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.nat({ max: text.length }), { maxLength: 6 }), async (cuts) => {
        using client = await RawClient.connect(guarded.port);
        let from = 0;
        for (const cut of [...cuts.sort((a, b) => a - b), text.length]) {
          await client.send(text.slice(from, cut)).catch(() => {}); // answered and closed before its end
          await new Promise((resolve) => setTimeout(resolve, 0));
          from = cut;
        }
        assertEquals((await client.response("POST"))?.status, whole?.status);
      }),
      { numRuns: 30 },
    );
  });

  Deno.test(`port ${name}: HTTP/1.0 is answered as it can be read, with or without Host as the port has it`, async () => {
    await using guarded = await start(name);
    const client = await guarded.connect();
    const response = await client.request("GET /healthz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n");
    assert(response !== undefined);
    assertEquals([response.status, headerOf(response, "connection")], [FINE[name], "close"]);
    assertEquals([headerOf(response, "transfer-encoding"), await client.closed()], [undefined, true]);
  });

  Deno.test(`port ${name}: a client that ends its side after the request is answered`, async () => {
    await using guarded = await start(name);
    const client = await guarded.connect();
    await client.send(REQUEST);
    await client.connection.closeWrite();
    assertEquals((await client.response())?.status, FINE[name]);
  });
}

Deno.test("port admin: requests in one packet are answered in order, and HTTP/1.0 keeps its connection where it asks to", async () => {
  await using guarded = await start("admin");
  const client = await guarded.connect();
  await client.send(`${REQUEST}${REQUEST.replace("/healthz", "/nowhere")}HEAD /status HTTP/1.1\r\nHost: [::1]\r\n\r\n`);
  const statuses = [await client.response(), await client.response(), await client.response("HEAD")]
    .map((response) => response?.status);
  assertEquals(statuses, [200, 404, 200]);
  for (let count = 0; count < 2; count++) {
    const request = "GET /healthz HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\n\r\n";
    const response = await client.request(request);
    assertEquals([response?.status, response && headerOf(response, "connection")], [200, "keep-alive"]);
  }
});

Deno.test("port admin: an event stream over HTTP/1.0 is not in chunks, and ends with its connection", async () => {
  await using guarded = await start("admin");
  const client = await guarded.connect();
  await client.send("GET /events HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n");
  let text = "";
  while (!text.includes("\n\n")) text += new TextDecoder().decode(await client.chunk());
  assertMatch(text, /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nevent: stats\ndata: \{/);
  assertEquals(/transfer-encoding/i.test(text), false);
});

Deno.test("port admin: a client that reads nothing of its answers is cut after timeouts.idle", async () => {
  // It held its place, and what it was sent, for as long as it liked.
  await using guarded = await start("admin", { timeouts: { idle: "200ms" } });
  const client = await guarded.connect();
  const cut = (async () => {
    while (true) await client.send(REQUEST.replace("/healthz", "/dashboard/uplot.js").repeat(100));
  })().catch((error) => error);
  const reason = await cut;
  assert(reason instanceof Error);
  assertMatch(reason.name, /ConnectionReset|BrokenPipe/);
});

Deno.test("port admin: one that waits for 100 Continue gets it only where its body is read", async () => {
  await using guarded = await start("admin");
  const head = (type: string) =>
    "POST /backends HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Length: 33\r\n" +
    `Content-Type: ${type}\r\n\r\n`;
  const refused = await guarded.connect();
  assertEquals(problemOf(await refused.request(head("text/plain"), "POST")).status, 415);
  assertEquals(await refused.closed(), true);
  const read = await guarded.connect();
  assertEquals((await read.request(head("application/json"), "POST"))?.status, 100);
  const response = await read.request('{"url": "http://127.0.0.1:40001"}', "POST");
  assertEquals(response?.status, 201);
  assertEquals((await read.request(REQUEST))?.status, 200);
});

Deno.test("port admin: a body in a great many small pieces costs no more than its bytes", async () => {
  // Each chunk kept the 64 KiB buffer that it was read into: anybody could take the memory of the whole process.
  await using guarded = await start("admin");
  const client = await guarded.connect();
  await client.send(
    "POST /backends HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
  );
  const before = Deno.memoryUsage().external;
  const chunk = new TextEncoder().encode("1\r\n \r\n");
  for (let sent = 0; sent < 30_000; sent++) await client.send(chunk);
  const grown = Deno.memoryUsage().external - before;
  assert(grown < 1_000_000, `${grown} bytes more`);
  assertEquals((await client.request("0\r\n\r\n", "POST"))?.status, 400);
});

Deno.test("port redirect: the connection decides where a request belongs, whatever its target says", async () => {
  await using guarded = await start("redirect");
  const https = `:${guarded.proxy.port}`;
  const host = "Host: site.example\r\n\r\n";
  for (
    const [request, location] of [
      [`GET https://other.example/a HTTP/1.1\r\n${host}`, `https://other.example${https}/a`],
      [`GET http://other.example:81?q HTTP/1.1\r\n${host}`, `https://other.example${https}/?q`],
      [`GET //evil.example/ HTTP/1.1\r\n${host}`, `https://site.example${https}//evil.example/`],
      [`GET /a/../b?q=%zz|x HTTP/1.1\r\n${host}`, `https://site.example${https}/a/../b?q=%zz|x`],
      [`OPTIONS * HTTP/1.1\r\n${host}`, `https://site.example${https}/`],
      ["GET / HTTP/1.0\r\nHost: old.example:80\r\n\r\n", `https://old.example${https}/`],
    ] as const
  ) {
    const response = await (await guarded.connect()).request(request);
    assertEquals([response?.status, response && headerOf(response, "location")], [308, location], request);
  }
  for (
    const [request, detail] of [
      [`GET ftp://evil.example/ HTTP/1.1\r\n${host}`, "target"],
      [`GET evil.example HTTP/1.1\r\n${host}`, "target"],
      [`GET * HTTP/1.1\r\n${host}`, "OPTIONS"],
      [`GET http://a@evil.example/ HTTP/1.1\r\n${host}`, "host is malformed"],
      [`GET http:///x HTTP/1.1\r\n${host}`, "host is malformed"],
      ["GET http://good.example/ HTTP/1.1\r\nHost: a@evil.example\r\n\r\n", "host is malformed"],
      ["GET / HTTP/1.1\r\nHost: a.example\\@evil.example\r\n\r\n", "host is malformed"],
      ["GET / HTTP/1.1\r\nHost:\r\n\r\n", "host is malformed"],
      ["GET / HTTP/1.0\r\n\r\n", "missing"],
    ] as const
  ) {
    const problem = problemOf(await (await guarded.connect()).request(request));
    assertEquals(problem.status, 400, request);
    assertStringIncludes(problem.detail, detail);
  }
});

Deno.test("a reload gives both ports other limits", async () => {
  const settings: ConfigFile = { timeouts: {}, proxy: { tls: { selfSigned: ["localhost"], redirectFrom: 0 } } };
  await using proxy = await TestProxy.start(settings);
  settings.timeouts = { header: "50ms" };
  await proxy.roundhouse.reload();
  for (const url of [proxy.adminUrl, proxy.roundhouse.redirectUrl ?? ""]) {
    using client = await RawClient.connect(Number(new URL(url).port));
    assertEquals(problemOf(await client.request("GET", "GET")).status, 408);
  }
});
