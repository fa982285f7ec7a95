// With two workers and `maxConnections: 1`, five of twelve clients in a row got nothing but 503: a worker gave each place
// that came free to its own clients, and the other one looked for it every 5 ms. New requests overtook waiting ones too.

import { assertAlmostEquals, assertEquals } from "@std/assert";
import { GatedBackend } from "../support/gated_backend.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";
import { headerOf, RawClient, textOf } from "../support/raw_client.ts";
import { waitFor } from "../support/wait.ts";

const CLIENTS = 12;
const ANSWERS = 60 * CLIENTS;

/** Nobody waits for so long, however busy the machine. */
const PATIENT = { timeout: "30s" };

const GET = "GET / HTTP/1.1\r\nHost: x\r\n";

const queued = (proxy: TestProxy) => proxy.pool.shared.line.queued();

/** A request on a connection of its own. */
async function ask(proxy: TestProxy, cookie?: string): Promise<string> {
  using client = await RawClient.connect(proxy.port);
  const response = await client.request(`${GET}${cookie === undefined ? "" : `Cookie: ${cookie}\r\n`}\r\n`);
  return response?.status === 200 ? textOf(response) : `${response?.status}`;
}

/** The cookie that binds a client to the first backend that answers. */
async function bind(proxy: TestProxy): Promise<string> {
  using client = await RawClient.connect(proxy.port);
  const response = await client.request(`${GET}\r\n`);
  return (response && headerOf(response, "set-cookie"))?.split(";")[0] ?? "";
}

/** The answers that each client gets, all together `ANSWERS`. */
async function countAnswers(clients: readonly RawClient[]): Promise<number[]> {
  let left = ANSWERS;
  return await Promise.all(clients.map(async (client) => {
    let answers = 0;
    while (left-- > 0) {
      assertEquals((await client.request(`${GET}\r\n`))?.status, 200);
      answers++;
    }
    return answers;
  }));
}

for (const engine of ["fetch", "wire"] as const) {
  for (const workers of [1, 2, 3]) {
    Deno.test(`${engine}, ${workers} workers: clients that ask as often get as many answers`, async () => {
      await using backend = new HttpBackend(async () => {
        await new Promise((resolve) => setTimeout(resolve, 1));
        return new Response("ok");
      });
      const backends = [{ url: backend.url, maxConnections: 1 }];
      await using proxy = await TestProxy.start({ engine, backends, proxy: { workers }, queue: PATIENT });
      const clients = await Promise.all(Array.from({ length: CLIENTS }, () => RawClient.connect(proxy.port)));
      const counts = await countAnswers(clients);
      for (const client of clients) client.close();
      const mean = ANSWERS / CLIENTS;
      for (const count of counts) assertAlmostEquals(count, mean, 0.2 * mean, `${counts}`);
      await proxy.idle();
      assertEquals(queued(proxy), 0);
    });

    Deno.test(`${engine}, ${workers} workers: who waits for one backend holds up nobody else, and nobody holds them up`, async () => {
      await using gated = new GatedBackend();
      await using free = HttpBackend.named("free");
      const backends = [gated, free].map(({ url }) => ({ url, maxConnections: 1 }));
      const settings = { engine, backends, proxy: { workers }, queue: PATIENT, sticky: { by: "cookie" as const } };
      await using proxy = await TestProxy.start(settings);
      const { pool } = proxy;
      const binding = bind(proxy); // the first turn is the first backend's
      await waitFor(() => gated.targets.length === 1, { what: "the request that binds" });
      gated.release();
      const cookie = await binding;

      const bound = Array.from({ length: 6 }, () => ask(proxy, cookie));
      await waitFor(() => gated.targets.length === 2 && queued(proxy) === 5, { what: "five to wait for one backend" });
      assertEquals(await Promise.all(Array.from({ length: 40 }, () => ask(proxy))), Array(40).fill("free"));
      assertEquals([queued(proxy), gated.targets.length], [5, 2]);
      for (let request = 2; request <= 7; request++) {
        await waitFor(() => gated.targets.length === request, { what: "the next of those bound" });
        gated.release();
      }
      assertEquals(await Promise.all(bound), Array(6).fill("done"));

      // A backend that drains is nobody's but its sessions': older ones that wait for others have no claim to it.
      pool.update(proxy.backend(gated.url), { state: "draining" }, "test");
      const lease = proxy.backend(free.url).lease();
      const others = Array.from({ length: 6 }, () => ask(proxy));
      await waitFor(() => queued(proxy) === 6, { what: "six to wait for the other backend" });
      const session = ask(proxy, cookie);
      await waitFor(() => gated.targets.length === 8, { what: "the session's request" });
      assertEquals(queued(proxy), 6);
      gated.release();
      assertEquals(await session, "done");
      lease?.release();
      assertEquals(await Promise.all(others), Array(6).fill("free"));
      await proxy.idle();
      assertEquals(queued(proxy), 0);
    });
  }
}
