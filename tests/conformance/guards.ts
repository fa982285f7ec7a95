/** Guards: who may come. No spelling, no method and no way to send a request gets anybody around one. */

import { assertEquals } from "@std/assert";
import { headerOf, RawClient, textOf } from "../support/raw_client.ts";
import { RawBackend } from "../support/raw_backend.ts";
import { ok, RecordingBackend } from "../support/raw_recorder.ts";
import { acceptWebSocket, closeFrame, webSocketHandshake } from "../support/raw_websocket.ts";
import { waitFor } from "../support/wait.ts";
import { answered, ask, type EngineUnderTest, startProxy, within } from "./engine_under_test.ts";
import { to } from "./routes.ts";

type Name = (what: string) => string;

export function testGuards(engine: EngineUnderTest): void {
  const name = (what: string) => `${engine.name}: guards: ${what}`;
  testRefusal(engine, name);
  testNoWayAround(engine, name);
  testLimits(engine, name);
}

/** A client that `deny` names. */
const HERE = "127.0.0.0/8";

function testRefusal(engine: EngineUnderTest, name: Name): void {
  Deno.test(name("a refusal is a problem, leaves the connection usable, and is nobody's failure"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, {
      backends: [backend.url],
      log: { access: true },
      routes: {
        "*/*": "default",
        "*/private/*": { pool: "default", deny: [HERE] },
        "*/none/*": { respond: 200, allow: [] },
      },
    });
    using client = await RawClient.connect(proxy.port);
    for (const target of ["/private/x", "/none"]) {
      const refused = await ask(client, to("x", target));
      assertEquals([refused.status, headerOf(refused, "content-type")], [403, "application/problem+json"]);
      assertEquals(JSON.parse(textOf(refused)).status, 403);
      assertEquals(textOf(await ask(client, to("x", "/open"))), "GET /open 0");
    }
    const posted = await ask(client, `POST /private/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello`);
    assertEquals(posted.status, 403);
    using waiting = await RawClient.connect(proxy.port);
    await waiting.send("POST /private/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    if (!engine.deviations.continuesUnasked) {
      assertEquals((await answered(waiting.response("POST"), "a head that waits for 100")).status, 403);
    }
    client.close();
    waiting.close();
    await proxy.idle();
    assertEquals(backend.requests.map(({ target }) => target), ["/open", "/open"]);
    assertEquals(proxy.roundhouse.memory.requestTotals().failed, 0);
    const lines = proxy.log.lines.filter(({ message }) => message === "request").map(({ fields }) => fields);
    assertEquals(lines.slice(0, 3).map(({ refusedBy = null, pool }) => [refusedBy, pool]), [
      ["deny", null],
      [null, "default"],
      ["allow", null],
    ]);
    const metrics = await (await fetch(`${proxy.adminUrl}/metrics`)).text();
    const counted = metrics.split("\n").filter((line) => line.startsWith("roundhouse_refused_total"));
    const refusals = engine.deviations.continuesUnasked ? counted.length : Number(counted[0]?.split(" ")[1]);
    assertEquals(counted.map((line) => line.split(" ")[0]), [
      'roundhouse_refused_total{route="*/private/*",guard="deny"}',
      'roundhouse_refused_total{route="*/none/*",guard="allow"}',
    ]);
    assertEquals(refusals, engine.deviations.continuesUnasked ? 2 : 3);
  });
}

