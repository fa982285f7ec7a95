/** `currentConnections` is exact: up while something is in flight, 0 after every way in which it can end. */

import { assert, assertEquals } from "@std/assert";
import { RawBackend, type RawConnection, refusedUrl } from "../support/raw_backend.ts";
import { RawClient } from "../support/raw_client.ts";
import { echoOf, RecordingBackend } from "../support/raw_recorder.ts";
import { acceptWebSocket, closeFrame, textFrame, webSocketHandshake } from "../support/raw_websocket.ts";
import type { TestProxy } from "../support/proxy.ts";
import { waitFor } from "../support/wait.ts";
import {
  answered,
  ask,
  type EngineUnderTest,
  get,
  LIMIT_MS,
  post,
  postChunked,
  startProxy,
  within,
} from "./engine_under_test.ts";

/** Waits until exactly one request is in flight, at a backend and as a whole. */
async function busy(proxy: TestProxy): Promise<void> {
  const counts = () => proxy.backends.reduce((sum, { currentConnections }) => sum + currentConnections, 0);
  await waitFor(() => counts() === 1 && proxy.roundhouse.memory.requestTotals().active === 1, {
    what: "one request in flight",
  });
}

/** A backend whose script runs once the head of `/attempt` has come; it answers everything else. */
function scripted(script: (connection: RawConnection) => Promise<void>): RawBackend {
  return new RawBackend(async (connection) => {
    while (await connection.head()) {
      if (connection.received.includes(" /attempt ")) return await script(connection);
      await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
  });
}

const UPLOADS = [
  "POST /attempt HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\npart",
  "POST /attempt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
];

const REQUESTS = [get("/attempt"), post("/attempt", "body"), postChunked("/attempt", ["bo", "dy"]), ...UPLOADS];

/** Ends that a client can make of its connection. */
const LEAVINGS: Record<string, (client: RawClient) => void | Promise<void>> = {
  closes: (client) => client.close(),
  "half-closes and closes": async (client) => {
    await client.connection.closeWrite();
    client.close();
  },
};

export function testCounts(engine: EngineUnderTest): void {
  const name = (what: string) => `${engine.name}: current connections: ${what}`;

  Deno.test(name("are 1 during and 0 after a request that ends well"), async () => {
    let open = Promise.withResolvers<void>();
    await using backend = new RecordingBackend(async (request) => {
      await open.promise;
      return echoOf(request);
    });
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    const plain = ["HEAD", "DELETE", "OPTIONS"].map((method) => `${method} / HTTP/1.1\r\nHost: x\r\n\r\n`);
    for (const request of [get("/"), post("/", "body"), postChunked("/", ["a", "b"]), ...plain]) {
      const response = client.request(request);
      await busy(proxy);
      open.resolve();
      assertEquals((await answered(response)).status, 200);
      await proxy.idle(); // while the client's connection and the backend's stay open
      open = Promise.withResolvers();
    }
    open.resolve();
  });

  for (const [how, leave] of Object.entries(LEAVINGS)) {
    Deno.test(name(`are 0 after a client ${how} before the head`), async () => {
      await using backend = scripted((connection) => connection.toEnd());
      await using proxy = await startProxy(engine, { backends: [backend.url] });
      for (const request of REQUESTS) {
        using client = await RawClient.connect(proxy.port);
        await client.send(request);
        await busy(proxy);
        await leave(client);
        await proxy.idle();
      }
      assertEquals([proxy.backend(backend.url).alive, proxy.backend(backend.url).totalFailures], [true, 0]);
    });

    Deno.test(name(`are 0 after a client ${how} in the body`), async () => {
      const answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\n\r\nhalf",
      ];
      for (const answer of answers) {
        await using backend = scripted(async (connection) => {
          await connection.send(answer);
          await connection.toEnd();
        });
        await using proxy = await startProxy(engine, { backends: [backend.url] });
        for (const request of REQUESTS.slice(0, 3)) {
          using client = await RawClient.connect(proxy.port);
          await client.send(request);
          let text = "";
          while (!text.includes("half")) text += new TextDecoder().decode(await within(client.chunk(), "half a body"));
          await busy(proxy);
          await leave(client);
          await proxy.idle();
        }
        assertEquals([proxy.backend(backend.url).alive, proxy.backend(backend.url).totalFailures], [true, 0]);
      }
    });

    Deno.test(name(`are 0 after a client ${how} behind the answer`), async () => {
      await using backend = new RecordingBackend();
      await using proxy = await startProxy(engine, { backends: [backend.url] });
      for (const request of [get("/"), post("/", "body")]) {
        using unread = await RawClient.connect(proxy.port);
        await unread.send(request);
        await waitFor(() => backend.requests.at(-1)?.complete === true, { what: "the request" });
        await leave(unread); // the answer is on its way
        await proxy.idle();
        using read = await RawClient.connect(proxy.port);
        await ask(read, request);
        await leave(read);
        await proxy.idle();
      }
    });
  }

  Deno.test(name("are 0 after a client leaves behind pipelined requests"), async () => {
    await using backend = scripted((connection) => connection.toEnd());
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    await client.send(get("/first") + get("/attempt") + get("/third") + post("/fourth", "body"));
    await answered(client.response());
    await busy(proxy);
    client.close();
    await proxy.idle();
  });

  Deno.test(name("are 0 after a client leaves in the middle of a head"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    for (const part of ["", "G", "GET /attempt HTTP/1.1\r\nHost: x\r\n", "GET /attempt HTTP/1.1\r\nHost: x\r\n\r"]) {
      using client = await RawClient.connect(proxy.port);
      if (part !== "") await client.send(part);
      client.close();
      await proxy.idle();
    }
    assertEquals(backend.requests, []);
  });

  Deno.test(name("are 0 after a backend resets or closes before the head"), async () => {
    await using resetting = new RawBackend(async (connection) => void await connection.read(1)); // the rest stays unread
    await using closing = new RawBackend(async (connection) => void await connection.head());
    await using sleepy = new RawBackend(() => {}); // not a byte is read
    for (const backend of [resetting, closing, sleepy]) {
      await using proxy = await startProxy(engine, { backends: [backend.url], passive: { connectFailures: 0 } });
      for (const request of REQUESTS) {
        using client = await RawClient.connect(proxy.port);
        await client.send(request);
        const response = await within(client.response(), "a failure");
        assert(response === undefined || response.status === 502, `${response?.status}`);
        client.close();
        await proxy.idle();
      }
      assertEquals(proxy.backend(backend.url).totalFailures, REQUESTS.length);
    }
  });

  Deno.test(name("are 0 after a backend resets or closes in the body"), async () => {
    const half = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
    await using resetting = new RawBackend(async (connection) => {
      await connection.read(1); // the rest stays unread
      await connection.send(half);
    });
    await using closing = scripted((connection) => connection.send(half));
    for (const backend of [resetting, closing]) {
      await using proxy = await startProxy(engine, { backends: [backend.url] });
      let served = 0;
      for (const request of REQUESTS) {
        using client = await RawClient.connect(proxy.port);
        await client.send(request);
        if (UPLOADS.includes(request) && engine.deviations.cutsBehindUploads) {
          await waitFor(() => proxy.backend(backend.url).totalRequests > served, { what: "the request" });
        } else {
          const response = await within(client.response(), "a cut");
          assert(response === undefined || response.status === 502 || !response.complete);
          client.close();
        }
        served++;
        await proxy.idle();
      }
    }
  });

  Deno.test(name("are 0 after each timeout"), async () => {
    await using silent = scripted((connection) => connection.toEnd());
    await using slow = scripted(async (connection) => {
      await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
      await connection.toEnd();
    });
    const limits = [
      { backend: silent, timeouts: { response: LIMIT_MS }, status: 504 },
      { backend: silent, timeouts: { request: LIMIT_MS }, status: 504 },
      { backend: slow, timeouts: { request: LIMIT_MS }, status: 200 },
    ];
    for (const { backend, timeouts, status } of limits) {
      await using proxy = await startProxy(engine, { backends: [backend.url], timeouts });
      for (const request of REQUESTS.slice(0, 3)) {
        using client = await RawClient.connect(proxy.port);
        await client.send(request);
        await busy(proxy);
        const response = await within(client.response(), "the limit");
        assert(response === undefined || response.status === status, `${response?.status}`);
        await proxy.idle();
      }
    }
  });

  Deno.test(name("are 0 at every backend after retries"), async () => {
    await using failing = new RecordingBackend(() => undefined);
    await using busyOne = new RecordingBackend(() => "HTTP/1.1 503 X\r\nContent-Length: 4\r\n\r\nbusy");
    await using live = new RecordingBackend();
    const dead = refusedUrl();
    await using proxy = await startProxy(engine, {
      backends: [failing.url, dead, busyOne.url, live.url],
      retries: { attempts: 3, statuses: [503], budget: 1 },
      passive: { connectFailures: 0 },
    });
    using client = await RawClient.connect(proxy.port);
    // Each takes up to three retries; the budget lets through ten and one a request.
    for (let request = 0; request < 4; request++) {
      assertEquals((await ask(client, get("/"))).status, 200);
      await proxy.idle();
    }
    assertEquals(live.requests.length, 4);
    assert(proxy.backends.every(({ totalRequests }) => totalRequests > 1));
  });

  Deno.test(name("are 0 after refusals"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url], proxy: { maxBodySize: 10 } });
    const refused = [
      "GET / HTTP/1.1\r\n\r\n",
      "TRACE / HTTP/1.1\r\nHost: x\r\n\r\n",
      post("/", "more than ten"),
      postChunked("/", ["more than", "ten"]),
      "garbage\r\n\r\n",
    ];
    for (const request of refused) {
      using client = await RawClient.connect(proxy.port);
      const response = await answered(client.request(request));
      assert(response.status >= 400 && response.status < 500, request);
      client.close();
      await proxy.idle();
    }
  });

  Deno.test(name("are 0 after a shutdown that waits for what is in flight"), async () => {
    const open = Promise.withResolvers<void>();
    await using backend = new RecordingBackend(async (request) => {
      await open.promise;
      return echoOf(request);
    });
    const proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    const response = client.request(get("/last"));
    await busy(proxy);
    const stopped = proxy.roundhouse.stop();
    open.resolve();
    assertEquals((await answered(response)).status, 200);
    assertEquals(await within(stopped, "the shutdown"), true);
    await proxy.idle();
  });

  Deno.test(name("are 0 after a WebSocket closes from either side, cleanly or not"), async () => {
    type Step = (side: { client: RawClient; backend: RawConnection }) => Promise<void> | void;
    const endings: [string, Step][] = [
      ["the client says goodbye", ({ client }) => client.send(closeFrame(1000, true))],
      ["the client vanishes", ({ client }) => client.close()],
      ["the backend says goodbye", ({ backend }) => backend.send(closeFrame(1000, false))],
      ["the backend vanishes", ({ backend }) => backend.close()],
      ["the client sends garbage", ({ client }) => client.send(new Uint8Array(64).fill(0xff))],
      ["the backend sends garbage", ({ backend }) => backend.send(new Uint8Array(64).fill(0xff))],
    ];
    for (const [how, end] of endings) {
      let side: RawConnection | undefined;
      await using backend = new RawBackend(async (connection) => {
        await connection.head();
        await acceptWebSocket(connection);
        side = connection;
        let bytes: Uint8Array | undefined;
        // An echo that answers a close with a close; it stays until the other side has gone.
        while ((bytes = await connection.read()) !== undefined) {
          if (((bytes[0] ?? 0) & 0x0f) === 0x8) return void await connection.send(closeFrame(1000, false));
        }
      });
      await using proxy = await startProxy(engine, { backends: [backend.url] });
      using client = await RawClient.connect(proxy.port);
      assertEquals((await ask(client, webSocketHandshake())).status, 101);
      await busy(proxy);
      await waitFor(() => side !== undefined, { what: "the backend's side" });
      if (side === undefined) throw new Error("unreachable");
      await side.send(textFrame("hello", false));
      assertEquals(await within(client.chunk(), "a message"), textFrame("hello", false), how);
      await busy(proxy);
      await end({ client, backend: side });
      // Whoever is left answers as RFC 6455 asks, then goes, too.
      if (!how.includes("client")) {
        await within(client.chunk(), `word that ${how}`);
        await client.send(closeFrame(1000, true)).catch(() => {});
        client.close();
      } else if (how.includes("garbage") && !engine.deviations.bridgesWebSocketsOnly) {
        client.close(); // a tunnel leaves it to the backend what garbage is, and this one does not mind
      }
      await within(proxy.idle(), how);
      client.close();
    }
  });

  Deno.test(name("are 0 after a WebSocket is refused, or never answered, or its client leaves meanwhile"), async () => {
    await using refusing = scripted((connection) => connection.send("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"));
    await using silent = scripted((connection) => connection.toEnd());
    await using dropping = scripted(() => Promise.resolve());
    for (const [backend, status] of [[refusing, 403], [silent, 504], [dropping, 502]] as const) {
      await using proxy = await startProxy(engine, {
        backends: [backend.url],
        timeouts: { response: LIMIT_MS },
        retries: { attempts: 0 },
      });
      using client = await RawClient.connect(proxy.port);
      assertEquals((await ask(client, webSocketHandshake("/attempt"))).status, status);
      client.close();
      await proxy.idle();
    }
    await using proxy = await startProxy(engine, { backends: [silent.url] });
    using client = await RawClient.connect(proxy.port);
    await client.send(webSocketHandshake("/attempt"));
    await busy(proxy);
    client.close();
    await proxy.idle();
  });

  Deno.test(name("are 0 after a hundred clients that leave at any moment"), async () => {
    await using backend = new RecordingBackend(async (request, connection) => {
      await connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      for (let part = 0; part < 20; part++) await connection.send(`400\r\n${"x".repeat(0x400)}\r\n`);
      return request.method === "HEAD" ? undefined : "0\r\n\r\n";
    });
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    const request = postChunked("/any", ["x".repeat(3000), "y".repeat(3000)]);
    await Promise.all(Array.from({ length: 100 }, async (_, index) => {
      using client = await RawClient.connect(proxy.port);
      // Every length of request, and some of the answer.
      await client.send(request.slice(0, Math.ceil((request.length * (index + 1)) / 70))).catch(() => {});
      if (index > 70) await client.chunk();
      client.close();
    }));
    await proxy.idle();
    assertEquals([proxy.backend(backend.url).alive, proxy.backend(backend.url).totalFailures], [true, 0]);
  });
}
