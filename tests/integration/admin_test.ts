// The admin server on a real socket: every route, every refusal and their order.

import { assert, assertEquals, assertMatch, assertNotMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { MAX_BACKENDS } from "../../src/config/backend_limit.ts";
import { backendStatus } from "../support/status.ts";
import { type Sent, TestAdmin } from "../support/admin.ts";
import { backendSpec } from "../support/pool.ts";
import { headerOf, RawClient, type RawResponse, textOf } from "../support/raw_client.ts";

const TOKEN = "s3cret";
const A = "http://127.0.0.1:9001";
const B = "http://127.0.0.1:9002";
const UNKNOWN_ID = "b-000000000000";
/** Of `http://127.0.0.1:9001`, in every process: ids are stable for a URL. */
const ID_OF_A = "b-b52e7b55edbb";

// --- Every route against every refusal -------------------------------------------------------------------------

interface RouteRow {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  /** What `Allow` lists for the path. */
  readonly allow: string;
  /** Needs no token. */
  readonly open?: true;
  /** Of its answer. Default: JSON. */
  readonly contentType?: string;
  /** A valid body. Present: the route reads one. */
  readonly body?: unknown;
  readonly ok: number;
}

/** What each route answers. One that has no row here is put through the refusals all the same. */
const ROUTES: readonly RouteRow[] = [
  { method: "GET", path: "/status", allow: "GET, HEAD", ok: 200 },
  { method: "GET", path: "/routes", allow: "GET, HEAD, PATCH", ok: 200 },
  { method: "GET", path: "/pools", allow: "GET, HEAD", ok: 200 },
  { method: "GET", path: "/pools/default", allow: "GET, HEAD", ok: 200 },
  {
    method: "POST",
    path: "/pools/default/backends",
    allow: "GET, HEAD, POST, PUT, PATCH, DELETE",
    body: { url: B },
    ok: 201,
  },
  { method: "GET", path: "/config", allow: "GET, HEAD", ok: 200 },
  { method: "GET", path: "/explain", allow: "GET, HEAD", ok: 200 },
  { method: "GET", path: "/history", allow: "GET, HEAD", ok: 200 },
  { method: "GET", path: "/openapi.json", allow: "GET, HEAD", ok: 200 },
  { method: "GET", path: "/events", allow: "GET, HEAD", ok: 200, contentType: "text/event-stream" },
  { method: "GET", path: "/", allow: "GET, HEAD", open: true, ok: 200, contentType: "text/html; charset=utf-8" },
  {
    method: "GET",
    path: "/dashboard/app.js",
    allow: "GET, HEAD",
    open: true,
    ok: 200,
    contentType: "text/javascript; charset=utf-8",
  },
  {
    method: "GET",
    path: "/metrics",
    allow: "GET, HEAD",
    ok: 200,
    contentType: "text/plain; version=0.0.4; charset=utf-8",
  },
  { method: "POST", path: "/reload", allow: "POST", ok: 400 },
  { method: "GET", path: "/healthz", allow: "GET, HEAD", open: true, ok: 200 },
  { method: "GET", path: "/readyz", allow: "GET, HEAD", open: true, ok: 200 },
  { method: "GET", path: "/backends", allow: "GET, HEAD, POST, PUT, PATCH, DELETE", ok: 200 },
  { method: "POST", path: "/backends", allow: "GET, HEAD, POST, PUT, PATCH, DELETE", body: { url: B }, ok: 201 },
  { method: "PUT", path: "/backends", allow: "GET, HEAD, POST, PUT, PATCH, DELETE", body: { backends: [B] }, ok: 200 },
  {
    method: "PATCH",
    path: "/backends",
    allow: "GET, HEAD, POST, PUT, PATCH, DELETE",
    body: { url: A, weight: 2 },
    ok: 200,
  },
  { method: "DELETE", path: "/backends", allow: "GET, HEAD, POST, PUT, PATCH, DELETE", body: { url: A }, ok: 200 },
  { method: "GET", path: `/backends/${ID_OF_A}`, allow: "GET, HEAD, PATCH, DELETE", ok: 200 },
  { method: "PATCH", path: `/backends/${ID_OF_A}`, allow: "GET, HEAD, PATCH, DELETE", body: { weight: 2 }, ok: 200 },
  { method: "DELETE", path: `/backends/${ID_OF_A}`, allow: "GET, HEAD, PATCH, DELETE", body: {}, ok: 200 },
];

/** The table's routes without a row: no example of a valid request is needed to be refused. */
const WITHOUT_ROW = await (async () => {
  await using admin = new TestAdmin();
  return admin.routes.flatMap(({ path, methods, needsNoToken }): Omit<RouteRow, "ok">[] => {
    const names = Object.keys(methods) as RouteRow["method"][];
    const allow = names.flatMap((name) => name === "GET" ? ["GET", "HEAD"] : [name]).join(", ");
    const concrete = path.replace(":pool", "default").replace(":id", ID_OF_A);
    // A row has to say so when no token is wanted: that is never to be by accident. The page's files hold no data.
    const ofPage = path.startsWith("/dashboard/") && !path.includes(":");
    const saysSo = ofPage || ROUTES.some((row) => row.path === concrete && row.open);
    assert(needsNoToken !== true || saysSo, `${path} needs no token`);
    return names.filter((method) => !ROUTES.some((row) => row.method === method && row.path === concrete))
      .map((method) => ({ method, path: concrete, allow, ...ofPage && { open: true as const } }));
  });
})();

interface RefusalRow {
  readonly name: string;
  readonly status: number;
  readonly token?: string;
  /** Which routes it is about; default: all. */
  readonly appliesTo?: (route: Omit<RouteRow, "ok">) => boolean;
  readonly change: (route: Omit<RouteRow, "ok">, port: number) => Sent;
  readonly detail: RegExp;
}

/** The runtime keeps a body of GET to itself. */
const readsBody = ({ method }: Omit<RouteRow, "ok">) => method !== "GET";
const wantsToken = ({ open }: Omit<RouteRow, "ok">) => open === undefined;
const HOST = /Host must be localhost or an IP address/;
const ORIGIN = /another origin/;

const REFUSALS: readonly RefusalRow[] = [
  { name: "a rebound name", status: 403, change: () => ({ headers: { host: "evil.example" } }), detail: HOST },
  { name: "no Host", status: 403, change: () => ({ headers: { host: null } }), detail: HOST },
  {
    name: "an absolute target with another's name",
    status: 403,
    change: ({ path }) => ({ target: `http://evil.example${path}` }),
    detail: HOST,
  },
  {
    name: "another site's page",
    status: 403,
    change: () => ({ headers: { origin: "http://evil.example" } }),
    detail: ORIGIN,
  },
  { name: "a null origin", status: 403, change: () => ({ headers: { origin: "null" } }), detail: ORIGIN },
  {
    name: "another port's page",
    status: 403,
    change: (_route, port) => ({ headers: { origin: `http://127.0.0.1:${port === 1 ? 2 : 1}` } }),
    detail: ORIGIN,
  },
  {
    name: "another site's page that knows the token",
    status: 403,
    token: TOKEN,
    change: () => ({ headers: { authorization: `Bearer ${TOKEN}`, origin: "http://evil.example" } }),
    detail: ORIGIN,
  },
  { name: "no token", status: 401, token: TOKEN, appliesTo: wantsToken, change: () => ({}), detail: /Bearer TOKEN/ },
  {
    name: "a wrong token",
    status: 401,
    token: TOKEN,
    appliesTo: wantsToken,
    change: () => ({ headers: { authorization: `Bearer ${TOKEN}x` } }),
    detail: /the token is wrong/,
  },
  {
    name: "an unknown method",
    status: 405,
    change: () => ({ method: "PROPFIND" }),
    detail: /got PROPFIND, want one of (GET, HEAD|POST|DELETE)/,
  },
  { name: "method OPTIONS", status: 405, change: () => ({ method: "OPTIONS" }), detail: /got OPTIONS/ },
  { name: "an unknown method", status: 405, change: () => ({ method: "FETCH" }), detail: /got FETCH/ },
  {
    name: "a body that is no JSON by its type",
    status: 415,
    appliesTo: readsBody,
    change: ({ body = {} }) => ({ body, headers: { "content-type": "text/plain" } }),
    detail: /content-type: got "text\/plain", want application\/json/,
  },
  {
    name: "a body of no type",
    status: 415,
    appliesTo: readsBody,
    change: ({ body = {} }) => ({ body, headers: { "content-type": null } }),
    detail: /content-type: got nothing/,
  },
  {
    name: "a body over 64 KiB",
    status: 413,
    appliesTo: readsBody,
    change: ({ body = {} }) => ({ body: JSON.stringify(body).padEnd(64 * 1024 + 1) }),
    detail: /more than 65536 bytes/,
  },
  {
    name: "malformed JSON",
    status: 400,
    appliesTo: readsBody,
    change: () => ({ body: '{"url"' }),
    detail: /malformed JSON/,
  },
  {
    name: "no object",
    status: 400,
    appliesTo: readsBody,
    change: () => ({ body: [] }),
    detail: /body: got an empty list, want an object/,
  },
  {
    name: "JSON so deep that nothing may follow it down",
    status: 400,
    appliesTo: readsBody,
    change: ({ body = {} }) => ({
      body: `${JSON.stringify({ ...Object(body), deep: 0 }).replace(/0}$/, "")}${"[".repeat(32_000)}${
        "]".repeat(32_000)
      }}`,
    }),
    detail: /deep: unknown/,
  },
  {
    name: "an unknown field",
    status: 400,
    appliesTo: readsBody,
    change: ({ body }) => ({ body: { ...Object(body), colour: 1 } }),
    detail: /colour: unknown/,
  },
  {
    name: "an unknown query parameter",
    status: 400,
    change: ({ path }) => ({ target: `${path}?drian=30s` }),
    detail: /unknown query parameter "drian"/,
  },
];

function assertProblem(response: RawResponse, status: number, detail: RegExp): void {
  const problem = JSON.parse(textOf(response));
  assertEquals([response.status, problem.status], [status, status], textOf(response));
  assertEquals(headerOf(response, "content-type"), "application/problem+json");
  assertEquals(Object.keys(problem), ["type", "title", "status", "detail"]);
  assertMatch(problem.detail, detail);
  assertNotMatch(textOf(response), /\bat .*\.ts:\d|Error:/);
}

for (const route of ROUTES) {
  const { method, path: target, body } = route;
  const { contentType = route.ok < 400 ? "application/json" : "application/problem+json" } = route;
  Deno.test(`admin ${method} ${target} answers with and without a token`, async () => {
    for (const token of [null, TOKEN]) {
      await using admin = new TestAdmin({ token });
      const headers: Record<string, string> = token === null || route.open ? {} : { authorization: `bearer ${token}` };
      headers.origin = `http://127.0.0.1:${admin.port}`;
      admin.events.close(); // so that its stream ends
      const response = await admin.send({ method, target, headers, body });
      assertEquals([response.status, headerOf(response, "content-type")], [route.ok, contentType]);
    }
  });
}

for (const route of [...ROUTES, ...WITHOUT_ROW]) {
  const { method, path: target, body } = route;
  Deno.test(`admin ${method} ${target} refuses as every route does`, async (test) => {
    for (const { name, status, token = null, appliesTo = () => true, change, detail } of REFUSALS) {
      if (!appliesTo(route)) continue;
      await test.step(`${name}: ${status}`, async () => {
        await using admin = new TestAdmin({ token });
        const response = await admin.send({ method, target, body, ...change(route, admin.port) });
        assertProblem(response, status, detail);
        if (status === 405) assertEquals(headerOf(response, "allow"), route.allow);
        if (status === 401) assertMatch(headerOf(response, "www-authenticate") ?? "", /^Bearer realm="roundhouse"/);
        assertEquals(admin.pool.backends.map(({ url, weight }) => [url, weight]), [[A, 1]]);
        assertEquals(admin.log.lines, []);
      });
    }
  });
}

Deno.test("admin names the first thing wrong: 403, 401, 404, 405, 415, 413, 400", async () => {
  await using admin = new TestAdmin({ token: TOKEN });
  // Everything is wrong with the first; each line after it puts one thing right.
  const sent = {
    method: "PROPFIND",
    target: "/nowhere?x=1",
    headers: { origin: "null", "content-type": "text/plain" } as Record<string, string | null>,
    body: "{".padEnd(70_000),
  };
  const statuses: number[] = [];
  const next = async (right: Partial<typeof sent>) => {
    Object.assign(sent, right);
    statuses.push((await admin.call(sent)).status);
  };
  await next({});
  await next({ headers: { "content-type": "text/plain" } });
  await next({ headers: { "content-type": "text/plain", authorization: `Bearer ${TOKEN}` } });
  await next({ target: "/backends?x=1" });
  await next({ method: "POST" });
  await next({ headers: { authorization: `Bearer ${TOKEN}` } });
  await next({ body: "{" });
  await next({ body: '{"url":1}' });
  await next({ target: "/backends" });
  await next({ body: JSON.stringify({ url: B }) });
  assertEquals(statuses, [403, 401, 404, 405, 415, 413, 400, 400, 400, 201]);
});

Deno.test("admin HEAD answers like GET, without the body", async () => {
  await using admin = new TestAdmin();
  for (const target of ["/backends", "/healthz", "/nowhere"]) {
    const get = await admin.send({ target });
    const head = await admin.send({ method: "HEAD", target });
    const comparable = ({ headers }: RawResponse) => headers.filter(([name]) => name !== "date").map(String).sort();
    assertEquals([head.status, comparable(head), textOf(head)], [get.status, comparable(get), ""]);
    assert(get.body.length > 0);
  }
});

Deno.test("admin takes any Host once a token is set, and Host localhost and addresses without one", async () => {
  await using guarded = new TestAdmin({ token: TOKEN });
  const headers = { host: "admin.example", authorization: `Bearer ${TOKEN}`, origin: "https://admin.example" };
  assertEquals((await guarded.call({ headers })).status, 200);
  await using open = new TestAdmin();
  for (const host of ["localhost", "LOCALHOST:1", "10.1.2.3:8081", "[::1]:8081"]) {
    assertEquals((await open.call({ headers: { host } })).status, 200, host);
  }
});

Deno.test("admin refuses strange targets without failing", async () => {
  await using admin = new TestAdmin();
  for (const target of ["*", "//status", "/status/", "/%", "/%ff", "/backends/", "/backends/a/b", "/__proto__"]) {
    assertEquals((await admin.call({ method: "OPTIONS", target })).status, 404, target);
  }
  assertEquals((await admin.call({ target: "/status?__proto__=1" })).status, 400);
  // Its target is an authority, so it is refused as another's name already.
  assertEquals((await admin.send({ method: "CONNECT", target: "evil.example:80" })).status, 403);
  assertEquals(admin.log.lines, []);
});

// --- Bodies that come in their own way -------------------------------------------------------------------------

const POST_CHUNKED = "POST /backends HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n" +
  "Transfer-Encoding: chunked\r\n\r\n";

Deno.test("admin counts a body that declares no length: 413 past 64 KiB, before it ends", async () => {
  await using admin = new TestAdmin();
  using client = await RawClient.connect(admin.port);
  const response = await client.request(`${POST_CHUNKED}11170\r\n${" ".repeat(0x11170)}\r\n`);
  assert(response !== undefined);
  assertProblem(response, 413, /more than 65536 bytes/);
});

Deno.test("admin looks at the type of a body without a length before it counts it", async () => {
  await using admin = new TestAdmin();
  using client = await RawClient.connect(admin.port);
  const head = POST_CHUNKED.replace("application/json", "text/plain");
  const response = await client.request(`${head}11170\r\n${" ".repeat(0x11170)}\r\n`);
  assertEquals(response?.status, 415);
});

Deno.test("admin takes a chunked body, and an empty one for none", async () => {
  await using admin = new TestAdmin();
  using client = await RawClient.connect(admin.port);
  const body = JSON.stringify({ url: B });
  assertEquals(
    (await client.request(`${POST_CHUNKED}${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`))?.status,
    201,
  );
  const empty = POST_CHUNKED.replace("POST /backends", `DELETE /backends/${ID_OF_A}`)
    .replace("Content-Type: application/json\r\n", "");
  assertEquals((await client.request(`${empty}0\r\n\r\n`))?.status, 200);
});

Deno.test("admin gives up on a body that does not arrive: 408, and a stop does not wait for the rest", async () => {
  await using admin = new TestAdmin({ timeouts: { headerMs: 20 } });
  using client = await RawClient.connect(admin.port);
  const response = await client.request(`${POST_CHUNKED}5\r\n{"url`);
  assert(response !== undefined);
  assertProblem(response, 408, /did not arrive within 0\.02 s/);
  await admin.server.stop();
  assert(await client.closed());
});

Deno.test("admin gives up on a body that trickles in: the deadline is for all of it", async () => {
  await using admin = new TestAdmin({ timeouts: { headerMs: 60 } });
  using client = await RawClient.connect(admin.port);
  await client.send(POST_CHUNKED);
  let response: RawResponse | undefined;
  const answered = client.response().then((got) => response = got);
  for (let sent = 0; response === undefined && sent < 10_000; sent++) {
    await client.send("1\r\n \r\n").catch(() => {}); // it is closed in the middle
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await answered;
  assert(response !== undefined);
  assertProblem(response, 408, /did not arrive/);
  assertEquals(admin.pool.backends.length, 1);
});

Deno.test("admin takes the whole token and nothing but it", async () => {
  await using admin = new TestAdmin({ token: TOKEN });
  const wrong = ["", " ", "s", "s3cre", "s3crets", "S3CRET", "s3cret s3cret", "s3cret,s3cret", '"s3cret"', "é3cret"]
    .map((token) => `Bearer ${token}`);
  for (const authorization of [...wrong, TOKEN, `Basic ${btoa(`:${TOKEN}`)}`, `Bearer${TOKEN}`]) {
    assertEquals((await admin.call({ headers: { authorization } })).status, 401, authorization);
  }
  assertEquals((await admin.call({ target: `/status?token=${TOKEN}` })).status, 401);
  assertEquals((await admin.call({ headers: { authorization: `bearer  ${TOKEN}` } })).status, 200);
});

Deno.test("admin refuses deep JSON in the place of every field, whatever field that is", async () => {
  await using admin = new TestAdmin();
  const deep = (open: string, close: string) => open.repeat(10_000) + "1" + close.repeat(10_000);
  for (const value of [deep("[", "]"), deep('{"a":', "}")]) {
    for (const field of ["url", "id", "weight", "maxConnections", "backup", "state"]) {
      for (const method of ["POST", "PATCH", "DELETE"]) {
        const body = `{"${field}":${value}}`;
        assertProblem(await admin.send({ method, target: "/backends", body }), 400, new RegExp(field));
      }
    }
    assertProblem(await admin.send({ method: "POST", target: "/backends", body: value }), 400, /url|body/);
  }
  assertEquals(admin.log.lines, []);
});

// --- The pool --------------------------------------------------------------------------------------------------

/** The same with rates of 0, since a rate depends on how long the test has taken. */
function withoutRates(json: unknown) {
  return JSON.parse(JSON.stringify(json), (key, value) => key === "perSecond" ? 0 : value);
}

Deno.test("admin GET /status has exactly these fields", async () => {
  await using admin = new TestAdmin({ urls: [A, B] });
  const backend = admin.backend();
  admin.pool.shared.memory.requests.started();
  using _lease = { [Symbol.dispose]: ((lease) => () => lease?.release())(backend.lease()) };
  backend.answered(200, 12.5);
  backend.countFailure();
  backend.lastCheck = { at: "2026-11-22T10:00:00.000Z", ok: true, status: 200, durationMs: 0.8, error: null };
  backend.lastChange = { at: "2026-11-22T10:00:00.000Z", to: "up", reason: "check passed" };
  const { status, json } = await admin.call({});
  assertEquals(status, 200);
  const { startedAt, uptimeSeconds, ...rest } = withoutRates(json);
  assertEquals(new Date(startedAt).toISOString(), startedAt);
  assert(uptimeSeconds >= 5 && uptimeSeconds < 60, `uptimeSeconds is ${uptimeSeconds}`);
  assertEquals(Object.keys(json), [
    ...["version", "startedAt", "uptimeSeconds", "strategy", "engine", "workers", "requests", "backends", "pools"],
    ...["cluster", "certificates"],
  ]);
  const unused = backendStatus(admin.backend(B).id, { url: B });
  const { pools, ...ofDefault } = rest;
  const source = { kind: "static", ok: true, lastSuccess: null, staleSince: null, error: null };
  assertEquals(pools, { default: { strategy: "round-robin", backends: rest.backends, source } });
  assertEquals(ofDefault, {
    version: "1.2.3",
    strategy: "round-robin",
    engine: "fetch",
    workers: 1,
    requests: { total: 1, active: 1, failed: 0, retried: 0, queued: 0 },
    cluster: null,
    certificates: [],
    backends: [{
      ...unused,
      id: ID_OF_A,
      url: A,
      currentConnections: 1,
      totalRequests: 1,
      totalFailures: 1,
      responses: { ...unused.responses, "2xx": 1 },
      lastMinute: { ...unused.lastMinute, requests: 1, failures: 1, answers: 1 },
      latencyMs: { ewma: 12.5, p50: 12.75, p95: 12.75, p99: 12.75 },
      lastCheck: { at: "2026-11-22T10:00:00.000Z", ok: true, status: 200, durationMs: 0.8, error: null },
      lastChange: { at: "2026-11-22T10:00:00.000Z", to: "up", reason: "check passed" },
    }, unused],
  });
  assertEquals(withoutRates((await admin.call({ target: "/backends" })).json), rest.backends);
  assertEquals(withoutRates((await admin.call({ target: `/backends/${ID_OF_A}` })).json), rest.backends[0]);
});

Deno.test("admin POST /backends adds a backend that is up at once, says where it is, and logs who did it", async () => {
  await using admin = new TestAdmin();
  const body = { url: "HTTP://LocalHost:80/base/", weight: 3 };
  const { status, json, response } = await admin.call({ method: "POST", target: "/backends", body });
  const added = admin.backend("http://localhost/base");
  assertEquals(status, 201);
  assertEquals([json.id, json.url, json.weight, json.alive], [added.id, added.url, 3, true]);
  assertEquals(headerOf(response, "location"), `/backends/${added.id}`);
  assertEquals((await admin.call({ target: headerOf(response, "location") ?? "" })).json, json);
  assertEquals(admin.log.of("admin change").map(({ level }) => level), ["info"]);
  assertEquals(admin.log.of("admin change").map(({ fields }) => fields), [{
    client: "127.0.0.1",
    action: "add",
    pool: "default",
    backend: "http://localhost/base",
    before: null,
    after: { weight: 3, maxConnections: null, backup: false, state: "active" },
  }]);
});

Deno.test("admin POST /backends: 409 for one that is there in any spelling, and for a full pool", async () => {
  await using admin = new TestAdmin({ urls: ["http://h/a"] });
  const again = await admin.call({ method: "POST", target: "/backends", body: { url: "http://H:80/a/" } });
  assertEquals([again.status, again.json.detail], [409, "http://h/a is in the pool already"]);
  for (let count = 1; count < MAX_BACKENDS; count++) admin.pool.add(backendSpec(`http://h:${count}`), "test");
  const tooMany = await admin.call({ method: "POST", target: "/backends", body: { url: B } });
  assertEquals([tooMany.status, tooMany.json.detail], [409, `the pool holds at most ${MAX_BACKENDS} backends`]);
  assertEquals(admin.log.of("admin change"), []);
});

Deno.test("admin POST and PATCH list every bad field with what was expected, and change nothing", async () => {
  await using admin = new TestAdmin();
  const many = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`field${index}`, 1]));
  for (
    const { method, body, detail } of [
      { method: "POST", body: {}, detail: ["url: got nothing, want an http://"] },
      { method: "POST", body: { url: "ftp://h" }, detail: ['url: got "ftp://h", want an http:// or https:// origin'] },
      { method: "POST", body: { url: "http://u:pw@h" }, detail: ['url: got "http://***@h", want'] },
      {
        method: "POST",
        body: { url: "http://h/?q" },
        detail: [
          "without credentials, query or fragment, or unix:/PATH of a socket (absolute, at most 107 bytes, without colons)",
        ],
      },
      { method: "POST", body: { url: "http://h:6000" }, detail: ['url: port 6000 is blocked by engine "fetch"'] },
      { method: "POST", body: { url: B, weihgt: 1 }, detail: ['weihgt: unknown setting, did you mean "weight"?'] },
      { method: "POST", body: { url: B, tls: {} }, detail: ["tls: unknown"] },
      { method: "POST", body: { url: B, id: ID_OF_A }, detail: ["id: unknown"] },
      { method: "POST", body: { url: B, state: "active" }, detail: ["state: unknown"] },
      { method: "POST", body: '{"url":"http://h","__proto__":{}}', detail: ["__proto__: unknown"] },
      { method: "POST", body: { url: B, ...many }, detail: ["field0: unknown", "; and 40 more"] },
      {
        method: "POST",
        body: { url: 7, weight: -1, backup: "yes", maxConnections: 0 },
        detail: [
          "url: got 7, want",
          "weight: got -1, want a whole number from 0 to 256",
          'backup: got "yes", want true or false',
          "maxConnections: got 0, want a whole number from 1 to",
        ],
      },
      {
        method: "PATCH",
        body: { url: A, weight: 257 },
        detail: ["weight: got 257, want a whole number from 0 to 256"],
      },
      { method: "PATCH", body: { url: A, weight: null }, detail: ["weight: got null"] },
      {
        method: "PATCH",
        body: { url: A, weight: 9, state: "gone" },
        detail: ['state: got "gone", want "active", "draining" or "disabled"'],
      },
      { method: "PATCH", body: { url: A, id: ID_OF_A, weight: 9 }, detail: ["url, id: got more than one"] },
      { method: "PATCH", body: { weight: 9 }, detail: ["url, id: got neither, want exactly one"] },
      { method: "PATCH", body: { id: 7, weight: 9 }, detail: ["id: got 7, want text"] },
      { method: "PATCH", body: undefined, detail: ["body: got nothing, want an object"] },
    ]
  ) {
    const { status, json } = await admin.call({ method, target: "/backends", body });
    assertEquals(status, 400, JSON.stringify(body));
    for (const part of detail) assertStringIncludes(json.detail, part);
  }
  assertEquals(admin.pool.backends.map(({ url, weight }) => [url, weight]), [[A, 1]]);
  assertEquals(admin.log.lines, []);
});

