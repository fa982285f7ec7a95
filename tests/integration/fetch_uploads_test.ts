// Engine fetch beside uploads in very small chunks: nobody else waits, and nothing is left when they end.

import { assertEquals, assertLess } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { ask, get, within } from "../conformance/engine_under_test.ts";
import { makeAuthority, makePair, TemporaryDirectory } from "../support/certificates.ts";
import { Flood } from "../support/flood.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawClient } from "../support/raw_client.ts";
import { waitFor } from "../support/wait.ts";

const CHUNK = "8\r\n12345678\r\n";
const POST = "POST / HTTP/1.1\r\nHost: flood\r\nTransfer-Encoding: chunked\r\n\r\n";

/** Others wait for milliseconds on an idle machine. */
const MOST_WAIT_MS = 1_500;

/** A proxy in front of a backend that takes uploads in and one that answers, with an upload under way to the first. */
async function flooded(
  secure: boolean,
  test: (parts: { proxy: TestProxy; flood: Flood; connect: () => Promise<RawClient> }) => Promise<void>,
  settings: ConfigFile = {},
): Promise<void> {
  using directory = new TemporaryDirectory();
  const ca = await makeAuthority();
  const tls = secure ? directory.writePair(await makePair({ authority: ca })) : null;
  using sink = await Flood.start({ port: null, first: "", repeat: "" });
  await using other = HttpBackend.named("other");
  const taking = { url: `http://127.0.0.1:${sink.port}`, weight: 0 };
  await using proxy = await TestProxy.start({
    ...settings,
    engine: "fetch",
    backends: [taking, other.url],
    proxy: { workers: 1, tls },
  });
  const { pool } = proxy;
  pool.update(proxy.backend(taking.url), { weight: 1 }, "test");
  pool.update(proxy.backend(other.url), { weight: 0 }, "test");
  const order = { port: proxy.port, first: POST, repeat: CHUNK };
  using flood = await Flood.start(secure ? { ...order, ca: ca.cert } : order);
  await waitFor(() => proxy.backend(taking.url).currentConnections === 1, { what: "the upload to reach its backend" });
  pool.update(proxy.backend(taking.url), { weight: 0 }, "test");
  pool.update(proxy.backend(other.url), { weight: 1 }, "test");
  const connect = async () =>
    secure
      ? new RawClient(await Deno.connectTls({ hostname: "localhost", port: proxy.port, caCerts: [ca.cert] }))
      : await RawClient.connect(proxy.port);
  await test({ proxy, flood, connect });
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
      for (let round = 0; round < 20; round++) {
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
}
