// GET /explain?url=…: which route a request would take and why, what counts for it, and then the pick.

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { RawClient } from "../support/raw_client.ts";
import { TestProxy } from "../support/proxy.ts";

const ROUTES: NonNullable<ConfigFile["routes"]> = {
  "example.com/*": "default",
  "www.example.com/*": { redirect: "https://example.com{uri}" },
  "api.example.com/*": { respond: 503 },
  "api.example.com/v1/*": [
    { name: "beta", when: { header: { "X-Beta": "1" }, method: ["GET", "HEAD"] }, pool: "api-v2" },
    { when: { cookie: { tier: "gold*" } }, pool: "api-v2" },
    {
      pool: { api: 95, "api-v2": 5 },
      splitBy: "header:X-User",
      stripPrefix: "/v1",
      timeouts: { response: "5s" },
      headers: { request: { set: { "X-Route": "v1" } } },
      maxBodySize: null,
    },
  ],
  "api.example.com/v2/*": [{ when: { query: { key: "*" } }, pool: "api-v2" }],
  "*.example.com/*": { respond: 404 },
  "one.example.org/*": { pool: { api: 1, "api-v2": 0 } },
};

async function start() {
  const api = HttpBackend.named("api");
  const v2 = HttpBackend.named("v2");
  const proxy = await TestProxy.start({
    backends: [v2.url],
    timeouts: { connect: "1s" },
    headers: { request: { set: { "X-Top": "yes", "x-route": "top" } } },
    pools: {
      api: { backends: [api.url], strategy: "uri-hash", sticky: { by: "cookie" }, queue: { size: 7 } },
      "api-v2": { backends: [v2.url], sticky: { by: "cookie" } },
    },
    routes: ROUTES,
  });
  const explain = async (query: Record<string, string>) => {
    const response = await fetch(`${proxy.adminUrl}/explain?${new URLSearchParams(query)}`);
    return { status: response.status, ...await response.json() };
  };
  return {
    api,
    v2,
    proxy,
    explain,
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await Promise.all([api[Symbol.asyncDispose](), v2[Symbol.asyncDispose]()]);
    },
  };
}

const URL_OF_V1 = "https://api.example.com/v1/x?a=1";

Deno.test("explain tells the keys and entries that were looked at, and why not", async () => {
  await using it = await start();
  const explained = await it.explain({ url: URL_OF_V1, header: "X-Beta: 2" });
  assertEquals(explained.request, { method: "GET", url: URL_OF_V1, client: "127.0.0.1" });
  assertEquals(explained.keys, [
    { key: "api.example.com/v1/*", reason: "the longest prefix" },
    { key: "api.example.com/v2/*", reason: "the path does not match" },
    { key: "api.example.com/*", reason: "another path is closer" },
    { key: "*.example.com/*", reason: "not looked at: api.example.com has routes of its own" },
  ]);
  assertEquals(explained.entries, [
    { entry: 0, name: "beta", reason: 'when.header.X-Beta: got "2", want "1"' },
    { entry: 1, name: null, reason: 'when.cookie.tier: got nothing, want a value that begins with "gold"' },
    { entry: 2, name: null, reason: "takes every request" },
  ]);
  assertEquals(explained.route, { key: "api.example.com/v1/*", entry: 2, to: "api 95, api-v2 5" });
  assertEquals([explained.target, explained.answer], ["/x?a=1", null]);
  const beta = await it.explain({ url: URL_OF_V1, header: "X-Beta: 1" });
  assertEquals([beta.pool, beta.split, beta.target], ["api-v2", null, "/v1/x?a=1"]);
  assertEquals(beta.entries.map(({ reason }: { reason: string }) => reason), [
    "all of its conditions hold",
    "not looked at: entry 0 takes the request",
    "not looked at: entry 0 takes the request",
  ]);
  const post = await it.explain({ url: URL_OF_V1, header: "X-Beta: 1", method: "POST" });
  assertEquals(post.entries[0].reason, 'when.method: got "POST", want one of GET, HEAD');
});