Deno.test("admin PATCH changes a backend named by URL, by id or by path, and logs before and after", async () => {
  await using admin = new TestAdmin();
  const backend = admin.backend();
  const patches = [
    { target: "/backends", body: { url: "HTTP://127.0.0.1:9001/", weight: 0 }, expect: [0, "active"] },
    { target: "/backends", body: { id: ID_OF_A, weight: 256, state: "draining" }, expect: [256, "draining"] },
    { target: `/backends/${ID_OF_A}`, body: { state: "disabled" }, expect: [256, "disabled"] },
    { target: `/backends/${ID_OF_A}`, body: { maxConnections: null, backup: false }, expect: [256, "disabled"] },
    { target: `/backends/${ID_OF_A}`, body: {}, expect: [256, "disabled"] },
  ];
  for (const { target, body, expect } of patches) {
    const { status, json } = await admin.call({ method: "PATCH", target, body });
    assertEquals(status, 200);
    assertEquals([json.weight, json.state], expect);
    assertEquals([backend.weight, backend.state], expect);
  }
  const settings = { maxConnections: null, backup: false };
  const lines = admin.log.of("admin change").map(({ fields: { before, after } }) => ({ before, after }));
  // What changed nothing is no change.
  assertEquals(lines, [
    { before: { weight: 1, ...settings, state: "active" }, after: { weight: 0, ...settings, state: "active" } },
    { before: { weight: 0, ...settings, state: "active" }, after: { weight: 256, ...settings, state: "draining" } },
    { before: { weight: 256, ...settings, state: "draining" }, after: { weight: 256, ...settings, state: "disabled" } },
  ]);
});

