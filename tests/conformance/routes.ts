/** Routes: which pool a request reaches, or which answer it gets without one; and what no spelling of it reaches. */

import { assert, assertEquals } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { RawBackend } from "../support/raw_backend.ts";
import { headerOf, RawClient, type RawResponse, textOf } from "../support/raw_client.ts";
import { ok, RecordingBackend, valuesOf } from "../support/raw_recorder.ts";
import { acceptWebSocket, closeFrame, webSocketHandshake } from "../support/raw_websocket.ts";
import { ask, type EngineUnderTest, startProxy } from "./engine_under_test.ts";

/** Backends whose answers begin with their pool's name. */
export class NamedBackends implements AsyncDisposable {
  readonly backends: Readonly<Record<"default" | "api" | "beta", RecordingBackend>> = {
    default: named("default"),
    api: named("api"),
    beta: named("beta"),
  };

  /** `default`, and the pools `api`, `beta` and `empty`, which has no backend. */
  get settings(): ConfigFile {
    const { api, beta } = this.backends;
    return {
      backends: [this.backends.default.url],
      pools: { api: { backends: [api.url] }, beta: { backends: [beta.url] }, empty: {} },
    };
  }

  get requests(): number {
    return Object.values(this.backends).reduce((sum, { requests }) => sum + requests.length, 0);
  }

  mustBeClean(): void {
    for (const { violations } of Object.values(this.backends)) assertEquals(violations, []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const backend of Object.values(this.backends)) await backend[Symbol.asyncDispose]();
  }
}

function named(name: string): RecordingBackend {
  return new RecordingBackend(({ method, target }) => {
    const answer = ok(`${name} ${target}`);
    return method === "HEAD" ? answer.slice(0, answer.indexOf("\r\n\r\n") + 4) : answer;
  });
}

/** A request for any host. */
export function to(host: string, target: string, { method = "GET", headers = "" } = {}): string {
  return `${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n${headers}\r\n`;
}

/** The pool that answered, or the status of the answer that none gave. */
export function reached(response: RawResponse): string {
  if (response.status === 200 && headerOf(response, "content-type") === undefined) {
    return textOf(response).split(" ")[0] ?? "";
  }
  return String(response.status);
}

export function testRoutes(engine: EngineUnderTest): void {
  const name = (what: string) => `${engine.name}: routes: ${what}`;
  testFinding(engine, name);
  testSpellings(engine, name);
  testChosenByWhatGoesOn(engine, name);
  testOwnAnswers(engine, name);
  testUpgrades(engine, name);
}

type Name = (what: string) => string;

