// Engine fetch beside uploads in very small chunks: nobody else waits, and nothing is left when they end.

import { assertEquals, assertLess } from "@std/assert";
import { ask, get, within } from "../conformance/engine_under_test.ts";
import { makeAuthority, makePair, TemporaryDirectory } from "../support/certificates.ts";
import { Flood, type FloodOrder } from "../support/flood.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawBackend } from "../support/raw_backend.ts";
import { RawClient } from "../support/raw_client.ts";
import { waitFor } from "../support/wait.ts";

const CHUNK = "8\r\n12345678\r\n";
const POST = "POST / HTTP/1.1\r\nHost: flood\r\nTransfer-Encoding: chunked\r\n\r\n";

/** Others wait for a tenth of a second on an idle machine; without the mend they waited for minutes. */
const MOST_WAIT_MS = 25_000;

/** How clients reach a proxy, over TLS or in the clear. */
interface Clients extends Disposable {
  readonly tls: { cert: string; key: string } | null;
  connect(port: number): Promise<RawClient>;
  flood(order: FloodOrder): Promise<Flood>;
}

async function clientsOf(secure: boolean): Promise<Clients> {
  if (!secure) {
    return { tls: null, connect: RawClient.connect, flood: Flood.start, [Symbol.dispose]: () => {} };
  }
  const directory = new TemporaryDirectory();
  const ca = await makeAuthority();
  return {
    tls: directory.writePair(await makePair({ authority: ca })),
    connect: async (port) => new RawClient(await Deno.connectTls({ hostname: "localhost", port, caCerts: [ca.cert] })),
    flood: (order) => Flood.start({ ...order, ca: ca.cert }),
    [Symbol.dispose]: () => directory[Symbol.dispose](),
  };
}

/** A proxy in front of a backend that takes uploads in and one that answers, with an upload under way to the first. */
async function flooded(
  secure: boolean,
  test: (parts: { proxy: TestProxy; flood: Flood; connect: () => Promise<RawClient> }) => Promise<void>,
): Promise<void> {
  using clients = await clientsOf(secure);
  using sink = await Flood.start({ port: null, first: "", repeat: "" });
  await using other = HttpBackend.named("other");
  const taking = { url: `http://127.0.0.1:${sink.port}`, weight: 0 };
  await using proxy = await TestProxy.start({
    engine: "fetch",
    backends: [taking, other.url],
    proxy: { workers: 1, tls: clients.tls },
  });
  const { pool } = proxy;
  pool.update(proxy.backend(taking.url), { weight: 1 }, "test");
  pool.update(proxy.backend(other.url), { weight: 0 }, "test");
  using flood = await clients.flood({ port: proxy.port, first: POST, repeat: CHUNK });
  await waitFor(() => proxy.backend(taking.url).currentConnections === 1, { what: "the upload to reach its backend" });
  pool.update(proxy.backend(taking.url), { weight: 0 }, "test");
  pool.update(proxy.backend(other.url), { weight: 1 }, "test");
  await test({ proxy, flood, connect: () => clients.connect(proxy.port) });
  assertEquals(proxy.log.of("response cut"), []); // what ends the flood is no failure of a backend
  assertEquals(proxy.backends.map(({ alive, totalFailures }) => [alive, totalFailures]), [[true, 0], [true, 0]]);
}

for (const secure of [false, true]) {
  const over = secure ? "over TLS" : "in the clear";

  Deno.test(`fetch serves others and the admin API beside an upload in chunks of 8 bytes ${over}`, async () => {
    // The runtime took far more from the connection than it gave, and moved all of the rest for each chunk: one client
    // kept everybody else waiting, checks took backends out, and a core was busy for hours after the client had left.
    await flooded(secure, async ({ proxy, flood, connect }) => {
      let worstMs = 0;
      const timed = async (step: () => Promise<void>) => {
        const startedAt = performance.now();
        await within(step(), "an answer beside the upload");
        worstMs = Math.max(worstMs, performance.now() - startedAt);
      };
      for (let round = 0; round < 10; round++) {
        await timed(async () => {
          using client = await connect();
          assertEquals((await ask(client, get("/"))).status, 200);
        });
        await timed(async () => {
          assertEquals(await (await fetch(`${proxy.adminUrl}/healthz`)).json(), { status: "ok" });
        });
      }
      assertLess(worstMs, MOST_WAIT_MS);
      flood[Symbol.dispose]();
      await proxy.idle();
      await timed(async () => {
        using client = await connect();
        assertEquals((await ask(client, get("/"))).status, 200);
      });
    });
  });

  Deno.test(`over timeouts.shutdown fetch cuts uploads and answers ${over}, and every count is 0`, async () => {
    // Only the end of the process cut them: where it goes on, their connections, clients and backends stayed.
    let ended = 0;
    await using backend = new RawBackend(async (connection) => {
      await connection.head();
      if (connection.received.startsWith("GET")) {
        await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
      }
      await connection.toEnd();
      ended++;
    });
    const settings = { timeouts: { shutdown: 200 }, backends: [backend.url] };
    using clients = await clientsOf(secure);
    const proxy = await TestProxy.start({ ...settings, engine: "fetch", proxy: { workers: 1, tls: clients.tls } });
    using answer = await clients.connect(proxy.port);
    await answer.send(get("/"));
    using stalled = await clients.connect(proxy.port);
    await stalled.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf");
    using chunked = await clients.connect(proxy.port);
    await chunked.send(`${POST}${CHUNK}`);
    await waitFor(() => backend.connections.length === 3, { what: "all three" });
    using _flood = await clients.flood({ port: proxy.port, first: POST, repeat: CHUNK });
    await waitFor(() => proxy.backend(backend.url).currentConnections === 4, { what: "the flood" });
    assertEquals(await within(proxy.roundhouse.stop(), "the stop"), false);
    for (const client of [answer, stalled, chunked]) await within(client.rest(), "the client's side to end");
    await waitFor(() => ended === 4, { what: "the backend's sides to end" });
    await proxy.idle();
    assertEquals(proxy.backend(backend.url).totalFailures, 0);
  });
}
