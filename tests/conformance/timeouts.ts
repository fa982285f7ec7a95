/** Limits of time, each from its own beginning. */

import { assert, assertEquals, assertGreaterOrEqual, assertLess } from "@std/assert";
import { RawBackend } from "../support/raw_backend.ts";
import { RawClient, textOf } from "../support/raw_client.ts";
import { echoOf, RecordingBackend } from "../support/raw_recorder.ts";
import { acceptWebSocket, closeFrame, textFrame, webSocketHandshake } from "../support/raw_websocket.ts";
import {
  answered,
  ask,
  type EngineUnderTest,
  get,
  LIMIT_MS,
  post,
  startProxy,
  unharmed,
  within,
} from "./engine_under_test.ts";

/** Reads and never answers `/attempt`; answers everything else. */
function silent(): RecordingBackend {
  return new RecordingBackend(async (request, connection) => {
    if (request.target !== "/attempt") return echoOf(request);
    await connection.read().catch(() => {}); // until the proxy gives up
    return undefined;
  });
}

/**
 * A listener that takes no more connections: its queue is full and nobody accepts. `undefined` where the system has
 * no such limit on loopback.
 */
async function clogged(): Promise<(Disposable & { readonly url: string }) | undefined> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
  const waiting: Deno.TcpConn[] = [];
  for (let connection = 0; connection < 4; connection++) {
    try {
      waiting.push(
        await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port, signal: AbortSignal.timeout(150) }),
      );
    } catch {
      break;
    }
  }
  const dispose = () => {
    for (const connection of waiting) connection.close();
    listener.close();
  };
  if (waiting.length === 4) {
    dispose();
    return undefined;
  }
  return { url: `http://127.0.0.1:${listener.addr.port}`, [Symbol.dispose]: dispose };
}

