// A deployment (PUT /backends): the pool gets a whole new list without a failed request, or nothing changes.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { TestAdmin } from "../support/admin.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { RawClient } from "../support/raw_client.ts";
import { TestProxy, WORKERS } from "../support/proxy.ts";
import { waitFor } from "../support/wait.ts";

interface Deployment {
  readonly backends: readonly unknown[];
  readonly wait?: string;
  readonly drain?: string;
}

async function put(proxy: TestProxy, body: Deployment, signal: AbortSignal | null = null) {
  const headers = { "content-type": "application/json" };
  const request = { method: "PUT", headers, body: JSON.stringify(body), signal };
  const response = await fetch(`${proxy.adminUrl}/backends`, request);
  return { status: response.status, body: await response.json() };
}

async function call(proxy: TestProxy, method: string, path: string, body?: unknown): Promise<number> {
  const init = body === undefined
    ? { method }
    : { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(`${proxy.adminUrl}${path}`, init);
  await response.body?.cancel();
  return response.status;
}

/** Nobody listens there. */
const REFUSING = await (async () => {
  await using backend = HttpBackend.named("gone");
  return backend.url;
})();

function urlsOf(proxy: TestProxy): string[] {
  return proxy.backends.map(({ url }) => url);
}

/** Checks that fail until `healthy` is set; requests are answered with a name all the time. */
class Release implements AsyncDisposable {
  healthy: boolean;
  checks = 0;
  served = 0;
  readonly #backend: HttpBackend;

  constructor(name: string, healthy = false) {
    this.healthy = healthy;
    this.#backend = new HttpBackend((request) => {
      if (new URL(request.url).pathname === "/up") {
        this.checks++;
        return new Response(null, { status: this.healthy ? 200 : 503 });
      }
      this.served++;
      return new Response(name);
    });
  }

  get url(): string {
    return this.#backend.url;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#backend[Symbol.asyncDispose]();
  }
}

/** Clients that send one request after the other, until `stop`. */
class Load {
  readonly answers: { readonly body: string; readonly sentAt: number; readonly answeredAt: number }[] = [];
  readonly failures: string[] = [];
  readonly #clients: Promise<void>[];
  #stopped = false;

  constructor(proxy: TestProxy, clients = 6) {
    this.#clients = Array.from({ length: clients }, () => this.#run(proxy.port));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients);
  }

  /** Each request has a connection of its own every now and then, so that all workers get some. */
  async #run(port: number): Promise<void> {
    while (!this.#stopped) {
      using client = await RawClient.connect(port);
      for (let request = 0; request < 20 && !this.#stopped; request++) {
        const sentAt = performance.now();
        const response = await client.request(`GET / HTTP/1.1\r\nHost: x\r\n\r\n`);
        const body = new TextDecoder().decode(response?.body);
        if (response?.status !== 200) this.failures.push(`${response?.status} ${body}`);
        this.answers.push({ body, sentAt, answeredAt: performance.now() });
      }
    }
  }
}

const CHECKED = { type: "http", path: "/up", interval: "50ms" } as const;

Deno.test("a deployment replaces all backends under load without a failed request, in one step", async () => {
  await using one = new Release("old", true);
  await using two = new Release("old", true);
  await using three = new Release("new", true);
  await using four = new Release("new");
  await using proxy = await TestProxy.start({ backends: [one.url, two.url], health: CHECKED });
  const load = new Load(proxy);
  await waitFor(() => load.answers.length > 50, { what: "load" });
  const deployed = put(proxy, { backends: [three.url, { url: four.url, weight: 2 }], wait: "60s" });
  await waitFor(() => four.checks > 1 && three.checks > 0, { what: "checks of the new backends", timeoutMs: 20_000 });
  // One of them is not ready, so none of them gets anything.
  assertEquals([three.served, four.served, urlsOf(proxy)], [0, 0, [one.url, two.url]]);
  four.healthy = true;
  assertEquals(await deployed, {
    status: 200,
    body: { added: [three.url, four.url], removed: [one.url, two.url], kept: [], changed: [] },
  });
  assertEquals(proxy.backends.map(({ url, weight, alive, state }) => [url, weight, alive, state]), [
    [three.url, 1, true, "active"],
    [four.url, 2, true, "active"],
  ]);
  const before = load.answers.length;
  await waitFor(() => load.answers.length > before + 50, { what: "load after it" });
  await load.stop();
  assertEquals(load.failures, []);
  const firstNew = Math.min(...load.answers.filter(({ body }) => body === "new").map(({ answeredAt }) => answeredAt));
  const late = load.answers.filter(({ body, sentAt }) => body === "old" && sentAt > firstNew);
  assertEquals(late, [], "a request went to an old backend after another had been answered by a new one");
});