Deno.test("explain tells which settings count, and where each comes from", async () => {
  await using it = await start();
  const { settings } = await it.explain({ url: URL_OF_V1, header: "X-User: 1" });
  const own = 'routes["api.example.com/v1/*"][2]';
  assertEquals(settings["timeouts.response"], { value: "5s", from: `${own}.timeouts.response` });
  assertEquals(settings["timeouts.connect"], { value: "1s", from: "timeouts.connect" });
  assertEquals(settings["maxBodySize"], { value: null, from: `${own}.maxBodySize` });
  assertEquals(settings["compression"], { value: false, from: "proxy.compression" });
  assertEquals(settings["retries.attempts"], { value: 2, from: "retries.attempts" });
  assertEquals(settings["headers.request.set.X-Route"], { value: "v1", from: `${own}.headers.request.set.X-Route` });
  assertEquals(settings["headers.request.set.X-Top"], { value: "yes", from: "headers.request.set.X-Top" });
  assertEquals(settings["headers.request.set.x-route"], undefined);
  const ofApi = await it.explain({ url: "http://one.example.org/" });
  assertEquals(ofApi.settings.strategy, { value: "uri-hash", from: "pools.api.strategy" });
  assertEquals(ofApi.settings["queue.size"], { value: 7, from: "pools.api.queue.size" });
  assertEquals(ofApi.settings["queue.timeout"].from, "queue.timeout");
  assertEquals(ofApi.settings["maxBodySize"].from, "proxy.maxBodySize");
});

Deno.test("explain tells the side of a split that requests really get, and why", async () => {
  await using it = await start();
  const sides = new Set<string>();
  for (let user = 0; user < 60; user++) {
    const { split, pool, backend, reason } = await it.explain({ url: URL_OF_V1, header: `X-User: ${user}` });
    assertEquals([split.reason, split.side], [`by its header x-user, "${user}"`, pool]);
    assertEquals([split.sides, reason], [{ api: 95, "api-v2": 5 }, "the strategy's choice"]);
    using client = await RawClient.connect(it.proxy.port);
    const head = `GET /v1/x?a=1 HTTP/1.1\r\nHost: api.example.com\r\nX-User: ${user}\r\n\r\n`;
    const body = new TextDecoder().decode((await client.request(head))?.body);
    assertEquals(backend.url, (body === "api" ? it.api : it.v2).url);
    sides.add(split.side);
  }
  assertEquals(sides, new Set(["api", "api-v2"]));
  const { split } = await it.explain({ url: URL_OF_V1, ip: "203.0.113.9" });
  assertEquals(split.reason, "no header x-user, so by its client's address, 203.0.113.9");
  const single = await it.explain({ url: "http://one.example.org" });
  assertEquals(single.split, {
    side: "api",
    sides: { api: 1, "api-v2": 0 },
    reason: "the only side with a weight above 0",
  });
});

Deno.test("explain follows a session to its side", async () => {
  await using it = await start();
  let cookie = "";
  for (let user = 0; cookie === "" && user < 500; user++) {
    using client = await RawClient.connect(it.proxy.port);
    const head = `GET /v1/x HTTP/1.1\r\nHost: api.example.com\r\nX-User: ${user}\r\n\r\n`;
    const headers = (await client.request(head))?.headers ?? [];
    const set = headers.find(([name]) => name.toLowerCase() === "set-cookie")?.[1] ?? "";
    if (set.startsWith("roundhouse-api-v2=")) cookie = set.slice(0, set.indexOf(";"));
  }
  assert(cookie !== "", "no user of 500 came to the side with 5 of 100");
  const explained = await it.explain({ url: URL_OF_V1, header: "X-User: 1", cookie });
  assertEquals([explained.split.side, explained.split.reason, explained.reason], [
    "api-v2",
    "its session names a backend of this side",
    "its session",
  ]);
});

