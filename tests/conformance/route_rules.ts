/** What a route says for itself: prefixes, headers, limits, retries and sessions, over what the file says for all. */

import { gunzipSync } from "node:zlib";
import { assert, assertEquals, assertGreaterOrEqual, assertLess } from "@std/assert";
import { headerOf, RawClient, textOf } from "../support/raw_client.ts";
import { echoOf, RecordingBackend, valuesOf } from "../support/raw_recorder.ts";
import { waitFor } from "../support/wait.ts";
import { webSocketHandshake } from "../support/raw_websocket.ts";
import { ask, type EngineUnderTest, LIMIT_MS, startProxy, within } from "./engine_under_test.ts";
import { NamedBackends, reached, to } from "./routes.ts";

const TEXT = "compress me ".repeat(500);

type Name = (what: string) => string;

export function testRouteRules(engine: EngineUnderTest): void {
  const name = (what: string) => `${engine.name}: routes: ${what}`;
  testPrefixes(engine, name);
  testHeadersAndLimits(engine, name);
  testTimes(engine, name);
  testSessions(engine, name);
  testCompression(engine, name);
}

function testPrefixes(engine: EngineUnderTest, name: Name): void {
  const { rewritesTargets } = engine.deviations;

  Deno.test(name("stripPrefix and addPrefix change the path that goes on, and backends are told"), async () => {
    await using backend = new RecordingBackend();
    await using based = new RecordingBackend();
    await using proxy = await startProxy(engine, {
      pools: { api: { backends: [backend.url] }, based: { backends: [`${based.url}/base`] } },
      log: { access: true },
      routes: {
        "x/v1/*": { pool: "api", stripPrefix: "/v1" },
        "x/v1/deep/*": { pool: "based", stripPrefix: "/v1/deep", addPrefix: "/app" },
        "x/*": { pool: "api", addPrefix: "/all" },
      },
    });
    using client = await RawClient.connect(proxy.port);
    const cases: [target: string, wanted: string, prefix: string[]][] = [
      ["/v1/a?b=/v1", "/a?b=/v1", ["/v1"]],
      ["/v1", "/", ["/v1"]],
      ["/v1?x", "/?x", ["/v1"]],
      ["/%761/%41", rewritesTargets ? "/%41" : "/%41", ["/v1"]],
      ["/v1//evil.example", "/evil.example", ["/v1"]],
      ["/v1/deep/x?y", "/base/app/x?y", ["/v1/deep"]],
      ["/v10/x", "/all/v10/x", []],
      ["/?x", "/all/?x", []],
    ];
    for (const [target, wanted, prefix] of cases) {
      const forged = "X-Forwarded-Prefix: /forged\r\nX_Forwarded_Prefix: /forged\r\n";
      assertEquals(textOf(await ask(client, to("x", target, { headers: forged }))), `GET ${wanted} 0`, target);
      const { headers } = wanted.startsWith("/base") ? based.last : backend.last;
      assertEquals(valuesOf({ headers }, "x-forwarded-prefix"), prefix, target);
      assertEquals(headers.filter(([, value]) => value.includes("forged")), []);
    }
    const options = await ask(client, to("x", "*", { method: "OPTIONS" }));
    assertEquals(textOf(options), rewritesTargets ? "OPTIONS /all/ 0" : "OPTIONS * 0");
    client.close();
    await proxy.idle();
    const paths = proxy.log.lines.filter(({ message }) => message === "request").map(({ fields }) => fields["path"]);
    assertEquals(paths.slice(0, 2), ["/v1/a", "/v1"], "the log has the path that the client asked for");
  });

  Deno.test(name("no path climbs above what the prefixes leave"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, {
      pools: { api: { backends: [backend.url] } },
      routes: { "*/v1/*": { pool: "api", stripPrefix: "/v1" }, "*/*": { pool: "api", addPrefix: "/all" } },
    });
    for (
      const target of [
        ...[
          "/v1/..",
          "/v1/../x",
          "/v1/a/../../x",
          "/v1/%2e%2e/x",
          "/v1/..%2fx",
          "/v1/..;/x",
          "/v1/..\\x",
          "/v1/..%5cx",
        ],
        ...["/../x", "/a/../../x", "/..;/x", "/%2e%2e/x", "/..%2fx", "/a%2fb/../../x"],
      ]
    ) {
      using client = await RawClient.connect(proxy.port);
      assertEquals((await ask(client, to("x", target))).status, 400, target);
      using socket = await RawClient.connect(proxy.port);
      assertEquals((await ask(socket, webSocketHandshake(target))).status, 400, `WebSocket for ${target}`);
    }
    assertEquals(backend.requests.length, 0);
    using client = await RawClient.connect(proxy.port);
    assertEquals((await ask(client, to("x", "/v1/a/../b"))).status, 200);
    assertEquals(backend.last.target, rewritesTargets ? "/b" : "/a/../b");
    client.close();
    await proxy.idle();
  });
}

