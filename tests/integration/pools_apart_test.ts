// Two pools with the same backends: turns, sessions, queue, budget, ejections and checks of the one are not the other's.

import { assert, assertEquals } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import type { Backend } from "../../src/pool/backend.ts";
import { GatedBackend } from "../support/gated_backend.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";
import { headerOf, RawClient, type RawResponse, textOf } from "../support/raw_client.ts";
import { waitFor } from "../support/wait.ts";

const ROUTES = { "*/a/*": "a", "*/b/*": "b" } as const;

async function ask(proxy: TestProxy, path: string, header = ""): Promise<RawResponse> {
  using client = await RawClient.connect(proxy.port);
  const response = await client.request(`GET ${path} HTTP/1.1\r\nHost: x\r\n${header}\r\n`);
  assert(response !== undefined);
  return response;
}

async function texts(proxy: TestProxy, paths: readonly string[], header = ""): Promise<string> {
  const answers: string[] = [];
  for (const path of paths) answers.push(textOf(await ask(proxy, path, header)));
  return answers.join(" ");
}

function backendsOf(proxy: TestProxy, pool: string): readonly Backend[] {
  return proxy.roundhouse.pools.get(pool)?.pool.backends ?? [];
}

/** A URL that refuses connections. */
async function refusing(): Promise<string> {
  await using backend = new HttpBackend();
  return backend.url;
}

Deno.test("each pool takes its own turns, and counts its own requests", async () => {
  await using one = HttpBackend.named("1");
  await using two = HttpBackend.named("2");
  await using three = HttpBackend.named("3");
  const pools = { a: { backends: [one.url, two.url, three.url] }, b: { backends: [one.url, two.url, three.url] } };
  await using proxy = await TestProxy.start({ pools, routes: ROUTES });
  const paths = ["/a/", "/a/", "/b/", "/a/", "/b/", "/b/", "/b/", "/a/"];
  assertEquals(await texts(proxy, paths), "1 2 1 3 2 3 1 1");
  await proxy.idle();
  assertEquals(backendsOf(proxy, "a").map(({ totalRequests }) => totalRequests), [2, 1, 1]);
  assertEquals(backendsOf(proxy, "b").map(({ totalRequests }) => totalRequests), [2, 1, 1]);
  assertEquals(new Set([...backendsOf(proxy, "a"), ...backendsOf(proxy, "b")].map(({ id }) => id)).size, 6);
});

Deno.test("a client has a session in each pool: by cookie, and by address", async () => {
  await using one = HttpBackend.named("1");
  await using two = HttpBackend.named("2");
  const backends = [one.url, two.url];
  for (const by of ["cookie", "ip"] as const) {
    const pools = { a: { backends, sticky: { by } }, b: { backends, sticky: { by } } };
    await using proxy = await TestProxy.start({ pools, routes: { ...ROUTES, "*/b2/*": "b" } });
    await ask(proxy, "/b2/other"); // another turn, and for an address the session
    const first = await Promise.all(["/a/", "/b/"].map(async (path) => await ask(proxy, path)));
    const cookies = first.flatMap((response) => headerOf(response, "set-cookie")?.split(";")[0] ?? []);
    const names = cookies.map((cookie) => cookie.split("=")[0]);
    assertEquals(names, by === "cookie" ? ["roundhouse-a", "roundhouse-b"] : []);
    const header = cookies.length === 0 ? "" : `Cookie: ${cookies.join("; ")}\r\n`;
    const [a = "", b = ""] = first.map(textOf);
    assertEquals(await texts(proxy, ["/a/", "/b/", "/a/", "/a/", "/b/"], header), [a, b, a, a, b].join(" "));
    if (by === "cookie") assertEquals([a, b], ["1", "2"], "each pool has bound it to another one");
    else assertEquals([a, b], ["1", "1"]);
  }
});

Deno.test("requests that wait in the queue of one pool delay no request of another, and its size is its own", async () => {
  await using gated = new GatedBackend();
  await using free = HttpBackend.named("free");
  const busy = { backends: [{ url: gated.url, maxConnections: 1 }] };
  const pools = {
    a: { ...busy, queue: { size: 1, timeout: "30s" } },
    b: { backends: [{ url: free.url, maxConnections: 1 }], queue: { size: 1, timeout: "30s" } },
  };
  await using proxy = await TestProxy.start({ pools, routes: ROUTES });
  const answers = [ask(proxy, "/a/1"), ask(proxy, "/a/2")];
  const { memory } = proxy.roundhouse;
  await waitFor(() => memory.requestTotals().queued === 1 && gated.targets.length === 1, { what: "one that waits" });
  assertEquals((await ask(proxy, "/a/3")).status, 503, "the queue of a is full");
  assertEquals(await texts(proxy, ["/b/", "/b/", "/b/"]), "free free free");
  for (let count = 1; count <= 2; count++) {
    await waitFor(() => gated.targets.length === count, { what: `request ${count}` });
    gated.release();
  }
  assertEquals((await Promise.all(answers)).map(({ status }) => status), [200, 200]);
});

