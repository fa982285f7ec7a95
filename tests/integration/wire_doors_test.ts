// Engine wire's listeners: whatever clients do before they are served, the next one is.

import { assertEquals, assertLess } from "@std/assert";
import { connect } from "node:net";
import { ask, get } from "../conformance/engine_under_test.ts";
import { makeAuthority, makePair, TemporaryDirectory } from "../support/certificates.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawClient, textOf } from "../support/raw_client.ts";
import { ok, RecordingBackend } from "../support/raw_recorder.ts";
import { waitFor } from "../support/wait.ts";

/** Connects and resets the connection, as port scans and TCP checks do. */
function reset(port: number): Promise<void> {
  const socket = connect(port, "127.0.0.1", () => socket.resetAndDestroy());
  return new Promise((resolve) => socket.on("close", resolve).on("error", () => {}));
}

for (const secure of [false, true]) {
  Deno.test(`wire serves the client behind hundreds that have reset their connections${secure ? ", over TLS" : ""}`, async () => {
    // Each reset connection held the accept loop for 100 ms: forty a second, and nobody else was served.
    using directory = new TemporaryDirectory();
    const authority = await makeAuthority();
    const tls = secure ? directory.writePair(await makePair({ authority })) : null;
    const release = Promise.withResolvers<void>();
    await using backend = new RecordingBackend(async ({ target }) => {
      if (target === "/held") await release.promise;
      return ok(target);
    });
    using _ = { [Symbol.dispose]: release.resolve };
    // While the only place is taken, those who come wait in the kernel's queue.
    const settings = { tls, workers: 1, maxConnections: 1 };
    await using proxy = await TestProxy.start({ engine: "wire", backends: [backend.url], proxy: settings });
    const open = () => secure ? RawClient.connectTls(proxy.port, authority) : RawClient.connect(proxy.port);
    using busy = await open();
    const held = ask(busy, get("/held", "Connection: close\r\n"));
    await waitFor(() => backend.requests.length === 1, { what: "the place to be taken" });
    for (let round = 0; round < 4; round++) await Promise.all(Array.from({ length: 50 }, () => reset(proxy.port)));
    const behind = open().then(async (client) => {
      using _ = client;
      return textOf(await ask(client, get("/behind", "Connection: close\r\n")));
    });
    const begun = performance.now();
    release.resolve();
    assertEquals(textOf(await held), "/held");
    assertEquals(await behind, "/behind");
    assertLess(performance.now() - begun, 5000); // they held it for 20 s
    assertEquals(proxy.log.of("connection not accepted"), []);
    await proxy.idle();
  });
}