export function testTimeouts(engine: EngineUnderTest): void {
  const name = (what: string) => `${engine.name}: timeouts: ${what}`;

  Deno.test(name("no head within timeouts.response is 504 and a failure, and the next request is served"), async () => {
    await using backend = silent();
    await using proxy = await startProxy(engine, { backends: [backend.url], timeouts: { response: LIMIT_MS } });
    for (const request of [get("/attempt"), post("/attempt", "x"), "DELETE /attempt HTTP/1.1\r\nHost: x\r\n\r\n"]) {
      using client = await RawClient.connect(proxy.port);
      const startedAt = performance.now();
      const response = await ask(client, request);
      assertEquals([response.status, JSON.parse(textOf(response)).status], [504, 504]);
      assertGreaterOrEqual(performance.now() - startedAt, LIMIT_MS - 1);
      await unharmed({ proxy, client, backend, what: "a backend that is silent" });
    }
    assertEquals([proxy.backend(backend.url).totalFailures, proxy.backend(backend.url).alive], [3, true]);
  });

  Deno.test(name("each attempt has timeouts.response anew"), async () => {
    await using one = silent();
    await using two = silent();
    await using proxy = await startProxy(engine, { backends: [one.url, two.url], timeouts: { response: LIMIT_MS } });
    using client = await RawClient.connect(proxy.port);
    const startedAt = performance.now();
    assertEquals((await ask(client, get("/attempt"))).status, 504);
    assertGreaterOrEqual(performance.now() - startedAt, 2 * LIMIT_MS - 2);
    assertEquals([one.requests.length, two.requests.length], [1, 1]);
    client.close();
    await proxy.idle();
  });

  Deno.test(name("a repeatable request that times out at one backend is answered by another"), async () => {
    await using mute = silent();
    await using live = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [mute.url, live.url], timeouts: { response: LIMIT_MS } });
    using client = await RawClient.connect(proxy.port);
    for (let request = 0; request < 4; request++) assertEquals((await ask(client, get("/attempt"))).status, 200);
    assertEquals([mute.requests.length > 0, live.requests.length], [true, 4]);
    client.close();
    await proxy.idle();
  });

  Deno.test(name("timeouts.response starts at the request's last byte: a slow upload is not cut"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url], timeouts: { response: LIMIT_MS } });
    using client = await RawClient.connect(proxy.port);
    await client.send("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n");
    for (const part of ["aa", "bb", "cc", "dd"]) {
      await new Promise((resolve) => setTimeout(resolve, LIMIT_MS * 0.4)); // together longer than the limit
      await client.send(part);
    }
    assertEquals(textOf(await answered(client.response(), "a slow upload")), "POST /slow 8");
    await unharmed({ proxy, client, backend, what: "a slow upload" });
  });

  Deno.test(name("an answer whose head came within timeouts.response may take its time"), async () => {
    await using backend = new RecordingBackend(async (request, connection) => {
      if (request.target !== "/attempt") return echoOf(request);
      await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
      for (const byte of "slow") {
        await new Promise((resolve) => setTimeout(resolve, LIMIT_MS * 0.4)); // together longer than the limit
        await connection.send(byte);
      }
      return "";
    });
    await using proxy = await startProxy(engine, { backends: [backend.url], timeouts: { response: LIMIT_MS } });
    using client = await RawClient.connect(proxy.port);
    assertEquals(textOf(await ask(client, get("/attempt"))), "slow");
    await unharmed({ proxy, client, backend, what: "a slow answer" });
  });

  Deno.test(name("over timeouts.request before the head is 504, and no backend is tried again"), async () => {
    await using one = silent();
    await using two = silent();
    await using proxy = await startProxy(engine, { backends: [one.url, two.url], timeouts: { request: LIMIT_MS } });
    for (const request of [get("/attempt"), post("/attempt", "x")]) {
      const before = one.requests.length + two.requests.length;
      using client = await RawClient.connect(proxy.port);
      const response = await ask(client, request);
      assertEquals(response.status, 504);
      assertEquals(one.requests.length + two.requests.length - before, 1);
      client.close();
      await proxy.idle();
    }
    using client = await RawClient.connect(proxy.port);
    assertEquals((await ask(client, get("/other"))).status, 200);
    client.close();
    await proxy.idle();
  });

  Deno.test(name("timeouts.request counts a slow upload, too"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url], timeouts: { request: LIMIT_MS } });
    using client = await RawClient.connect(proxy.port);
    await client.send("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\npart");
    const response = await within(client.response(), "the limit");
    assert(response === undefined || response.status === 504, `${response?.status}`);
    client.close();
    await unharmed({ proxy, backend, what: "a slow upload" });
    assertEquals(backend.requests[0]?.complete ?? false, false);
    assertEquals(proxy.backend(backend.url).totalFailures, 0);
  });

  Deno.test(name("over timeouts.request after the head cuts the body"), async () => {
    await using backend = new RecordingBackend(async (request, connection) => {
      if (request.target !== "/attempt") return echoOf(request);
      await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
      await connection.read().catch(() => {}); // until the proxy gives up
      return undefined;
    });
    await using proxy = await startProxy(engine, { backends: [backend.url], timeouts: { request: LIMIT_MS } });
    // The second is what HTTP/1.0 clients send that want to keep the connection: `fetch` knew no limit for such.
    for (const headers of ["", "Connection: keep-alive\r\n"]) {
      using client = await RawClient.connect(proxy.port);
      const response = await ask(client, get("/attempt", headers));
      assertEquals([response.status, textOf(response), response.complete], [200, "half", false], headers);
      await unharmed({ proxy, client, backend, what: "a cut body" });
    }
  });

  Deno.test(name("over timeouts.request in the queue is 504, and nothing of it is sent"), async () => {
    // It stayed until queue.timeout, and was then told that the proxy is busy.
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, {
      backends: [{ url: backend.url, maxConnections: 1 }],
      timeouts: { request: LIMIT_MS },
      queue: { timeout: "60s" },
    });
    const place = proxy.backend(backend.url).lease();
    using client = await RawClient.connect(proxy.port);
    assertEquals((await ask(client, get("/waits"))).status, 504);
    place?.release();
    await unharmed({ proxy, client, backend, what: "a wait in the queue" });
    assertEquals(backend.requests.some(({ target }) => target === "/waits"), false);
  });

  Deno.test(name("a request within timeouts.request is left alone, and a second one starts anew"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url], timeouts: { request: LIMIT_MS } });
    using client = await RawClient.connect(proxy.port);
    for (let round = 0; round < 5; round++) {
      assertEquals((await ask(client, post("/quick", "body"))).status, 200);
      await new Promise((resolve) => setTimeout(resolve, LIMIT_MS * 0.25)); // together longer than the limit
    }
    await unharmed({ proxy, client, backend, what: "several quick requests" });
  });

  Deno.test(name("WebSockets know no timeouts.request, no timeouts.response and no timeouts.idle"), async () => {
    await using backend = new RawBackend(async (connection) => {
      await connection.head();
      await acceptWebSocket(connection);
      await answer.promise;
      await connection.send(textFrame("late", false));
      await connection.read();
      await connection.send(closeFrame(1000, false));
    });
    const answer = Promise.withResolvers<void>();
    using _ = { [Symbol.dispose]: answer.resolve };
    for (let limitMs = LIMIT_MS;; limitMs *= 4) {
      const limits = { request: limitMs, response: limitMs };
      const timeouts = engine.deviations.knowsNoIdle ? limits : { ...limits, idle: limitMs };
      await using proxy = await startProxy(engine, { backends: [backend.url], timeouts });
      using client = await RawClient.connect(proxy.port);
      const { status } = await ask(client, webSocketHandshake());
      // The handshake has to keep the limits, for which a busy machine may want longer ones.
      if (status === 504 && limitMs < 4000) continue;
      assertEquals(status, 101);
      await new Promise((resolve) => setTimeout(resolve, 2 * limitMs)); // well past all limits
      assertEquals(proxy.backend(backend.url).currentConnections, 1);
      answer.resolve();
      assertEquals(await within(client.chunk(), "a message"), textFrame("late", false));
      await client.send(closeFrame(1000, true));
      client.close();
      return await proxy.idle();
    }
  });

  Deno.test(name("a backend that is out of reach for timeouts.connect is a connect failure"), async () => {
    using full = await clogged();
    if (full === undefined) return; // the system can't be made to drop connections on loopback
    await using live = new RecordingBackend();
    let answered = 1;
    for (const request of [get("/connect"), post("/connect", "body")]) {
      await using proxy = await startProxy(engine, {
        backends: [full.url, live.url],
        timeouts: { connect: 150, response: "20s" },
      });
      using client = await RawClient.connect(proxy.port);
      const startedAt = performance.now();
      const response = await ask(client, request);
      const doubtful = request.startsWith("POST") && engine.deviations.doubtsConnectTimeouts;
      assertEquals([response.status, live.requests.length], doubtful ? [502, 1] : [200, answered]);
      answered++;
      assertLess(performance.now() - startedAt, 5_000);
      assertEquals([proxy.backend(full.url).alive, proxy.backend(full.url).totalFailures], [false, 1]);
      await proxy.roundhouse.settled();
      assertEquals(proxy.log.of("attempt failed")[0]?.fields["code"], "connect_failed");
      client.close();
      await proxy.idle();
    }
    // With nobody else to ask, and no checks that would let it back in, it stays the one that is asked.
    await using alone = await startProxy(engine, { backends: [full.url], timeouts: { connect: 150 } });
    using client = await RawClient.connect(alone.port);
    for (let request = 0; request < 2; request++) assertEquals((await ask(client, get("/"))).status, 502);
    client.close();
    await alone.idle();
  });

  if (!engine.deviations.knowsNoIdle) testIdle(engine);
}

