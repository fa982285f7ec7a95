// Several isolates on one port: one pool, whatever happens to one of them.

import { assert, assertEquals, assertGreater, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { ConfigError } from "../../src/errors.ts";
import { clientFor, makePair, serialOf, shown, TemporaryDirectory } from "../support/certificates.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawClient, textOf } from "../support/raw_client.ts";
import { waitFor } from "../support/wait.ts";

const FAILING_WORKER = new URL("../support/failing_worker.ts", import.meta.url);

/** The numbers of the acceptance tests; fewer of everything where they run with all others. */
const FULL = Deno.env.get("ROUNDHOUSE_TEST_FULL") === "1";
const REQUESTS = FULL ? 100_000 : 3_000;
const CHANGES = FULL ? 1_000 : 20;

/** A backend that answers when all gates are opened. */
function gated() {
  const gate = Promise.withResolvers<void>();
  const backend = new HttpBackend(async () => {
    await gate.promise;
    return new Response("done");
  });
  return { backend, open: gate.resolve };
}

function get(target: string): string {
  return `GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`;
}

for (const engine of ["fetch", "wire"] as const) {
  Deno.test(`${engine}: ${REQUESTS} requests at once over 3 backends and 2 workers split exactly`, async () => {
    const backends = ["one", "two", "three"].map((name) => HttpBackend.named(name));
    await using proxy = await TestProxy.start({
      engine,
      backends: backends.map(({ url }) => url),
      proxy: { workers: 2 },
    });
    let left = REQUESTS;
    await Promise.all(Array.from({ length: 64 }, async () => {
      using client = await RawClient.connect(proxy.port);
      while (left-- > 0) assertEquals((await client.request(get("/")))?.status, 200);
    }));
    await proxy.idle();
    assertEquals(
      backends.map(({ requests }) => requests),
      [1, 2, 3].map(() => REQUESTS / 3 | 0).map((share, index) => share + (index < REQUESTS % 3 ? 1 : 0)),
    );
    const { total, failed, retried } = proxy.roundhouse.memory.requestTotals();
    assertEquals({ total, failed, retried }, { total: REQUESTS, failed: 0, retried: 0 });
    for (const backend of backends) await backend[Symbol.asyncDispose]();
  });

  for (const target of ["/throw", "/reject"]) {
    Deno.test(`${engine}: a worker that fails (${target}) loses the requests it held and no other, and is replaced`, async () => {
      const { backend, open } = gated();
      await using _ = backend;
      await using proxy = await TestProxy.start(
        {
          engine,
          backends: [{ url: backend.url, maxConnections: 25 }],
          proxy: { workers: 2 },
          queue: { timeout: "1h" },
        },
        { workerUrl: FAILING_WORKER },
      );
      const { shared } = proxy.pool;
      // 32 clients on both workers: 25 of them at the backend, 7 in the queue.
      const clients = await Promise.all(Array.from({ length: 32 }, () => RawClient.connect(proxy.port)));
      const answers = clients.map((client) => client.request(get("/")).catch(() => undefined));
      await waitFor(() => shared.memory.requestTotals().active === 32 && shared.line.queued() === 7, {
        what: "32 requests",
      });

      using last = await RawClient.connect(proxy.port);
      assertEquals(await last.request(get(target)).catch(() => undefined), undefined);
      await waitFor(() => proxy.log.of("worker restarted").length === 1, { what: "another worker" });
      const [failed] = proxy.log.of("worker failed");
      assertMatch(String(failed?.fields["reason"]), /^Error: (thrown\nin two lines|rejected) at .*failing_worker\.ts/);
      const held = Number(failed?.fields["requests"]);
      assert(held > 1 && held < 33, `the system gave one worker all connections or none: it held ${held} requests`);
      assertEquals(proxy.roundhouse.workerRestarts, 1);
      assertEquals(shared.memory.requestTotals().active, 33 - held);

      open();
      const statuses = (await Promise.all(answers)).map((answer) => answer?.status ?? 0);
      assertEquals(
        [statuses.filter((status) => status === 200).length, statuses.filter((status) => status === 0).length],
        [
          33 - held,
          held - 1,
        ],
      );
      for (const client of clients) client.close();
      await proxy.idle();
      assertEquals([shared.line.queued(), shared.memory.requestTotals().failed], [0, held]);

      // The new worker knows the pool and is counted like the old one.
      const again = await Promise.all(Array.from({ length: 32 }, async () => {
        using client = await RawClient.connect(proxy.port);
        return (await client.request(get("/")))?.status;
      }));
      assertEquals(new Set(again), new Set([200]));
      await proxy.idle();
    });
  }

  Deno.test(`${engine}: a worker that replaces another runs the engine that the others run, whatever a reload has read`, async () => {
    // After a reload that named `engine` as taking a restart, a worker that was replaced came back with the other engine:
    // half of the clients met a proxy that the other half did not.
    await using backend = HttpBackend.named("one");
    const settings: ConfigFile = { engine, backends: [backend.url], proxy: { workers: 2 } };
    await using proxy = await TestProxy.start(settings, { workerUrl: FAILING_WORKER });
    settings.engine = engine === "fetch" ? "wire" : "fetch";
    assertEquals((await proxy.roundhouse.reload()).restartNeeded, ["engine"]);
    using last = await RawClient.connect(proxy.port);
    assertEquals(await last.request(get("/throw")).catch(() => undefined), undefined);
    await waitFor(() => proxy.log.of("worker restarted").length === 1, { what: "another worker" });
    const statuses = await Promise.all(Array.from({ length: 32 }, async () => {
      using client = await RawClient.connect(proxy.port);
      return (await client.request("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"))?.status;
    }));
    assertEquals(new Set(statuses), new Set([engine === "wire" ? 200 : 501])); // `fetch` can't carry it
    await proxy.idle();
  });

  Deno.test(`${engine}: workers that fail again and again under load: every count returns to 0`, async () => {
    await using one = HttpBackend.named("one");
    await using two = HttpBackend.named("two");
    await using proxy = await TestProxy.start(
      { engine, backends: [one.url, two.url], proxy: { workers: 2 } },
      { workerUrl: FAILING_WORKER },
    );
    let stop = false;
    let [served, lost] = [0, 0];
    const load = Array.from({ length: 16 }, async () => {
      while (!stop) {
        try {
          using client = await RawClient.connect(proxy.port);
          while (!stop && await client.request(get("/")) !== undefined) served++;
        } catch {
          // refused, or reset
        }
        lost += stop ? 0 : 1;
      }
    });
    for (let failure = 1; failure <= 3; failure++) {
      const before = served;
      await waitFor(() => served > before + 200, { what: "load" });
      using client = await RawClient.connect(proxy.port);
      await client.request(get("/throw")).catch(() => undefined);
      await waitFor(() => proxy.log.of("worker restarted").length === failure, { what: "a new worker" });
    }
    stop = true;
    await Promise.all(load);
    await proxy.idle();
    const failures = proxy.log.of("worker failed").map(({ fields }) => Number(fields["requests"]));
    const held = failures.reduce((sum, requests) => sum + requests, 0);
    assertEquals(proxy.roundhouse.memory.requestTotals().failed, held);
    assertGreater(served, 600);
    if (FULL) console.log({ served, lost, held });
  });

  Deno.test(`${engine}: a backend added and removed ${CHANGES} times under load: after the answer nothing goes to it`, async () => {
    await using stays = HttpBackend.named("stays");
    await using comes = HttpBackend.named("comes");
    await using proxy = await TestProxy.start({ engine, backends: [stays.url], proxy: { workers: 2 } });
    const admin = async (method: string) => {
      const body = JSON.stringify({ url: comes.url });
      const headers = { "content-type": "application/json" };
      const response = await fetch(`${proxy.adminUrl}/backends`, { method, headers, body });
      await response.body?.cancel();
      return response.status;
    };
    let round = 0; // odd: it may come; even: no request that begins and ends in this round may meet it
    let stop = false;
    let late = 0;
    const load = Array.from({ length: 16 }, async (_, index) => {
      using client = await RawClient.connect(proxy.port);
      const request = index % 4 === 0 ? `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx` : get("/");
      while (!stop) {
        const begun = round;
        const response = await client.request(request);
        assertEquals(response?.status, 200);
        const came = response !== undefined && textOf(response) === "comes";
        if (came && begun % 2 === 0 && begun === round) late++;
      }
    });
    for (let change = 0; change < CHANGES; change++) {
      round++;
      assertEquals(await admin("POST"), 201);
      const before = comes.requests;
      await waitFor(() => comes.requests > before, { what: "traffic to the new backend" });
      assertEquals(await admin("DELETE"), 200);
      round++;
      const { total } = proxy.roundhouse.memory.requestTotals();
      await waitFor(() => proxy.roundhouse.memory.requestTotals().total > total + 32, {
        what: "more load",
      });
    }
    stop = true;
    await Promise.all(load);
    await proxy.idle();
    const { failed, retried } = proxy.roundhouse.memory.requestTotals();
    assertEquals({ late, failed, retried }, { late: 0, failed: 0, retried: 0 });
  });

  Deno.test(`${engine}: a front certificate that a reload brings reaches every worker, and those that replace others`, async () => {
    using directory = new TemporaryDirectory();
    const [first, second] = await Promise.all([makePair(), makePair()]);
    const tls = directory.writePair(first);
    await using backend = HttpBackend.named("one");
    const settings: ConfigFile = { engine, backends: [backend.url], proxy: { workers: 2, tls } };
    await using proxy = await TestProxy.start(settings, { workerUrl: FAILING_WORKER });
    const serials = async () =>
      new Set((await Promise.all(Array.from({ length: 32 }, () => shown(proxy.port)))).map(({ serial }) => serial));
    assertEquals(await serials(), new Set([serialOf(first)]));
    directory.writePair(second);
    const { restartNeeded } = await proxy.roundhouse.reload();
    // `fetch` can't change it, and then no worker does.
    const [expected, needed] = engine === "wire" ? [second, []] : [first, ["proxy.tls"]];
    assertEquals([await serials(), restartNeeded], [new Set([serialOf(expected)]), needed]);

    using client = clientFor("HTTP/1.1", expected);
    await fetch(`${proxy.url}/throw`, { client }).then((response) => response.body?.cancel(), () => {});
    await waitFor(() => proxy.log.of("worker restarted").length === 1, { what: "another worker" });
    assertEquals(await serials(), new Set([serialOf(expected)]));
  });
}

Deno.test("a port that others listen on is an error, whoever of the two has several workers", async () => {
  for (const [first, second] of [[2, 2], [1, 2], [2, 1]] as const) {
    await using running = await TestProxy.start({ proxy: { workers: first } });
    const error = await assertRejects(
      () => TestProxy.start({ proxy: { workers: second, port: running.port } }),
      ConfigError,
    );
    assertStringIncludes(error.message, `proxy.port: can't listen on 127.0.0.1:${running.port}: another process`);
  }
});

Deno.test("GET /status knows the number of workers", async () => {
  await using proxy = await TestProxy.start({ proxy: { workers: 3 } });
  const response = await fetch(`${proxy.adminUrl}/status`);
  assertEquals((await response.json()).workers, 3);
});
