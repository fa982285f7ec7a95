/** `mirror`: the copy is what the backend got, and whatever becomes of it, client and pool notice nothing. */

import { assert, assertEquals } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { MIRROR_RESULTS, type MirrorResult } from "../../src/memory/request_metrics.ts";
import type { TestProxy } from "../support/proxy.ts";
import { RawBackend, type RawConnection, refusedUrl } from "../support/raw_backend.ts";
import { RawClient, textOf } from "../support/raw_client.ts";
import { echoOf, RecordingBackend } from "../support/raw_recorder.ts";
import { acceptWebSocket, closeFrame, webSocketHandshake } from "../support/raw_websocket.ts";
import { waitFor } from "../support/wait.ts";
import {
  ask,
  type EngineUnderTest,
  get,
  LIMIT_MS,
  post,
  postChunked,
  startProxy,
  within,
} from "./engine_under_test.ts";

type Name = (what: string) => string;
type Mirror = NonNullable<ConfigFile["mirror"]>;

export function testMirror(engine: EngineUnderTest): void {
  const name = (what: string) => `${engine.name}: mirror: ${what}`;
  testCopies(engine, name);
  testChoice(engine, name);
  testBodies(engine, name);
  testShadows(engine, name);
  testEnds(engine, name);
}

const METHODS = ["GET", "HEAD", "POST"];

/** A proxy that copies the requests of the pool `default` to the pool `shadow`. */
function mirroring(
  engine: EngineUnderTest,
  [backend, shadow]: readonly [string, string],
  mirror: Omit<Mirror, "pool"> = {},
  settings: ConfigFile = {},
): Promise<TestProxy> {
  return startProxy(engine, {
    backends: [backend],
    pools: { shadow: { backends: [shadow] } },
    mirror: { pool: "shadow", methods: METHODS, ...mirror },
    ...settings,
  });
}

/** What came of the copies; results that did not occur are left out. */
function resultsOf(proxy: TestProxy): Partial<Record<MirrorResult, number>> {
  const { mirrored } = proxy.roundhouse.memory.metrics.processCounts();
  return Object.fromEntries(Array.from(mirrored).filter(([, count]) => count > 0));
}

function underWay(proxy: TestProxy): number {
  return proxy.roundhouse.memory.limits.concurrency("mirror all").current;
}

/** Nothing is held any more. */
async function settled(proxy: TestProxy): Promise<void> {
  await waitFor(() => underWay(proxy) === 0, { what: "every copy to end" });
  await proxy.idle();
}

function shadowOf(proxy: TestProxy) {
  const [backend] = proxy.roundhouse.pools.get("shadow")?.pool.backends ?? [];
  assert(backend !== undefined);
  return backend;
}

