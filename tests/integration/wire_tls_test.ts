// Engine wire with TLS on either side: its certificates change while it listens, and what stalls is cut.

import { assert, assertEquals, assertLess, assertMatch } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { ask, get, within } from "../conformance/engine_under_test.ts";
import {
  HttpsBackend,
  makeAuthority,
  makePair,
  serialOf,
  shown,
  StateDirectory,
  TemporaryDirectory,
} from "../support/certificates.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawBackend } from "../support/raw_backend.ts";
import { headerOf, RawClient, textOf } from "../support/raw_client.ts";
import { acceptWebSocket, closeFrame, textFrame, webSocketHandshake } from "../support/raw_websocket.ts";
import { ok, RecordingBackend, valuesOf } from "../support/raw_recorder.ts";
import { ManualClock, waitFor } from "../support/wait.ts";

const DAY_MS = 86_400_000;
const MEGABYTE = 1024 * 1024;

async function front(directory: TemporaryDirectory) {
  const authority = await makeAuthority();
  const pair = await makePair({ authority });
  return { authority, pair, tls: directory.writePair(pair) };
}

function startWire(settings: ConfigFile, options: Parameters<typeof TestProxy.start>[1] = {}): Promise<TestProxy> {
  return TestProxy.start({ engine: "wire", ...settings }, options);
}

