// The access log: one line a request, whatever became of it.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { formatCombined, formatJson, formatText } from "../../src/log_format.ts";
import { HttpBackend } from "../support/http_backend.ts";
import type { LogLine } from "../support/log.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawBackend, refusedUrl } from "../support/raw_backend.ts";
import { headerOf, RawClient } from "../support/raw_client.ts";
import { waitFor } from "../support/wait.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";

/** The access log's lines once nothing is in flight; workers' lines take a moment longer. */
async function lines(proxy: TestProxy, expected?: number): Promise<LogLine["fields"][]> {
  await proxy.idle();
  const wanted = expected ?? proxy.roundhouse.memory.requestTotals().total;
  await waitFor(() => proxy.log.of("request").length >= wanted, { what: "the lines" });
  return proxy.log.of("request").map(({ level, fields }) => {
    assertEquals(level, "info");
    return fields;
  });
}

for (const engine of ["fetch", "wire"] as const) {
  const name = (what: string) => `${engine}: the access log ${what}`;

  Deno.test(name("has a line for each request: who, what, which backend, how long, how much"), async () => {
    await using backend = new HttpBackend(async (request) => new Response(await request.text(), { status: 201 }));
    await using proxy = await TestProxy.start({ engine, backends: [backend.url], log: { access: true } });
    const headers = { "x-request-id": "id-1", "user-agent": "test/1", traceparent: `00-${TRACE}-00f067aa0ba902b7-01` };
    await (await fetch(`${proxy.url}/a%20b?token=s3cret`, { method: "POST", body: "12345", headers })).text();
    const [line, ...others] = await lines(proxy);
    assertEquals(others, []);
    const { durationMs, ...rest } = line ?? {};
    assert(typeof durationMs === "number" && durationMs > 0 && durationMs < 60_000);
    assertEquals(Object.keys(line ?? {}), [
      ...[
        "requestId",
        "client",
        "method",
        "path",
        "status",
        "backend",
        "attempts",
        "durationMs",
        "bytesIn",
        "bytesOut",
      ],
      ...["host", "userAgent", "protocol", "traceId", "route", "pool"],
    ]);
    assertEquals(rest, {
      requestId: "id-1",
      client: "127.0.0.1",
      method: "POST",
      path: "/a%20b",
      status: 201,
      backend: backend.url,
      attempts: 1,
      bytesIn: 5,
      bytesOut: engine === "wire" ? 5 : null,
      host: new URL(proxy.url).host,
      userAgent: "test/1",
      protocol: "HTTP/1.1",
      traceId: TRACE,
      route: null,
      pool: "default",
    });
  });

  Deno.test(name("shows what roundhouse answered itself, and why"), async () => {
    const refused = refusedUrl();
    await using proxy = await TestProxy.start({ engine, backends: [refused], log: { access: true } });
    const answers = [];
    for (
      const request of [
        "GET /a HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
      ]
    ) {
      using client = await RawClient.connect(proxy.port);
      if (request.startsWith("HEAD")) {
        proxy.pool.update(proxy.backend(refused), { state: "disabled" }, "test");
      }
      answers.push(await client.request(request));
    }
    const shown = (await lines(proxy)).map(({ status, backend, attempts, bytesOut, error }) => {
      return { status, backend, attempts, bytesOut, error };
    }).toSorted((one, other) => Number(one.status) - Number(other.status)); // lines of two workers may change places
    assertEquals(answers.map((answer) => answer?.status), [400, 502, 503]);
    assertEquals(shown, [
      { status: 400, backend: null, attempts: 0, bytesOut: answers[0]?.body.length, error: "bad_request" },
      { status: 502, backend: null, attempts: 1, bytesOut: answers[1]?.body.length, error: "connect_failed" },
      { status: 503, backend: null, attempts: 0, bytesOut: 0, error: "no_backend" },
    ]);
  });

  Deno.test(name("counts the attempts, and says whose answer it was"), async () => {
    const refused = refusedUrl();
    await using backend = new HttpBackend();
    await using proxy = await TestProxy.start({ engine, backends: [refused, backend.url], log: { access: true } });
    await (await fetch(proxy.url)).text();
    const [line] = await lines(proxy);
    assertEquals([line?.attempts, line?.backend, line?.status, line?.error], [2, backend.url, 200, undefined]);
  });

  Deno.test(name("has a client that left before the answer as 499"), async () => {
    const arrived = Promise.withResolvers<void>();
    await using backend = new RawBackend(async (connection) => {
      await connection.head();
      arrived.resolve();
      await connection.head(); // until the proxy gives up
    });
    await using proxy = await TestProxy.start({ engine, backends: [backend.url], log: { access: true } });
    const client = await RawClient.connect(proxy.port);
    await client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await arrived.promise;
    client.close();
    const [line] = await lines(proxy);
    assertEquals([line?.status, line?.backend, line?.attempts, line?.error], [499, null, 1, "client_gone"]);
    assertEquals(proxy.roundhouse.memory.requestTotals().failed, 0);
  });

  Deno.test(name("never holds a query, a fragment or a header"), async () => {
    // What was in a query or a header might let a reader of the logs in as the client.
    await using backend = new HttpBackend(() => new Response("", { headers: { "set-cookie": "sid=s3cret" } }));
    await using proxy = await TestProxy.start({ engine, backends: [backend.url], log: { access: true } });
    using client = await RawClient.connect(proxy.port);
    const secrets =
      "Referer: http://x/?s3cret\r\nAuthorization: Bearer s3cret\r\nCookie: sid=s3cret\r\nX-Request-Id: bad id s3cret\r\n";
    for (const target of ["/?token=s3cret", "http://x/b?s3cret", "/a#s3cret"]) {
      await client.request(`GET ${target} HTTP/1.1\r\nHost: x\r\n${secrets}traceparent: s3cret\r\n\r\n`);
    }
    const logged = await lines(proxy);
    // A target with a fragment is malformed, which one of the engines overlooks.
    assertEquals(logged.map(({ path }) => path), ["/", "/b", engine === "wire" ? null : "/a"]);
    const shown = JSON.stringify(proxy.log.lines);
    assert(!shown.includes("s3cret"), shown);
  });

  Deno.test(name("in the Combined Log Format is what tools for web servers read"), async () => {
    await using backend = new HttpBackend();
    await using proxy = await TestProxy.start({ engine, backends: [backend.url], log: { access: "combined" } });
    using client = await RawClient.connect(proxy.port);
    const headers = 'User-Agent: a "b" \\c\r\nReferer: http://x/from?token=s3cret\r\n';
    await client.request(`GET /cart?token=s3cret HTTP/1.1\r\nHost: x\r\n${headers}\r\n`);
    await client.request("GET / HTTP/1.0\r\nHost: x\r\n\r\n");
    const [first, second] = (await lines(proxy)).map((properties) =>
      formatCombined({ category: [], level: "info", timestamp: 0, message: [], rawMessage: "request", properties })
    );
    const bytes = engine === "wire" ? 2 : "-";
    const time = "[01/Jan/1970:00:00:00 +0000]";
    assertEquals(
      first,
      `127.0.0.1 - - ${time} "GET /cart HTTP/1.1" 200 ${bytes} "http://x/from" "a \\"b\\" \\\\c"\n`,
    );
    const version = engine === "wire" ? "1.0" : "1.1"; // the runtime does not tell
    assertEquals(second, `127.0.0.1 - - ${time} "GET / HTTP/${version}" 200 ${bytes} "-" "-"\n`);
  });

  Deno.test(name("is off unless asked for, and a reload turns it on and off"), async () => {
    await using backend = new HttpBackend();
    const log = { access: false };
    await using proxy = await TestProxy.start({ engine, backends: [backend.url], log });
    for (const access of [false, true, false]) {
      log.access = access;
      await proxy.roundhouse.reload();
      await (await fetch(proxy.url)).text();
    }
    assertEquals((await lines(proxy, 1)).length, 1);
  });

  Deno.test(name("stays one line a request in both formats, whatever a client sends"), async () => {
    await using backend = new HttpBackend();
    await using proxy = await TestProxy.start({ engine, backends: [backend.url], log: { access: true } });
    using client = await RawClient.connect(proxy.port);
    const path = engine === "wire" ? "/a=b" : '/a"b=c\\d\xe9';
    await client.request(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await waitFor(() => proxy.log.of("request").length === 1, { what: "the line" });
    const [fields] = await lines(proxy);
    const record = {
      category: [],
      level: "info",
      timestamp: 0,
      message: [],
      rawMessage: "request",
      properties: {},
    } as const;
    const json = formatJson({ ...record, properties: fields ?? {} });
    assertEquals(JSON.parse(json).path, fields?.path);
    const text = formatText({ ...record, properties: fields ?? {} });
    for (const line of [json, text]) assertMatch(line, /^[^\n]+\n$/);
    assertMatch(
      text,
      /^1970-01-01T00:00:00.000Z INFO {2}request requestId=[0-9a-f]{32} client=127.0.0.1 method=GET path="/,
    );
  });
}

Deno.test("wire: the access log has a line for what could not be read as a request", async () => {
  await using backend = new HttpBackend();
  await using proxy = await TestProxy.start({ engine: "wire", backends: [backend.url], log: { access: true } });
  using client = await RawClient.connect(proxy.port);
  const answer = await client.request("GET /?token=s3cret HTTP/1.1\r\nno colon here\r\n\r\n");
  const [line, ...others] = await lines(proxy);
  const { requestId, ...rest } = line ?? {};
  assertEquals([answer?.status, answer && headerOf(answer, "x-request-id"), others], [400, requestId, []]);
  assertEquals(rest, {
    client: "127.0.0.1",
    method: null,
    path: null,
    status: 400,
    backend: null,
    attempts: 0,
    durationMs: 0,
    bytesIn: 0,
    bytesOut: answer?.body.length,
    host: null,
    userAgent: null,
    protocol: null,
    traceId: null,
    route: null,
    pool: null,
    error: "bad_request",
  });
  assertEquals(proxy.roundhouse.memory.requestTotals(), {
    total: 1,
    active: 0,
    failed: 0,
    retried: 0,
    queued: 0,
  });
});

Deno.test("wire: the access log counts the bytes of a tunnel in both directions", async () => {
  await using backend = new RawBackend(async (connection) => {
    await connection.head();
    await connection.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello");
    await connection.until("12345678");
    connection.close();
  });
  await using proxy = await TestProxy.start({ engine: "wire", backends: [backend.url], log: { access: true } });
  using client = await RawClient.connect(proxy.port);
  const { status } =
    await client.request("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n") ?? {};
  await client.send("12345678");
  await client.rest();
  client.close();
  const [line] = await lines(proxy);
  assertEquals([status, line?.status, line?.bytesIn, line?.bytesOut, line?.error], [101, 101, 8, 5, undefined]);
});