Deno.test("deployments there and back without checks fail no request", async () => {
  await using blue = HttpBackend.named("blue");
  await using green = HttpBackend.named("green");
  await using proxy = await TestProxy.start({ backends: [blue.url] });
  const load = new Load(proxy);
  for (let round = 0; round < 4; round++) {
    const [to, from] = round % 2 === 0 ? [green, blue] : [blue, green];
    const before = load.answers.length;
    assertEquals((await put(proxy, { backends: [to.url] })).body, {
      added: [to.url],
      removed: [from.url],
      kept: [],
      changed: [],
    });
    await waitFor(() => load.answers.length > before + 20, { what: "load" });
  }
  await load.stop();
  assertEquals(load.failures, []);
});

Deno.test("a deployment keeps counters, health and the operator's state of backends that stay, and sets their fields", async () => {
  await using one = HttpBackend.named("one");
  await using two = HttpBackend.named("two");
  await using three = HttpBackend.named("three");
  await using proxy = await TestProxy.start({ backends: [one.url, two.url] });
  for (let request = 0; request < 2; request++) await (await fetch(proxy.url)).text();
  const kept = proxy.backend(one.url);
  proxy.pool.update(kept, { state: "disabled" }, "operator");
  const backends = [{ url: one.url, weight: 3, maxConnections: 7, backup: true }, two.url, three.url];
  const { status, body } = await put(proxy, { backends });
  assertEquals([status, body], [200, { added: [three.url], removed: [], kept: [two.url], changed: [one.url] }]);
  assertEquals(proxy.backend(one.url), kept);
  assertEquals(kept.settings, { weight: 3, maxConnections: 7, backup: true, state: "disabled" });
  assertEquals(kept.totalRequests, 1);
  // The same list again changes nothing.
  assertEquals((await put(proxy, { backends })).body, {
    added: [],
    removed: [],
    kept: [one.url, two.url, three.url],
    changed: [],
  });
});

Deno.test("a deployment with a backend that passes no check changes nothing, and says which and why", async () => {
  await using old = new Release("old", true);
  await using good = new Release("good", true);
  await using bad = new Release("bad");
  await using proxy = await TestProxy.start({ backends: [old.url], health: CHECKED });
  await waitFor(() => old.checks > 0, { what: "the first check" });
  const lines = proxy.log.of("backend added").length;
  const { status, body } = await put(proxy, { backends: [good.url, bad.url, REFUSING], wait: "400ms" });
  assertEquals(status, 504);
  assertEquals(body.failed, [
    { backend: bad.url, reason: "status 503" },
    { backend: REFUSING, reason: "connection refused" },
  ]);
  assertEquals([body.title, body.detail], [
    "Gateway Timeout",
    "2 new backends have not passed a check in time; nothing has changed",
  ]);
  assertEquals([urlsOf(proxy), good.served, bad.served], [[old.url], 0, 0]);
  assertEquals(proxy.backend(old.url).settings.state, "active");
  assertEquals(proxy.log.of("backend added").length, lines);
  const [ended] = proxy.log.of("deployment ended");
  assertEquals([ended?.level, ended?.fields["pool"], ended?.fields["failed"]], ["warn", "default", body.failed]);
});

Deno.test("without checks, a deployment needs a connection to each new backend", async () => {
  await using old = HttpBackend.named("old");
  await using late = HttpBackend.named("late");
  await using proxy = await TestProxy.start({ backends: [old.url] });
  const refused = await put(proxy, { backends: [old.url, REFUSING], wait: "300ms" });
  assertEquals(refused.body.failed, [{ backend: REFUSING, reason: "connection refused" }]);
  assertEquals((await put(proxy, { backends: [late.url] })).status, 200);
  assertEquals(late.requests, 0); // a connection, no request
});