Deno.test("wire over TLS speaks HTTP/1.1 alone; bodies, TLS facts and keep-alive are as without it", async () => {
  using directory = new TemporaryDirectory();
  const { authority, tls } = await front(directory);
  const large = "x".repeat(3_000_000);
  await using backend = new RecordingBackend(({ target, bodyBytes }) =>
    ok(target === "/large" ? large : `${bodyBytes}`)
  );
  await using proxy = await startWire({ proxy: { tls }, backends: [backend.url] });
  assertEquals((await shown(proxy.port, ["h2", "http/1.1"])).alpn, "http/1.1");
  using client = await RawClient.connectTls(proxy.port, authority);
  const body = "y".repeat(1_000_000);
  const sent = `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  assertEquals(textOf(await ask(client, sent)), String(body.length));
  assertEquals(valuesOf(backend.last, "x-forwarded-proto"), ["https"]);
  for (let round = 0; round < 2; round++) {
    const response = await ask(client, get("/large"));
    assertEquals([response.complete, response.body.length], [true, large.length]);
  }
  client.close();
  await proxy.idle();
});

// Someone who forgot the "s" learned only that the server had closed the connection.
Deno.test("wire over TLS answers plain HTTP with 400 and a sentence, and counts it", async () => {
  using directory = new TemporaryDirectory();
  const { authority, tls } = await front(directory);
  await using backend = HttpBackend.named("named");
  for (const proxyProtocol of [false, true]) {
    await using proxy = await startWire({
      proxy: { tls, proxyProtocol },
      backends: [backend.url],
      log: { access: true },
    });
    const prefix = proxyProtocol ? "PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n" : "";
    const upload = `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n${"x".repeat(100_000)}`;
    for (const request of [get("/?a=b"), upload, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]) {
      using client = await RawClient.connect(proxy.port);
      const answer = await ask(client, prefix + request);
      assertEquals([answer.status, headerOf(answer, "connection"), answer.complete], [400, "close", true]);
      const { detail, requestId } = JSON.parse(textOf(answer));
      assertEquals(detail, "This port speaks HTTPS. Use https:// in place of http://.");
      assertEquals(await within(client.closed(), "the end"), true);
      await waitFor(() => proxy.log.of("request").some(({ fields }) => fields.requestId === requestId), {
        what: "the line of the access log",
      });
    }
    const clients = proxy.log.of("request").map(({ fields }) => fields.client);
    assertEquals(clients, Array(3).fill(proxyProtocol ? "192.0.2.7" : "127.0.0.1"));
    if (proxyProtocol) continue;
    using encrypted = await RawClient.connectTls(proxy.port, authority);
    assertEquals(textOf(await ask(encrypted, get("/"))), "named");
  }
});

Deno.test("wire over TLS closes at Connection: close with the whole answer out, and after timeouts.keepAlive", async () => {
  using directory = new TemporaryDirectory();
  const { authority, tls } = await front(directory);
  await using backend = HttpBackend.named("named");
  await using proxy = await startWire({ proxy: { tls }, backends: [backend.url], timeouts: { keepAlive: 50 } });
  using closing = await RawClient.connectTls(proxy.port, authority);
  assertEquals(textOf(await ask(closing, get("/", "Connection: close\r\n"))), "named");
  assertEquals(await within(closing.closed(), "the end"), true);
  using idle = await RawClient.connectTls(proxy.port, authority);
  assertEquals(textOf(await ask(idle, get("/"))), "named");
  assertEquals(await within(idle.closed(), "the end of an idle connection"), true);
});

Deno.test("a certificate changes on reload under load: no request is lost, open connections keep theirs", async () => {
  using directory = new TemporaryDirectory();
  const { authority, pair, tls } = await front(directory);
  await using backend = HttpBackend.named("ok");
  await using proxy = await startWire({ proxy: { tls }, backends: [backend.url] });
  using kept = await RawClient.connectTls(proxy.port, authority);
  assertEquals(textOf(await ask(kept, get("/"))), "ok");
  assertEquals((await shown(proxy.port)).serial, serialOf(pair));

  let loading = true;
  let served = 0;
  const load = Array.from({ length: 4 }, async () => {
    while (loading) {
      using client = await RawClient.connectTls(proxy.port, authority);
      for (let request = 0; request < 3; request++) {
        assertEquals(textOf(await ask(client, get("/load"))), "ok");
        served++;
      }
    }
  });
  const changes: string[] = [];
  for (let change = 0; change < 3; change++) {
    const before = served;
    await waitFor(() => served > before + 10, { what: "load", timeoutMs: 30_000 });
    const next = await makePair({ authority });
    directory.writePair(next);
    const answer = await fetch(`${proxy.adminUrl}/reload`, { method: "POST" });
    assertEquals((await answer.json()).restartNeeded, []);
    assertEquals((await shown(proxy.port)).serial, serialOf(next));
    changes.push(serialOf(next));
  }
  loading = false;
  await Promise.all(load);
  assertEquals(new Set(changes).size, 3);
  assertEquals(textOf(await ask(kept, get("/"))), "ok");
  kept.close();
  await proxy.idle();
  assertEquals(proxy.roundhouse.memory.requestTotals().failed, 0);
  // A file of no use changes nothing.
  directory.write("server.crt", "junk");
  assertEquals(
    await fetch(`${proxy.adminUrl}/reload`, { method: "POST" }).then(async (answer) => {
      await answer.body?.cancel();
      return answer.status;
    }),
    400,
  );
  assertEquals((await shown(proxy.port)).serial, changes[2]);
});

Deno.test("a self-signed certificate that comes of age is replaced while the proxy listens", async () => {
  using _directory = new StateDirectory();
  const clock = new ManualClock();
  await using proxy = await startWire({ proxy: { tls: { selfSigned: ["localhost"] } } }, { clock });
  const first = await shown(proxy.port);
  await clock.advance(365 * DAY_MS);
  assertEquals(await shown(proxy.port), first);
  await clock.advance(2 * DAY_MS); // less than 30 days are left
  await waitFor(() => proxy.log.of("certificate changed").length === 1, { what: "another certificate" });
  await proxy.roundhouse.settled(); // every worker shows it
  assert((await shown(proxy.port)).serial !== first.serial);
});

Deno.test("garbage, a client that leaves in its handshake and one that never begins it harm nobody", async () => {
  // A client that never finished its handshake was never let go of: `node:tls` tells of the limit and leaves the rest.
  using directory = new TemporaryDirectory();
  const { authority, tls } = await front(directory);
  await using backend = HttpBackend.named("ok");
  const proxy = await startWire({ proxy: { tls }, backends: [backend.url] });
  using garbage = await RawClient.connect(proxy.port);
  await garbage.send(get("/"));
  await within(garbage.rest(), "the end of a client that speaks no TLS");
  using leaves = await RawClient.connect(proxy.port);
  await leaves.send(Uint8Array.of(0x16, 0x03, 0x01, 0x02, 0x00)); // the first bytes of a handshake
  leaves.close();
  using silent = await RawClient.connect(proxy.port);
  using begins = await RawClient.connect(proxy.port);
  await begins.send(Uint8Array.of(0x16, 0x03, 0x01, 0x02, 0x00));
  using client = await RawClient.connectTls(proxy.port, authority);
  assertEquals(textOf(await ask(client, get("/"))), "ok");
  // Those without a handshake do not delay the stop, and their connections end with it.
  assertEquals(await within(proxy.roundhouse.stop(), "the stop"), true);
  for (const stalled of [silent, begins]) await within(stalled.rest(), "the end of a stalled handshake");
});

Deno.test("proxy.maxConnections holds over TLS: the oldest idle client leaves, others wait before their handshake", async () => {
  // With all connections busy handshakes went on without limit, for whoever came: clients beyond `proxy.maxConnections`
  // piled up in memory, connected and unanswered for as long as they liked, and a stop closed them all.
  using directory = new TemporaryDirectory();
  const { authority, tls } = await front(directory);
  const release = Promise.withResolvers<void>();
  await using backend = new RecordingBackend(async ({ target }) => {
    if (target === "/held") await release.promise;
    return ok(target);
  });
  using _ = { [Symbol.dispose]: release.resolve };
  await using proxy = await startWire({ backends: [backend.url], proxy: { tls, workers: 1, maxConnections: 2 } });
  using idle = await RawClient.connectTls(proxy.port, authority);
  assertEquals(textOf(await ask(idle, get("/idle"))), "/idle");
  using silent = await RawClient.connect(proxy.port); // on its way in, it counts
  using busy = await within(RawClient.connectTls(proxy.port, authority), "room for one more");
  assertEquals(await within(idle.closed(), "the idle one's end"), true);
  const held = [ask(busy, get("/held"))];
  silent.close();
  using busyToo = await within(RawClient.connectTls(proxy.port, authority), "room for the one who left");
  held.push(ask(busyToo, get("/held")));
  await waitFor(() => backend.requests.length === 3, { what: "all to be busy" });

  let inside = 0;
  const waiting = Array.from({ length: 20 }, async (_, index) => {
    using client = await RawClient.connectTls(proxy.port, authority);
    await (client.connection as Deno.TlsConn).handshake();
    inside++;
    return textOf(await ask(client, get(`/${index}`)));
  });
  await new Promise((resolve) => setTimeout(resolve, 200));
  assertEquals(inside, 0);
  release.resolve();
  assertEquals((await Promise.all(held)).map(textOf), ["/held", "/held"]);
  assertEquals(await within(Promise.all(waiting), "all answers"), waiting.map((_, index) => `/${index}`));
  busy.close();
  busyToo.close();
  await proxy.idle();
});

Deno.test("over TLS a client that sends half a head gets 408, and the head's limits hold", async () => {
  using directory = new TemporaryDirectory();
  const { authority, tls } = await front(directory);
  await using backend = HttpBackend.named("ok");
  await using proxy = await startWire({
    proxy: { tls, maxHeaderSize: "1KiB" },
    backends: [backend.url],
    timeouts: { header: 100 },
  });
  using slow = await RawClient.connectTls(proxy.port, authority);
  await slow.send("GET / HTTP/1.1\r\nHo");
  assertEquals((await within(slow.response(), "408"))?.status, 408);
  assertEquals(await within(slow.closed(), "the end"), true);
  using large = await RawClient.connectTls(proxy.port, authority);
  assertEquals((await ask(large, get("/", `X: ${"x".repeat(2000)}\r\n`))).status, 431);
  await within(large.rest(), "the end");
});

Deno.test("a PROXY protocol header comes before TLS, in pieces too, and is whose connection it is", async () => {
  // It was looked for behind the handshake: whoever balanced TLS connections in front got them all closed.
  using directory = new TemporaryDirectory();
  const { authority, tls } = await front(directory);
  await using backend = new RecordingBackend();
  await using proxy = await startWire({ proxy: { tls, proxyProtocol: true }, backends: [backend.url] });
  const header = new TextEncoder().encode("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n");
  for (const cut of [header.length, 3]) {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: proxy.port });
    connection.setNoDelay(true);
    await connection.write(header.subarray(0, cut));
    if (cut < header.length) {
      await new Promise((resolve) => setTimeout(resolve, 20)); // another packet
      await connection.write(header.subarray(cut));
    }
    using client = new RawClient(
      await Deno.startTls(connection, { hostname: "127.0.0.1", caCerts: [authority.cert] }),
    );
    assertEquals((await ask(client, get("/"))).status, 200);
    assertEquals(valuesOf(backend.last, "x-forwarded-for"), ["192.0.2.7"]);
  }
  using without = await RawClient.connect(proxy.port);
  await without.send(Uint8Array.of(0x16, 0x03, 0x01, 0x02, 0x00));
  assertEquals((await within(without.rest(), "the end")).length, 0);
  await proxy.idle();
});

/** The next connection of a listener, its WebSocket handshake done. */
async function acceptedWebSocket(listener: Deno.TlsListener): Promise<RawClient> {
  const peer = new RawClient(await listener.accept());
  let head = "";
  while (!head.includes("\r\n\r\n")) head += new TextDecoder().decode(await peer.chunk());
  const connection = { received: head, send: (data: string) => peer.send(data) };
  await acceptWebSocket(connection as Parameters<typeof acceptWebSocket>[0]);
  return peer;
}

Deno.test("WebSockets cross TLS on both sides byte for byte and end on both sides", async () => {
  using directory = new TemporaryDirectory();
  const { authority, pair, tls } = await front(directory);
  const ca = directory.write("ca.crt", authority.cert);
  const said = Promise.withResolvers<Uint8Array>();
  const listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, ...pair });
  const serving = (async () => {
    using peer = await acceptedWebSocket(listener);
    said.resolve(await peer.chunk());
    await peer.send(closeFrame(1005 + 3000, false));
    await peer.rest();
  })();
  const url = `https://127.0.0.1:${listener.addr.port}`;
  await using proxy = await startWire({ proxy: { tls }, backends: [{ url, tls: { ca } }] });
  using client = await RawClient.connectTls(proxy.port, authority);
  assertEquals((await ask(client, webSocketHandshake())).status, 101);
  assertEquals(proxy.backend(url).currentConnections, 1);
  await client.send(textFrame("hello", true));
  assertEquals(await within(said.promise, "the message"), textFrame("hello", true));
  assertEquals(await within(client.chunk(), "the goodbye"), closeFrame(4005, false));
  client.close();
  await serving;
  listener.close();
  await proxy.idle();
});