Deno.test("explain tells the answers that no backend gives", async () => {
  await using it = await start();
  const cases: [query: Record<string, string>, status: number, location: string | undefined, reason: RegExp][] = [
    [{ url: "http://www.example.com:8080/a?b" }, 308, "https://example.com/a?b", /^the route says: redirect 308/],
    [{ url: "http://API.example.com/x" }, 503, undefined, /^the route says: respond 503/],
    [{ url: "http://other.example.com/" }, 404, undefined, /^the route says: respond 404/],
    [{ url: "http://example.net/" }, 404, undefined, /^no key takes this host and path/],
    [{ url: "http://api.example.com/v2/x" }, 404, undefined, /^no entry of the key takes the request/],
    [{ url: "http://api.example.com/v2/..%2fv1/x" }, 400, undefined, /^the path can be read as one of another route/],
    [
      { url: "http://api.example.com/v1/%2e%2e/x", header: "X-User: 1" },
      400,
      undefined,
      /another route|leaves the prefix/,
    ],
    [{ url: "http://api.example.com/v1/x", method: "TRACE" }, 405, undefined, /^TRACE is refused/],
  ];
  for (const [query, status, location, reason] of cases) {
    const { answer, backend, pool, ...rest } = await it.explain(query);
    assertEquals([answer.status, answer.location, backend, pool], [status, location, null, null], query["url"]);
    assertMatch(answer.reason, reason);
    assertEquals(rest.reason, answer.reason);
  }
});

Deno.test("explain without url asks one pool, as it did before there were routes", async () => {
  await using it = await start();
  const { status, ...usual } = await it.explain({ path: "/v1/x" });
  assertEquals([status, Object.keys(usual)], [200, ["backend", "reason", "strategy", "backends"]]);
  assertEquals([usual.strategy, usual.backend.url], ["round-robin", it.v2.url]);
  assertEquals((await it.explain({ pool: "api" })).strategy, "uri-hash");
  assertEquals((await it.explain({ pool: "apu" })).detail, 'there is no pool "apu", did you mean "api"?');
  for (const query of [{ path: "/" }, { pool: "api" }]) {
    assertEquals((await it.explain({ url: URL_OF_V1, ...query as Record<string, string> })).status, 400);
  }
  for (const url of ["", "api.example.com/x", "ftp://x/", "http://", "http://u@x/", "http://a b/", "http://x/#y"]) {
    const { status, detail } = await it.explain({ url });
    assertEquals(status, 400, url);
    assertMatch(detail, /^url: got ".*", want http:\/\/ or https:\/\/, a host and a path$/);
  }
});

Deno.test("without routes, explain takes a url to the default pool", async () => {
  await using backend = HttpBackend.named("ok");
  await using proxy = await TestProxy.start({ backends: [backend.url] });
  const explained = await (await fetch(`${proxy.adminUrl}/explain?url=http://any.example/x`)).json();
  assertEquals([explained.pool, explained.route, explained.keys], ["default", null, []]);
  assertEquals([explained.target, explained.backend.url, explained.reason], [
    "/x",
    backend.url,
    "the strategy's choice",
  ]);
  assertEquals(explained.settings.strategy, { value: "round-robin", from: "strategy" });
});

// The question "from which scheme" was answered by what the client claims; requests go by what the proxy knows.
Deno.test("explain goes by the headers that the proxy sets, as requests do", async () => {
  await using backend = HttpBackend.named("ok");
  const when = { header: { "X-Forwarded-Proto": "https" } };
  await using proxy = await TestProxy.start({
    backends: [backend.url],
    routes: { "*/*": [{ when, pool: "default" }, { respond: 404 }] },
  });
  const explain = async (url: string) => {
    const query = new URLSearchParams({ url, header: "X-Forwarded-Proto: https" });
    return await (await fetch(`${proxy.adminUrl}/explain?${query}`)).json();
  };
  using client = await RawClient.connect(proxy.port);
  const forged = await client.request("GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: https\r\n\r\n");
  assertEquals([forged?.status, (await explain("http://x/")).answer.status], [404, 404]);
  assertEquals((await explain("https://x/")).pool, "default");
});