function testCopies(engine: EngineUnderTest, name: Name): void {
  Deno.test(name("the shadow gets line for line what the backend gets"), async () => {
    await using backend = new RecordingBackend();
    await using shadow = new RecordingBackend();
    await using proxy = await mirroring(engine, [backend.url, shadow.url], {}, {
      headers: { request: { set: { "X-Set": "s", Host: "inner.example" }, remove: ["X-Removed"] } },
      proxy: { trustForwarded: ["127.0.0.1"] },
      routes: { "*/*": "default", "*/api/*": { pool: "default", stripPrefix: "/api", addPrefix: "/v2" } },
    });
    using client = await RawClient.connect(proxy.port);
    const lines =
      "X-Removed: r\r\nX-Kept: k\r\nX-Forwarded-For: 192.0.2.7\r\nCookie: a=b\r\nConnection: X-Hop\r\nX-Hop: 1\r\n";
    const requests = [
      get("/api/a?b=c", lines),
      get("/plain").replace("GET", "HEAD"),
      post("/api/p", "hello", lines),
      postChunked("/api/c", ["hel", "lo"], lines),
      "POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    ];
    for (const request of requests) assertEquals((await ask(client, request)).status, 200, request);
    client.close();
    await settled(proxy);
    const seen = ({ requests }: RecordingBackend) =>
      requests.map(({ method, target, headers, framing, body, complete }) => {
        return { method, target, headers, framing, body: new TextDecoder().decode(body), complete };
      }).toSorted((one, other) => one.target < other.target ? -1 : 1);
    assertEquals(seen(shadow), seen(backend));
    assertEquals(shadow.requests.length, requests.length);
    assertEquals(shadow.violations, []);
    assertEquals(resultsOf(proxy), { answered: requests.length });
    assertEquals([shadowOf(proxy).totalRequests, shadowOf(proxy).responses["2xx"]], [requests.length, requests.length]);
    assertEquals(proxy.roundhouse.memory.requestTotals().total, requests.length, "copies are no requests of clients");
  });

  Deno.test(name("connections to the shadow are used again"), async () => {
    await using backend = new RecordingBackend();
    await using shadow = new RecordingBackend(({ target }) => {
      const body = target === "/large" ? "x".repeat(300_000) : "short";
      return `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    });
    await using proxy = await mirroring(engine, [backend.url, shadow.url]);
    using client = await RawClient.connect(proxy.port);
    for (let sent = 0; sent < 20; sent++) {
      await ask(client, get(sent % 2 === 0 ? "/large" : "/short"));
      await settled(proxy);
    }
    client.close();
    assertEquals([shadow.requests.length, shadow.connections], [20, 1]);
    assertEquals(resultsOf(proxy), { answered: 20 });
  });
}

function testChoice(engine: EngineUnderTest, name: Name): void {
  Deno.test(name("methods, share and routes decide what is copied, and a WebSocket never is"), async () => {
    await using backend = new RawBackend(async (connection) => {
      while (await connection.head()) {
        if (/^upgrade: websocket/im.test(connection.received)) {
          await acceptWebSocket(connection);
          await connection.read();
          return await connection.send(closeFrame(1000, false));
        }
        await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
      }
    });
    await using shadow = new RecordingBackend();
    await using other = new RecordingBackend();
    await using proxy = await startProxy(engine, {
      backends: [backend.url],
      pools: { shadow: { backends: [shadow.url] }, other: { backends: [other.url] } },
      mirror: { pool: "shadow" },
      deny: ["192.0.2.0/24"],
      proxy: { trustForwarded: ["127.0.0.1"] },
      routes: {
        "*/*": "default",
        "*/none/*": { pool: "default", mirror: null },
        "*/other/*": { pool: "default", mirror: { pool: "other", methods: ["PUT"] } },
        "*/never/*": { pool: "default", mirror: { pool: "other", share: 0 } },
        "*/half/*": { pool: "default", mirror: { pool: "other", share: 0.5 } },
        "*/here": { respond: 200 },
        "*/away": { redirect: "/" },
      },
    });
    using client = await RawClient.connect(proxy.port);
    const copied = ["GET /a", "HEAD /b", "PUT /other/c"];
    const others = ["OPTIONS /d", "POST /e", "GET /none", "GET /other/f", "GET /never/g", "GET /here", "GET /away"];
    for (const line of [...copied, ...others]) {
      await ask(
        client,
        `${line} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n`.replace(
          /Content-Length: 0\r\n/,
          line.startsWith("P") ? "$&" : "",
        ),
      );
    }
    assertEquals((await ask(client, get("/denied", "X-Forwarded-For: 192.0.2.1\r\n"))).status, 403);
    for (let sent = 0; sent < 200; sent++) await ask(client, get("/half/x"));
    const socket = await RawClient.connect(proxy.port);
    assertEquals((await ask(socket, webSocketHandshake("/ws"))).status, 101);
    await socket.send(closeFrame(1000, true));
    socket.close();
    client.close();
    await proxy.idle();
    const seen = [...shadow.requests, ...other.requests].map(({ method, target }) => `${method} ${target}`);
    assertEquals(seen.filter((line) => line !== "GET /half/x").toSorted(), copied.toSorted());
    const half = seen.length - copied.length;
    assert(half > 50 && half < 150, `${half} of 200 for a share of a half`);
    assertEquals(resultsOf(proxy), { answered: seen.length });
  });

  Deno.test(name("a request that is tried again is copied once"), async () => {
    await using dropping = new RecordingBackend(() => undefined);
    await using backend = new RecordingBackend();
    await using shadow = new RecordingBackend();
    const settings: ConfigFile = {
      backends: [refusedUrl(), dropping.url, backend.url],
      passive: { connectFailures: 0 },
      retries: { budget: 1 },
    };
    await using proxy = await mirroring(engine, ["", shadow.url], {}, settings);
    using client = await RawClient.connect(proxy.port);
    for (let sent = 0; sent < 9; sent++) assertEquals((await ask(client, get(`/${sent}`))).status, 200);
    let copied = 9;
    for (let sent = 0; sent < 6; sent++) {
      // The dropping backend may have got it, so no other one does. All parts of the body were read once all the same.
      const { status } = await ask(client, post("/p", `body ${sent}`));
      assert(status === 200 || status === 502, `${status}`);
      copied++;
    }
    client.close();
    await settled(proxy);
    assertEquals(shadow.requests.length, copied);
    const bodies = shadow.requests.slice(9).map(({ body }) => new TextDecoder().decode(body));
    assertEquals(bodies, [0, 1, 2, 3, 4, 5].map((sent) => `body ${sent}`));
    assertEquals(resultsOf(proxy), { answered: copied });
  });
}

function testBodies(engine: EngineUnderTest, name: Name): void {
  Deno.test(name("a body of maxBody is copied, a larger one never, whether it says its length or not"), async () => {
    await using backend = new RecordingBackend();
    await using shadow = new RecordingBackend();
    await using proxy = await mirroring(engine, [backend.url, shadow.url], { maxBody: 100_000 });
    using client = await RawClient.connect(proxy.port);
    for (const size of [99_999, 100_000, 100_001, 1_000_000]) {
      const response = await ask(client, post(`/${size}`, "b".repeat(size)));
      assertEquals(textOf(response), `POST /${size} ${size}`);
    }
    for (const [target, pieces] of [["/small", 9], ["/big", 11], ["/huge", 100]] as const) {
      const response = await ask(client, postChunked(target, Array(pieces).fill("c".repeat(10_000))));
      assertEquals(textOf(response), `POST ${target} ${pieces * 10_000}`);
    }
    client.close();
    await settled(proxy);
    assertEquals(
      shadow.requests.map(({ target, bodyBytes, complete }) => `${target} ${bodyBytes} ${complete}`).toSorted(),
      ["/100000 100000 true", "/99999 99999 true", "/small 90000 true"],
    );
    assert(shadow.requests.every(({ body }) => body.every((byte) => byte === body[0])));
    assertEquals(resultsOf(proxy), { answered: 3, too_large: 4 });
  });

  Deno.test(name("a body that never comes to its end is not copied"), async () => {
    await using backend = new RecordingBackend();
    await using shadow = new RecordingBackend();
    await using proxy = await mirroring(engine, [backend.url, shadow.url], { maxBody: "1MiB" }, {
      proxy: { maxBodySize: 100_000 },
    });
    const broken = [
      "POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\npart",
      "POST /chunks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
    ];
    for (const [index, request] of broken.entries()) {
      const client = await RawClient.connect(proxy.port);
      await client.send(request);
      await waitFor(() => backend.requests.length === index + 1 || underWay(proxy) === 1, {
        what: "the upload to begin",
      });
      client.close();
      await settled(proxy);
    }
    using malformed = await RawClient.connect(proxy.port);
    await malformed.send("POST /bad HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n");
    await waitFor(() => underWay(proxy) === 1, { what: "the malformed upload to begin" });
    await malformed.send("zz\r\n");
    await within(malformed.response().catch(() => undefined), "an end of the malformed request");
    malformed.close();
    await settled(proxy);
    using large = await RawClient.connect(proxy.port);
    const response = large.request(postChunked("/large", Array(20).fill("c".repeat(10_000))));
    assertEquals((await within(response.catch(() => undefined), "an end of the large request"))?.status ?? 413, 413);
    large.close();
    await settled(proxy);
    assertEquals(shadow.requests.map(({ target }) => target), []);
    assertEquals(resultsOf(proxy), { incomplete: 4 });
  });

  Deno.test(name("an upload goes on while nobody takes its copy"), async () => {
    await using backend = new RecordingBackend();
    await using shadow = new RawBackend((connection) => connection.toEnd());
    await using proxy = await mirroring(engine, [backend.url, shadow.url], { maxBody: "16MiB" });
    using client = await RawClient.connect(proxy.port);
    for (const target of ["/1", "/2", "/3"]) {
      const response = await ask(client, post(target, "u".repeat(8_000_000)));
      assertEquals(textOf(response), `POST ${target} 8000000`);
    }
    assertEquals(underWay(proxy), 3);
    client.close();
  });
}

/** What shadows do with a request whose head has come. */
const SHADOWS: Readonly<Record<string, (connection: RawConnection) => Promise<void> | void>> = {
  "is silent": (connection) => connection.toEnd(),
  "closes the connection": () => {},
  "breaks off in the head": (connection) => connection.send("HTTP/1.1 200 O"),
  "breaks off in the body": (connection) => connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart"),
  "talks nonsense": (connection) => connection.send("complete nonsense\r\n\r\n"),
  "lies about lengths": (connection) =>
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 9\r\n\r\nabc"),
  "sends broken chunks": (connection) =>
    connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\nzz\r\n"),
  "switches protocols": (connection) =>
    connection.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
  "answers twice": async (connection) => {
    await connection.send(
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    await connection.toEnd();
  },
  "answers with 1xx without end": async (connection) => {
    while (true) await connection.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
  },
  "answers without end": async (connection) => {
    await connection.send("HTTP/1.1 200 OK\r\n\r\n");
    while (true) await connection.send("x".repeat(10_000));
  },
  "answers in chunks without end": async (connection) => {
    await connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (true) await connection.send("1\r\nx\r\n".repeat(1000));
  },
  "stops in its answer": async (connection) => {
    await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart");
    await connection.toEnd();
  },
  "fails": (connection) => connection.send("HTTP/1.1 500 Oops\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
};

function testShadows(engine: EngineUnderTest, name: Name): void {
  /** Every answer is right, and every count is. */
  async function noticesNothing(shadow: string, what: string): Promise<void> {
    await using backend = new RecordingBackend();
    await using proxy = await mirroring(engine, [backend.url, shadow], {}, {
      routes: { "*/*": { pool: "default", timeouts: { response: LIMIT_MS } } },
      retries: { attempts: 0 },
    });
    using client = await RawClient.connect(proxy.port);
    const requests = [get("/g"), post("/p", "hello"), postChunked("/c", ["hel", "lo"]), get("/g")];
    for (const request of requests) {
      const { status } = await ask(client, request);
      assertEquals(status, 200, `${what}: ${request}`);
    }
    client.close();
    await settled(proxy);
    const [own] = proxy.backends;
    assertEquals([own?.totalRequests, own?.totalFailures], [4, 0], what);
    const { total, failed, retried } = proxy.roundhouse.memory.requestTotals();
    assertEquals([total, failed, retried], [4, 0, 0], what);
    assertEquals(MIRROR_RESULTS.reduce((sum, result) => sum + (resultsOf(proxy)[result] ?? 0), 0), 4, what);
    assertEquals(shadowOf(proxy).currentConnections, 0, what);
    assertEquals(proxy.log.lines.filter(({ level }) => level === "error").map(({ message }) => message), [], what);
  }

  for (const [what, misdeed] of Object.entries(SHADOWS)) {
    Deno.test(name(`nobody notices a shadow that ${what}`), async () => {
      await using shadow = new RawBackend(async (connection) => {
        if (await connection.head()) await misdeed(connection);
      });
      await noticesNothing(shadow.url, what);
    });
  }

  Deno.test(name("nobody notices a shadow that is not there"), async () => {
    await noticesNothing(refusedUrl(), "refused");
  });

  Deno.test(name("at most 100 copies are under way, and the others are dropped"), async () => {
    await using backend = new RecordingBackend();
    const gate = Promise.withResolvers<void>();
    await using shadow = new RecordingBackend(async (request) => {
      await gate.promise;
      return echoOf(request);
    });
    await using proxy = await mirroring(engine, [backend.url, shadow.url]);
    using client = await RawClient.connect(proxy.port);
    for (let sent = 0; sent < 105; sent++) assertEquals((await ask(client, get("/"))).status, 200);
    await waitFor(() => shadow.requests.length === 100, { what: "100 copies" });
    assertEquals([underWay(proxy), shadowOf(proxy).currentConnections, resultsOf(proxy)], [100, 100, { busy: 5 }]);
    gate.resolve();
    client.close();
    await settled(proxy);
    assertEquals(resultsOf(proxy), { answered: 100, busy: 5 });
    assertEquals(shadow.requests.length, 100);
  });

  Deno.test(name("a copy waits for no place at its backend"), async () => {
    await using backend = new RecordingBackend();
    const gate = Promise.withResolvers<void>();
    await using shadow = new RecordingBackend(async (request) => {
      await gate.promise;
      return echoOf(request);
    });
    await using proxy = await startProxy(engine, {
      backends: [backend.url],
      pools: { shadow: { backends: [{ url: shadow.url, maxConnections: 2 }] }, empty: {} },
      mirror: { pool: "shadow" },
      routes: { "*/*": "default", "*/empty/*": { pool: "default", mirror: { pool: "empty" } } },
    });
    using client = await RawClient.connect(proxy.port);
    for (let sent = 0; sent < 5; sent++) await ask(client, get("/"));
    await ask(client, get("/empty"));
    assertEquals(resultsOf(proxy), { unavailable: 4 });
    gate.resolve();
    client.close();
    await settled(proxy);
    assertEquals(resultsOf(proxy), { answered: 2, unavailable: 4 });
  });
}

function testEnds(engine: EngineUnderTest, name: Name): void {
  Deno.test(name("a stop does not wait for copies, and a reload may drop their pool"), async () => {
    await using backend = new RecordingBackend();
    await using shadow = new RawBackend((connection) => connection.toEnd());
    const settings: ConfigFile = {
      backends: [backend.url],
      pools: { shadow: { backends: [shadow.url] } },
      mirror: { pool: "shadow", methods: METHODS },
    };
    {
      await using proxy = await startProxy(engine, settings);
      using client = await RawClient.connect(proxy.port);
      for (const request of [get("/"), post("/", "body")]) assertEquals((await ask(client, request)).status, 200);
      assertEquals(underWay(proxy), 2);
      settings.mirror = null;
      settings.pools = {};
      await proxy.roundhouse.reload();
      assertEquals((await ask(client, get("/"))).status, 200);
    }
    await using again = await startProxy(engine, {
      ...settings,
      pools: { shadow: { backends: [shadow.url] } },
      mirror: { pool: "shadow" },
    });
    using client = await RawClient.connect(again.port);
    await ask(client, get("/"));
    assertEquals([underWay(again), shadowOf(again).currentConnections], [1, 1]);
    client.close();
    await again.roundhouse.stop();
    assertEquals([underWay(again), shadowOf(again).currentConnections, shadowOf(again).totalFailures], [0, 0, 0]);
  });
}