/** The kernel's timers of the connections whose far end is at a port: 2 is keep-alive (proc(5), `tcp`). */
function timersTowards(port: number): number[] {
  const rows = Deno.readTextFileSync("/proc/net/tcp").trim().split("\n").slice(1).map((row) => row.trim().split(/\s+/));
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  return rows.flatMap(([, , far, , , timer]) => far?.endsWith(`:${hex}`) ? [Number(timer?.split(":")[0])] : []);
}

Deno.test({
  name: "a tunnel over TLS on either side notices a peer that has lost its power",
  ignore: Deno.build.os !== "linux",
  // TCP keep-alive was asked of plain connections alone: whoever vanished from a wss tunnel kept its place at the
  // backend for ever.
  async fn() {
    using directory = new TemporaryDirectory();
    const { authority, pair, tls } = await front(directory);
    const ca = directory.write("ca.crt", authority.cert);
    using listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, ...pair });
    const serving = (async () => {
      using peer = await acceptedWebSocket(listener);
      await peer.rest();
    })();
    const { port } = listener.addr;
    await using proxy = await startWire({
      proxy: { tls },
      backends: [{ url: `https://127.0.0.1:${port}`, tls: { ca } }],
    });
    using client = await RawClient.connectTls(proxy.port, authority);
    assertEquals((await ask(client, webSocketHandshake())).status, 101);
    const clientPort = (client.connection.localAddr as Deno.NetAddr).port;
    await waitFor(() => timersTowards(clientPort).includes(2), { what: "keep-alive towards the client" });
    await waitFor(() => timersTowards(port).includes(2), { what: "keep-alive towards the backend" });
    client.close();
    await serving;
    await proxy.idle();
  },
});