function testLimits(engine: EngineUnderTest, name: Name): void {
  Deno.test(name("every answer of the route tells the rate limit, whoever gives it"), async () => {
    await using backend = new RecordingBackend(({ target }) => ok(target, 'RateLimit: "backend";r=1;t=1\r\n'));
    await using proxy = await startProxy(engine, {
      backends: [backend.url],
      pools: { empty: {} },
      proxy: { maxBodySize: 5 },
      rateLimit: { requests: 1, per: "24h", burst: 7 },
      routes: {
        "x/*": "default",
        "x/page": { respond: { status: 200, body: "hello" } },
        "x/moved": { redirect: "/" },
        "x/empty": "empty",
      },
    });
    using client = await RawClient.connect(proxy.port);
    const requests: [request: string, status: number][] = [
      [to("x", "/"), 200],
      [to("x", "/", { method: "HEAD" }), 200],
      [to("x", "/page"), 200],
      [to("x", "/moved"), 308],
      [to("x", "/empty"), 503],
      [to("nowhere", "/"), 404],
      [to("x", "/", { method: "TRACE" }), 405],
      [to("x", "/"), 429],
      [webSocketHandshake("/"), 429],
    ];
    let left = 7;
    for (const [request, status] of requests) {
      const response = await ask(client, request);
      assertEquals(response.status, status, request);
      assertEquals(headerOf(response, "ratelimit-policy"), '"default";q=1;w=86400;roundhouse-burst=7', request);
      left = Math.max(left - 1, 0);
      const states = response.headers.filter(([field]) => field.toLowerCase() === "ratelimit").map(([, value]) =>
        value
      );
      const isBackends = status === 200 && !request.includes("/page");
      const own = `"default";r=${left};t=${86_400 * (7 - left)}`;
      assertEquals(states.join(", "), isBackends ? `"backend";r=1;t=1, ${own}` : own, request);
      assertEquals(headerOf(response, "retry-after"), status === 429 ? "86400" : status === 503 ? "1" : undefined);
    }
    client.close();
    await proxy.idle();
    assertEquals(proxy.roundhouse.memory.requestTotals().failed, 1, "the pool without backends, and no limit");
  });

  Deno.test(name("a WebSocket takes its place of concurrency for its life"), async () => {
    await using backend = new RawBackend(async (connection) => {
      await connection.head();
      if (!/^upgrade: websocket/im.test(connection.received)) return await connection.send(ok("hello"));
      await acceptWebSocket(connection);
      await connection.read();
      await connection.send(closeFrame(1000, false));
      await connection.toEnd();
    });
    await using proxy = await startProxy(engine, {
      backends: [backend.url],
      concurrency: 1,
      rateLimit: { requests: 100 },
    });
    const socket = await RawClient.connect(proxy.port);
    const upgraded = await ask(socket, webSocketHandshake("/"));
    assertEquals([upgraded.status, headerOf(upgraded, "ratelimit-policy")], [101, '"default";q=100;w=1']);
    using client = await RawClient.connect(proxy.port);
    const refused = await ask(client, to("x", "/"));
    assertEquals([refused.status, headerOf(refused, "retry-after")], [503, "1"]);
    assertEquals((await ask(client, webSocketHandshake("/"))).status, 503);
    await socket.send(closeFrame(1000, true));
    socket.close();
    using later = await RawClient.connect(proxy.port);
    await waitFor(async () => (await ask(later, to("x", "/"))).status === 200, { what: "the place to be free" });
    later.close();
    client.close();
    await proxy.idle();
    assertEquals(proxy.roundhouse.memory.limits.concurrency("all").current, 0);
  });

  Deno.test(name("a place of concurrency is free again after any end of a request"), async () => {
    await using backend = new RecordingBackend(async ({ target }, connection) => {
      if (target === "/") return ok("hello");
      if (target === "/cut") await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
      if (target === "/leave") await connection.toEnd();
      return undefined; // breaks the connection off
    });
    await using proxy = await startProxy(engine, {
      backends: [backend.url],
      passive: { connectFailures: 0 },
      retries: { attempts: 0 },
      concurrency: 1,
    });
    const cells = proxy.roundhouse.memory.limits.concurrency("all");
    for (const target of ["/cut", "/none", "/", "/leave"]) {
      using client = await RawClient.connect(proxy.port);
      await client.send(to("x", target));
      if (target !== "/leave") await within(client.response().catch(() => undefined), target);
      client.close();
      await waitFor(() => cells.current === 0, { what: `the end of ${target}` });
    }
    await proxy.idle();
  });
}

function testNoWayAround(engine: EngineUnderTest, name: Name): void {
  Deno.test(name("no spelling of a path, method or header reaches what a guard keeps"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, {
      backends: [backend.url],
      routes: { "*/*": "default", "*/admin/*": { pool: "default", allow: ["192.0.2.1"] } },
    });
    const forged = ["X-Forwarded-For", "X_Forwarded_For", "X-Real-IP", "X-Client-IP", "Forwarded", "x-forwarded_for"]
      .map((field) => `${field}: 192.0.2.1\r\n`).join("");
    const targets = ["/admin", "/admin/", "/%61dmin/x", "/admin%2fx", "/a/../admin/x", "//admin/x", "/./admin/x"];
    targets.push("/%2e/admin/x", "/admin/x?y#z", "http://x/admin/x", "http://other/%61dmin");
    for (const target of targets) {
      for (const method of ["GET", "POST", "OPTIONS", "PURGE"]) {
        using client = await RawClient.connect(proxy.port);
        const { status } = await ask(client, to("x", target, { method, headers: `${forged}Content-Length: 0\r\n` }));
        assertEquals(status === 403 || status === 400, true, `${method} ${target}: ${status}`);
      }
      using socket = await RawClient.connect(proxy.port);
      const { status } = await ask(socket, webSocketHandshake(target, forged));
      assertEquals(status === 403 || status === 400, true, `WebSocket ${target}: ${status}`);
    }
    assertEquals(backend.requests.filter(({ target }) => /adm/.test(target)), []);
    await proxy.idle();
  });

  Deno.test(name("a pipelined request is looked at as the first one is"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, {
      backends: [backend.url],
      routes: { "*/*": "default", "*/admin/*": { pool: "default", deny: [HERE] } },
    });
    using client = await RawClient.connect(proxy.port);
    await client.send(to("x", "/a") + to("x", "/admin/1") + to("x", "/b") + to("x", "/admin/2"));
    const statuses: (number | undefined)[] = [];
    for (let index = 0; index < 4; index++) {
      statuses.push((await within(client.response(), "a pipelined answer"))?.status);
    }
    assertEquals(statuses, [200, 403, 200, 403]);
    assertEquals(backend.requests.map(({ target }) => target), ["/a", "/b"]);
    client.close();
    await proxy.idle();
  });
}
