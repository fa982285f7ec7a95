// A restart of the only backend failed every request for as long as it took: 124 within 0.3 s. Now they wait for it.

import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawClient } from "../support/raw_client.ts";
import { waitFor } from "../support/wait.ts";

const CHECKED: ConfigFile = { health: { type: "http", interval: "5s" }, queue: { hold: "3s" } };
const GET = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const POST = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody";

const shared = (proxy: TestProxy) => proxy.roundhouse.pool.shared;

/** Else the first check takes out who is gone. */
async function checked(proxy: TestProxy): Promise<void> {
  await waitFor(() => proxy.backends.every(({ lastCheck }) => lastCheck !== null), { what: "the first check" });
}

async function ask(proxy: TestProxy, request = GET): Promise<number | undefined> {
  using client = await RawClient.connect(proxy.port);
  return (await client.request(request))?.status;
}

for (const engine of ["fetch", "wire"] as const) {
  for (const workers of [1, 2]) {
    Deno.test(`a restart of the only backend fails nobody: ${engine}, workers ${workers}`, async () => {
      const old = HttpBackend.named("old");
      const { port } = old;
      await using proxy = await TestProxy.start({ ...CHECKED, backends: [old.url], engine, proxy: { workers } });
      assertEquals(await ask(proxy), 200);
      await old[Symbol.asyncDispose]();
      // The first ones find out by themselves, those after them are told.
      const answers = Array.from({ length: 8 }, (_, index) => ask(proxy, index % 2 === 0 ? GET : POST));
      await waitFor(() => shared(proxy).holding() === 8, { what: "all to wait" });
      answers.push(ask(proxy), ask(proxy, POST));
      await waitFor(() => shared(proxy).holding() === 10, { what: "two more to wait" });
      const backAt = performance.now();
      await using fresh = HttpBackend.named("fresh", port);
      assertEquals(await Promise.all(answers), Array(10).fill(200));
      assertLess(performance.now() - backAt, 2500, "checks come quickly while somebody waits");
      assertGreater(fresh.requests, 10);
      await proxy.idle();
      assertEquals([shared(proxy).holding(), shared(proxy).queued()], [0, 0]);
    });

    Deno.test(`an outage that lasts is answered at once from then on: ${engine}, workers ${workers}`, async () => {
      const gone = HttpBackend.named("gone");
      const settings: ConfigFile = { ...CHECKED, queue: { hold: "500ms" } };
      await using proxy = await TestProxy.start({ ...settings, backends: [gone.url], engine, proxy: { workers } });
      await checked(proxy);
      await gone[Symbol.asyncDispose]();
      const startedAt = performance.now();
      assertEquals(await ask(proxy), 502);
      assertGreater(performance.now() - startedAt, 450);
      for (let request = 0; request < 20; request++) {
        assertEquals(await ask(proxy), 503);
        assertEquals(shared(proxy).holding(), 0);
      }
      await proxy.idle();
    });
  }
}

Deno.test("queue.size counts those that wait for a backend to come back; 0 is no hold", async () => {
  const gone = HttpBackend.named("gone");
  const start = (size: number) =>
    TestProxy.start({ ...CHECKED, backends: [gone.url], queue: { size, hold: "30s" }, retries: { attempts: 0 } });
  await using one = await start(1);
  await using none = await start(0);
  await Promise.all([checked(one), checked(none)]);
  await gone[Symbol.asyncDispose]();
  assertEquals([await ask(one), await ask(none)], [502, 502]);
  using leaving = await RawClient.connect(one.port);
  await leaving.send(GET);
  await waitFor(() => shared(one).holding() === 1, { what: "the first to wait" });
  assertEquals([await ask(one), await ask(none)], [503, 503]);
  leaving.close();
  await waitFor(() => shared(one).holding() === 0, { what: "the client to leave" });
  await one.idle();
});

Deno.test("who finds no backend that was marked down is answered at once", async () => {
  await using backend = HttpBackend.named("here");
  await using proxy = await TestProxy.start({ ...CHECKED, backends: [backend.url], queue: { hold: "30s" } });
  const { pool } = proxy.roundhouse;
  const only = pool.getByUrl(backend.url);
  assert(only !== undefined);
  for (const state of ["draining", "disabled"] as const) {
    pool.update(only, { state }, "operator");
    assertEquals(await ask(proxy), 503);
  }
  await proxy.idle();
});

Deno.test("with startUp false requests wait for the first check from the start on", async () => {
  await using backend = HttpBackend.named("here");
  const health = { type: "http", startUp: false } as const;
  await using proxy = await TestProxy.start({ backends: [backend.url], health, queue: { hold: "30s" } });
  assertEquals(await ask(proxy), 200);
  await proxy.idle();
});