Deno.test("a backend's certificate has to be its own; with tls.insecure any will do, for checks too", async () => {
  using directory = new TemporaryDirectory();
  const authority = await makeAuthority();
  const ca = directory.write("ca.crt", authority.cert);
  const wrong = directory.write("wrong.crt", (await makeAuthority("stranger")).cert);
  await using known = new HttpsBackend(await makePair({ authority }), (request) => new Response(request.url));
  await using selfSigned = new HttpsBackend(await makePair({ days: -1 }), () => new Response("well, well"));
  const settings = { passive: { connectFailures: 0 }, retries: { attempts: 0 } } as const;

  await using trusting = await startWire({ ...settings, backends: [{ url: known.url, tls: { ca } }] });
  for (let request = 0; request < 2; request++) {
    using client = await RawClient.connect(trusting.port);
    assertEquals((await ask(client, get("/"))).status, 200);
  }
  await using doubting = await startWire({
    ...settings,
    backends: [{ url: known.url, tls: { ca: wrong } }, selfSigned.url],
  });
  using client = await RawClient.connect(doubting.port);
  for (let request = 0; request < 2; request++) assertEquals((await ask(client, get("/"))).status, 502);
  await doubting.roundhouse.settled();
  for (const { fields } of doubting.log.of("attempt failed")) {
    assertEquals(fields["code"], "connect_failed");
    assertMatch(String(fields["reason"]), /certificate/);
  }
  client.close();
  await doubting.idle();

  await using insecure = await startWire({
    backends: [{ url: selfSigned.url, tls: { insecure: true } }],
    health: { type: "http", interval: 20, body: "well" },
  });
  await waitFor(() => insecure.backend(selfSigned.url).lastCheck?.ok === true, { what: "a check that passes" });
  using other = await RawClient.connect(insecure.port);
  for (let request = 0; request < 3; request++) assertEquals(textOf(await ask(other, get("/"))), "well, well");
  other.close();
  await insecure.idle();
});

