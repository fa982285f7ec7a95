// Engine wire beside peers whose next byte is always there: nobody else waits.

import { assertEquals } from "@std/assert";
import { ask, get, within } from "../conformance/engine_under_test.ts";
import { Flood } from "../support/flood.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawClient } from "../support/raw_client.ts";
import { waitFor } from "../support/wait.ts";

const CHUNK = "8\r\n12345678\r\n";
const POST = "POST / HTTP/1.1\r\nHost: flood\r\nTransfer-Encoding: chunked\r\n\r\n";
const GET = "GET / HTTP/1.1\r\nHost: flood\r\n\r\n";
const OLD = "GET / HTTP/1.0\r\nHost: flood\r\n\r\n";
const UPGRADE = "GET / HTTP/1.1\r\nHost: flood\r\nConnection: upgrade\r\nUpgrade: flood\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\n";
const SWITCHING = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: flood\r\n\r\n";

/** What backend and client send first, and what over and over. */
const FLOODS: Readonly<Record<string, { backend: [string, string]; client: [string, string] }>> = {
  "a download in chunks of 8 bytes": { backend: [`${OK}Transfer-Encoding: chunked\r\n\r\n`, CHUNK], client: [GET, ""] },
  "a download that is taken out of its chunks": {
    backend: [`${OK}Transfer-Encoding: chunked\r\n\r\n`, CHUNK],
    client: [OLD, ""],
  },
  "a download that ends with its connection": { backend: [`${OK}\r\n`, "x"], client: [GET, ""] },
  "an upload in chunks of 8 bytes": { backend: ["", ""], client: [POST, CHUNK] },
  "a tunnel": { backend: [SWITCHING, "to the client"], client: [UPGRADE, "to the backend"] },
  "1xx answers without end": { backend: ["", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"], client: [GET, ""] },
  "requests in a row that are refused": { backend: ["", ""], client: ["", "TRACE / HTTP/1.1\r\nHost: flood\r\n\r\n"] },
  "empty lines": { backend: ["", ""], client: ["", "\r\n"] },
};

for (const [what, { backend, client }] of Object.entries(FLOODS)) {
  Deno.test(`wire serves others and the admin API beside ${what}`, async () => {
    // Each read and write was ready at once, so the runtime looked at other sockets only every few seconds: clients,
    // the admin API and health checks waited, and backends counted as down.
    using source = await Flood.start({ port: null, first: backend[0], repeat: backend[1] });
    await using other = HttpBackend.named("other");
    const flooded = { url: `http://127.0.0.1:${source.port}`, weight: 0 };
    await using proxy = await TestProxy.start({
      engine: "wire",
      backends: [flooded, other.url],
      proxy: { workers: 1 },
    });
    proxy.pool.update(proxy.backend(flooded.url), { weight: 1 }, "test");
    proxy.pool.update(proxy.backend(other.url), { weight: 0 }, "test");
    using _flood = await Flood.start({ port: proxy.port, first: client[0], repeat: client[1] });
    const reached = () => proxy.backend(flooded.url).currentConnections === 1;
    if (client[0] !== "") await waitFor(reached, { what: "the flood to reach its backend" });
    proxy.pool.update(proxy.backend(flooded.url), { weight: 0 }, "test");
    proxy.pool.update(proxy.backend(other.url), { weight: 1 }, "test");
    const others = async () => {
      for (let round = 0; round < 10; round++) {
        using client = await RawClient.connect(proxy.port);
        assertEquals((await ask(client, get("/"))).status, 200);
        assertEquals(await (await fetch(`${proxy.adminUrl}/healthz`)).json(), { status: "ok" });
      }
    };
    await within(others(), "ten requests one after the other, which take 3 s each otherwise");
  });
}