function testHeadersAndLimits(engine: EngineUnderTest, name: Name): void {
  Deno.test(name("a route's headers, retries and maxBodySize stand over the file's, key by key"), async () => {
    await using failing = new RecordingBackend(() => "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    await using good = new RecordingBackend();
    await using proxy = await startProxy(engine, {
      backends: [failing.url, good.url],
      proxy: { maxBodySize: 10 },
      retries: { statuses: [], attempts: 1 },
      headers: { request: { set: { "X-Top": "1" } }, response: { set: { "X-Answer": "top", "X-Kept": "1" } } },
      routes: {
        "x/*": "default",
        "x/own/*": {
          pool: "default",
          maxBodySize: "1KiB",
          retries: { statuses: [503] },
          headers: { request: { set: { Host: "inner.example" } }, response: { set: { "X-Answer": "own" } } },
        },
        "x/none/*": {
          pool: "default",
          retries: { statuses: [503], attempts: 0 },
          headers: { request: { remove: ["x-top"] } },
        },
      },
    });
    using client = await RawClient.connect(proxy.port);
    const statuses = new Set<number>();
    for (let index = 0; index < 4; index++) statuses.add((await ask(client, to("x", "/"))).status);
    assertEquals([...statuses].sort(), [200, 503]);
    for (let index = 0; index < 4; index++) {
      const response = await ask(client, to("x", "/own/"));
      assertEquals(response.status, 200, "another backend was asked");
      assertEquals([headerOf(response, "x-answer"), headerOf(response, "x-kept")], ["own", "1"]);
      assertEquals(valuesOf(good.last, "host"), ["inner.example"]);
      assertEquals([valuesOf(good.last, "x-forwarded-host"), valuesOf(good.last, "x-top")], [["x"], ["1"]]);
    }
    statuses.clear();
    for (let index = 0; index < 4; index++) statuses.add((await ask(client, to("x", "/none/"))).status);
    assertEquals([...statuses].sort(), [200, 503]);
    assertEquals(valuesOf(good.last, "x-top"), []);
    const body = (target: string, bytes: number) => {
      return `POST ${target} HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes}\r\n\r\n${"b".repeat(bytes)}`;
    };
    const chunked = (target: string, bytes: number) => {
      const chunk = `${bytes.toString(16)}\r\n${"b".repeat(bytes)}\r\n0\r\n\r\n`;
      return `POST ${target} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}`;
    };
    for (const request of [body, chunked]) {
      for (const [target, bytes, refused] of [["/", 11, true], ["/own/", 11, false], ["/own/", 1025, true]] as const) {
        using other = await RawClient.connect(proxy.port);
        assertEquals(
          (await ask(other, request(target, bytes))).status === 413,
          refused,
          `${bytes} bytes for ${target}`,
        );
      }
    }
    client.close();
    await proxy.idle();
  });

  if (engine.deviations.dropsTrailers) return;

  Deno.test(name("a route's removed headers are removed from trailers, too"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, {
      backends: [backend.url],
      routes: { "x/*": { pool: "default", headers: { request: { remove: ["x-gone"] } } }, "y/*": "default" },
    });
    using client = await RawClient.connect(proxy.port);
    const request = (host: string) =>
      `POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\nX-Gone: 1\r\nX-Kept: 1\r\n\r\n`;
    await ask(client, request("x"));
    assertEquals(backend.last.trailers.map(([name]) => name), ["X-Kept"]);
    await ask(client, request("y"));
    assertEquals(backend.last.trailers.map(([name]) => name), ["X-Gone", "X-Kept"]);
    client.close();
    await proxy.idle();
  });
}

/** A backend that answers in time, but for targets that end in `/slow`, whose answer never comes. */
function slow(): RecordingBackend {
  return new RecordingBackend((request, connection) => {
    if (!request.target.endsWith("/slow")) return echoOf(request);
    return connection.toEnd().then(() => undefined);
  });
}