// Backends that DNS finds are addresses, and their certificates are for the name.
Deno.test("tls.serverName is the name that the certificate must have and that is asked for, for checks too", async () => {
  using directory = new TemporaryDirectory();
  const authority = await makeAuthority();
  const ca = directory.write("ca.crt", authority.cert);
  const seen = new Set<string | null>();
  await using named = new HttpsBackend(await makePair({ authority, name: "api.example" }), (request) => {
    if (request.headers.get("user-agent") === "roundhouse health check") seen.add(request.headers.get("host"));
    return new Response(request.headers.get("host"));
  });
  const settings = { passive: { connectFailures: 0 }, health: { type: "http", interval: 20, path: "/up" } } as const;
  const tlsOf = { named: { ca, serverName: "api.example" }, other: { ca, serverName: "other.example" }, none: { ca } };
  for (const [what, tls] of Object.entries(tlsOf)) {
    await using proxy = await startWire({ ...settings, backends: [{ url: named.url, tls }] });
    const wanted = what === "named";
    await waitFor(() => proxy.backend(named.url).lastCheck?.ok === wanted, { what: `a check, ${what}` });
    if (!wanted) assertMatch(String(proxy.backend(named.url).lastCheck?.error), /certificate/i);
    using client = await RawClient.connect(proxy.port);
    const answer = await ask(client, get("/"));
    assertEquals(answer.status, wanted ? 200 : 503);
    if (wanted) assertEquals(textOf(answer), "x", "the Host of a request is the client's");
    client.close();
    await proxy.idle();
  }
  assertEquals(seen, new Set([`api.example:${new URL(named.url).port}`]));
});

