// Guards over real sockets and several workers: nothing is counted twice or not at all, and nothing is held for ever.

import { assert, assertEquals, assertGreaterOrEqual, assertLessOrEqual } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { clientFor, makeAuthority, makePair, TemporaryDirectory } from "../support/certificates.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawClient } from "../support/raw_client.ts";
import { RecordingBackend } from "../support/raw_recorder.ts";
import { waitFor } from "../support/wait.ts";

const FAILING_WORKER = new URL("../support/failing_worker.ts", import.meta.url);

async function statusesOf(port: number, requests: number, headers = ""): Promise<number[]> {
  using client = await RawClient.connect(port);
  const statuses: number[] = [];
  for (let sent = 0; sent < requests; sent++) {
    const response = await client.request(`GET / HTTP/1.1\r\nHost: x\r\n${headers}\r\n`);
    assert(response !== undefined);
    statuses.push(response.status);
  }
  return statuses;
}

/** Whether a worker takes the request: for a moment, the port may still be that of a dead one, or nobody's. */
async function reaches(port: number, target: string): Promise<boolean> {
  using client = await RawClient.connect(port).catch(() => undefined);
  const response = await client?.request(`GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`).catch(() => undefined);
  return response?.status === 204;
}

function countOf(statuses: readonly number[], status: number): number {
  return statuses.filter((one) => one === status).length;
}

for (const engine of ["fetch", "wire"] as const) {
  Deno.test(`${engine}: a rate limit is counted to the request over 2 workers and 64 clients`, async () => {
    await using backend = HttpBackend.named("b");
    await using proxy = await TestProxy.start({
      engine,
      backends: [backend.url],
      proxy: { workers: 2 },
      rateLimit: { requests: 1, per: "24h", burst: 300 },
    });
    const all = await Promise.all(Array.from({ length: 64 }, () => statusesOf(proxy.port, 10)));
    assertEquals([countOf(all.flat(), 200), countOf(all.flat(), 429)], [300, 340]);
    await proxy.idle();
    assertEquals(proxy.roundhouse.memory.requestTotals().failed, 0);
    const metrics = await (await fetch(`${proxy.adminUrl}/metrics`)).text();
    assert(metrics.includes('roundhouse_refused_total{route="none",guard="rateLimit"} 340\n'));
    assert(metrics.includes('roundhouse_rate_limit_exceeded_total{route="none"} 340\n'));
  });

  Deno.test(`${engine}: a client that sends on gets the burst and the rate, over 2 workers`, async () => {
    await using backend = HttpBackend.named("b");
    await using proxy = await TestProxy.start({
      engine,
      backends: [backend.url],
      proxy: { workers: 2 },
      rateLimit: { requests: 100, per: "1s", burst: 20 },
    });
    const startedAt = Date.now();
    const allowed = async () => {
      let sum = 0;
      while (Date.now() - startedAt < 1000) sum += countOf(await statusesOf(proxy.port, 5), 200);
      return sum;
    };
    const sums = await Promise.all(Array.from({ length: 8 }, allowed));
    const passed = sums.reduce((sum, one) => sum + one);
    assertLessOrEqual(passed, 20 + Math.ceil((Date.now() - startedAt) / 10) + 1);
    assertGreaterOrEqual(passed, 20);
  });

  Deno.test(`${engine}: what a dead worker held of a limit of requests in flight is given back`, async () => {
    const open: (() => void)[] = [];
    await using backend = new RecordingBackend(({ target }) =>
      target === "/throw"
        ? new Promise((resolve) => open.push(() => resolve("HTTP/1.1 204 No Content\r\n\r\n")))
        : "HTTP/1.1 204 No Content\r\n\r\n"
    );
    await using proxy = await TestProxy.start(
      { engine, backends: [backend.url], proxy: { workers: 2 }, concurrency: 3 },
      { workerUrl: FAILING_WORKER },
    );
    const { memory } = proxy.roundhouse;
    for (let round = 0; round < 3; round++) {
      await waitFor(() => reaches(proxy.port, "/"), { what: "a worker that answers" });
      const isReplaced = async () => {
        await reaches(proxy.port, "/throw"); // again, if it came to a worker that had just ended
        return proxy.roundhouse.workerRestarts > round;
      };
      await waitFor(isReplaced, { what: "another worker" });
      await waitFor(() => memory.limits.concurrency("all").current === 0, { what: "the place to be given back" });
    }
    for (const end of open) end();
    await waitFor(() => reaches(proxy.port, "/"), { what: "an answer of the new worker" });
    await proxy.idle();
    assertEquals(memory.limits.concurrency("all").current, 0);
  });
}

Deno.test("HTTP/2: every stream of a connection is looked at, however it spells the path", async () => {
  using directory = new TemporaryDirectory();
  const authority = await makeAuthority();
  const tls = directory.writePair(await makePair({ authority }));
  await using backend = HttpBackend.named("b");
  await using proxy = await TestProxy.start({
    engine: "fetch",
    proxy: { tls },
    backends: [backend.url],
    rateLimit: { requests: 1, per: "24h", burst: 20 },
    routes: { "*/*": "default", "*/admin/*": { pool: "default", allow: ["192.0.2.1"], rateLimit: null } },
  });
  using client = clientFor("HTTP/2", authority);
  const statusOf = async (path: string) => {
    const headers = { "X-Forwarded-For": "192.0.2.1", "X_Forwarded_For": "192.0.2.1", "X-Real-IP": "192.0.2.1" };
    const response = await fetch(`https://localhost:${proxy.port}${path}`, { client, headers });
    await response.body?.cancel();
    return response.status;
  };
  const statuses = await Promise.all(Array.from({ length: 50 }, () => statusOf("/")));
  assertEquals([countOf(statuses, 200), countOf(statuses, 429)], [20, 30]);
  for (const path of ["/admin", "/%61dmin/x", "/a/%2e%2e/admin/x"]) assertEquals(await statusOf(path), 403, path);
  assertEquals(await statusOf("/admin%2fx"), 429, "it has no route, so the limit of all requests comes before the 400");
  await proxy.idle();
});

