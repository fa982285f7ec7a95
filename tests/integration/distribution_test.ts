// Fairness and counts under concurrency, counted exactly.

import { assertEquals } from "@std/assert";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";
import { refusedUrl } from "../support/raw_backend.ts";

/** Sends `total` requests with `clients` of them at a time; fails on any answer but 200. */
async function load(url: string, total: number, clients: number, init?: (index: number) => RequestInit): Promise<void> {
  let sent = 0;
  const http = Deno.createHttpClient({ poolMaxIdlePerHost: clients });
  await Promise.all(Array.from({ length: clients }, async () => {
    while (sent < total) {
      const index = sent++;
      const response = await fetch(url, { client: http, ...init?.(index) });
      await response.body?.cancel();
      if (response.status !== 200) throw new Error(`status ${response.status}`);
    }
  }));
  http.close();
}

Deno.test("300 requests in a row and 30,000 at once split exactly over 3 backends, and every count returns to 0", async () => {
  await using one = HttpBackend.named("one");
  await using two = HttpBackend.named("two");
  await using three = HttpBackend.named("three");
  const backends = [one, two, three];
  await using proxy = await TestProxy.start({ backends: backends.map(({ url }) => url) });
  await load(proxy.url, 300, 1);
  assertEquals(backends.map(({ requests }) => requests), [100, 100, 100]);
  await load(proxy.url, 30_000, 32);
  assertEquals(backends.map(({ requests }) => requests), [10_100, 10_100, 10_100]);
  await proxy.idle();
  assertEquals(proxy.roundhouse.memory.requestTotals(), {
    total: 30_300,
    active: 0,
    failed: 0,
    retried: 0,
    queued: 0,
  });
  assertEquals(proxy.backends.map(({ totalRequests }) => totalRequests), [10_100, 10_100, 10_100]);
});

Deno.test("with one of four backends down the other three get equal shares, by weight", async () => {
  await using one = HttpBackend.named("one");
  await using two = HttpBackend.named("two");
  await using three = HttpBackend.named("three");
  const dead = refusedUrl();
  await using proxy = await TestProxy.start({
    backends: [one.url, { url: dead, weight: 5 }, { url: two.url, weight: 2 }, three.url],
    passive: { ejectFor: "1h" }, // let in again after the usual 10 s, on a slow machine it took turns in the middle
  });
  // Find the dead one first; requests that meet it go elsewhere.
  while (proxy.backend(dead).alive) await load(proxy.url, 1, 1);
  const before = [one, two, three].map(({ requests }) => requests);
  await load(proxy.url, 4000, 32);
  // No other reason for a request to go elsewhere than the dead one, which one request met.
  await proxy.roundhouse.settled();
  assertEquals(proxy.log.of("attempt failed").map(({ fields }) => fields["backend"]), [dead]);
  assertEquals([one, two, three].map(({ requests }, index) => requests - (before[index] ?? 0)), [1000, 2000, 1000]);
  await proxy.idle();
});

Deno.test("backends added and removed under traffic: no request fails, and none reaches a removed one", async () => {
  await using stays = HttpBackend.named("stays");
  await using comes = HttpBackend.named("comes");
  await using proxy = await TestProxy.start({ backends: [stays.url] });
  // Through the admin API, which answers when every worker goes by the change.
  const change = async (method: "POST" | "DELETE") => {
    const init = { method, headers: { "content-type": "application/json" }, body: JSON.stringify({ url: comes.url }) };
    const response = await fetch(`${proxy.adminUrl}/backends`, init);
    await response.body?.cancel();
    assertEquals(response.ok, true);
  };
  const traffic = load(proxy.url, 6000, 16, (index) => index % 4 === 0 ? { method: "POST", body: "x" } : {});
  for (let round = 0; round < 20; round++) {
    await change("POST");
    const added = proxy.backend(comes.url);
    await load(proxy.url, 30, 3);
    await change("DELETE");
    const reached = comes.requests;
    const inFlight = added.currentConnections;
    await load(proxy.url, 30, 3);
    // Only what was under way at that moment may still arrive.
    if (comes.requests - reached > inFlight) throw new Error("a removed backend got a new request");
  }
  await traffic;
  await proxy.idle();
  assertEquals(proxy.roundhouse.memory.requestTotals().failed, 0);
});