Deno.test("a backend that takes the connection and never shakes hands is a connect failure after timeouts.connect", async () => {
  // The limit closed a connection that TLS had taken over: an uncaught error, the end of the process.
  await using silent = new RawBackend((connection) => connection.toEnd());
  const url = silent.url.replace("http:", "https:");
  await using live = HttpBackend.named("live");
  for (const insecure of [false, true]) {
    await using proxy = await startWire({
      backends: [{ url, tls: { insecure } }, live.url],
      timeouts: { connect: 100 },
    });
    using client = await RawClient.connect(proxy.port);
    assertEquals(textOf(await ask(client, get("/"))), "live");
    await proxy.roundhouse.settled();
    const [line] = proxy.log.of("attempt failed");
    assertEquals([line?.fields["code"], line?.fields["reason"]], ["connect_failed", "timed out"]);
    assertEquals(proxy.backend(url).alive, false);
    client.close();
    await proxy.idle();
  }
});

Deno.test("a TLS backend that speaks no TLS is a connect failure, with tls.insecure and without", async () => {
  await using plain = RawBackend.answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  const url = plain.url.replace("http:", "https:");
  for (const insecure of [false, true]) {
    await using proxy = await startWire({ backends: [{ url, tls: { insecure } }] });
    using client = await RawClient.connect(proxy.port);
    const sent = client.request(get("/"));
    await waitFor(() => plain.received.length > 0, { what: "a handshake" });
    for (const connection of plain.connections) await connection.send("no\r\n\r\n").catch(() => {});
    assertEquals((await within(sent, "an answer"))?.status, 502);
    await proxy.roundhouse.settled();
    assertEquals(proxy.log.of("attempt failed")[0]?.fields["code"], "connect_failed");
    client.close();
    await proxy.idle();
  }
});

/** Resolves once a count of mebibytes has stood still for a while: whoever raises it waits. */
async function stalled(count: () => number): Promise<number> {
  let last = -1;
  await waitFor(async () => {
    if (count() === last) return last > 0;
    last = count();
    await new Promise((resolve) => setTimeout(resolve, 300));
    return false;
  }, { what: "a writer to stall", timeoutMs: 30_000 });
  return last;
}

Deno.test("whoever does not read holds back the other end, through TLS on either side", async () => {
  // `node:tls` went on reading into memory whatever came: one slow reader could take all of it.
  using directory = new TemporaryDirectory();
  const { authority, pair, tls } = await front(directory);
  const block = new Uint8Array(MEGABYTE);
  let fromBackend = 0;
  const listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, ...pair });
  const serving = (async () => {
    using peer = new RawClient(await listener.accept());
    await peer.chunk();
    await peer.send(`HTTP/1.1 200 OK\r\nContent-Length: ${200 * MEGABYTE}\r\n\r\n`);
    for (; fromBackend < 200; fromBackend++) await peer.send(block);
  })().catch(() => {}); // cut
  const url = `https://127.0.0.1:${listener.addr.port}`;
  await using sink = new RawBackend(async (connection) => {
    await connection.until("\r\n\r\n");
    await done.promise;
  });
  const done = Promise.withResolvers<void>();
  using _ = { [Symbol.dispose]: done.resolve };

  await using proxy = await startWire({ proxy: { tls }, backends: [{ url, tls: { insecure: true } }] });
  using reader = await RawClient.connectTls(proxy.port, authority);
  await reader.send(get("/flood"));
  assertLess(await stalled(() => fromBackend), 100);
  reader.close();
  await serving;
  listener.close();
  await proxy.idle();

  await using other = await startWire({ proxy: { tls }, backends: [sink.url] });
  using writer = await RawClient.connectTls(other.port, authority);
  await writer.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${200 * MEGABYTE}\r\n\r\n`);
  let toBackend = 0;
  const flood = (async () => {
    for (; toBackend < 200; toBackend++) await writer.send(block);
  })().catch(() => {}); // cut
  assertLess(await stalled(() => toBackend), 100);
  done.resolve();
  writer.close();
  await flood;
  await other.idle();
});