Deno.test("a deployment that waits holds up no other change, and a change of the pool ends it", async () => {
  await using old = new Release("old", true);
  await using other = new Release("other", true);
  await using late = new Release("late");
  await using proxy = await TestProxy.start({ backends: [old.url], health: CHECKED });
  const changes: [() => Promise<number>, RegExp][] = [
    [() => call(proxy, "POST", "/backends", { url: other.url }), /the pool has changed: added http/],
    [() => call(proxy, "PATCH", "/backends", { url: old.url, weight: 2 }), /changed http.*\(admin API\)/],
    [() => call(proxy, "PATCH", "/backends", { url: old.url, state: "disabled" }), /disabled http/],
    [() => call(proxy, "DELETE", "/backends", { url: other.url }), /removed http/],
  ];
  for (const [change, why] of changes) {
    const deployed = put(proxy, { backends: [late.url], wait: "60s" });
    const [begun, ended] = ["deployment begun", "deployment ended"];
    await waitFor(() => proxy.log.of(begun).length > proxy.log.of(ended).length, { what: "the deployment to begin" });
    assert(await change() < 300);
    const { status, body } = await deployed;
    assertEquals(status, 409);
    assertMatch(body.detail, why);
    assertStringIncludes(body.detail, "it has changed nothing");
  }
  assertEquals([urlsOf(proxy), late.served], [[old.url], 0]);
});

Deno.test("requests that wait for a backend go to the new ones as soon as the pool has switched", async () => {
  // All are down, and all are full: with both, requests wait, and nothing but the switch ends that.
  const { backend: full, release } = waitingBackend();
  await using _full = full;
  await using new1 = HttpBackend.named("new");
  for (const [url, queue] of [[REFUSING, { hold: "60s" }], [full.url, { timeout: "60s" }]] as const) {
    await using proxy = await TestProxy.start({
      backends: [{ url, maxConnections: 1 }],
      queue,
      health: { type: "tcp" },
    });
    const first = url === full.url ? fetch(proxy.url).then((response) => response.text()) : undefined;
    if (first !== undefined) await waitFor(() => full.requests > 0, { what: "the first request" });
    const waiting = Array.from({ length: 4 }, () => fetch(proxy.url).then((response) => response.text()));
    await waitFor(() => proxy.roundhouse.memory.requestTotals().queued === 4, { what: "requests that wait" });
    const since = performance.now();
    const deployed = put(proxy, { backends: [new1.url] });
    assertEquals(new Set(await Promise.all(waiting)), new Set(["new"]));
    assert(performance.now() - since < 20_000, "they waited for something else");
    if (first !== undefined) release();
    await first;
    assertEquals((await deployed).status, 200);
  }
});

Deno.test("health that changes does not end a deployment", async () => {
  await using old = new Release("old", true);
  await using late = new Release("late");
  await using proxy = await TestProxy.start({ backends: [old.url], health: CHECKED });
  const deployed = put(proxy, { backends: [late.url], wait: "60s" });
  await waitFor(() => late.checks > 0, { what: "a check", timeoutMs: 20_000 });
  old.healthy = false;
  await waitFor(() => !proxy.backend(old.url).alive, { what: "the old backend to go down", timeoutMs: 20_000 });
  late.healthy = true;
  assertEquals((await deployed).status, 200);
});

Deno.test("a second deployment ends the first, and a client that leaves ends its own", async () => {
  await using old = HttpBackend.named("old");
  await using new1 = HttpBackend.named("new");
  await using proxy = await TestProxy.start({ backends: [old.url] });
  const begun = (count: number) =>
    waitFor(() => proxy.log.of("deployment begun").length === count, { what: `deployment ${count} to begin` });
  const ended = (count: number) =>
    waitFor(() => proxy.log.of("deployment ended").length === count, { what: `deployment ${count} to end` });
  const first = put(proxy, { backends: [REFUSING], wait: "60s" });
  await begun(1);
  const leaving = new AbortController();
  const second = put(proxy, { backends: [new1.url, REFUSING], wait: "60s" }, leaving.signal).catch(
    () => {},
  );
  await begun(2);
  const { status, body } = await first;
  assertEquals(status, 409);
  assertStringIncludes(body.detail, "another deployment has begun");
  leaving.abort();
  await second;
  await ended(2);
  assertEquals(
    proxy.log.of("deployment ended")[1]?.fields["reason"],
    "the deployment has ended: the client has left; it has changed nothing",
  );
  assertEquals(urlsOf(proxy), [old.url]);
  assertEquals((await put(proxy, { backends: [new1.url] })).status, 200);
});

