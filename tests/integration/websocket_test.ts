// WebSockets through the proxy: messages, subprotocols, ends, counts.

import { assert, assertEquals, assertGreater } from "@std/assert";
import { HttpsBackend, makeAuthority, makePair, TemporaryDirectory } from "../support/certificates.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { ENGINE, TestProxy } from "../support/proxy.ts";
import { RawBackend, refusedUrl } from "../support/raw_backend.ts";
import { concat, RawClient } from "../support/raw_client.ts";
import { acceptWebSocket } from "../support/raw_websocket.ts";
import { waitFor } from "../support/wait.ts";

const HANDSHAKE = "GET /chat?room=1 HTTP/1.1\r\nHost: ws.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

interface Closed {
  readonly code: number;
  readonly reason: string;
}

/** A backend that upgrades, and hands each socket to `accept`; remembers how they closed. */
function socketBackend(accept: (socket: WebSocket, request: Request) => void = echo) {
  const closed: Closed[] = [];
  const requests: { target: string; cookie: string | null; forwardedFor: string | null }[] = [];
  const backend = new HttpBackend((request) => {
    requests.push({
      target: request.url.slice(request.url.indexOf("/", 7)),
      cookie: request.headers.get("cookie"),
      forwardedFor: request.headers.get("x-forwarded-for"),
    });
    const asked = request.headers.get("sec-websocket-protocol")?.split(", ") ?? [];
    const { socket, response } = Deno.upgradeWebSocket(request, asked.includes("v2") ? { protocol: "v2" } : {});
    socket.binaryType = "arraybuffer";
    socket.addEventListener("close", ({ code, reason }) => closed.push({ code, reason }));
    accept(socket, request);
    return response;
  });
  return { backend, closed, requests };
}

function echo(socket: WebSocket): void {
  socket.onmessage = ({ data }) => socket.send(data);
}

/** A client's socket that has opened. */
async function open(proxy: TestProxy, options: { protocols?: string[]; headers?: HeadersInit } = {}) {
  const socket = new WebSocket(`ws${proxy.url.slice("http".length)}/chat?room=1`, options);
  socket.binaryType = "arraybuffer";
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = (event) => reject(new Error(event instanceof ErrorEvent ? event.message : "socket failed"));
  });
  return socket;
}

/** Removes a backend with a drain; resolves with the status. */
async function removeAfter(proxy: TestProxy, url: string, drain: string): Promise<number> {
  const response = await fetch(`${proxy.adminUrl}/backends?url=${url}&drain=${drain}`, { method: "DELETE" });
  await response.body?.cancel();
  return response.status;
}

Deno.test("the WebSockets of a removed backend close when its drain ends, in every worker, and nobody else's", async () => {
  // They stayed for as long as both sides liked: a backend that had been removed for a deployment never got rid of them.
  const { backend, closed } = socketBackend();
  await using _backend = backend;
  const other = socketBackend();
  await using _other = other.backend;
  await using proxy = await TestProxy.start({ backends: [backend.url, other.backend.url] });
  const sockets = await Promise.all(Array.from({ length: 12 }, () => open(proxy)));
  const gone = proxy.backend(backend.url);
  assertEquals(gone.currentConnections, 6);
  assertEquals(await removeAfter(proxy, backend.url, "50ms"), 200);
  const closedClients = () => sockets.filter(({ readyState }) => readyState === WebSocket.CLOSED).length;
  const timeoutMs = 20_000; // the closing handshake may take a while where other work is in its way
  await waitFor(() => closed.length === 6 && closedClients() === 6, { what: "both sides to close", timeoutMs });
  await waitFor(() => gone.currentConnections === 0, { what: "the count to return to 0", timeoutMs });
  const alive = sockets.filter(({ readyState }) => readyState === WebSocket.OPEN);
  for (const socket of alive) {
    const answer = nextMessage(socket);
    socket.send("still there");
    assertEquals(await answer, "still there");
    const end = nextClose(socket);
    socket.close();
    await end;
  }
  await proxy.idle();
});

Deno.test("a removed backend is free of WebSockets soon after its drain, whatever their two sides do", async () => {
  // Where neither side answered the closing handshake the WebSocket counted for ever, and its backend kept its place.
  let closes = 0;
  await using backend = new RawBackend(async (connection) => {
    await connection.head();
    await acceptWebSocket(connection);
    while (await connection.read() !== undefined) closes++;
  });
  await using proxy = await TestProxy.start({ backends: [backend.url] });
  const gone = proxy.backend(backend.url);
  using client = await RawClient.connect(proxy.port);
  assertEquals((await client.request(HANDSHAKE))?.status, 101);
  assertEquals(await removeAfter(proxy, backend.url, "10ms"), 200);
  await waitFor(() => gone.currentConnections === 0, { what: "the count to return to 0" });
  if (ENGINE === "fetch") await waitFor(() => closes > 0, { what: "the close frame at the backend" });
  client.close();
  for (const connection of backend.connections) connection.close();
});

