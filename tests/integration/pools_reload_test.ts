// Pools that come and go while requests are served. A request that had begun met a pool without backends, or the pools
// of one configuration with the routes of another: a 503, or an answer that no configuration gives.

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { GatedBackend } from "../support/gated_backend.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { ENGINE, TestProxy } from "../support/proxy.ts";
import { headerOf, RawClient, type RawResponse, textOf } from "../support/raw_client.ts";
import { RawBackend } from "../support/raw_backend.ts";
import { waitFor } from "../support/wait.ts";

const FAILING_WORKER = new URL("../support/failing_worker.ts", import.meta.url);

async function ask(proxy: TestProxy, path: string): Promise<RawResponse> {
  using client = await RawClient.connect(proxy.port);
  const response = await client.request(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
  assert(response !== undefined);
  return response;
}

/** Makes the proxy read settings that have these in place of the earlier ones. */
async function reload(proxy: TestProxy, settings: ConfigFile, next: ConfigFile) {
  Object.assign(settings, next);
  return await proxy.roundhouse.reload();
}

/** Waits until the pools that the configuration no longer names have ended in all isolates. */
async function ended({ roundhouse: { pools } }: TestProxy, timeoutMs = 10_000): Promise<void> {
  const left = () => [...pools.serverPools].length - pools.all().length;
  await waitFor(() => left() === 0, { what: "the end of the dropped pools", timeoutMs });
}

Deno.test("reloads that rename all pools and swap their routes under load give each request one configuration's answer", async () => {
  await using one = HttpBackend.named("one");
  await using two = HttpBackend.named("two");
  // One connection to each backend at a time, so that requests of every configuration wait in its queues.
  const only = (backend: HttpBackend) => ({ backends: [{ url: backend.url, maxConnections: 1 }] });
  const round = (number: number): ConfigFile => {
    const [a, b] = number % 2 === 0 ? [one, two] : [two, one];
    return {
      pools: { [`a-${number}`]: only(a), [`b-${number}`]: only(b), same: only(one) },
      routes: { "*/a/*": `a-${number}`, "*/b/*": `b-${number}`, "*/same/*": "same" },
      headers: { response: { set: { "X-Round": String(number) } } },
    };
  };
  const settings: ConfigFile = { queue: { timeout: "30s" }, retries: { attempts: 0 }, ...round(0) };
  await using proxy = await TestProxy.start(settings);
  const rounds = 12;
  const seen = new Set<string>();
  let stopping = false;
  const clients = Promise.all(Array.from({ length: 12 }, async (_, index) => {
    using client = await RawClient.connect(proxy.port);
    const path = ["a", "b", "same"][index % 3];
    while (!stopping) {
      const response = await client.request(`GET /${path}/x HTTP/1.1\r\nHost: x\r\n\r\n`);
      assert(response !== undefined);
      const number = headerOf(response, "x-round") ?? "";
      const usual = Number(number) % 2 === 0;
      const expected = path === "same" || (path === "a") === usual ? "one" : "two";
      assertEquals([response.status, textOf(response)], [200, expected], `/${path} in round ${number}`);
      seen.add(number);
    }
  }));
  for (let number = 0; number <= rounds; number++) {
    if (number > 0) await reload(proxy, settings, round(number));
    await waitFor(() => seen.has(String(number)), { what: `answers of round ${number}`, timeoutMs: 20_000 });
  }
  stopping = true;
  await clients;
  await proxy.idle();
  assertEquals(seen.size, rounds + 1);
  await ended(proxy);
  assertEquals(proxy.roundhouse.pools.all().map(({ name }) => name), ["default", "a-12", "b-12", "same"]);
  assertEquals(proxy.roundhouse.memory.requestTotals().failed, 0);
});

Deno.test("a pool that ends serves the requests that wait for it, and those in flight, and then goes", async () => {
  await using gated = new GatedBackend();
  const pools = { busy: { backends: [{ url: gated.url, maxConnections: 1 }] } };
  const settings: ConfigFile = { pools, routes: { "*/*": "busy" }, queue: { timeout: "30s" } };
  await using proxy = await TestProxy.start(settings);
  const { memory, pools: registry } = proxy.roundhouse;
  const answers = [ask(proxy, "/1"), ask(proxy, "/2"), ask(proxy, "/3")];
  await waitFor(() => memory.requestTotals().queued === 2 && gated.targets.length === 1, { what: "two that wait" });
  const { removed } = await reload(proxy, settings, { pools: {}, routes: { "*/*": { respond: 204 } } });
  assertEquals([removed, registry.get("busy")], [[gated.url], undefined]);
  assertEquals((await ask(proxy, "/4")).status, 204);
  assertEquals(memory.requestTotals().queued, 2, "of all pools, also those that end");
  for (let count = 1; count <= 3; count++) {
    await waitFor(() => gated.targets.length === count, { what: `request ${count}` });
    gated.release();
  }
  assertEquals((await Promise.all(answers)).map(({ status }) => status), [200, 200, 200]);
  await ended(proxy);
  assertEquals(proxy.log.of("backend removed").map(({ fields }) => fields["pool"]), ["busy"]);
  assertEquals(memory.requestTotals().failed, 0);
});

Deno.test("a request whose attempt fails after its pool was dropped still has the pool's other backend", async () => {
  const asked = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  await using failing = new RawBackend(async (connection) => {
    if (!await connection.head()) return;
    asked.resolve();
    await gate.promise; // and closes without an answer
  });
  await using other = HttpBackend.named("other");
  const backends = [{ url: failing.url, weight: 256 }, { url: other.url, weight: 1 }];
  const settings: ConfigFile = { pools: { old: { backends } }, routes: { "*/*": "old" } };
  await using proxy = await TestProxy.start(settings);
  const answer = ask(proxy, "/");
  await asked.promise;
  await reload(proxy, settings, { pools: {}, routes: null });
  gate.resolve();
  assertEquals(textOf(await answer), "other");
  await ended(proxy);
});

Deno.test("the numbers of pools that come and go are used again, and nothing of the earlier pool is left there", async () => {
  await using one = HttpBackend.named("one");
  await using two = HttpBackend.named("two");
  const settings: ConfigFile = { strategy: "round-robin", retries: { attempts: 0 } };
  await using proxy = await TestProxy.start(settings);
  const { pools } = proxy.roundhouse;
  const numbers: number[] = [];
  for (let round = 0; round < 6; round++) {
    const name = `p-${round}`;
    await reload(proxy, settings, { pools: { [name]: { backends: [one.url, two.url] } }, routes: { "*/*": name } });
    // A fresh start: the first turn is the first backend's, whatever the turn of the pool that had the number.
    assertEquals(textOf(await ask(proxy, "/")), "one", `round ${round}`);
    numbers.push(pools.get(name)?.pool.shared.number ?? -1);
    await ended(proxy);
  }
  // A number is free when all isolates have acknowledged the pool's end, which may be a moment later.
  assert(new Set(numbers).size <= 3, `numbers ${numbers}`);
});

Deno.test("the same URL moved from one pool to another is another backend; both pools name what came and went", async () => {
  await using backend = HttpBackend.named("one");
  const settings: ConfigFile = {
    pools: { a: { backends: [backend.url] }, b: { backends: [] } },
    routes: { "*/*": "a" },
  };
  await using proxy = await TestProxy.start(settings);
  const { pools } = proxy.roundhouse;
  const [before] = pools.get("a")?.pool.backends ?? [];
  assertEquals((await ask(proxy, "/")).status, 200);
  const report = await reload(proxy, settings, {
    pools: { a: { backends: [] }, b: { backends: [backend.url] } },
    routes: { "*/*": "b" },
  });
  assertEquals([report.added, report.removed], [[backend.url], [backend.url]]);
  const [after] = pools.get("b")?.pool.backends ?? [];
  assertNotEquals(after?.id, before?.id);
  assertEquals(after?.totalRequests, 0);
  assertEquals(textOf(await ask(proxy, "/")), "one");
  assertEquals(after?.totalRequests, 1);
});

Deno.test("a reload that fails leaves no trace of the pools that it would have begun", async () => {
  await using backend = HttpBackend.named("one");
  const settings: ConfigFile = { pools: { a: { backends: [backend.url] } }, routes: { "*/*": "a" } };
  await using proxy = await TestProxy.start(settings);
  const { memory, pools } = proxy.roundhouse;
  const { poolRoom } = memory;
  const file = await Deno.makeTempFile();
  try {
    const tls = { ca: file }; // not a certificate
    await reload(proxy, settings, {
      pools: { b: { backends: [{ url: "https://127.0.0.1:1", tls }] } },
      routes: { "*/*": "b" },
    }).then(() => assert(false), (error: Error) => assert(error.message.includes("pools.b.backends[0].tls.ca")));
  } finally {
    await Deno.remove(file);
  }
  assertEquals(pools.all().map(({ name }) => name), ["default", "a"]);
  assertEquals([memory.poolRoom, [...pools.serverPools].length], [poolRoom, 2]);
  assertEquals(textOf(await ask(proxy, "/")), "one");
});

Deno.test("a worker that replaces another has the pools of the last reload, and gives back what the other held in them", async () => {
  await using gated = new GatedBackend();
  await using backend = HttpBackend.named("one");
  const settings: ConfigFile = { proxy: { workers: 2 }, queue: { timeout: "60s" } };
  await using proxy = await TestProxy.start(settings, { workerUrl: FAILING_WORKER });
  const { memory, pools } = proxy.roundhouse;
  await reload(proxy, settings, {
    pools: { late: { backends: [{ url: gated.url, maxConnections: 1 }] }, quick: { backends: [backend.url] } },
    routes: { "*/*": "late", "*/quick/*": "quick" },
  });
  const clients = await Promise.all(Array.from({ length: 16 }, () => RawClient.connect(proxy.port)));
  const answers = clients.map((client) => client.request("GET /x HTTP/1.1\r\nHost: x\r\n\r\n").catch(() => undefined));
  await waitFor(() => memory.requestTotals().queued === 15, { what: "15 that wait" });
  // It is forwarded to `late`, too, so that it waits in the worker that fails.
  await ask(proxy, "/throw").then(() => assert(false), () => {});
  await waitFor(() => proxy.log.of("worker restarted").length === 1, { what: "another worker", timeoutMs: 30_000 });
  const held = Number(proxy.log.of("worker failed")[0]?.fields["requests"]);
  assertEquals(pools.get("late")?.pool.shared.line.queued(), memory.requestTotals().queued);
  const quick = await Promise.all(Array.from({ length: 24 }, async () => textOf(await ask(proxy, "/quick/x"))));
  assertEquals(new Set(quick), new Set(["one"]));
  let open = true;
  const releasing = (async () => {
    while (open) {
      gated.release();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  const statuses = (await Promise.all(answers)).map((answer) => answer?.status);
  open = false;
  await releasing;
  assertEquals(statuses.filter((status) => status === 200).length, 17 - held);
  for (const client of clients) client.close();
  assertEquals(memory.requestTotals().queued, 0);
});

if (ENGINE === "wire") {
  Deno.test("idle connections to the backends of a pool are closed when it ends", async () => {
    let closed = 0;
    await using backend = new RawBackend(async (connection) => {
      while (await connection.head()) await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
      closed++;
    });
    const settings: ConfigFile = { pools: { old: { backends: [backend.url] } }, routes: { "*/*": "old" } };
    await using proxy = await TestProxy.start(settings);
    assertEquals((await ask(proxy, "/")).status, 200);
    assertEquals(closed, 0);
    await reload(proxy, settings, { pools: {}, routes: null });
    await waitFor(() => closed === 1, { what: "the idle connection to be closed" });
  });
}