/** A backend whose answers wait for `release`. */
function waitingBackend() {
  const { promise, resolve } = Promise.withResolvers<void>();
  const backend = new HttpBackend(() => promise.then(() => new Response("finished")));
  return { backend, release: resolve };
}

Deno.test("a deployment answers when the backends that left have drained, and other changes don't wait", async () => {
  const { backend: old, release } = waitingBackend();
  await using _old = old;
  await using new1 = HttpBackend.named("new");
  await using proxy = await TestProxy.start({ backends: [old.url] });
  const inFlight = fetch(proxy.url);
  await waitFor(() => old.requests === 1, { what: "the request" });
  let answered = false;
  const deployed = put(proxy, { backends: [new1.url] }).finally(() => answered = true);
  await waitFor(() => proxy.backend(old.url).state === "draining", { what: "the old backend to drain" });
  assertEquals(await (await fetch(proxy.url)).text(), "new");
  assertEquals(await call(proxy, "PATCH", "/backends", { url: new1.url, weight: 5 }), 200);
  assertEquals([answered, urlsOf(proxy)], [false, [old.url, new1.url]]);
  release();
  assertEquals(await (await inFlight).text(), "finished");
  assertEquals((await deployed).status, 200);
  assertEquals(urlsOf(proxy), [new1.url]);
});

Deno.test("a deployment drains for its time at most, and what is in flight finishes all the same", async () => {
  const { backend: old, release } = waitingBackend();
  await using _old = old;
  await using new1 = HttpBackend.named("new");
  await using proxy = await TestProxy.start({ backends: [old.url] });
  const inFlight = fetch(proxy.url);
  await waitFor(() => old.requests === 1, { what: "the request" });
  assertEquals((await put(proxy, { backends: [new1.url], drain: "30ms" })).status, 200);
  assertEquals(urlsOf(proxy), [new1.url]);
  release();
  assertEquals(await (await inFlight).text(), "finished");
});

// The backend that was on its way out would have been removed by the end of its drain, and the pool would be empty.
Deno.test("backends that a deployment drains serve again when a later deployment, a reload or the operator wants them", async () => {
  const { backend: old, release } = waitingBackend();
  await using _old = old;
  await using new1 = HttpBackend.named("new");
  const settings: ConfigFile = { backends: [old.url] };
  await using proxy = await TestProxy.start(settings);
  const inFlight = fetch(proxy.url);
  await waitFor(() => old.requests === 1, { what: "the request" });
  const back: (() => Promise<number>)[] = [
    async () => (await put(proxy, { backends: [old.url] })).status,
    () => call(proxy, "POST", "/reload"),
    () => call(proxy, "PATCH", "/backends", { url: old.url, state: "active" }),
  ];
  for (const [round, takeBack] of back.entries()) {
    const deployed = put(proxy, { backends: [new1.url] });
    await waitFor(() => proxy.log.of("deployment switched").length === (round === 0 ? 1 : round + 2), {
      what: `switch ${round}`,
    });
    assertEquals(proxy.backend(old.url).state, "draining");
    assertEquals(await takeBack(), 200);
    const { status, body } = await deployed;
    assertEquals(status, 409);
    assertStringIncludes(body.detail, "so it is not removed");
    assertEquals(proxy.backend(old.url).state, "active");
  }
  assertEquals(urlsOf(proxy).sort(), [old.url, new1.url].sort());
  release();
  await (await inFlight).text();
});

Deno.test("a reload that changes the checks ends a deployment that waits", async () => {
  await using old = HttpBackend.named("old");
  const settings: ConfigFile = { backends: [old.url] };
  await using proxy = await TestProxy.start(settings);
  const deployed = put(proxy, { backends: [REFUSING], wait: "60s" });
  await waitFor(() => proxy.log.of("deployment begun").length === 1, { what: "the deployment to begin" });
  assertEquals(await call(proxy, "POST", "/reload"), 200); // changes nothing, so nothing ends
  settings.health = { type: "tcp" };
  assertEquals(await call(proxy, "POST", "/reload"), 200);
  const { status, body } = await deployed;
  assertEquals(status, 409);
  assertStringIncludes(body.detail, "a reload has changed the checks");
});