function testTimes(engine: EngineUnderTest, name: Name): void {
  Deno.test(name("a route's timeouts stand over the file's"), async () => {
    await using backend = slow();
    await using proxy = await startProxy(engine, {
      backends: [backend.url],
      timeouts: { response: "1m" },
      retries: { attempts: 0 },
      routes: {
        "x/*": "default",
        "x/quick/*": { pool: "default", timeouts: { response: LIMIT_MS } },
        "x/whole/*": { pool: "default", timeouts: { request: LIMIT_MS } },
      },
    });
    for (const target of ["/quick/slow", "/whole/slow"]) {
      using client = await RawClient.connect(proxy.port);
      const startedAt = performance.now();
      assertEquals((await ask(client, to("x", target))).status, 504, target);
      assertGreaterOrEqual(performance.now() - startedAt, LIMIT_MS - 1, target);
    }
    using patient = await RawClient.connect(proxy.port);
    await patient.send(to("x", "/slow"));
    using other = await RawClient.connect(proxy.port);
    assertEquals((await ask(other, to("x", "/quick/slow"))).status, 504);
    assert(
      await Promise.race([
        patient.response().then(() => false),
        new Promise((resolve) => setTimeout(resolve, 20, true)),
      ]),
    );
    patient.close();
    await proxy.idle();
  });

  Deno.test(name("a request keeps its limits when a reload brings others"), async () => {
    // The limits were those of the newest configuration: a reload cut downloads off that had another limit when they began.
    await using backend = slow();
    const settings = {
      backends: [backend.url],
      retries: { attempts: 0 },
      timeouts: { response: "1m" },
      routes: { "x/*": { pool: "default", timeouts: { response: LIMIT_MS } } },
    };
    await using proxy = await startProxy(engine, settings);
    using client = await RawClient.connect(proxy.port);
    await client.send(to("x", "/slow"));
    await waitFor(() => backend.requests.length === 1, { what: "the request" });
    const startedAt = performance.now();
    settings.routes["x/*"].timeouts.response = 60_000;
    await proxy.roundhouse.reload();
    const response = await client.response();
    assertEquals(response?.status, 504);
    assertLess(performance.now() - startedAt, 30_000);
    client.close();
    await proxy.idle();
  });

  if (engine.deviations.knowsNoIdle) return;

  Deno.test(name("a route's timeouts.idle stands over the file's"), async () => {
    await using backend = new RecordingBackend(async (_, connection) => {
      await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
      await connection.toEnd();
      return undefined;
    });
    await using proxy = await startProxy(engine, {
      backends: [backend.url],
      routes: { "x/*": { pool: "default", timeouts: { idle: LIMIT_MS } } },
    });
    using client = await RawClient.connect(proxy.port);
    await client.send(to("x", "/"));
    const response = await client.response();
    assertEquals([response?.status, response?.complete], [200, false]);
    await proxy.idle();
  });
}

function testSessions(engine: EngineUnderTest, name: Name): void {
  Deno.test(
    name("a session decides the side of a split, and two pools' sessions do not disturb each other"),
    async () => {
      await using named = new NamedBackends();
      const settings = {
        ...named.settings,
        sticky: { by: "cookie" as const },
        routes: {
          "x/*": "default",
          "x/split/*": { pool: { api: 1, beta: 1 } as Record<string, number>, splitBy: "header:X-User" },
        },
      };
      await using proxy = await startProxy(engine, settings);
      using client = await RawClient.connect(proxy.port);
      const cookies = new Map<string, string>();
      const get = async (target: string, user: string, cookie: string) => {
        const headers = `X-User: ${user}\r\n${cookie === "" ? "" : `Cookie: ${cookie}\r\n`}`;
        const response = await ask(client, to("x", target, { headers }));
        const side = reached(response);
        const set = headerOf(response, "set-cookie")?.split(";")[0];
        if (set !== undefined) cookies.set(side, set);
        return side;
      };
      const users = Array.from({ length: 20 }, (_, index) => `user-${index}`);
      for (const user of users) await get("/split/", user, "");
      await get("/", "x", "");
      assertEquals([...cookies.keys()].sort(), ["api", "beta", "default"]);
      const all = [...cookies.values()].join("; ");
      assertEquals(new Set(Array.from(cookies.values(), (cookie) => cookie.split("=")[0])).size, 3, all);
      for (const side of ["api", "beta"]) {
        const own = `${cookies.get("default")}; ${cookies.get(side)}`;
        for (const user of users) assertEquals(await get("/split/", user, own), side);
      }
      settings.routes["x/split/*"].pool = { api: 0, beta: 1 };
      await proxy.roundhouse.reload();
      using after = await RawClient.connect(proxy.port);
      const moved = await ask(after, to("x", "/split/", { headers: `Cookie: ${cookies.get("api")}\r\n` }));
      assertEquals(reached(moved), "beta", "a side of weight 0 has no sessions");
      client.close();
      await proxy.idle();
    },
  );
}