/** `timeouts.idle`, where the engine can see bytes. */
function testIdle(engine: EngineUnderTest): void {
  const name = (what: string) => `${engine.name}: timeouts: ${what}`;

  Deno.test(name("timeouts.idle without a byte of a response body cuts it: a failure of the backend"), async () => {
    const heads = ["Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"];
    for (const head of heads) {
      await using backend = new RecordingBackend(async (request, connection) => {
        if (request.target !== "/attempt") return echoOf(request);
        await connection.send(`HTTP/1.1 200 OK\r\n${head}`);
        await connection.read().catch(() => {}); // until the proxy gives up
        return undefined;
      });
      await using proxy = await startProxy(engine, { backends: [backend.url], timeouts: { idle: LIMIT_MS } });
      using client = await RawClient.connect(proxy.port);
      const response = await ask(client, get("/attempt"));
      assertEquals([response.status, textOf(response), response.complete], [200, "half", false]);
      await unharmed({ proxy, client, backend, what: "a body that stood still" });
      assertEquals([proxy.backend(backend.url).totalFailures, proxy.backend(backend.url).alive], [1, true]);
      assert(proxy.log.lines.some(({ level }) => level === "warn"));
    }
  });

  Deno.test(name("timeouts.idle without a byte of a request body is 408, and nobody's failure"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url], timeouts: { idle: LIMIT_MS } });
    for (const head of ["Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"]) {
      using client = await RawClient.connect(proxy.port);
      await client.send(`POST /half HTTP/1.1\r\nHost: x\r\n${head}`);
      const response = await answered(client.response(), "half a body");
      assertEquals([response.status, JSON.parse(textOf(response)).status], [408, 408]);
      assertEquals(await within(client.closed(), "the end"), true);
      client.close();
      await unharmed({ proxy, backend, what: "half a body" });
    }
    assert(backend.requests.every(({ target, complete }) => complete !== (target === "/half")));
    assertEquals([proxy.backend(backend.url).totalFailures, proxy.backend(backend.url).alive], [0, true]);
  });

  Deno.test(name("bodies that go on within timeouts.idle may take longer as a whole"), async () => {
    await using backend = new RecordingBackend(async (request, connection) => {
      if (request.target !== "/slow") return echoOf(request);
      await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
      for (const byte of "slow") {
        await new Promise((resolve) => setTimeout(resolve, LIMIT_MS * 0.4)); // together longer than the limit
        await connection.send(byte);
      }
      return "";
    });
    await using proxy = await startProxy(engine, { backends: [backend.url], timeouts: { idle: LIMIT_MS } });
    using client = await RawClient.connect(proxy.port);
    await client.send("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n");
    for (const byte of "body") {
      await new Promise((resolve) => setTimeout(resolve, LIMIT_MS * 0.4));
      await client.send(byte);
    }
    assertEquals(textOf(await answered(client.response(), "a slow exchange")), "slow");
    await unharmed({ proxy, client, backend, what: "a slow exchange" });
  });
}