Deno.test("the retries of one pool are not taken from the budget of another", async () => {
  await using broken = new HttpBackend(() => new Response("broken", { status: 503 }));
  await using good = HttpBackend.named("good");
  const backends = [broken.url, good.url];
  await using proxy = await TestProxy.start({
    pools: { a: { backends }, b: { backends } },
    routes: ROUTES,
    retries: { attempts: 1, budget: 0, statuses: [503] },
  });
  const count = async (path: string, requests: number) => {
    let failed = 0;
    for (let request = 0; request < requests; request++) if ((await ask(proxy, path)).status === 503) failed++;
    return failed;
  };
  // With a budget of 0, 9 retries are allowed.
  assert(await count("/a/", 40) >= 8, "the budget of a is used up");
  assertEquals(await count("/b/", 8), 0);
});

Deno.test("a backend that refuses connections is ejected in the pool that noticed it, and in no other", async () => {
  await using good = HttpBackend.named("good");
  const backends = [await refusing(), good.url];
  const passive = { connectFailures: 1, ejectFor: "60s" };
  await using proxy = await TestProxy.start({
    pools: { a: { backends, passive }, b: { backends, passive } },
    routes: ROUTES,
  });
  const alive = (pool: string) => backendsOf(proxy, pool).map(({ alive }) => alive);
  assertEquals(await texts(proxy, ["/a/", "/a/"]), "good good");
  await waitFor(() => !alive("a")[0], { what: "the ejection" });
  assertEquals([alive("a"), alive("b")], [[false, true], [true, true]]);
  assertEquals(proxy.log.of("backend down").map(({ fields }) => fields["pool"]), ["a"]);
});

Deno.test("each pool checks the same backend as its own settings say", async () => {
  const asked: string[] = [];
  await using backend = new HttpBackend((request) => {
    const { pathname } = new URL(request.url);
    asked.push(pathname);
    return new Response("answer", { status: pathname === "/bad" ? 500 : 200 });
  });
  const settings: ConfigFile = {
    pools: {
      a: { backends: [backend.url], health: { type: "http", path: "/good", interval: "50ms" } },
      b: { backends: [backend.url], health: { type: "http", path: "/bad", interval: "50ms", failOpen: true } },
      c: { backends: [backend.url], health: { type: "http", path: "/bad", interval: "50ms" } },
    },
    routes: { ...ROUTES, "*/c/*": "c" },
  };
  await using proxy = await TestProxy.start(settings);
  const up = (pool: string) => backendsOf(proxy, pool).map(({ up }) => up).join();
  await waitFor(() => up("b") === "false" && up("c") === "false", { what: "the checks of b and c to fail" });
  assertEquals(up("a"), "true");
  assertEquals(proxy.log.of("fail open").map(({ fields }) => fields["pool"]), ["b"]);
  const statuses: number[] = [];
  for (const path of ["/a/", "/b/", "/c/"]) statuses.push((await ask(proxy, path)).status);
  assertEquals(statuses, [200, 200, 503]);
  const pools = new Set(proxy.log.of("check").map(({ fields }) => fields["pool"]));
  assertEquals(pools, new Set(["a", "b", "c"]));
  assert(asked.includes("/good") && asked.includes("/bad"));

  // Other checks after a reload: those of one pool.
  Object.assign(settings.pools?.["c"] ?? {}, { health: { type: "http", path: "/good", interval: "50ms" } });
  await proxy.roundhouse.reload();
  await waitFor(() => up("c") === "true", { what: "the check of c to pass" });
  assertEquals(up("b"), "false");
});

Deno.test("at most 100 checks are in flight over all pools, old ones and new ones", async () => {
  await using gated = new GatedBackend();
  const pool = (name: string) => ({
    backends: Array.from({ length: 60 }, (_, index) => `${gated.url}/${name}/${index}`),
    health: { type: "http", path: "/", timeout: "60s" } as const,
  });
  const settings: ConfigFile = { pools: { a: pool("a"), b: pool("b") }, routes: ROUTES };
  await using proxy = await TestProxy.start(settings);
  await waitFor(() => gated.most === 100, { what: "100 checks" });
  Object.assign(settings, { pools: { ...settings.pools, c: pool("c") } });
  await proxy.roundhouse.reload();
  await waitFor(() => {
    gated.release();
    return new Set(gated.targets).size === 180;
  }, { what: "a check of each backend", timeoutMs: 20_000 });
  assertEquals(gated.most, 100);
});