Deno.test("the WebSockets of a backend that is removed without a drain go on", async () => {
  const { backend } = socketBackend();
  await using _backend = backend;
  await using proxy = await TestProxy.start({ backends: [backend.url] });
  const socket = await open(proxy);
  const gone = proxy.backend(backend.url);
  const response = await fetch(`${proxy.adminUrl}/backends?url=${backend.url}`, { method: "DELETE" });
  await response.body?.cancel();
  const answer = nextMessage(socket);
  socket.send("still there");
  assertEquals(await answer, "still there");
  const end = nextClose(socket);
  socket.close();
  await end;
  await waitFor(() => gone.currentConnections === 0, { what: "the count to return to 0" });
});

function nextMessage(socket: WebSocket): Promise<string | ArrayBuffer> {
  return new Promise((resolve) => socket.addEventListener("message", ({ data }) => resolve(data), { once: true }));
}

function nextClose(socket: WebSocket): Promise<Closed> {
  return new Promise((resolve) => {
    socket.addEventListener("close", ({ code, reason }) => resolve({ code, reason }), { once: true });
  });
}

Deno.test("text, binary and empty messages and 16 MB ones cross both ways unchanged", async () => {
  const { backend, requests } = socketBackend();
  await using _backend = backend;
  await using proxy = await TestProxy.start({ backends: [backend.url] });
  const socket = await open(proxy, { headers: { cookie: "a=1", "x-forwarded-for": "6.6.6.6" } });
  assertEquals(proxy.backend(backend.url).currentConnections, 1);
  for (const text of ["hello", "", "ünïcödé 🚂"]) {
    const answer = nextMessage(socket);
    socket.send(text);
    assertEquals(await answer, text);
  }
  const large = new Uint8Array(16 * 1024 * 1024);
  for (let at = 0; at < large.length; at += 65536) crypto.getRandomValues(large.subarray(at, at + 65536));
  const answer = nextMessage(socket);
  socket.send(large);
  const back = new Uint8Array(await answer as ArrayBuffer);
  assertEquals(back.length, large.length);
  assert(back.every((byte, index) => byte === large[index]));
  assertEquals(requests, [{ target: "/chat?room=1", cookie: "a=1", forwardedFor: "127.0.0.1" }]);
  const closing = nextClose(socket);
  socket.close();
  await closing;
  await proxy.idle();
});

Deno.test("the backend's choice of subprotocol reaches the client", async () => {
  const { backend } = socketBackend();
  await using _backend = backend;
  await using proxy = await TestProxy.start({ backends: [backend.url] });
  for (const [protocols, chosen] of [[["v1", "v2"], "v2"], [[], ""]] as const) {
    const socket = await open(proxy, { protocols: [...protocols] });
    assertEquals(socket.protocol, chosen);
    const closing = nextClose(socket);
    socket.close();
    await closing;
  }
  await proxy.idle();
});

Deno.test("close codes 1000 and 3000-4999 cross both ways with their reasons, others as the nearest", async () => {
  const { backend, closed } = socketBackend((socket) => {
    socket.onmessage = ({ data }) => {
      const [code = 0, reason = ""] = JSON.parse(data);
      if (code === 0) socket.close();
      else socket.close(code, reason);
    };
  });
  await using _backend = backend;
  await using proxy = await TestProxy.start({ backends: [backend.url] });
  const fromBackend: [number, string, number, string][] = [
    [1000, "done", 1000, "done"],
    [3000, "first", 3000, "first"],
    [4999, "last", 4999, "last"],
    [1001, "", 1001, ""],
    [1012, "", 1012, ""],
    [0, "", 1005, ""],
  ];
  for (const [code, reason, wantCode, wantReason] of fromBackend) {
    const socket = await open(proxy);
    const closing = nextClose(socket);
    socket.send(JSON.stringify([code, reason]));
    assertEquals(await closing, { code: wantCode, reason: wantReason });
  }
  await proxy.idle();
  closed.length = 0;
  for (const [code, reason] of [[1000, "bye"], [3001, "moved"], [4000, "own"]] as const) {
    const socket = await open(proxy);
    socket.close(code, reason);
    await proxy.idle();
    assertEquals(closed.pop(), { code, reason });
  }
});

