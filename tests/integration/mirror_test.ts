// Copies of requests over several workers: each is counted once, and what a dead worker held is given back.

import { assertEquals } from "@std/assert";
import { clientFor, makeAuthority, makePair, TemporaryDirectory } from "../support/certificates.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawBackend } from "../support/raw_backend.ts";
import { RawClient } from "../support/raw_client.ts";
import { badBackend } from "../support/raw_misbehaving.ts";
import { RecordingBackend } from "../support/raw_recorder.ts";
import { seededRandom } from "../support/random.ts";
import { waitFor } from "../support/wait.ts";

const FAILING_WORKER = new URL("../support/failing_worker.ts", import.meta.url);

function resultsOf({ roundhouse: { memory } }: TestProxy): Record<string, number> {
  return Object.fromEntries(Array.from(memory.metrics.processCounts().mirrored).filter(([, count]) => count > 0));
}

/** The copies under way, and the connections of their pool. */
function held({ roundhouse: { memory, pools } }: TestProxy): [number, number] {
  const shadows = pools.get("shadow")?.pool.backends ?? [];
  return [
    memory.limits.concurrency("mirror all").current,
    shadows.reduce((sum, { currentConnections }) => sum + currentConnections, 0),
  ];
}

/** A backend that answers when it has read the whole request: else `wire` would not keep the client's connection. */
function reading(): HttpBackend {
  return new HttpBackend(async (request) => {
    await request.bytes();
    return new Response("read");
  });
}