Deno.test("admin POST and PATCH take maxConnections and backup", async () => {
  for (const [field, value] of [["maxConnections", 5], ["backup", true]] as const) {
    for (const sent of [{ method: "POST", body: { url: B } }, { method: "PATCH", body: { url: A } }]) {
      await using admin = new TestAdmin();
      const { status, json } = await admin.call({
        ...sent,
        target: "/backends",
        body: { ...sent.body, [field]: value },
      });
      assertEquals([status < 300, json[field]], [true, value]);
    }
  }
});

Deno.test("admin DELETE removes a backend named in the body, in the query or by path, and shows it", async () => {
  for (
    const sent of [
      { target: "/backends", body: { url: "http://127.0.0.1:9001/" } },
      { target: "/backends", body: { id: ID_OF_A } },
      { target: `/backends?url=${encodeURIComponent("HTTP://127.0.0.1:9001/")}` },
      { target: `/backends?id=${ID_OF_A}` },
      { target: `/backends?id=${ID_OF_A}`, body: {} },
      { target: `/backends/${ID_OF_A}` },
    ]
  ) {
    await using admin = new TestAdmin({ urls: [A, B] });
    const lease = admin.backend().lease();
    const { status, json } = await admin.call({ method: "DELETE", ...sent });
    assertEquals([status, json.id, json.url, json.currentConnections], [200, ID_OF_A, A, 1]);
    assertEquals(admin.pool.backends.map(({ url }) => url), [B]);
    assertEquals(admin.log.of("admin change").map(({ fields }) => fields), [{
      client: "127.0.0.1",
      action: "remove",
      pool: "default",
      backend: A,
      before: { weight: 1, maxConnections: null, backup: false, state: "active" },
      after: null,
    }]);
    lease?.release();
  }
});

