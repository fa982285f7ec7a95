// maxConnections, the queue, and backups: under concurrency, counted exactly.

import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { GatedBackend } from "../support/gated_backend.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";
import { refusedUrl } from "../support/raw_backend.ts";
import { RawClient } from "../support/raw_client.ts";
import { waitFor } from "../support/wait.ts";

/** Nobody waits for so long, however busy the machine. */
const PATIENT = { timeout: "30s" };

const queued = (proxy: TestProxy) => proxy.pool.shared.line.queued();

Deno.test("requests past maxConnections wait and are served first in, first out, within a worker", async () => {
  await using gated = new GatedBackend();
  const backends = [{ url: gated.url, maxConnections: 1 }];
  await using proxy = await TestProxy.start({ backends, proxy: { workers: 1 } });
  const answers: Promise<string>[] = [];
  for (let request = 0; request < 5; request++) {
    answers.push(fetch(`${proxy.url}/${request}`).then((response) => response.text()));
    await waitFor(() => gated.targets.length + queued(proxy) === request + 1, { what: "the request to be queued" });
  }
  for (let request = 0; request < 5; request++) {
    await waitFor(() => gated.targets.length === request + 1, { what: "the next request" });
    gated.release();
  }
  assertEquals(await Promise.all(answers), ["done", "done", "done", "done", "done"]);
  assertEquals([gated.targets, gated.most], [["/0", "/1", "/2", "/3", "/4"], 1]);
  await proxy.idle();
  assertEquals(queued(proxy), 0);
});

Deno.test("64 clients at once never pass maxConnections, and every count returns to 0", async () => {
  let inside = 0;
  let most = 0;
  await using backend = new HttpBackend(async () => {
    most = Math.max(most, ++inside);
    await new Promise((resolve) => setTimeout(resolve, 1));
    inside--;
    return new Response("ok");
  });
  await using proxy = await TestProxy.start({ backends: [{ url: backend.url, maxConnections: 3 }], queue: PATIENT });
  const statuses = new Set<number>();
  let seen = 0;
  await Promise.all(Array.from({ length: 64 }, async () => {
    for (let request = 0; request < 10; request++) {
      const response = await fetch(proxy.url);
      await response.text();
      statuses.add(response.status);
      seen = Math.max(seen, proxy.backend(backend.url).currentConnections);
    }
  }));
  assertEquals([...statuses], [200]);
  assertLessOrEqual(Math.max(most, seen), 3);
  await proxy.idle();
  assertEquals([queued(proxy), backend.requests], [0, 640]);
});

Deno.test("a full queue and too long a wait are 503 with Retry-After: 1", async () => {
  await using gated = new GatedBackend();
  await using proxy = await TestProxy.start({
    backends: [{ url: gated.url, maxConnections: 1 }],
    queue: { size: 1, timeout: 1000 },
  });
  const served = fetch(proxy.url);
  await waitFor(() => gated.targets.length === 1, { what: "the first request" });
  const waiting = fetch(proxy.url);
  await waitFor(() => queued(proxy) === 1, { what: "the second request to be queued" });
  for (const refused of [await fetch(proxy.url), await waiting]) {
    assertEquals([refused.status, refused.headers.get("retry-after")], [503, "1"]);
    await refused.body?.cancel();
  }
  gated.release();
  assertEquals(await (await served).text(), "done");
  await proxy.idle();

  await using none = await TestProxy.start({ backends: [{ url: gated.url, maxConnections: 1 }], queue: { size: 0 } });
  const alone = fetch(none.url);
  await waitFor(() => gated.targets.length === 2, { what: "the only request" });
  const refused = await fetch(none.url);
  assertEquals(refused.status, 503);
  await refused.body?.cancel();
  gated.release();
  await (await alone).text();
});

Deno.test("a client that leaves leaves the queue, and its place goes to the next", async () => {
  await using gated = new GatedBackend();
  await using proxy = await TestProxy.start({
    backends: [{ url: gated.url, maxConnections: 1 }],
    queue: PATIENT,
  });
  const first = fetch(`${proxy.url}/first`);
  await waitFor(() => gated.targets.length === 1, { what: "the first request" });
  using leaving = await RawClient.connect(proxy.port);
  await leaving.send("GET /left HTTP/1.1\r\nHost: x\r\n\r\n");
  await waitFor(() => queued(proxy) === 1, { what: "the leaving client to be queued" });
  const last = fetch(`${proxy.url}/last`);
  await waitFor(() => queued(proxy) === 2, { what: "the last request to be queued" });
  leaving.close();
  await waitFor(() => queued(proxy) === 1, { what: "the client to leave the queue" });
  gated.release();
  await waitFor(() => gated.targets.length === 2, { what: "the last request" });
  gated.release();
  assertEquals([await (await first).text(), await (await last).text()], ["done", "done"]);
  assertEquals(gated.targets, ["/first", "/last"]);
  await proxy.idle();
});

Deno.test("requests that wait are served by a backend that is added, and get 503 when the last one goes", async () => {
  await using gated = new GatedBackend();
  await using fresh = HttpBackend.named("fresh");
  await using proxy = await TestProxy.start({
    backends: [{ url: gated.url, maxConnections: 1 }],
    queue: PATIENT,
  });
  const { pool } = proxy;
  const first = fetch(proxy.url);
  await waitFor(() => gated.targets.length === 1, { what: "the first request" });
  const waiting = fetch(proxy.url);
  await waitFor(() => queued(proxy) === 1, { what: "a request to be queued" });
  const spec = {
    weight: 1,
    maxConnections: null,
    backup: false,
    tls: { ca: null, insecure: false, serverName: null, cert: null, key: null },
  };
  pool.add({ url: fresh.url, ...spec }, "test");
  assertEquals(await (await waiting).text(), "fresh");
  // By the admin API, which answers when no worker knows it any more.
  await (await fetch(`${proxy.adminUrl}/backends?url=${fresh.url}`, { method: "DELETE" })).text();

  const hopeless = fetch(proxy.url);
  await waitFor(() => queued(proxy) === 1, { what: "another request to be queued" });
  const [only] = pool.backends;
  assert(only !== undefined);
  pool.setUp(only, false, "test");
  const refused = await hopeless;
  assertEquals(refused.status, 503);
  await refused.body?.cancel();
  gated.release();
  await (await first).text();
});

Deno.test("backups serve only while no other backend is eligible", async () => {
  await using primary = HttpBackend.named("primary");
  await using backup = HttpBackend.named("backup");
  await using proxy = await TestProxy.start({ backends: [primary.url, { url: backup.url, backup: true }] });
  const { pool } = proxy;
  const answers = async () => {
    const texts = [];
    for (let request = 0; request < 3; request++) texts.push(await (await fetch(proxy.url)).text());
    return texts;
  };
  assertEquals(await answers(), ["primary", "primary", "primary"]);
  pool.setUp(proxy.backend(primary.url), false, "test");
  assertEquals(await answers(), ["backup", "backup", "backup"]);
  pool.setUp(proxy.backend(primary.url), true, "test");
  assertEquals(await answers(), ["primary", "primary", "primary"]);

  // The retry of a failed connection finds the backup too.
  const dead = refusedUrl();
  await using pair = await TestProxy.start({ backends: [dead, { url: backup.url, backup: true }] });
  assertEquals(await (await fetch(pair.url)).text(), "backup");
});
