// Backends that come and go by themselves, with the whole program: no request fails or reaches a backend that has gone,
// sources that fail take nothing away, and the admin API says what is the matter.

import { assert, assertEquals, assertLess } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { BackendFile } from "../support/backend_file.ts";
import { EventReader } from "../support/event_stream.ts";
import { GatedBackend } from "../support/gated_backend.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawClient, textOf } from "../support/raw_client.ts";
import { waitFor } from "../support/wait.ts";

const CHECKED = { health: { type: "http", interval: "1s" } } as const satisfies ConfigFile;

async function admin(proxy: TestProxy, method: string, path: string, body?: unknown) {
  const init = body === undefined
    ? {}
    : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(`${proxy.adminUrl}${path}`, { method, ...init });
  const text = await response.text();
  return { status: response.status, text, json: text.startsWith("{") ? JSON.parse(text) : undefined };
}

async function sourceOf(proxy: TestProxy, pool = "default") {
  const { json } = await admin(proxy, "GET", `/pools/${pool}`);
  return json.source;
}

async function serves(proxy: TestProxy, urls: readonly string[], pool = proxy.pool): Promise<void> {
  const names = () => pool.backends.filter(({ selectable }) => selectable).map(({ url }) => url);
  await waitFor(() => JSON.stringify(names().sort()) === JSON.stringify([...urls].sort()), {
    what: `the backends ${urls}`,
    timeoutMs: 20_000,
  });
}

async function onlyHas(proxy: TestProxy, urls: readonly string[]): Promise<void> {
  await waitFor(
    () => JSON.stringify(proxy.backends.map(({ url }) => url).sort()) === JSON.stringify([...urls].sort()),
    {
      what: `nothing but ${urls}`,
      timeoutMs: 20_000,
    },
  );
}

async function ask(proxy: TestProxy): Promise<string> {
  const response = await fetch(proxy.url);
  return `${response.status} ${await response.text()}`;
}