for (const engine of ["fetch", "wire"] as const) {
  Deno.test(`${engine}: copies are counted to the request over 2 workers and 32 clients`, async () => {
    await using backend = reading();
    await using shadow = reading();
    await using proxy = await TestProxy.start({
      engine,
      backends: [backend.url],
      pools: { shadow: { backends: [shadow.url] } },
      proxy: { workers: 2 },
      mirror: { pool: "shadow", methods: ["GET", "POST"] },
    });
    const ask = async () => {
      using client = await RawClient.connect(proxy.port);
      for (let sent = 0; sent < 20; sent++) {
        const body = sent % 2 === 0 ? "" : "x".repeat(sent * 1000);
        const method = body === "" ? "GET" : "POST";
        const length = body === "" ? "" : `Content-Length: ${body.length}\r\n`;
        const response = await client.request(`${method} / HTTP/1.1\r\nHost: x\r\n${length}\r\n${body}`);
        assertEquals(response?.status, 200);
      }
    };
    await Promise.all(Array.from({ length: 32 }, ask));
    await waitFor(() => held(proxy).every((count) => count === 0), { what: "every copy to end" });
    await proxy.idle();
    const { answered = 0, busy = 0, ...others } = resultsOf(proxy);
    assertEquals([answered + busy, others, shadow.requests], [640, {}, answered]);
    assertEquals(proxy.roundhouse.pools.get("shadow")?.pool.backends.map(({ responses }) => responses["2xx"]), [
      answered,
    ]);
  });

  Deno.test(`${engine}: shadows that do one bad thing after the other leave no count behind`, async () => {
    const random = seededRandom(23);
    await using backend = HttpBackend.named("b");
    await using bad = badBackend(random);
    await using worse = badBackend(random);
    await using proxy = await TestProxy.start({
      engine,
      backends: [backend.url],
      pools: { shadow: { backends: [bad.url, worse.url], passive: { connectFailures: 0 } } },
      mirror: { pool: "shadow", methods: ["GET", "POST"] },
      routes: { "*/*": { pool: "default", timeouts: { response: "300ms" }, retries: { attempts: 0 } } },
    });
    const ask = async (index: number) => {
      for (let round = 0; round < 15; round++) {
        using client = await RawClient.connect(proxy.port);
        const leaves = (index + round) % 5 === 0;
        const body = "b".repeat(round % 3 === 0 ? 0 : 70_000 * (round % 2) + 10);
        await client.send(
          `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length + (leaves ? 1 : 0)}\r\n\r\n${body}`,
        );
        if (!leaves) assertEquals((await client.response("POST"))?.status, 200);
      }
    };
    await Promise.all(Array.from({ length: 16 }, (_, index) => ask(index)));
    await waitFor(() => held(proxy).every((count) => count === 0), { what: "every copy to end" });
    await proxy.idle();
    assertEquals(Object.values(resultsOf(proxy)).reduce((sum, count) => sum + count, 0), 240);
    assertEquals(proxy.backends.map(({ totalFailures }) => totalFailures), [0]);
    assertEquals(proxy.roundhouse.memory.requestTotals().failed, 0);
  });

  Deno.test(`${engine}: what a dead worker held of copies is given back`, async () => {
    await using backend = new RecordingBackend(() => "HTTP/1.1 204 No Content\r\n\r\n");
    await using shadow = new RawBackend((connection) => connection.toEnd());
    await using proxy = await TestProxy.start({
      engine,
      backends: [backend.url],
      pools: { shadow: { backends: [shadow.url] } },
      proxy: { workers: 2 },
      mirror: { pool: "shadow" },
    }, { workerUrl: FAILING_WORKER });
    using client = await RawClient.connect(proxy.port);
    assertEquals((await client.request("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))?.status, 204);
    await waitFor(() => held(proxy).every((count) => count === 1), { what: "a copy" });
    await client.send("GET /throw HTTP/1.1\r\nHost: x\r\n\r\n");
    await client.response().catch(() => undefined);
    await waitFor(() => proxy.roundhouse.workerRestarts > 0, { what: "another worker" });
    await waitFor(() => held(proxy).every((count) => count === 0), { what: "what it held to be given back" });
  });
}

Deno.test("HTTP/2: every stream of a connection is copied, with its body", async () => {
  using directory = new TemporaryDirectory();
  const authority = await makeAuthority();
  const tls = directory.writePair(await makePair({ authority }));
  await using backend = new RecordingBackend();
  await using shadow = new RecordingBackend();
  await using proxy = await TestProxy.start({
    engine: "fetch",
    proxy: { tls },
    backends: [backend.url],
    pools: { shadow: { backends: [shadow.url] } },
    mirror: { pool: "shadow", methods: ["POST", "GET"] },
  });
  using client = clientFor("HTTP/2", authority);
  await Promise.all(Array.from({ length: 20 }, async (_, index) => {
    const options = index % 2 === 0 ? {} : { method: "POST", body: `body ${index}` };
    const response = await fetch(`https://localhost:${proxy.port}/${index}`, { client, ...options });
    await response.body?.cancel();
  }));
  await waitFor(() => held(proxy).every((count) => count === 0), { what: "every copy to end" });
  await proxy.idle();
  const seen = ({ requests }: RecordingBackend) =>
    requests.map(({ target, headers, body }) => ({ target, headers, body })).toSorted((one, other) =>
      one.target < other.target ? -1 : 1
    );
  assertEquals(seen(shadow), seen(backend));
  assertEquals(resultsOf(proxy), { answered: 20 });
});

Deno.test("GET /explain says whether a request would be copied", async () => {
  await using backend = HttpBackend.named("b");
  await using proxy = await TestProxy.start({
    backends: [backend.url],
    pools: { shadow: { backends: [backend.url] } },
    deny: ["192.0.2.1"],
    mirror: { pool: "shadow", share: 0.1 },
    routes: { "*/*": "default", "*/none/*": { pool: "default", mirror: null }, "*/here": { respond: 200 } },
  });
  const explain = async (path: string, more: Record<string, string> = {}) => {
    const query = new URLSearchParams({ url: `http://x${path}`, ...more });
    return await (await fetch(`${proxy.adminUrl}/explain?${query}`)).json();
  };
  assertEquals((await explain("/")).mirror, {
    pool: "shadow",
    copies: true,
    reason: "a share of 0.1 of such requests, chosen at random, unless its body is larger than 64KiB",
  });
  assertEquals((await explain("/")).settings.mirror.from, "mirror");
  assertEquals((await explain("/", { method: "POST" })).mirror.copies, false);
  for (const path of ["/none", "/here"]) assertEquals((await explain(path)).mirror, null, path);
  assertEquals((await explain("/", { ip: "192.0.2.1" })).mirror, null);
  assertEquals((await explain("/none")).settings.mirror, { value: null, from: 'routes["*/none/*"].mirror' });
});