Deno.test("a stop ends a deployment that waits", async () => {
  await using old = HttpBackend.named("old");
  const proxy = await TestProxy.start({ backends: [old.url] });
  const deployed = put(proxy, { backends: [REFUSING], wait: "60s" });
  await waitFor(() => proxy.log.of("deployment begun").length === 1, { what: "the deployment to begin" });
  await proxy[Symbol.asyncDispose]();
  const { status, body } = await deployed;
  assertEquals(status, 409);
  assertStringIncludes(body.detail, "roundhouse is stopping");
});

Deno.test("a deployment is written to the file at once, before the pool changes, or nothing happens", async () => {
  const written: unknown[] = [];
  let refuse = false;
  await using admin = new TestAdmin({
    persist: (change) => {
      if (refuse) return Promise.reject(new Error("read-only"));
      written.push(change.kind === "replace" ? change.specs.map(({ url, weight }) => [url, weight]) : change.kind);
      return Promise.resolve();
    },
  });
  const target = "/backends";
  const list = (...backends: unknown[]) => ({ method: "PUT", target, body: { backends } });
  assertEquals((await admin.call(list("http://a", { url: "http://b", weight: 4 }))).status, 200);
  assertEquals(written, [[["http://a", 1], ["http://b", 4]]]);
  refuse = true;
  assertEquals((await admin.call(list("http://c"))).status, 500);
  assertEquals(admin.pool.backends.map(({ url, state }) => [url, state]), [["http://a", "active"], [
    "http://b",
    "active",
  ]]);
});

Deno.test("PUT /backends refuses what the file could not contain, all at once", async () => {
  await using admin = new TestAdmin();
  const refused = async (body: unknown) => {
    const { status, json } = await admin.call({ method: "PUT", target: "/backends", body });
    assertEquals(status, 400);
    return json.detail as string;
  };
  assertMatch(await refused({}), /backends: /);
  assertMatch(await refused({ backends: [] }), /backends: .*at least one backend/);
  assertMatch(await refused([]), /body: /);
  assertMatch(
    await refused({ backends: ["http://a", { url: "ftp://x", weight: -1 }], wait: "soon", darin: 1 }),
    /backends\[1\]\.url: .*backends\[1\]\.weight: .*wait: .*darin: unknown setting, did you mean "drain"\?/,
  );
  assertMatch(
    await refused({ backends: ["http://a", "HTTP://A:80/"] }),
    /backends\[1\]: same backend as backends\[0\]/,
  );
  assertMatch(await refused({ backends: [{ url: "https://a", tls: { insecure: true } }] }), /use engine "wire"/);
  assertMatch(await refused({ backends: [{ url: "https://a", tls: { ca: "/nowhere.pem" } }] }), /tls\.ca: .*nowhere/);
  assertEquals(admin.pool.backends.length, 1);
});

Deno.test("a deployment tells the log and the events what it does", async () => {
  await using old = HttpBackend.named("old");
  await using new1 = HttpBackend.named("new");
  await using proxy = await TestProxy.start({ backends: [old.url], proxy: { workers: WORKERS } });
  const lists = { added: [new1.url], removed: [old.url], kept: [], changed: [] };
  assertEquals((await put(proxy, { backends: [new1.url] })).body, lists);
  const about = { pool: "default", client: "127.0.0.1" };
  assertEquals(
    proxy.log.lines.filter(({ message }) => message.startsWith("deployment")).map(({ message, fields }) => [
      message,
      fields,
    ]),
    [
      ["deployment begun", { ...about, backends: [new1.url], waitingFor: [new1.url] }],
      ["deployment switched", { ...about, ...lists }],
      ["deployment done", about],
    ],
  );
  const response = await fetch(`${proxy.adminUrl}/events`, { headers: { "last-event-id": "0" } });
  const reader = (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("event: stats")) text += (await reader.read()).value ?? "";
  await reader.cancel();
  const phases = text.split("\n\n").filter((event) => event.includes("event: deployment"))
    .map((event) => JSON.parse(event.slice(event.indexOf("data: ") + 6)));
  assertEquals(phases.map(({ pool, phase }) => [pool, phase]), [
    ["default", "begun"],
    ["default", "switched"],
    ["default", "done"],
  ]);
});
