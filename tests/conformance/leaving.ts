/** Clients that go away: the backend is told, and not blamed; nothing of theirs stays. */

import { assertEquals, assertLess, assertMatch } from "@std/assert";
import { RawBackend } from "../support/raw_backend.ts";
import { RawClient } from "../support/raw_client.ts";
import type { TestProxy } from "../support/proxy.ts";
import { waitFor } from "../support/wait.ts";
import { type EngineUnderTest, get, post, startProxy, within } from "./engine_under_test.ts";

const UPLOADS = [
  "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nonly a part",
  "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
];

const REQUESTS = [get("/"), "DELETE / HTTP/1.1\r\nHost: x\r\n\r\n", post("/", "body"), ...UPLOADS];

/** Nobody is blamed for a client that left. */
function assertNoBlame(proxy: TestProxy, backend: RawBackend): void {
  assertEquals([proxy.backend(backend.url).alive, proxy.backend(backend.url).totalFailures], [true, 0]);
  assertEquals(proxy.roundhouse.memory.requestTotals().failed, 0);
  assertEquals(proxy.log.lines.filter(({ level }) => level === "warn" || level === "error"), []);
}

export function testLeaving(engine: EngineUnderTest): void {
  const name = (what: string) => `${engine.name}: a client that leaves: ${what}`;

  Deno.test(name("before the answer cancels its request at the backend, and marks nothing down"), async () => {
    let ended = 0;
    await using backend = new RawBackend(async (connection) => {
      await connection.head();
      await connection.toEnd();
      ended++;
    });
    await using proxy = await startProxy(engine, {
      backends: [backend.url],
      passive: { serverErrors: 1, connectFailures: 1 },
    });
    for (const [at, request] of REQUESTS.entries()) {
      using client = await RawClient.connect(proxy.port);
      await client.send(request);
      await waitFor(() => backend.connections[at]?.received.includes("\r\n\r\n") === true, {
        what: "the request to reach the backend",
      });
      assertEquals(ended, at);
      client.close();
      await waitFor(() => ended === at + 1, { what: "the end to reach the backend" });
      await proxy.idle();
    }
    assertNoBlame(proxy, backend);
  });

  Deno.test(name("in the middle of the answer cancels it at the backend"), async () => {
    const block = new Uint8Array(65536);
    let sent = 0;
    let ended = 0;
    await using backend = new RawBackend(async (connection) => {
      await connection.head();
      await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
      try {
        for (sent = 0; sent < 1e9; sent += block.length) await connection.send(block);
      } finally {
        ended++;
      }
    });
    await using proxy = await startProxy(engine, { backends: [backend.url], passive: { serverErrors: 1 } });
    for (const [at, request] of [get("/"), post("/", "body")].entries()) {
      using client = await RawClient.connect(proxy.port);
      await client.send(request);
      await within(client.chunk(), "the head");
      client.close();
      await waitFor(() => ended === at + 1, { what: "the end to reach the backend" });
      assertLess(sent, 1e9);
      await proxy.idle();
    }
    assertNoBlame(proxy, backend);
  });

  Deno.test(
    name("in the middle of a short answer over a kept HTTP/1.0 connection cancels it at the backend"),
    async () => {
      // Under `fetch` nobody noticed: a backend that had stopped in the middle kept its place taken for ever.
      let ended = 0;
      await using backend = new RawBackend(async (connection) => {
        await connection.head();
        await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        await connection.toEnd();
        ended++;
      });
      await using proxy = await startProxy(engine, { backends: [backend.url] });
      for (const [at, waitsForAnswer] of [true, false].entries()) {
        using client = await RawClient.connect(proxy.port);
        await client.send("GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n");
        await waitFor(() => backend.connections[at]?.received.includes("\r\n\r\n") === true, {
          what: "the request to reach the backend",
        });
        if (waitsForAnswer) await within(client.chunk(), "the head");
        client.close();
        await waitFor(() => ended === at + 1, { what: "the end to reach the backend" });
        await proxy.idle();
      }
      assertNoBlame(proxy, backend);
    },
  );

  Deno.test({
    name: name("behind an early answer, in the middle of its upload, it leaves no socket behind"),
    ignore: Deno.build.os !== "linux",
    async fn() {
      // The runtime never noticed such a client's leaving: each kept a socket for ever, and a proxy before backends
      // that answer early (401, 413), or break off their answer, ran out of them.
      const sockets = () => {
        const { stdout } = new Deno.Command("ls", { args: ["-l", `/proc/${Deno.pid}/fd`] }).outputSync();
        return new TextDecoder().decode(stdout).split("socket:").length;
      };
      const ended = { "Content-Length: 2": "ok", "Transfer-Encoding: chunked": "2\r\nok\r\n0\r\n\r\n" };
      const cut = { "Content-Length: 9": "half", "Transfer-Encoding: chunked": "4\r\nhalf\r\nzz\r\n" };
      for (const [bodies, stays] of [[ended, true], [ended, false], [cut, false]] as const) {
        for (const [header, body] of Object.entries(bodies)) {
          await using backend = new RawBackend(async (connection) => {
            await connection.head();
            await connection.send(`HTTP/1.1 200 OK\r\n${header}\r\n\r\n${body}`);
            if (stays) await connection.toEnd();
          });
          // Where sockets are left a stop waits for them.
          await using proxy = await startProxy(engine, { backends: [backend.url], timeouts: { shutdown: 100 } });
          const before = sockets();
          for (let turn = 0; turn < 8; turn++) {
            using client = await RawClient.connect(proxy.port);
            await client.send(UPLOADS[turn % 2] ?? "");
            const answer = new TextDecoder().decode(await within(client.chunk(), "an answer"));
            if (bodies === ended) assertMatch(answer, /^HTTP\/1\.1 200 /); // the cut may come before the head
            if (turn < 4) await client.send("b".repeat(3000)).catch(() => {}); // it may have been cut off already
          }
          await proxy.idle();
          await waitFor(() => sockets() <= before + 2, { what: `the sockets to be closed after ${body}` });
        }
      }
    },
  });
}