Deno.test("backends of a file come and go under load: no request fails or reaches one that has gone, counts end at 0", async () => {
  const backends = ["a", "b", "c", "d"].map((name) => HttpBackend.named(name));
  const urls = backends.map(({ url }) => url);
  const [a = "", b = "", c = "", d = ""] = urls;
  await using file = await BackendFile.create([a, b]);
  await using proxy = await TestProxy.start({ ...CHECKED, discover: file.discover, retries: { attempts: 0 } });
  let stopping = false;
  const answers = new Set<string>();
  const clients = Promise.all(Array.from({ length: 4 }, async () => {
    using client = await RawClient.connect(proxy.port);
    while (!stopping) {
      const response = await client.request("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      assert(response !== undefined);
      answers.add(`${response.status} ${textOf(response)}`);
    }
  }));
  for (const list of [[a, b, c], [c, d], [d, a, b, c], [b, c], [d], [a, b]]) {
    await file.write(list);
    await serves(proxy, list);
    await onlyHas(proxy, list);
  }
  await proxy.roundhouse.settled();
  const gone = backends.slice(2);
  const before = gone.map(({ requests }) => requests);
  await waitFor(() => (backends[0]?.requests ?? 0) > 50, { what: "more requests" });
  stopping = true;
  await clients;
  assertEquals([...answers].sort(), ["200 a", "200 b", "200 c", "200 d"]);
  assertEquals(gone.map(({ requests }) => requests), before, "requests to backends that have gone");
  await proxy.idle();
  assertEquals(proxy.pool.idle, true);
  assertEquals(proxy.roundhouse.memory.requestTotals().failed, 0);
  for (const backend of backends) await backend[Symbol.asyncDispose]();
});

Deno.test("a new backend takes no traffic before it has passed a check", async () => {
  await using good = HttpBackend.named("good");
  await using bad = new HttpBackend(() => new Response("bad", { status: 503 }));
  await using file = await BackendFile.create([good.url]);
  await using proxy = await TestProxy.start({ ...CHECKED, discover: file.discover });
  await serves(proxy, [good.url]);
  await file.write([good.url, bad.url]);
  await waitFor(() => bad.requests >= 2, { what: "checks of the new backend", timeoutMs: 20_000 });
  for (let count = 0; count < 10; count++) assertEquals(await ask(proxy), "200 good");
});

Deno.test("a backend that has gone ends its requests in peace; its WebSocket is closed when the drain is over", async () => {
  await using stays = HttpBackend.named("stays");
  await using gated = new GatedBackend();
  const left = Promise.withResolvers<void>();
  await using sockets = new HttpBackend((request) => {
    const { socket, response } = Deno.upgradeWebSocket(request);
    socket.addEventListener("close", () => left.resolve());
    return response;
  });
  await using file = await BackendFile.create([gated.url]);
  await using proxy = await TestProxy.start({ discover: { ...file.discover, drain: "500ms" } });
  const request = fetch(proxy.url);
  await waitFor(() => gated.targets.length === 1, { what: "the request" });
  await file.write([sockets.url]);
  await serves(proxy, [sockets.url]);
  const closed = Promise.withResolvers<void>();
  const socket = new WebSocket(proxy.url.replace("http", "ws"));
  socket.addEventListener("close", () => closed.resolve());
  await waitFor(() => proxy.backend(sockets.url).currentConnections === 1, { what: "the WebSocket" });
  await file.write([stays.url]);
  await onlyHas(proxy, [stays.url]);
  await Promise.all([left.promise, closed.promise]);
  gated.release();
  assertEquals((await request).status, 200);
  await (await request).body?.cancel();
  await proxy.idle();
  await waitFor(() => proxy.pool.idle, { what: "the last request of a removed backend" });
});

Deno.test("a source that fails takes nothing away and says so: /status, an event, a metric; and again when it is back", async () => {
  await using one = HttpBackend.named("one");
  await using file = await BackendFile.create([one.url]);
  await using proxy = await TestProxy.start({ discover: file.discover, pools: { api: { backends: [one.url] } } });
  await serves(proxy, [one.url]);
  const stream = await fetch(`${proxy.adminUrl}/events`);
  assert(stream.body !== null);
  await using events = new EventReader(stream.body);
  const next = async (name: string) => {
    let event = await events.nextChange();
    while (event !== undefined && event.event !== name) event = await events.nextChange();
    return event?.data;
  };
  const bad = [one.url, `http://127.0.0.1:${proxy.port}`];
  for (const list of [[one.url, 7], bad, "no JSON"]) {
    await file.write(list);
    const failed = await next("discovery-failed");
    assertEquals([failed.pool, failed.source], ["default", "file"]);
    const source = await sourceOf(proxy);
    assertEquals([source.kind, source.ok, source.error], ["file", false, failed.error]);
    assert(Date.parse(source.staleSince) >= Date.parse(source.lastSuccess), JSON.stringify(source));
    assert((await admin(proxy, "GET", "/metrics")).text.includes(`roundhouse_discovery_up{pool="default"} 0`));
    assertEquals(await ask(proxy), "200 one");
    await file.write([one.url]);
    await next("discovery-recovered");
    const { lastSuccess, ...rest } = await sourceOf(proxy);
    assertEquals(rest, { kind: "file", ok: true, staleSince: null, error: null });
    assert(!Number.isNaN(Date.parse(lastSuccess)));
    assert((await admin(proxy, "GET", "/metrics")).text.includes(`roundhouse_discovery_up{pool="default"} 1`));
  }
  assertEquals(proxy.log.of("discovery failed").map(({ level, fields }) => [level, fields["pool"]])[0], [
    "warn",
    "default",
  ]);
  assertEquals((await sourceOf(proxy, "api")).kind, "static");
  assert(!(await admin(proxy, "GET", "/metrics")).text.includes(`roundhouse_discovery_up{pool="api"}`));
});

Deno.test("a list with an address of roundhouse itself is refused: proxy, admin, and the port that redirects to https", async () => {
  // The port that redirects was taken for a backend: clients were redirected to where they came from.
  await using backend = HttpBackend.named("a");
  await using file = await BackendFile.create([backend.url]);
  await using proxy = await TestProxy.start({
    discover: { ...file.discover },
    proxy: { tls: { selfSigned: ["localhost"], redirectFrom: 0 } },
  });
  await serves(proxy, [backend.url]);
  for (const url of [proxy.url.replace("https", "http"), proxy.adminUrl, proxy.roundhouse.redirectUrl ?? ""]) {
    await file.write([backend.url, url]);
    await waitFor(async () => (await sourceOf(proxy)).error?.includes(`${url}: is an address of this roundhouse`), {
      what: `the refusal of ${url}`,
      timeoutMs: 20_000,
    });
    assertEquals(proxy.backends.map(({ url }) => url), [backend.url]);
  }
});

Deno.test("an empty list removes the last backends only after keepFor", async () => {
  await using one = HttpBackend.named("one");
  await using file = await BackendFile.create([one.url]);
  await using proxy = await TestProxy.start({ discover: { ...file.discover, keepFor: "1500ms" } });
  await serves(proxy, [one.url]);
  await file.write([]);
  const emptied = performance.now();
  await onlyHas(proxy, []);
  const keptMs = performance.now() - emptied;
  assert(keptMs >= 1490, `kept for ${keptMs} ms`);
  assertEquals((await sourceOf(proxy)).ok, true);
  await file.write([one.url]);
  await serves(proxy, [one.url]);
});

Deno.test("PATCH counts in place of what the source says and outlives it; POST, PUT and DELETE are refused with 409", async () => {
  await using one = HttpBackend.named("one");
  await using two = HttpBackend.named("two");
  await using file = await BackendFile.create([one.url]);
  await using proxy = await TestProxy.start({ pools: { api: { discover: file.discover } } });
  const pool = proxy.roundhouse.pools.get("api")?.pool;
  assert(pool !== undefined);
  await serves(proxy, [one.url], pool);
  const { id } = pool.getByUrl(one.url) ?? {};
  assertEquals((await admin(proxy, "PATCH", `/pools/api/backends/${id}`, { weight: 9 })).status, 200);
  await file.write([{ url: one.url, weight: 2 }, { url: two.url, weight: 2 }]);
  await serves(proxy, [one.url, two.url], pool);
  assertEquals([pool.getByUrl(one.url)?.weight, pool.getByUrl(two.url)?.weight], [9, 2]);
  const refused = [
    await admin(proxy, "POST", "/pools/api/backends", { url: "http://127.0.0.1:9999" }),
    await admin(proxy, "PUT", "/pools/api/backends", { backends: [one.url] }),
    await admin(proxy, "DELETE", `/pools/api/backends/${id}`),
    await admin(proxy, "DELETE", `/pools/api/backends/${id}?drain=1s`),
  ];
  const detail = `the pool's backends come from file:${file.path}, so they are added and removed there`;
  for (const { status, json } of refused) assertEquals([status, json.detail], [409, detail]);
  assertEquals(pool.backends.map(({ url, state }) => [url, state]), [[one.url, "active"], [two.url, "active"]]);
});

Deno.test("a start waits 5 s at most for a first answer; /readyz waits on, and the first list is served at once", async () => {
  await using one = HttpBackend.named("one");
  const gate = Promise.withResolvers<void>();
  await using lists = new HttpBackend(async () => {
    await gate.promise;
    return Response.json([one.url]);
  });
  const begun = performance.now();
  await using proxy = await TestProxy.start({ discover: { http: lists.url, refresh: 100 } });
  assert(performance.now() - begun >= 4900);
  const waiting = await admin(proxy, "GET", "/readyz");
  assertEquals([waiting.status, waiting.json.detail], [503, "no list of the backends of pool default yet"]);
  gate.resolve();
  await serves(proxy, [one.url]);
  assertEquals((await admin(proxy, "GET", "/readyz")).status, 200);
  assertEquals(await ask(proxy), "200 one");
});

Deno.test("a start does not wait when the answer is there, and begins with the list", async () => {
  await using one = HttpBackend.named("one");
  await using file = await BackendFile.create([one.url]);
  const begun = performance.now();
  await using proxy = await TestProxy.start({ ...CHECKED, discover: file.discover });
  assertEquals([(await admin(proxy, "GET", "/readyz")).status, await ask(proxy)], [200, "200 one"]);
  assertLess(performance.now() - begun, 4900);
});

Deno.test("reloads: the same source goes on with its list, another one takes over when it has answered, and backends do so at once", async () => {
  await using one = HttpBackend.named("one");
  await using two = HttpBackend.named("two");
  await using file = await BackendFile.create([one.url]);
  await using other = await BackendFile.create(undefined);
  const settings: ConfigFile = { discover: file.discover };
  await using proxy = await TestProxy.start(settings);
  await serves(proxy, [one.url]);
  const backend = proxy.backend(one.url);
  const reload = async (next: ConfigFile) => {
    Object.assign(settings, next);
    await proxy.roundhouse.reload();
  };
  await reload({ strategy: "random", discover: { ...file.discover, drain: "1s" } });
  assertEquals([proxy.backend(one.url) === backend, (await sourceOf(proxy)).ok], [true, true]);
  await reload({ discover: other.discover });
  await waitFor(async () => (await sourceOf(proxy)).error !== null, { what: "the failure of the new source" });
  assertEquals(await ask(proxy), "200 one");
  await other.write([two.url]);
  await onlyHas(proxy, [two.url]);
  await reload({ discover: null, backends: [one.url] });
  assertEquals([proxy.backends.map(({ url }) => url), (await sourceOf(proxy)).kind], [[one.url], "static"]);
  await other.write([two.url, one.url]);
  await reload({ discover: other.discover, backends: [], strategy: "round-robin" });
  await serves(proxy, [one.url, two.url]);
  assertEquals(new Set([await ask(proxy), await ask(proxy)]), new Set(["200 one", "200 two"]));
  await reload({ discover: null, backends: [two.url] });
  assertEquals(proxy.backends.map(({ url }) => url), [two.url]);
});

Deno.test("requests wait for the first checks of a list, as they do at a start", async () => {
  await using slow = new HttpBackend(async () => {
    await new Promise((resolve) => setTimeout(resolve, 100));
    return new Response("slow");
  });
  await using file = await BackendFile.create([]);
  await using proxy = await TestProxy.start({
    discover: file.discover,
    health: { ...CHECKED.health, startUp: false },
    queue: { hold: "3s" },
  });
  await file.write([slow.url]);
  await waitFor(() => proxy.backends.length === 1, { what: "the list" });
  assertEquals(await ask(proxy), "200 slow");
});

Deno.test("a discovered pool that a reload adds begins without holding up anything, and ends with one that drops it", async () => {
  await using one = HttpBackend.named("one");
  await using file = await BackendFile.create([one.url]);
  const settings: ConfigFile = { backends: [one.url] };
  await using proxy = await TestProxy.start(settings);
  Object.assign(settings, { pools: { api: { discover: file.discover } }, routes: { "*/*": "api" } });
  await proxy.roundhouse.reload();
  const pool = proxy.roundhouse.pools.get("api")?.pool;
  assert(pool !== undefined);
  await serves(proxy, [one.url], pool);
  assertEquals(await ask(proxy), "200 one");
  Object.assign(settings, { pools: {}, routes: null });
  await proxy.roundhouse.reload();
  await waitFor(() => [...proxy.roundhouse.pools.serverPools].length === 1, { what: "the end of the pool" });
});