Deno.test("a reload keeps what a limit has counted, a limit that it changes counts anew, and workers follow", async () => {
  await using backend = HttpBackend.named("b");
  const settings = {
    backends: [backend.url],
    proxy: { workers: 2 },
    rateLimit: { requests: 1, per: "24h", burst: 3 } as { requests: number; per: string; burst: number } | null,
    queue: { size: 5 },
  };
  await using proxy = await TestProxy.start(settings);
  const reload = async (change: Partial<typeof settings>) => {
    Object.assign(settings, change);
    await proxy.roundhouse.reload();
  };
  assertEquals(await statusesOf(proxy.port, 2), [200, 200]);
  await reload({ queue: { size: 6 } });
  assertEquals(await statusesOf(proxy.port, 2), [200, 429]);
  await reload({ rateLimit: { requests: 1, per: "24h", burst: 1 } });
  assertEquals(await statusesOf(proxy.port, 2), [200, 429]);
  await reload({ rateLimit: null });
  assertEquals(await statusesOf(proxy.port, 3), [200, 200, 200]);
  await proxy.idle();
});

Deno.test("GET /routes says what each guard of an entry has refused, and nothing where there is none", async () => {
  await using backend = HttpBackend.named("b");
  await using proxy = await TestProxy.start({
    backends: [backend.url],
    rateLimit: { requests: 1, per: "24h", burst: 2 },
    routes: { "*/*": { pool: "default", deny: [] }, "*/free/*": { pool: "default", rateLimit: null } },
  });
  await statusesOf(proxy.port, 5);
  await proxy.idle();
  const routes: { readonly route: string; readonly requests: number; readonly refused?: unknown }[] =
    await (await fetch(`${proxy.adminUrl}/routes`)).json();
  assertEquals(routes.map(({ route, requests, refused }) => [route, requests, refused]), [
    ["*/free/*", 0, undefined],
    ["*/*", 5, { deny: 0, rateLimit: 3 }],
  ]);
});

Deno.test("GET /status says what the guards of all requests have refused, where no route does", async () => {
  // Limits at the top level of a configuration without routes were shown nowhere but in the metrics.
  await using backend = HttpBackend.named("b");
  const settings = {
    backends: [backend.url],
    rateLimit: { requests: 1, per: "24h", burst: 2 } as { requests: number; per: string; burst: number } | null,
    concurrency: 5,
    routes: undefined as Record<string, string> | undefined,
  };
  await using proxy = await TestProxy.start(settings as ConfigFile);
  const refused = async () => (await (await fetch(`${proxy.adminUrl}/status`)).json()).refused;
  await statusesOf(proxy.port, 5);
  await proxy.idle();
  assertEquals(await refused(), { rateLimit: 3, concurrency: 0 });
  settings.routes = { "*/*": "default" };
  await proxy.roundhouse.reload();
  assertEquals(await refused(), undefined);
});

Deno.test("GET /explain says what each guard would do, and spends nothing", async () => {
  await using backend = HttpBackend.named("b");
  await using proxy = await TestProxy.start({
    backends: [backend.url],
    deny: ["10.0.0.1"],
    rateLimit: { requests: 1, per: "24h", burst: 2, by: "header:X-Key" },
    concurrency: 5,
    routes: { "*/*": "default", "*/free/*": { pool: "default", deny: null, rateLimit: null, concurrency: null } },
  });
  const explain = async (url: string, more: Record<string, string> = {}) => {
    const query = new URLSearchParams({ url, ...more });
    return await (await fetch(`${proxy.adminUrl}/explain?${query}`)).json();
  };
  for (let asked = 0; asked < 3; asked++) {
    const { guards, backend: picked } = await explain("http://x/", { header: "X-Key: k" });
    assertEquals(guards, [
      { guard: "deny", refuses: false, reason: "127.0.0.1 is in none of its ranges" },
      { guard: "rateLimit", refuses: false, reason: "its header x-key: 2 more requests are allowed now" },
      { guard: "concurrency", refuses: false, reason: "0 of 5 requests are in flight" },
    ]);
    assertEquals(picked?.url, backend.url);
  }
  await statusesOf(proxy.port, 2, "X-Key: k\r\n");
  const spent = await explain("http://x/", { header: "X-Key: k" });
  assertEquals([spent.backend, spent.guards[1].refuses], [null, true]);
  assertEquals(spent.reason, "rateLimit refuses it: its header x-key: the next request is allowed in 86400 s");
  assertEquals(
    (await explain("http://x/", { ip: "10.0.0.1" })).reason,
    "deny refuses it: 10.0.0.1 is in one of its ranges",
  );
  assertEquals((await explain("http://x/free/x", { ip: "10.0.0.1" })).guards, []);
  const { settings } = await explain("http://x/free/x");
  assertEquals(settings.deny, { value: null, from: 'routes["*/free/*"].deny' });
  const inherited = await explain("http://x/");
  assertEquals(inherited.settings.concurrency, { value: 5, from: "concurrency" });
  await proxy.idle();
});