function testCompression(engine: EngineUnderTest, name: Name): void {
  if (!engine.deviations.compresses) return; // a configuration error there

  Deno.test(name("a fixed response is compressed where all are"), async () => {
    await using proxy = await startProxy(engine, {
      proxy: { compression: true },
      routes: { "*/*": { respond: { body: TEXT, headers: { ETag: '"v"' } } } },
    });
    using client = await RawClient.connect(proxy.port);
    const packed = await ask(client, to("x", "/", { headers: "Accept-Encoding: gzip\r\n" }));
    assertEquals([packed.status, headerOf(packed, "content-encoding"), packed.complete], [200, "gzip", true]);
    assertLess(packed.body.length, TEXT.length / 2);
    assertEquals(textOf(await ask(client, to("x", "/"))), TEXT);
    client.close();
    await proxy.idle();
  });

  /** Answers to targets that begin with a route's prefix; `/stream` sends its second part when it is told to. */
  const compressible = (gate: Promise<void>) =>
    new RecordingBackend(async (request, connection) => {
      const head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";
      const about = `${head}ETag: "v"\r\nCache-Control: max-age=5\r\nContent-Length: ${TEXT.length}\r\n\r\n`;
      if (request.method === "HEAD") return about;
      if (valuesOf(request, "if-none-match").length > 0) return 'HTTP/1.1 304 Not Modified\r\nETag: "v"\r\n\r\n';
      if (request.target.endsWith("/packed")) return `${head}Content-Encoding: x\r\nContent-Length: 3\r\n\r\nabc`;
      if (request.target.endsWith("/picture")) return about.replace("text/plain", "image/png") + TEXT;
      if (!request.target.endsWith("/stream")) return about + TEXT;
      await connection.send(`${head}Transfer-Encoding: chunked\r\n\r\n6\r\nfirst \r\n`);
      await gate;
      return "6\r\nsecond\r\n0\r\n\r\n";
    });

  for (const compression of [false, true]) {
    const [packed, plain] = ["/on", "/off"];

    Deno.test(name(`a route's compression stands over proxy.compression: ${compression}`), async () => {
      const gate = Promise.withResolvers<void>();
      await using backend = compressible(gate.promise);
      await using proxy = await startProxy(engine, {
        backends: [backend.url],
        proxy: { compression },
        routes: {
          "*/on/*": { pool: "default", ...!compression && { compression: true } },
          "*/off/*": { pool: "default", ...compression && { compression: false } },
        },
      });
      using client = await RawClient.connect(proxy.port);
      const get = (target: string, headers: string, method = "GET") =>
        ask(client, to("x", target, { method, headers }));
      const gzip = "Accept-Encoding: gzip\r\n";
      const whole = await get(`${packed}/text`, gzip);
      assertEquals([headerOf(whole, "content-encoding"), whole.complete], ["gzip", true]);
      assertEquals(gunzipSync(whole.body).toString(), TEXT);
      assert(headerOf(whole, "vary")?.toLowerCase().includes("accept-encoding"));
      assertEquals(headerOf(whole, "etag"), 'W/"v"');
      const head = await get(`${packed}/text`, gzip, "HEAD");
      assertEquals([head.status, head.body.length], [200, 0]);
      assert([undefined, String(whole.body.length)].includes(headerOf(head, "content-length")));
      assertEquals(headerOf(await get(`${packed}/text`, `${gzip}If-None-Match: W/"v"\r\n`), "etag"), 'W/"v"');
      for (const accept of ["", "Accept-Encoding: identity\r\n", "Accept-Encoding: gzip;q=0\r\n"]) {
        const answer = await get(`${packed}/text`, accept);
        assertEquals([headerOf(answer, "content-encoding"), textOf(answer)], [undefined, TEXT], accept);
      }
      assertEquals(textOf(await get(`${packed}/packed`, gzip)), "abc");
      assertEquals(textOf(await get(`${packed}/picture`, gzip)), TEXT);
      const left = await get(`${plain}/text`, gzip);
      assertEquals([headerOf(left, "content-encoding"), textOf(left)], [undefined, TEXT]);
      assertEquals([headerOf(left, "etag"), headerOf(left, "content-length")], ['"v"', String(TEXT.length)]);
      const cacheControl = compression ? "max-age=5, no-transform" : "max-age=5";
      assertEquals(headerOf(left, "cache-control"), cacheControl, "the runtime needs this word");
      client.close();

      const streamed = await fetch(`${proxy.url}${packed}/stream`); // it unpacks what has come
      const reader = streamed.body?.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      const readMore = async () =>
        text += (await within(reader?.read() ?? Promise.reject(), "a part of a stream")).value ?? "";
      while (!text.includes("first ")) await readMore();
      gate.resolve();
      while (!text.includes("second")) await readMore();
      await reader?.cancel();
      await proxy.idle();
    });
  }
}