Deno.test("admin DELETE takes exactly one name", async () => {
  await using admin = new TestAdmin();
  for (
    const { target, body, detail } of [
      { target: "/backends", detail: /url, id: got neither/ },
      { target: "/backends", body: {}, detail: /url, id: got neither/ },
      { target: "/backends", body: { url: A, id: ID_OF_A }, detail: /url, id: got more than one/ },
      { target: `/backends?id=${ID_OF_A}&url=${A}`, detail: /url, id: got more than one/ },
      { target: `/backends?id=${ID_OF_A}`, body: { id: ID_OF_A }, detail: /url, id: got more than one/ },
      { target: `/backends?id=${ID_OF_A}&id=${ID_OF_A}`, detail: /query parameter "id": got it more than once/ },
      { target: "/backends?url=nonsense", detail: /url: got "nonsense", want an http:\/\// },
      { target: `/backends/${ID_OF_A}?id=${ID_OF_A}`, detail: /unknown query parameter "id", want/ },
      { target: `/backends/${ID_OF_A}`, body: { id: ID_OF_A }, detail: /id: unknown/ },
    ]
  ) {
    const response = await admin.send({ method: "DELETE", target, body });
    assertProblem(response, 400, detail);
  }
  assertEquals(admin.pool.backends.length, 1);
});

Deno.test("admin answers 404 for a backend that the pool does not have", async () => {
  await using admin = new TestAdmin();
  for (
    const sent of [
      { target: `/backends/${UNKNOWN_ID}` },
      { method: "PATCH", target: `/backends/${UNKNOWN_ID}`, body: { weight: 2 } },
      { method: "DELETE", target: `/backends/${UNKNOWN_ID}` },
      { method: "PATCH", target: "/backends", body: { url: B, weight: 2 } },
      { method: "DELETE", target: "/backends", body: { id: UNKNOWN_ID } },
      { method: "DELETE", target: `/backends?url=${B}` },
    ]
  ) assertProblem(await admin.send(sent), 404, /no such backend/);
});

// --- Health and the server itself ------------------------------------------------------------------------------

Deno.test("admin GET /readyz is 503 without an eligible backend, with a shut listener and while stopping, /healthz never", async () => {
  await using admin = new TestAdmin();
  const backend = admin.backend();
  const statuses = async () => [
    (await admin.call({ target: "/readyz" })).status,
    (await admin.call({ target: "/healthz" })).status,
  ];
  assertEquals(await statuses(), [200, 200]);
  admin.pool.setUp(backend, false, "test");
  assertEquals(await statuses(), [503, 200]);
  admin.pool.setUp(backend, true, "test");
  admin.pool.update(backend, { weight: 0 }, "test");
  assertEquals(await statuses(), [503, 200]);
  admin.pool.update(backend, { weight: 1, backup: true }, "test");
  assertEquals(await statuses(), [200, 200]);
  admin.pool.update(backend, { state: "draining" }, "test");
  assertEquals(await statuses(), [503, 200]);
  admin.pool.update(backend, { state: "active" }, "test");
  assertEquals(await statuses(), [200, 200]);
  admin.allAccepting = false;
  assertEquals(await statuses(), [503, 200]);
  admin.allAccepting = true;
  admin.stopping = true;
  assertEquals(await statuses(), [503, 200]);
});

Deno.test("admin answers 500 to a bug of its own, tells it to the log alone and goes on", async () => {
  await using admin = new TestAdmin();
  const unsubscribe = admin.pool.subscribe(() => {
    throw new Error("inner secret");
  });
  const sent = { method: "DELETE", target: `/backends/${ID_OF_A}` };
  const response = await admin.send(sent);
  unsubscribe();
  assertProblem(response, 500, /failed to handle this request/);
  assertNotMatch(textOf(response), /inner secret/);
  const [line] = admin.log.of("admin request failed");
  assertEquals([line?.level, line?.fields.method, line?.fields.error], ["error", "DELETE", "inner secret"]);
  assertEquals((await admin.call({})).status, 200);
});

Deno.test("startAdminServer() says which port it got, and fails when the port is taken", async () => {
  await using admin = new TestAdmin();
  assert(admin.port > 0);
  const config = { host: "127.0.0.1", port: admin.port, token: null, persist: false };
  assertThrows(() => new TestAdmin({ config }), Deno.errors.AddrInUse);
});

Deno.test("stop() answers until what is in flight has finished, closes idle connections and the port, and may be called again", async () => {
  await using admin = new TestAdmin();
  using idle = await RawClient.connect(admin.port);
  using busy = await RawClient.connect(admin.port);
  const body = JSON.stringify({ url: B });
  const head =
    "POST /backends HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n";
  await busy.send(`${head}Content-Length: ${body.length}\r\n\r\n`);
  // It asks for the body when the route reads it: the request is in flight from here on.
  assertEquals((await busy.response())?.status, 100);
  const stopped = admin.server.stop();
  // Far longer than a stop takes that waits for nothing.
  for (const end = performance.now() + 100; performance.now() < end;) {
    assertEquals((await idle.request("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"))?.status, 200);
  }
  assertEquals((await busy.request(body, "POST"))?.status, 201);
  await stopped;
  await admin.server.stop();
  assert(await idle.closed());
  const refused = await RawClient.connect(admin.port).then((client) => client.close(), (error) => error);
  assert(refused instanceof Deno.errors.ConnectionRefused);
});

Deno.test("GET /config shows the configuration in force in the file's own words, without its secrets", async () => {
  await using admin = new TestAdmin();
  const { status, json } = await admin.call({ target: "/config" });
  assertEquals([status, json.admin.token, json.timeouts.response, json.strategy], [200, "***", "30s", "round-robin"]);
});

Deno.test("admin GET /history shows the last five minutes, of one pool on request", async () => {
  await using admin = new TestAdmin();
  admin.pool.shared.counts.count(500, false);
  admin.memory.elsewhere.count(404, false);
  await admin.time.advance(2000);
  const { status, json } = await admin.call({ target: "/history" });
  assertEquals([status, json.seconds, json.total.requests, json.pools.default["5xx"]], [200, 1, [2], [1]]);
  assertEquals((await admin.call({ target: "/history?pool=default" })).json, json);
  assertProblem(await admin.send({ target: "/history?pool=x" }), 404, /"x"/);
  assertProblem(await admin.send({ target: "/history?route=x" }), 404, /route "x"/);
  assertProblem(await admin.send({ target: "/history?seconds=5" }), 400, /seconds/);
});
