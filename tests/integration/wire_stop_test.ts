// Engine wire stops gracefully: what is under way ends well, what is idle does not delay, what is late is cut.

import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { ask, get, within } from "../conformance/engine_under_test.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawBackend } from "../support/raw_backend.ts";
import { headerOf, RawClient, textOf } from "../support/raw_client.ts";
import { acceptWebSocket, webSocketHandshake } from "../support/raw_websocket.ts";
import { ok, RecordingBackend } from "../support/raw_recorder.ts";
import { waitFor } from "../support/wait.ts";

function startWire(settings: ConfigFile): Promise<TestProxy> {
  return TestProxy.start({ engine: "wire", ...settings });
}

async function refused(port: number): Promise<boolean> {
  try {
    using _ = await RawClient.connect(port);
    return false;
  } catch (error) {
    return error instanceof Deno.errors.ConnectionRefused;
  }
}

Deno.test("a stop lets requests in flight end, closes their connections and idle ones, and takes no new ones", async () => {
  const release = Promise.withResolvers<void>();
  await using backend = new RecordingBackend(async ({ target }, connection) => {
    if (target === "/body") await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
    if (target !== "/quick") await release.promise;
    return target === "/body" ? "half" : ok("whole");
  });
  using _ = { [Symbol.dispose]: release.resolve };
  const proxy = await startWire({ backends: [backend.url] });
  using idle = await RawClient.connect(proxy.port);
  assertEquals((await ask(idle, get("/quick"))).status, 200);
  using silent = await RawClient.connect(proxy.port);
  using waits = await RawClient.connect(proxy.port);
  using reads = await RawClient.connect(proxy.port);
  const answers = [ask(waits, get("/head")), ask(reads, get("/body"))];
  await waitFor(() => backend.requests.length === 3, { what: "requests in flight" });
  const stopped = proxy.roundhouse.stop();
  for (const client of [idle, silent]) assertEquals(await within(client.closed(), "an idle connection's end"), true);
  await waitFor(() => refused(proxy.port), { what: "the port to be closed" }); // by every worker
  release.resolve();
  const [whole, body] = await Promise.all(answers);
  assert(whole !== undefined && body !== undefined);
  assertEquals([textOf(whole), headerOf(whole, "connection")], ["whole", "close"]);
  assertEquals([textOf(body), body.complete], ["halfhalf", true]);
  for (const client of [waits, reads]) assertEquals(await within(client.closed(), "the end"), true);
  for (const client of [waits, reads]) client.close();
  assertEquals(await within(stopped, "the stop"), true);
});

Deno.test("while an upload arrives a stopping proxy refuses new requests with 503, and the upload ends well", async () => {
  await using backend = new RecordingBackend();
  const proxy = await startWire({ backends: [backend.url] });
  using uploads = await RawClient.connect(proxy.port);
  using kept = await RawClient.connect(proxy.port);
  assertEquals((await ask(kept, get("/before"))).status, 200);
  await uploads.send("POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nhalf");
  await waitFor(() => backend.requests.length === 2, { what: "the upload" });
  const stopped = proxy.roundhouse.stop();
  const late = await ask(kept, get("/late"));
  assertEquals([late.status, headerOf(late, "connection")], [503, "close"]);
  using newcomer = await RawClient.connect(proxy.port);
  assertEquals((await ask(newcomer, get("/late"))).status, 503);
  await uploads.send("half");
  const response = await within(uploads.response(), "the answer to the upload");
  assertEquals(response && [textOf(response), headerOf(response, "connection")], ["POST /upload 8", "close"]);
  for (const client of [uploads, kept, newcomer]) {
    await within(client.rest(), "the end");
    client.close();
  }
  assertEquals(await within(stopped, "the stop"), true);
  assertEquals(backend.requests.map(({ target }) => target), ["/before", "/upload"]);
});

Deno.test("a client that sends half a head or lingers behind its last answer hardly delays a stop", async () => {
  await using backend = new RecordingBackend();
  // One worker: that it has answered the second client tells that it has read the first one's half.
  const proxy = await startWire({ backends: [backend.url], proxy: { workers: 1 }, timeouts: { header: 300 } });
  using half = await RawClient.connect(proxy.port);
  await half.send("GET / HT");
  using lingers = await RawClient.connect(proxy.port);
  assertEquals((await ask(lingers, get("/", "Connection: close\r\n"))).status, 200);
  const startedAt = performance.now();
  assertEquals(await within(proxy.roundhouse.stop(), "the stop"), true);
  assertLess(performance.now() - startedAt, 5_000);
  assertEquals((await within(half.response(), "408"))?.status, 408);
});

for (const workers of [1, 2]) {
  Deno.test(`over timeouts.shutdown tunnels, answers and uploads are cut on both sides, and every count is 0: ${workers} workers`, async () => {
    // Where a body was still arriving workers were ended before they had counted and logged what was cut.
    let ended = 0;
    await using backend = new RawBackend(async (connection) => {
      await connection.head();
      if (/^upgrade:/im.test(connection.received)) await acceptWebSocket(connection);
      else if (connection.received.startsWith("GET")) {
        await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
      }
      await connection.toEnd();
      ended++;
    });
    const proxy = await startWire({ backends: [backend.url], proxy: { workers }, timeouts: { shutdown: 200 } });
    using tunnel = await RawClient.connect(proxy.port);
    assertEquals((await ask(tunnel, webSocketHandshake())).status, 101);
    using answer = await RawClient.connect(proxy.port);
    await answer.send(get("/"));
    using upload = await RawClient.connect(proxy.port);
    await upload.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf");
    await waitFor(() => backend.connections.length === 3, { what: "all three" });
    assertEquals(await within(proxy.roundhouse.stop(), "the stop"), false);
    assertEquals(proxy.log.of("requests cut").map(({ fields }) => fields["active"]), [3]);
    // The port stayed open until a moment after the stop, where the upload's end had to be waited for first.
    await assertRejects(() => RawClient.connect(proxy.port), Deno.errors.ConnectionRefused);
    for (const client of [tunnel, answer, upload]) await within(client.rest(), "the client's side to end");
    await waitFor(() => ended === 3, { what: "the backend's sides to end" });
    await proxy.idle();
    assertEquals(proxy.backend(backend.url).totalFailures, 0);
  });
}
