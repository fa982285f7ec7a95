/** Requests that wait for the word of `auth.forward`: nothing of them goes anywhere, and nothing is left of those that leave. */

import { assert, assertEquals } from "@std/assert";
import { ALLOWED, AuthServer } from "../support/auth_server.ts";
import { RawBackend, refusedUrl } from "../support/raw_backend.ts";
import { RawClient, textOf } from "../support/raw_client.ts";
import { RecordingBackend } from "../support/raw_recorder.ts";
import { acceptWebSocket, closeFrame, webSocketHandshake } from "../support/raw_websocket.ts";
import { waitFor } from "../support/wait.ts";
import { guarded, type Name } from "./forward_auth.ts";
import { answered, ask, type EngineUnderTest, get, LIMIT_MS, post, postChunked, within } from "./engine_under_test.ts";

export function testHeldRequests(engine: EngineUnderTest): void {
  const name = (what: string) => `${engine.name}: auth.forward: ${what}`;
  testHolding(engine, name);
  testLeaving(engine, name);
  testConnections(engine, name);
}

function testHolding(engine: EngineUnderTest, name: Name): void {
  Deno.test(name("an upload is held until the answer, and nothing of it is read"), async () => {
    await using auth = new AuthServer();
    await using backend = new RecordingBackend(undefined, { onBody() {} });
    await using proxy = await guarded(engine, backend, { forward: auth.url }, {
      routes: { "*/*": "default", "*/open": { pool: "default", auth: null } },
    });
    auth.freeze();
    // More than all buffers of the system hold.
    const piece = new Uint8Array(1024 * 1024);
    const pieces = 24;
    using client = await RawClient.connect(proxy.port);
    await client.send(`POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: ${pieces * piece.length}\r\n\r\n`);
    let sent = 0;
    const sending = (async () => {
      for (; sent < pieces; sent++) await client.send(piece);
    })();
    await waitFor(() => auth.questions.length === 1, { what: "the question" });
    using other = await RawClient.connect(proxy.port);
    for (let count = 0; count < 20; count++) assertEquals((await ask(other, get("/open"))).status, 200);
    assert(sent < pieces, "the body must not be taken");
    assertEquals(backend.requests.filter(({ method }) => method === "POST"), []);
    auth.thaw();
    assertEquals((await answered(client.response("POST"), "the upload")).status, 200);
    await within(sending, "the whole body to be taken");
    const upload = backend.requests.find(({ method }) => method === "POST");
    assertEquals(upload?.bodyBytes, pieces * piece.length);
    client.close();
    other.close();
    await proxy.idle();
  });

  Deno.test(name("a refused upload of any framing reaches no backend"), async () => {
    await using auth = new AuthServer("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    await using backend = new RecordingBackend();
    await using proxy = await guarded(engine, backend, { forward: auth.url });
    const uploads = [post("/", "hello"), postChunked("/", ["hello", "world"]), post("/", "x".repeat(200_000))];
    for (const upload of uploads) {
      using client = await RawClient.connect(proxy.port);
      assertEquals((await ask(client, upload)).status, 401);
    }
    if (!engine.deviations.continuesUnasked) {
      using client = await RawClient.connect(proxy.port);
      const head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
      assertEquals((await ask(client, head)).status, 401, "without a 100 before it");
    }
    await proxy.idle();
    assertEquals([backend.requests.length, backend.connections], [0, 0]);
  });

  Deno.test(name("a WebSocket is accepted after the answer, and refused with it"), async () => {
    await using auth = new AuthServer("HTTP/1.1 200 OK\r\nX-User: me\r\nContent-Length: 0\r\n\r\n");
    const heads: string[] = [];
    await using backend = new RawBackend(async (connection) => {
      await connection.head();
      heads.push(connection.received);
      await acceptWebSocket(connection);
      await connection.read();
      await connection.send(closeFrame(1000, false));
      await connection.toEnd();
    });
    await using proxy = await guarded(engine, backend, { forward: auth.url, copy: ["X-User"] });
    auth.freeze();
    using client = await RawClient.connect(proxy.port);
    await client.send(webSocketHandshake("/chat", "X_User: admin\r\nX-User: admin\r\n"));
    await waitFor(() => auth.questions.length === 1, { what: "the question" });
    assertEquals(heads.length, 0);
    assertEquals([auth.said("upgrade"), auth.said("sec-websocket-key")], [undefined, undefined]);
    auth.thaw();
    assertEquals((await answered(client.response(), "the handshake")).status, 101);
    assert(/^x-user: me\r$/im.test(heads[0] ?? "") && !/admin/.test(heads[0] ?? ""), heads[0]);
    await client.send(closeFrame(1000, true));
    auth.verdict = () => "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
    using other = await RawClient.connect(proxy.port);
    const refused = await ask(other, webSocketHandshake("/chat"));
    assertEquals([refused.status, textOf(refused), heads.length], [403, "no", 1]);
    auth.verdict = () => undefined;
    using third = await RawClient.connect(proxy.port);
    assertEquals((await ask(third, webSocketHandshake("/chat"))).status, 503);
    for (const one of [client, other, third]) one.close();
    await proxy.idle();
  });

  Deno.test(name("pipelined requests are answered in order, however long each is held"), async () => {
    await using auth = new AuthServer();
    await using backend = new RecordingBackend();
    await using proxy = await guarded(engine, backend, { forward: auth.url }, {
      routes: { "*/*": "default", "*/open/*": { pool: "default", auth: null } },
    });
    auth.verdict = ({ headers }) => {
      const uri = headers.find(([field]) => field.toLowerCase() === "x-forwarded-uri")?.[1];
      return uri === "/no" ? "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n" : ALLOWED;
    };
    auth.freeze();
    using client = await RawClient.connect(proxy.port);
    await client.send(get("/a") + get("/open/1") + get("/no") + get("/open/2"));
    await waitFor(() => auth.questions.length === 1, { what: "the question" });
    assertEquals(backend.requests.length, 0);
    auth.thaw();
    const seen: string[] = [];
    for (let count = 0; count < 4; count++) {
      const response = await answered(client.response(), "a pipelined request");
      seen.push(`${response.status} ${textOf(response)}`.trim());
    }
    assertEquals(seen, ["200 GET /a 0", "200 GET /open/1 0", "403", "200 GET /open/2 0"]);
    client.close();
    await proxy.idle();
  });
}

function testLeaving(engine: EngineUnderTest, name: Name): void {
  Deno.test(name("a client that leaves while it is held ends the question, and gives its place back"), async () => {
    let asked: Promise<void> | undefined;
    await using auth = new AuthServer(async (_question, connection) => {
      asked = connection.toEnd();
      await asked;
      return undefined;
    });
    await using backend = new RecordingBackend();
    await using proxy = await guarded(engine, backend, { forward: auth.url }, { concurrency: 1 });
    const cells = proxy.roundhouse.memory.limits.concurrency("all");
    for (const request of [get("/"), webSocketHandshake("/")]) {
      asked = undefined;
      const client = await RawClient.connect(proxy.port);
      await client.send(request);
      await waitFor(() => asked !== undefined, { what: "the question" });
      assertEquals(cells.current, 1);
      client.close();
      await within(asked ?? Promise.reject(new Error("nobody asked")), "the end of the question");
      await waitFor(() => cells.current === 0, { what: "the place to be free" });
    }
    await proxy.idle();
    assertEquals(backend.requests.length, 0);
    assertEquals(proxy.roundhouse.memory.requestTotals().failed, 0);
  });

  Deno.test(name("a client that leaves within its upload gives its place back"), async () => {
    let asked: Promise<void> | undefined;
    await using auth = new AuthServer(async (_question, connection) => {
      asked = connection.toEnd();
      await asked;
      return undefined;
    });
    await using backend = new RecordingBackend();
    // With `fetch` nobody knows that the client has left before its body is read, which is not before the answer.
    const timeout = engine.deviations.cutsBehindUploads ? LIMIT_MS : "60s";
    await using proxy = await guarded(engine, backend, { forward: auth.url, timeout }, { concurrency: 1 });
    const cells = proxy.roundhouse.memory.limits.concurrency("all");
    const client = await RawClient.connect(proxy.port);
    await client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello");
    await waitFor(() => asked !== undefined, { what: "the question" });
    client.close();
    await within(asked ?? Promise.reject(new Error("nobody asked")), "the end of the question");
    await waitFor(() => cells.current === 0, { what: "the place to be free" });
    await proxy.idle();
    assertEquals([backend.requests.length, proxy.roundhouse.memory.requestTotals().failed], [0, 0]);
  });

  Deno.test(name("the time for a whole request counts while it is held"), async () => {
    await using auth = new AuthServer();
    await using backend = new RecordingBackend();
    await using proxy = await guarded(engine, backend, { forward: auth.url }, { timeouts: { request: LIMIT_MS } });
    auth.freeze();
    using client = await RawClient.connect(proxy.port);
    assertEquals((await ask(client, get("/"))).status, 504);
    client.close();
    await proxy.idle();
    assertEquals(backend.requests.length, 0);
  });
}

function testConnections(engine: EngineUnderTest, name: Name): void {
  Deno.test(
    name("connections are kept, and one that the server has closed meanwhile costs nobody an answer"),
    async () => {
      await using auth = new AuthServer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
      await using backend = new RecordingBackend();
      await using proxy = await guarded(engine, backend, { forward: auth.url }, { proxy: { workers: 1 } });
      using client = await RawClient.connect(proxy.port);
      for (let count = 0; count < 10; count++) assertEquals((await ask(client, get("/"))).status, 200);
      assertEquals(auth.connections, 1);
      // It takes the question, and closes without an answer: as if the connection had been closed just before.
      let dropped = 0;
      auth.verdict = ({ connection }) => connection === 0 && dropped++ === 0 ? undefined : ALLOWED;
      assertEquals((await ask(client, get("/"))).status, 200);
      assertEquals([auth.connections, dropped], [2, 1]);
      client.close();
      await proxy.idle();
    },
  );

  Deno.test(name("a pool is asked by its turns and its health, and its counts return to 0"), async () => {
    await using one = new AuthServer();
    await using two = new AuthServer();
    await using backend = new RecordingBackend();
    const dead = refusedUrl();
    await using proxy = await guarded(engine, backend, { forward: { pool: "auth", path: "/check?a=b" } }, {
      pools: { auth: { backends: [`${one.origin}/base`, two.origin, dead], passive: { connectFailures: 1 } } },
      passive: { ejectFor: "1h" },
    });
    const pool = proxy.roundhouse.pools.get("auth")?.pool;
    assert(pool !== undefined);
    using client = await RawClient.connect(proxy.port);
    const statuses: number[] = [];
    for (let count = 0; count < 9; count++) statuses.push((await ask(client, get("/"))).status);
    const failed = statuses.filter((status) => status === 503).length;
    assert(failed >= 1 && failed < 3, `one try each, until the dead backend is known: ${statuses}`);
    await waitFor(() => pool.backends.find(({ url }) => url === dead)?.usable === false, { what: "it to be out" });
    const before = [one.questions.length, two.questions.length];
    for (let count = 0; count < 6; count++) assertEquals((await ask(client, get("/"))).status, 200);
    assertEquals([one.questions.length, two.questions.length], before.map((count) => count + 3));
    assertEquals(one.questions.at(-1)?.target, "/base/check?a=b");
    assertEquals(two.questions.at(-1)?.target, "/check?a=b");
    assertEquals(two.said("host"), two.origin.slice("http://".length));
    client.close();
    await proxy.idle();
    assertEquals(proxy.roundhouse.memory.requestTotals().failed, 0);
  });
}