// Engine `fetch` cut `#x` off a path, and wrote methods in capitals, after the route was chosen: `/admin#x` reached /admin,
// and `post` a backend whose route refused POST.
function testChosenByWhatGoesOn(engine: EngineUnderTest, name: Name): void {
  Deno.test(name("the target and the method that choose are those that the backend gets"), async () => {
    await using named = new NamedBackends();
    await using proxy = await startProxy(engine, {
      ...named.settings,
      routes: {
        "x/*": [{ when: { method: ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"] }, respond: 403 }, "api"],
        "y/*": "default",
        "y/admin/*": "api",
        "y/v2/*": { pool: "default", stripPrefix: "/v2", addPrefix: "/base" },
      },
    });
    for (const method of ["post", "Put", "delete", "options", "pOST"]) {
      using client = await RawClient.connect(proxy.port);
      const response = await ask(client, to("x", "/", { method, headers: "Content-Length: 0\r\n" }));
      if (response.status === 403) continue;
      assertEquals([reached(response), named.backends.api.last.method], ["api", method]);
    }
    const before = named.requests;
    for (const target of ["/admin#x", "/admin#", "/#/../admin", "/v2/..#/"]) {
      using client = await RawClient.connect(proxy.port);
      assertEquals((await ask(client, to("y", target))).status, 400, target);
    }
    assertEquals(named.requests, before);
    await proxy.idle();
  });
}

function testFinding(engine: EngineUnderTest, name: Name): void {
  Deno.test(
    name("the exact host, else the longest wildcard, else *; the exact path, else the longest prefix"),
    async () => {
      await using named = new NamedBackends();
      await using proxy = await startProxy(engine, {
        ...named.settings,
        routes: {
          "*/*": { respond: { status: 418 } },
          "example.com/*": "default",
          "example.com/api/*": "api",
          "example.com/api/status": "beta",
          "*.example.com/*": "beta",
          "*.eu.example.com/only": "api",
          "[::1]/*": "api",
        },
      });
      using client = await RawClient.connect(proxy.port);
      const cases: [host: string, target: string, wanted: string][] = [
        ["example.com", "/", "default"],
        ["EXAMPLE.com:8080", "/?x=/api/", "default"],
        ["example.com.", "/api", "api"],
        ["example.com", "/api/", "api"],
        ["example.com", "/api?x", "api"],
        ["example.com", "/api/x/y", "api"],
        ["example.com", "/apix", "default"],
        ["example.com", "/API", "default"],
        ["example.com", "/%61pi/%78", "api"],
        ["example.com", "/api/status?x", "beta"],
        ["example.com", "/api/status/", "api"],
        ["a.example.com", "/x", "beta"],
        ["a.eu.example.com", "/only", "api"],
        ["a.eu.example.com", "/other", "404"], // that host's routes alone
        ["[::1]:80", "/", "api"],
        ["example.org", "/api", "418"],
        ["127.0.0.1", "/", "418"],
      ];
      for (const [host, target, wanted] of cases) {
        assertEquals(reached(await ask(client, to(host, target))), wanted, `${host}${target}`); // all on one connection
      }
      named.mustBeClean();
      client.close();
      await proxy.idle();
    },
  );

  Deno.test(name("without a route 404 is told as a problem, and is nobody's failure"), async () => {
    await using named = new NamedBackends();
    await using proxy = await startProxy(engine, { ...named.settings, routes: { "x/a": "default" } });
    using client = await RawClient.connect(proxy.port);
    const response = await ask(client, to("x", "/b"));
    assertEquals([response.status, headerOf(response, "content-type")], [404, "application/problem+json"]);
    assertEquals(JSON.parse(textOf(response)).requestId, headerOf(response, "x-request-id"));
    assertEquals((await ask(client, to("y", "/a"))).status, 404);
    const { total, failed } = proxy.roundhouse.memory.requestTotals();
    assertEquals([total, failed, named.requests], [2, 0, 0]);
  });

  Deno.test(name("the authority of an absolute-form target decides, and Host where there is none"), async () => {
    await using named = new NamedBackends();
    await using proxy = await startProxy(engine, {
      ...named.settings,
      routes: { "api.example/*": "api", "beta.example/*": "beta" },
    });
    using client = await RawClient.connect(proxy.port);
    const response = await ask(client, to("beta.example", "http://API.example:80/x?y"));
    assertEquals(textOf(response), "api /x?y");
    assertEquals(valuesOf(named.backends.api.last, "host"), ["API.example:80"]);
    assertEquals(valuesOf(named.backends.api.last, "x-forwarded-host"), ["API.example:80"]);
    assertEquals(reached(await ask(client, to("beta.example", "http://other.example/x"))), "404");
    assertEquals(reached(await ask(client, to("beta.example", "/http://api.example/"))), "beta");
    assertEquals(
      reached(await ask(client, to("beta.example", "/", { headers: "X-Forwarded-Host: api.example\r\n" }))),
      "beta",
    );
    client.close();
    await proxy.idle();
  });

  Deno.test(name("OPTIONS * is looked up as /"), async () => {
    await using named = new NamedBackends();
    await using proxy = await startProxy(engine, { ...named.settings, routes: { "x/": "api", "x/*": "default" } });
    using client = await RawClient.connect(proxy.port);
    const response = await ask(client, to("x", "*", { method: "OPTIONS" }));
    assertEquals(textOf(response), engine.deviations.rewritesTargets ? "api /" : "api *");
    client.close();
    await proxy.idle();
  });

  Deno.test(name("the first entry whose when holds takes the request, and 404 where none does"), async () => {
    await using named = new NamedBackends();
    await using proxy = await startProxy(engine, {
      ...named.settings,
      routes: {
        "x/*": [
          { when: { method: ["POST", "PUT"], header: { "X-Beta": "1" } }, pool: "beta" },
          { when: { cookie: { beta: "yes*" } }, pool: "beta" },
          { when: { query: { v: "2" } }, pool: "api" },
          { when: { header: { "X-Any": "*", "X-None": null } }, pool: "api" },
          { when: { client: ["10.0.0.0/8"] }, pool: "beta" },
          { when: { client: ["127.0.0.0/8"], method: "GET" }, pool: "default" },
        ],
      },
    });
    using client = await RawClient.connect(proxy.port);
    const cases: [wanted: string, target: string, headers: string, method?: string][] = [
      ["beta", "/", "X-Beta: 1\r\nContent-Length: 0\r\n", "POST"],
      ["404", "/", "X-Beta: 2\r\nContent-Length: 0\r\n", "POST"],
      ["default", "/", "X-Beta: 1\r\n"],
      ["beta", "/", "Cookie: a=1; beta=yes-please\r\n"],
      ["beta", "/", "Cookie: a=1\r\nCookie: beta=yes\r\n"],
      ["default", "/", "Cookie: beta=no\r\n"],
      ["api", "/?w=1&v=2", ""],
      ["api", "/?%76=2", ""],
      ["default", "/?v=22", ""],
      ["api", "/", "X-Any: \r\n"],
      ["default", "/", "X-Any: 1\r\nX-None: 1\r\n"],
    ];
    for (const [wanted, target, headers, method] of cases) {
      const response = await ask(client, to("x", target, { headers, ...method !== undefined && { method } }));
      assertEquals(reached(response), wanted, `${method ?? "GET"} ${target} ${headers}`);
    }
    client.close();
    await proxy.idle();
  });

  Deno.test(name("a split keeps each client at its side, and a side without a backend is 503"), async () => {
    await using named = new NamedBackends();
    await using proxy = await startProxy(engine, {
      ...named.settings,
      proxy: { trustForwarded: ["127.0.0.1"] },
      routes: {
        "x/*": { pool: { api: 50, beta: 50 } },
        "x/turns/*": { pool: { api: 3, beta: 1 }, splitBy: "request" },
        "x/half/*": { pool: { api: 1, empty: 1 }, splitBy: "header:X-User" },
        "x/one/*": { pool: { api: 0, beta: 1 } },
      },
    });
    using client = await RawClient.connect(proxy.port);
    const sides = new Set<string>();
    for (let index = 0; index < 30; index++) {
      const headers = `X-Forwarded-For: 10.0.0.${index}\r\n`;
      const side = reached(await ask(client, to("x", "/", { headers })));
      assertEquals(reached(await ask(client, to("x", "/again", { headers }))), side);
      sides.add(side);
    }
    assertEquals([...sides].sort(), ["api", "beta"]);
    const turns: string[] = [];
    for (let index = 0; index < 8; index++) turns.push(reached(await ask(client, to("x", "/turns/"))));
    assertEquals(turns.filter((side) => side === "api").length, 6);
    const halves = new Map<string, number>();
    for (let index = 0; index < 30; index++) {
      const side = reached(await ask(client, to("x", "/half/", { headers: `X-User: ${index}\r\n` })));
      halves.set(side, (halves.get(side) ?? 0) + 1);
    }
    assertEquals([...halves.keys()].sort(), ["503", "api"]);
    assertEquals(reached(await ask(client, to("x", "/one/"))), "beta");
    client.close();
    await proxy.idle();
  });
}

function testSpellings(engine: EngineUnderTest, name: Name): void {
  // Other proxies chose by one reading of the path and sent another one on: whoever wrote /public/..;/admin reached
  // what only /admin was to reach.
  Deno.test(name("no spelling of a path reaches what its plain form does not"), async () => {
    await using named = new NamedBackends();
    await using proxy = await startProxy(engine, {
      ...named.settings,
      routes: { "x/*": "default", "x/admin/*": "api", "x/public/*": "beta", "y/*": "default" },
    });
    const spellings = [
      "/public/../admin",
      "/public/..;/admin",
      "/public/..;a=b/admin/",
      "/public/%2e%2e/admin",
      "/public/.%2E/admin",
      "/public/%2e%2e%3b/admin",
      "/public/..%2fadmin",
      "/public/..%2Fadmin?x",
      "/public%2f..%2fadmin",
      "/public/a%2fb/../../admin",
      "/public/a\\b/../../admin",
      "/public/../admin/..;/public",
      "/public/../admin//../public",
      "/public/..\\admin",
      "/public\\..\\admin",
      "/public/..%5cadmin",
      "/public/..%5Cadmin",
      "/public/x/../../admin",
      "/public/./../admin",
      "/public//../admin",
      "/public/../../admin",
      "//admin",
      "/./admin",
      "/.//admin",
      "/x/../admin",
      "/%2fadmin",
      "/%2e/admin",
      "/\\admin",
      "/%5cadmin",
      "/admin%2f..%2fpublic",
      "/admin/..",
      "/public/..",
      "/public/%00",
      "/%00",
      "/admin%00/public",
    ];
    for (const target of spellings) {
      using client = await RawClient.connect(proxy.port);
      const response = await ask(client, to("x", target));
      assertEquals(response.status, 400, target);
      using absolute = await RawClient.connect(proxy.port);
      assertEquals((await ask(absolute, to("y", `http://x${target}`))).status, 400, `http://x${target}`);
      using socket = await RawClient.connect(proxy.port);
      const handshake = webSocketHandshake(target).replace("Host: ws.example", "Host: x");
      assertEquals((await ask(socket, handshake)).status, 400, `WebSocket for ${target}`);
    }
    assertEquals(named.requests, 0);
    const plain: [target: string, wanted: string][] = [
      ["/%61dmin", "api"],
      ["/adm%69n/x", "api"],
      ["/Admin", "default"], // case matters
      ["/admin%20x", "default"],
      ["/admin;x", "default"],
      ["/public/a/../b", "beta"],
      ["/public/a%2fb", "beta"],
      ["/public//x", "beta"],
      ["/a//b", "default"],
      ["/a?b=/../admin", "default"],
      ["/a?b=%00", "default"],
    ];
    using client = await RawClient.connect(proxy.port);
    for (const [target, wanted] of plain) assertEquals(reached(await ask(client, to("x", target))), wanted, target);
    // Where all readings belong to one route, the backend is free to choose.
    for (const target of ["//admin", "/a/..%2fadmin", "/public/..;/admin"]) {
      assertEquals(reached(await ask(client, to("y", target))), "default", target);
    }
    named.mustBeClean();
    client.close();
    await proxy.idle();
  });
}

function testOwnAnswers(engine: EngineUnderTest, name: Name): void {
  Deno.test(name("a redirect tells where to go, and never to another host than the operator's"), async () => {
    await using named = new NamedBackends();
    await using proxy = await startProxy(engine, {
      ...named.settings,
      proxy: { trustForwarded: ["127.0.0.1"] },
      routes: {
        "www.x/*": { redirect: "https://x{uri}" },
        "old.x/*": { redirect: "{scheme}://{host}:8443/new{path}{query}", status: 302 },
        "x/*": { redirect: "/moved{query}", status: 303 },
      },
    });
    using client = await RawClient.connect(proxy.port);
    const cases: [request: string, status: number, location: string][] = [
      [to("www.x:8080", "/a%20b?c=d"), 308, "https://x/a%20b?c=d"],
      [to("www.x", "//evil.example/"), 308, "https://x//evil.example/"],
      [to("www.x", "/\\evil.example"), 308, "https://x/\\evil.example"],
      [to("www.x", "*", { method: "OPTIONS" }), 308, "https://x/"],
      [to("old.x:80", "/a?b"), 302, "http://old.x:8443/new/a?b"],
      [to("old.x", "/a", { headers: "X-Forwarded-Proto: https\r\n" }), 302, "https://old.x:8443/new/a"],
      [to("x", "/a?b"), 303, "/moved?b"],
      [to("x", "/a", { method: "HEAD" }), 303, "/moved"],
    ];
    for (const [request, status, location] of cases) {
      const response = await ask(client, request);
      assertEquals(
        [response.status, headerOf(response, "location"), response.body.length],
        [status, location, 0],
        request,
      );
      assert(headerOf(response, "x-request-id") !== undefined);
    }
    client.close();
    const { failed } = proxy.roundhouse.memory.requestTotals();
    assertEquals([named.requests, failed], [0, 0]);
    await proxy.idle();
  });

  Deno.test(
    name("respond gives its body as it is: to GET, to HEAD without it, and without one where none may be"),
    async () => {
      const file = await Deno.makeTempFile({ suffix: ".html" });
      await Deno.writeTextFile(file, "<p>Back soon – é</p>");
      await using named = new NamedBackends();
      await using proxy = await startProxy(engine, {
        ...named.settings,
        routes: {
          "x/page": { respond: { status: 503, file, headers: { "Retry-After": "120", "Cache-Control": "no-store" } } },
          "x/robots.txt": { respond: { body: "User-agent: *\n" } },
          "x/json": { respond: { body: "{}", contentType: "application/json" } },
          "x/nothing": { respond: 204 },
          "x/same": { respond: { status: 304, headers: { ETag: '"v"' } } },
          "x/gone": { respond: 410 },
          "x/odd": { respond: { status: 299, body: "odd" } },
        },
      });
      await Deno.remove(file); // it was read
      using client = await RawClient.connect(proxy.port);
      const get = (target: string, more = {}) => ask(client, to("x", target, more));
      const page = await get("/page");
      assertEquals([page.status, textOf(page)], [503, "<p>Back soon – é</p>"]);
      const told = (response: RawResponse, ...names: string[]) => names.map((one) => headerOf(response, one));
      const about = ["content-type", "content-length", "retry-after", "cache-control"];
      assertEquals(told(page, ...about), ["text/html; charset=utf-8", "23", "120", "no-store"]);
      const head = await get("/page", { method: "HEAD", headers: "X-Request-Id: mine\r\n" });
      assertEquals([head.status, head.body.length, ...told(head, ...about)], [503, 0, ...told(page, ...about)]);
      assertEquals(headerOf(head, "x-request-id"), "mine");
      const robots = await get("/robots.txt?x");
      assertEquals([robots.status, textOf(robots), ...told(robots, "content-type")], [
        200,
        "User-agent: *\n",
        "text/plain; charset=utf-8",
      ]);
      assertEquals(told(await get("/json"), "content-type", "content-length"), ["application/json", "2"]);
      const nothing = await get("/nothing");
      assertEquals([nothing.status, nothing.body.length, ...told(nothing, "content-length", "content-type")], [
        204,
        0,
        undefined,
        undefined,
      ]);
      const same = await get("/same");
      assertEquals([same.status, same.body.length, headerOf(same, "etag")], [304, 0, '"v"']);
      const gone = await get("/gone");
      assertEquals([gone.status, gone.body.length, ...told(gone, "content-length", "content-type")], [
        410,
        0,
        "0",
        undefined,
      ]);
      const odd = await get("/odd");
      assertEquals([odd.status, textOf(odd)], [299, "odd"]);
      client.close();
      const { total, failed } = proxy.roundhouse.memory.requestTotals();
      assertEquals([total, failed, named.requests], [8, 0, 0]);
      await proxy.idle();
    },
  );

  Deno.test(name("what a route answers itself, it answers whatever body comes"), async () => {
    await using named = new NamedBackends();
    await using proxy = await startProxy(engine, {
      ...named.settings,
      routes: { "x/*": { respond: { status: 200, body: "own", contentType: "text/x-own" } }, "x/pool/*": "api" },
    });
    const bodies = ["Content-Length: 3\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"];
    for (const body of bodies) {
      using client = await RawClient.connect(proxy.port);
      const response = await ask(client, `POST / HTTP/1.1\r\nHost: x\r\n${body}`);
      assertEquals([response.status, textOf(response)], [200, "own"]);
      await client.send(to("x", "/pool/next")).catch(() => {});
      const next = await client.response();
      if (next !== undefined) assertEquals(textOf(next), "api /pool/next");
    }
    using unfinished = await RawClient.connect(proxy.port);
    assertEquals(
      (await ask(unfinished, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc")).status,
      200,
    );
    unfinished.close();
    named.mustBeClean();
    await proxy.idle();
  });
}

function testUpgrades(engine: EngineUnderTest, name: Name): void {
  Deno.test(name("a WebSocket goes where its handshake's route leads, and gets own answers, too"), async () => {
    const upgrading = (mark: string) =>
      new RawBackend(async (connection) => {
        await connection.head();
        await acceptWebSocket(connection, `Sec-WebSocket-Protocol: ${mark}\r\n`);
        await connection.read();
        await connection.send(closeFrame(1000, false));
      });
    await using api = upgrading("api");
    await using beta = upgrading("beta");
    await using proxy = await startProxy(engine, {
      pools: { api: { backends: [api.url] }, beta: { backends: [`${beta.url}/base`] } },
      routes: {
        "ws.example/api/*": { pool: "api", stripPrefix: "/api" },
        "ws.example/*": "beta",
        "ws.example/moved": { redirect: "https://elsewhere.example{uri}" },
        "ws.example/closed": { respond: { status: 403, body: "no" } },
        "other.example/*": "api",
      },
    });
    const offered = "Sec-WebSocket-Protocol: api, beta\r\n";
    for (const [target, mark, wanted] of [["/api/chat?a=b", "api", "/chat?a=b"], ["/chat", "beta", "/base/chat"]]) {
      using client = await RawClient.connect(proxy.port);
      const response = await ask(client, webSocketHandshake(target, offered));
      assertEquals([response.status, headerOf(response, "sec-websocket-protocol")], [101, mark]);
      const line = (mark === "api" ? api : beta).connections[0]?.received.split("\r\n")[0];
      assertEquals(line, `GET ${wanted} HTTP/1.1`);
      client.close();
    }
    for (const [target, status] of [["/moved", 308], ["/closed", 403], ["/api/..", 400], ["/%00", 400]] as const) {
      using client = await RawClient.connect(proxy.port);
      assertEquals((await ask(client, webSocketHandshake(target, offered))).status, status, target);
    }
    using unknown = await RawClient.connect(proxy.port);
    const elsewhere = webSocketHandshake("/").replace("Host: ws.example", "Host: third.example");
    assertEquals((await ask(unknown, elsewhere)).status, 404);
    unknown.close();
    await proxy.idle();
  });

  if (engine.deviations.bridgesWebSocketsOnly) return;

  Deno.test(name("a tunnel of any protocol goes where its route leads"), async () => {
    await using backend = new RawBackend(async (connection) => {
      await connection.head();
      await connection.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello");
    });
    await using proxy = await startProxy(engine, {
      pools: { echo: { backends: [backend.url] } },
      routes: { "x/echo/*": "echo", "x/*": { respond: 404 } },
    });
    using client = await RawClient.connect(proxy.port);
    const upgrade = "Connection: Upgrade\r\nUpgrade: echo\r\n";
    assertEquals((await ask(client, to("x", "/other", { headers: upgrade }))).status, 404);
    assertEquals((await ask(client, to("x", "/echo", { headers: upgrade }))).status, 101);
    assertEquals(new TextDecoder().decode(await client.chunk()), "hello");
    client.close();
    await proxy.idle();
  });
}