Deno.test("a side that vanishes ends the other, and the count returns to 0", async () => {
  const sockets: WebSocket[] = [];
  const { backend } = socketBackend((socket) => sockets.push(socket));
  await using _backend = backend;
  await using proxy = await TestProxy.start({ backends: [backend.url] });
  using client = await RawClient.connect(proxy.port);
  await client.send(HANDSHAKE);
  await waitFor(() => sockets.length === 1, { what: "the socket at the backend" });
  client.close();
  await waitFor(() => sockets[0]?.readyState === WebSocket.CLOSED, { what: "the backend's side to end" });
  await proxy.idle();

  await using vanishing = new RawBackend(async (connection) => {
    await connection.head();
    const key = /sec-websocket-key: (.*)\r/i.exec(connection.received)?.[1] ?? "";
    const digest = await crypto.subtle.digest(
      "SHA-1",
      new TextEncoder().encode(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`),
    );
    await connection.send(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
        `Sec-WebSocket-Accept: ${new Uint8Array(digest).toBase64()}\r\n\r\n`,
    );
    await connection.send(Uint8Array.of(0x81, 5, ...new TextEncoder().encode("early")));
  });
  await using other = await TestProxy.start({ backends: [vanishing.url] });
  // Listening from the start: message and end come on the heels of the handshake.
  const socket = new WebSocket(`ws${other.url.slice("http".length)}/chat`);
  const early = nextMessage(socket);
  const closing = nextClose(socket);
  assertEquals(await early, "early");
  // A bridge says goodbye in the backend's stead. A tunnel just ends: no code at all, which the runtime calls 0.
  assertEquals((await closing).code, ENGINE === "fetch" ? 1011 : 0);
  await other.idle();
  assertEquals(other.backend(vanishing.url).totalFailures, 0);
});

Deno.test("a refused upgrade passes its status on; a connection that can't be made goes elsewhere", async () => {
  await using refusing = new HttpBackend(() => new Response("no", { status: 403 }));
  await using proxy = await TestProxy.start({ backends: [refusing.url] });
  using client = await RawClient.connect(proxy.port);
  assertEquals((await client.request(HANDSHAKE))?.status, 403);
  await proxy.idle();

  const { backend } = socketBackend();
  await using _backend = backend;
  const dead = refusedUrl();
  await using pair = await TestProxy.start({ backends: [dead, backend.url] });
  const socket = await open(pair);
  assertEquals(pair.backend(dead).alive, false);
  const closing = nextClose(socket);
  socket.close();
  await closing;
  await pair.idle();
});

Deno.test("over TLS too: a refused upgrade passes its status on, what can't be connected to goes elsewhere", async () => {
  // The runtime told of every failure over TLS alike: whoever had to log in saw 502, and a backend that was gone cost
  // its client the WebSocket.
  using directory = new TemporaryDirectory();
  const authority = await makeAuthority();
  const ca = directory.write("ca.crt", authority.cert);
  const pair = await makePair({ authority });
  const seen: (string | null)[][] = [];
  await using refusing = new HttpsBackend(pair, ({ headers }) => {
    seen.push(["host", "upgrade", "connection", "sec-websocket-version", "cookie"].map((name) => headers.get(name)));
    return new Response("log in", { status: 401 });
  });
  await using proxy = await TestProxy.start({ backends: [{ url: refusing.url, tls: { ca } }] });
  using client = await RawClient.connect(proxy.port);
  const response = await client.request(HANDSHAKE.replace("\r\n\r\n", "\r\nCookie: a=1\r\n\r\n"));
  assertEquals(response?.status, 401);
  // Under `fetch` the runtime does not tell why a handshake failed, so the backend is asked once more.
  const asked = Array(ENGINE === "fetch" ? 2 : 1);
  assertEquals(seen, asked.fill(["ws.example", "websocket", "Upgrade", "13", "a=1"]));
  assertEquals(proxy.backend(refusing.url).totalFailures, 0);
  await proxy.idle();

  await using accepting = new HttpsBackend(pair, (request) => Deno.upgradeWebSocket(request).response);
  const dead = refusedUrl().replace("http:", "https:");
  const stranger = { url: refusing.url }; // its certificate is nobody's that the runtime knows
  const last = { url: accepting.url, backup: true, tls: { ca } };
  await using mixed = await TestProxy.start({ backends: [dead, stranger, last] });
  const socket = await open(mixed);
  assertEquals(mixed.backends.map(({ alive }) => alive), [false, false, true]);
  const closing = nextClose(socket);
  socket.close();
  await closing;
  await mixed.idle();
});

Deno.test("over TLS, a handshake that only looks accepted is a malformed response, and leaves no connection", async () => {
  using directory = new TemporaryDirectory();
  const authority = await makeAuthority();
  const ca = directory.write("ca.crt", authority.cert);
  using listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, ...await makePair({ authority }) });
  let ended = 0;
  const serving = (async () => {
    for await (const connection of listener) {
      const buffer = new Uint8Array(4096);
      await connection.read(buffer);
      const answer = "HTTP/1.1 101 Yes\r\nUpgrade: another\r\nConnection: Upgrade\r\n\r\n";
      await connection.write(new TextEncoder().encode(answer));
      await connection.read(buffer).catch(() => {}); // until the proxy is gone
      connection.close();
      ended++;
    }
  })();
  const url = `https://127.0.0.1:${listener.addr.port}`;
  await using proxy = await TestProxy.start({ backends: [{ url, tls: { ca } }] });
  using client = await RawClient.connect(proxy.port);
  assertEquals((await client.request(HANDSHAKE))?.status, 502);
  await proxy.roundhouse.settled();
  assertEquals(proxy.log.of("attempt failed").map(({ fields }) => fields["code"]), ["malformed_response"]);
  const made = ENGINE === "fetch" ? 2 : 1; // as above
  await waitFor(() => ended === made, { what: "every connection to be closed" });
  await proxy.idle();
  listener.close();
  await serving.catch(() => {});
});

Deno.test("a handshake that is not answered is 504, and a client that leaves during it marks nothing", async () => {
  await using silent = new RawBackend((connection) => connection.toEnd());
  await using proxy = await TestProxy.start({
    backends: [silent.url],
    timeouts: { response: 300 },
    retries: { attempts: 0 },
  });
  using client = await RawClient.connect(proxy.port);
  assertEquals((await client.request(HANDSHAKE))?.status, 504);
  await proxy.idle();
  const failures = proxy.backend(silent.url).totalFailures;

  await using patient = await TestProxy.start({ backends: [silent.url] });
  using leaving = await RawClient.connect(patient.port);
  await leaving.send(HANDSHAKE);
  await waitFor(() => silent.connections.length === 2, { what: "the handshake to reach the backend" });
  leaving.close();
  await patient.idle();
  assertEquals([failures, patient.backend(silent.url).totalFailures], [1, 0]);
  assertEquals(patient.backend(silent.url).alive, true);
});

Deno.test("a client's side that can't be opened closes the backend's, and is a 500 (engine fetch)", async () => {
  // Whatever made the runtime refuse a client left its backend a WebSocket that nobody ever closed.
  let ended = 0;
  await using backend = new RawBackend(async (connection) => {
    await connection.head();
    await acceptWebSocket(connection);
    await connection.read(); // the close frame
    ended++;
  });
  await using proxy = await TestProxy.start({ engine: "fetch", backends: [backend.url], proxy: { workers: 1 } });
  using client = await RawClient.connect(proxy.port);
  const { upgradeWebSocket } = Deno;
  try {
    Deno.upgradeWebSocket = () => {
      throw new TypeError("refused");
    };
    assertEquals((await client.request(HANDSHAKE))?.status, 500);
  } finally {
    Deno.upgradeWebSocket = upgradeWebSocket;
  }
  await waitFor(() => ended === 1, { what: "the backend's side to be closed" });
  client.close();
  await proxy.idle();
  assertEquals(proxy.backend(backend.url).totalFailures, 0);
});

Deno.test("a client that falls more than 32 MiB behind is closed with 1013 (engine fetch)", async () => {
  let sent = 0;
  const { backend, closed } = socketBackend((socket) => {
    const block = new Uint8Array(1024 * 1024);
    const pump = () => {
      if (socket.readyState !== WebSocket.OPEN || sent > 200) return;
      if (socket.bufferedAmount < block.length * 4) {
        socket.send(block);
        sent++;
      }
      setTimeout(pump, 0);
    };
    socket.onopen = pump;
  });
  await using _backend = backend;
  await using proxy = await TestProxy.start({ engine: "fetch", backends: [backend.url] });
  using client = await RawClient.connect(proxy.port);
  await client.send(HANDSHAKE); // and then reads nothing
  await waitFor(() => closed.length === 1, { what: "the backend's side to be closed", timeoutMs: 10_000 });
  assertGreater(sent, 32);
  // What was buffered comes first; the last thing is a close frame: 0x88, its length, the code.
  let tail = new Uint8Array(0);
  while (!isCloseFrame(tail)) tail = concat([tail, await client.chunk()]).slice(-CLOSE_FRAME_BYTES);
  client.close();
  await proxy.idle();
});

const CLOSE_FRAME_BYTES = 2 + 2 + "too slow".length;

function isCloseFrame(bytes: Uint8Array): boolean {
  return bytes[0] === 0x88 && (bytes[2] ?? 0) * 256 + (bytes[3] ?? 0) === 1013;
}
