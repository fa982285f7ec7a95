// HTTPS to clients and to backends: what crosses, what is refused, what a reload says of certificates.

import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { ConfigError } from "../../src/errors.ts";
import {
  clientFor,
  HttpsBackend,
  keptCertificate,
  makeAuthority,
  makePair,
  StateDirectory,
  TemporaryDirectory,
} from "../support/certificates.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { ENGINE, TestProxy } from "../support/proxy.ts";
import { RawBackend } from "../support/raw_backend.ts";
import { headerOf, RawClient, textOf } from "../support/raw_client.ts";
import { ok, RecordingBackend, valuesOf } from "../support/raw_recorder.ts";
import { ManualClock, waitFor } from "../support/wait.ts";

const DAY_MS = 86_400_000;

/** HTTP/2 is for engine fetch alone. */
const VERSIONS = [{ version: "HTTP/1.1", engine: ENGINE }, { version: "HTTP/2", engine: "fetch" }] as const;

/** Files for `proxy.tls`, and whom a client has to trust. */
async function front(directory: TemporaryDirectory) {
  const authority = await makeAuthority();
  const pair = await makePair({ authority });
  return { authority, pair, tls: directory.writePair(pair) };
}

// Frames of HTTP/2 (RFC 9113 section 4.1): clients with a library end a body in order before they cancel.
const FRAME_TYPES = { DATA: 0, HEADERS: 1, RST_STREAM: 3, SETTINGS: 4 } as const;
const END_HEADERS = 4;
const CANCEL = 8;

function frame(type: keyof typeof FRAME_TYPES, flags: number, stream: number, payload: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(9 + payload.length);
  bytes.set([payload.length >> 16, payload.length >> 8, payload.length, FRAME_TYPES[type], flags, 0, 0, 0, stream]);
  bytes.set(payload, 9);
  return bytes;
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

for (const { version, engine } of VERSIONS) {
  Deno.test(`${version} over TLS: body, cookies, X-Forwarded-Proto and hop-by-hop headers`, async () => {
    using directory = new TemporaryDirectory();
    const { authority, tls } = await front(directory);
    await using backend = new RecordingBackend(() =>
      ok(
        "answer",
        "Connection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nX-End: 2\r\nSet-Cookie: a=1\r\n",
      )
    );
    await using proxy = await TestProxy.start({ engine, proxy: { tls }, backends: [backend.url] });
    assertMatch(proxy.url, /^https:\/\/127\.0\.0\.1:\d+$/);
    using client = clientFor(version, authority);
    const body = new Blob([new Uint8Array(300_000).fill(7)]).stream(); // without a length
    const response = await fetch(`${proxy.url}/path?q=1`, {
      client,
      method: "POST",
      body,
      headers: { cookie: "a=1; b=2", te: "trailers", "x-forwarded-proto": "gopher" },
    });
    assertEquals([response.status, await response.text()], [200, "answer"]);
    assertEquals(response.headers.getSetCookie(), ["a=1"]);
    const passed = ["connection", "keep-alive", "x-hop", "x-end"].map((name) => response.headers.get(name));
    assertEquals(passed, [null, null, null, "2"]);
    const { last } = backend;
    assertEquals([last.method, last.target, last.bodyBytes], ["POST", "/path?q=1", 300_000]);
    assert(last.body.every((byte) => byte === 7));
    const authorityAsked = new URL(proxy.url).host;
    for (
      const [name, values] of [
        ["host", [authorityAsked]],
        ["x-forwarded-host", [authorityAsked]],
        ["x-forwarded-proto", ["https"]],
        ["cookie", ["a=1; b=2"]],
        ["te", engine === "fetch" ? [] : ["trailers"]],
      ] as const
    ) assertEquals(valuesOf(last, name), [...values], name);
    assertEquals(backend.violations, []);
    await proxy.idle();
  });

  Deno.test(`${version} over TLS: a request without a body reaches the backend without one, and is tried again`, async () => {
    using directory = new TemporaryDirectory();
    const { authority, tls } = await front(directory);
    const breaks = new Set<string>();
    await using backend = new RecordingBackend(({ method }) => {
      if (method === "OPTIONS" || breaks.has(method)) return ok(method);
      breaks.add(method);
      return undefined;
    });
    await using other = new RecordingBackend(() => ok("other"));
    // The first pick goes to the first backend, which breaks off.
    await using proxy = await TestProxy.start({
      engine,
      proxy: { tls },
      backends: [{ url: backend.url, weight: 100 }, other.url],
    });
    using client = clientFor(version, authority);
    for (const method of ["OPTIONS", "DELETE", "PUT"]) {
      const response = await fetch(proxy.url, { client, method });
      assertEquals([response.status, await response.text()], [200, method === "OPTIONS" ? method : "other"]);
    }
    assertEquals(
      [...backend.requests, ...other.requests].map(({ method, framing }) => `${method} ${framing}`),
      ["OPTIONS none", "DELETE none", "PUT length", "DELETE none", "PUT length"],
    );
    const patched = await fetch(proxy.url, { client, method: "PUT", body: new Blob(["late"]).stream() });
    assertEquals([patched.status, await patched.text(), backend.last.bodyBytes], [200, "PUT", 4]);
    await proxy.idle();
  });

  Deno.test(`${version} over TLS: clients that leave cancel at the backend and leave no count behind`, async () => {
    using directory = new TemporaryDirectory();
    const { authority, tls } = await front(directory);
    let cancelled = 0;
    const endless = () =>
      new ReadableStream({
        pull: (controller) => controller.enqueue(new Uint8Array(1000)),
        cancel: () => void cancelled++,
      });
    await using backend = new HttpBackend(async (request) => {
      if (new URL(request.url).pathname === "/body") return new Response(endless());
      await new Promise((resolve) => request.signal.addEventListener("abort", resolve));
      cancelled++;
      return new Response();
    });
    await using proxy = await TestProxy.start({ engine, proxy: { tls }, backends: [backend.url] });
    using client = clientFor(version, authority);
    for (const path of ["/silent", "/body"]) {
      const leave = new AbortController();
      const before = { cancelled, requests: backend.requests };
      const response = fetch(proxy.url + path, { client, signal: leave.signal });
      response.catch(() => {}); // it is cut
      await waitFor(() => backend.requests > before.requests, { what: "the request" });
      if (path === "/body") await (await response).body?.getReader().read();
      leave.abort();
      await waitFor(() => cancelled > before.cancelled, { what: `the end of ${path} at the backend` });
      await proxy.idle();
    }
    assertEquals([proxy.backend(backend.url).alive, proxy.backend(backend.url).totalFailures], [true, 0]);
  });

  Deno.test(`${version} over TLS: idle connections do not delay a stop, requests in flight end`, async () => {
    using directory = new TemporaryDirectory();
    const { authority, tls } = await front(directory);
    const { promise, resolve } = Promise.withResolvers<void>();
    await using backend = new HttpBackend(async (request) => {
      if (request.url.endsWith("/slow")) await promise;
      return new Response("done");
    });
    const proxy = await TestProxy.start({ engine, proxy: { tls }, backends: [backend.url] });
    using client = clientFor(version, authority);
    using idle = clientFor(version, authority);
    assertEquals(await (await fetch(proxy.url, { client: idle })).text(), "done");
    const slow = fetch(`${proxy.url}/slow`, { client });
    await waitFor(() => backend.requests === 2, { what: "the slow request" });
    const stopped = proxy.roundhouse.stop();
    resolve();
    assertEquals(await (await slow).text(), "done");
    assertEquals(await stopped, true);
  });
}

const ANSWERS = {
  "of a known length": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nshort",
  "in chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n0\r\n\r\n",
};

for (const [how, answer] of Object.entries(ANSWERS)) {
  Deno.test(`over TLS a short answer ${how} comes together with its head`, async () => {
    // In a packet of its own it waited until the client acknowledged the head's: 40 ms for each answer.
    using directory = new TemporaryDirectory();
    const { authority, tls } = await front(directory);
    await using backend = RawBackend.answering(answer);
    await using proxy = await TestProxy.start({ proxy: { tls }, backends: [backend.url] });
    using client = await RawClient.connectTls(proxy.port, authority);
    for (let request = 0; request < 5; request++) {
      await client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      const text = new TextDecoder().decode(await client.chunk());
      assertMatch(text, /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n(5\r\nshort\r\n0\r\n\r\n|short)$/);
    }
  });
}

Deno.test("over TLS an answer that takes its time begins all the same, and one that breaks off is cut", async () => {
  using directory = new TemporaryDirectory();
  const { authority, tls } = await front(directory);
  const goOn = Promise.withResolvers<boolean>();
  await using backend = new RawBackend(async (connection) => {
    while (await connection.head()) {
      await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
      if (!await goOn.promise || connection.received.includes("/cut")) return;
      await connection.send("-last");
    }
  });
  await using proxy = await TestProxy.start({ proxy: { tls }, backends: [backend.url] });
  using client = await RawClient.connectTls(proxy.port, authority);
  await client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  let text = "";
  while (!text.endsWith("first")) text += new TextDecoder().decode(await client.chunk());
  goOn.resolve(true);
  while (!text.endsWith("-last")) text += new TextDecoder().decode(await client.chunk());
  const cut = await client.request("GET /cut HTTP/1.1\r\nHost: x\r\n\r\n").catch(() => undefined); // or without a word
  assertEquals(cut?.complete ?? false, false);
  await proxy.idle();
});

Deno.test("an HTTP/2 client that breaks off an upload: the backend never gets it as a whole one", async () => {
  using directory = new TemporaryDirectory();
  const { authority, tls } = await front(directory);
  await using backend = new RecordingBackend();
  await using proxy = await TestProxy.start({ engine: "fetch", proxy: { tls }, backends: [backend.url] });
  // HPACK (RFC 7541): POST by its index in the static table; PUT spelled out, named by that index.
  for (const method of [[0x83], [0x02, 3, ...bytesOf("PUT")]]) {
    for (const length of [[], [0x0f, 13, 6, ...bytesOf("100000")]]) {
      const seen = backend.requests.length;
      const connection = await Deno.connectTls({
        hostname: "127.0.0.1",
        port: proxy.port,
        caCerts: [authority.cert],
        alpnProtocols: ["h2"],
      });
      assertEquals((await connection.handshake()).alpnProtocol, "h2");
      const send = async (bytes: Uint8Array) => {
        for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
      };
      const host = [0x01, 9, ...bytesOf("localhost")];
      await send(bytesOf("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
      await send(frame("SETTINGS", 0, 0, []));
      await send(frame("HEADERS", END_HEADERS, 1, [...method, 0x87, 0x84, ...host, ...length]));
      await send(frame("DATA", 0, 1, new Uint8Array(10_000)));
      await waitFor(() => backend.requests[seen]?.bodyBytes === 10_000, { what: "the first of the body" });
      assertEquals(proxy.backend(backend.url).currentConnections, 1);
      await send(frame("RST_STREAM", 0, 1, [0, 0, 0, CANCEL]));
      await proxy.idle();
      connection.close();
      assertEquals(backend.requests.slice(seen).map(({ complete }) => complete), [false]);
    }
  }
  assertEquals([proxy.backend(backend.url).alive, proxy.backend(backend.url).totalFailures], [true, 0]);
});

Deno.test("an HTTP/2 client's authority becomes Host; a body over the limit gets 413", async () => {
  using directory = new TemporaryDirectory();
  const { authority, tls } = await front(directory);
  await using backend = new RecordingBackend();
  await using proxy = await TestProxy.start({
    engine: "fetch",
    proxy: { tls, maxBodySize: 10 },
    backends: [backend.url],
  });
  using client = clientFor("HTTP/2", authority);
  const url = proxy.url.replace("127.0.0.1", "localhost");
  await (await fetch(`${url}/a/../b?x=%7c`, { client })).text();
  assertEquals(valuesOf(backend.last, "host"), [new URL(url).host]);
  for (const method of ["POST", "PUT"]) {
    const body = new Blob(["eleven bytes"]).stream();
    const response = await fetch(url, { client, method, body });
    assertEquals([response.status, (await response.json()).title], [413, "Content Too Large"]);
  }
  await proxy.idle();
});

Deno.test("a sticky cookie is Secure under TLS only", async () => {
  using directory = new TemporaryDirectory();
  const { authority, tls } = await front(directory);
  await using backend = HttpBackend.named("ok");
  const settings: ConfigFile = { sticky: { by: "cookie" }, backends: [backend.url] };
  await using secure = await TestProxy.start({ ...settings, proxy: { tls } });
  await using plain = await TestProxy.start(settings);
  using client = clientFor("HTTP/1.1", authority);
  for (const [proxy, expected] of [[secure, true], [plain, false]] as const) {
    const response = await fetch(proxy.url, proxy === secure ? { client } : {});
    await response.body?.cancel();
    assertEquals(response.headers.get("set-cookie")?.includes("; Secure"), expected);
  }
});

Deno.test("WebSockets cross a TLS front and a TLS backend", async () => {
  using directory = new TemporaryDirectory();
  const { authority, pair, tls } = await front(directory);
  const ca = directory.write("ca.crt", authority.cert);
  let proto: string | null = null;
  await using backend = new HttpsBackend(pair, (request) => {
    proto = request.headers.get("x-forwarded-proto");
    const { socket, response } = Deno.upgradeWebSocket(request);
    socket.onmessage = ({ data }) => socket.send(`echo ${data}`);
    return response;
  });
  await using proxy = await TestProxy.start({ proxy: { tls }, backends: [{ url: backend.url, tls: { ca } }] });
  using client = clientFor("HTTP/1.1", authority);
  const socket = new WebSocket(`wss${proxy.url.slice("https".length)}/chat`, { client });
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = (event) => reject(new Error(event instanceof ErrorEvent ? event.message : "socket failed"));
  });
  const answer = new Promise((resolve) => socket.onmessage = ({ data }) => resolve(data));
  socket.send("hello");
  assertEquals([await answer, proto], ["echo hello", "https"]);
  const closed = new Promise((resolve) => socket.onclose = ({ code }) => resolve(code));
  socket.close(3001);
  assertEquals(await closed, 3001);
  await proxy.idle();
});

Deno.test("redirectFrom sends plain HTTP to the same host, port and target over HTTPS", async () => {
  using directory = new TemporaryDirectory();
  const { tls } = await front(directory);
  const proxy = await TestProxy.start({ proxy: { tls: { ...tls, redirectFrom: 0 } } });
  const port = Number(new URL(proxy.roundhouse.redirectUrl ?? "").port);
  const cases = [
    ["GET /a/../b?q=%zz|x HTTP/1.1\r\nHost: site.example\r\n\r\n", `https://site.example:${proxy.port}/a/../b?q=%zz|x`],
    [
      "POST //evil.example HTTP/1.1\r\nHost: site.example:80\r\nContent-Length: 9\r\n\r\n",
      `https://site.example:${proxy.port}//evil.example`,
    ],
    ["HEAD / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", `https://[::1]:${proxy.port}/`],
  ] as const;
  for (const [request, location] of cases) {
    using client = await RawClient.connect(port);
    const response = await client.request(request);
    assert(response !== undefined);
    assertEquals([response.status, headerOf(response, "location")], [308, location]);
    assertMatch(headerOf(response, "x-request-id") ?? "", /^[0-9a-f]{32}$/);
  }
  const refused = [
    ["GET / HTTP/1.1\r\n\r\n", 400, "missing"],
    ["GET / HTTP/1.1\r\nHost: a@evil.example\r\n\r\n", 400, "malformed"],
    ["GET / HTTP/1.1\r\nHost: a.example/x\r\n\r\n", 400, "malformed"],
    ["TRACE / HTTP/1.1\r\nHost: a.example\r\n\r\n", 405, "TRACE"],
  ] as const;
  for (const [request, status, detail] of refused) {
    using client = await RawClient.connect(port);
    const response = await client.request(request);
    assert(response !== undefined);
    assertEquals([response.status, headerOf(response, "location")], [status, undefined]);
    assertStringIncludes(JSON.parse(textOf(response)).detail, detail);
  }
  // One that never sends the rest of its request does not delay the stop.
  using stalls = await RawClient.connect(port);
  await stalls.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nx");
  assertEquals((await stalls.response())?.status, 308);
  using silent = await RawClient.connect(port);
  await silent.send("GET / HTTP/1.1\r\n");
  assertEquals(await proxy.roundhouse.stop(), true);
  assertEquals(await silent.closed(), true);
  await assertRejects(() => RawClient.connect(port), Deno.errors.ConnectionRefused);
});

Deno.test("a port in use for redirectFrom is named, and nothing is left running", async () => {
  using directory = new TemporaryDirectory();
  const { tls } = await front(directory);
  await using other = new HttpBackend(() => new Response("there first"), 0, "127.0.0.1");
  await assertRejects(
    () => TestProxy.start({ proxy: { tls: { ...tls, redirectFrom: other.port } } }),
    ConfigError,
    `proxy.tls.redirectFrom: can't listen on 127.0.0.1:${other.port}: another process listens there`,
  );
});

Deno.test("files of no use are named at the start and at a reload, which then changes nothing", async () => {
  using directory = new TemporaryDirectory();
  const { pair, tls } = await front(directory);
  const other = await makePair();
  const junk = directory.write("junk.pem", "not PEM at all");
  const missing = `${directory.path}/missing`;
  const bad: [ConfigFile, string][] = [
    [{ proxy: { tls: { ...tls, cert: missing } } }, `proxy.tls.cert: ${missing} can't be read: no such file`],
    [{ proxy: { tls: { ...tls, cert: junk } } }, `proxy.tls.cert: ${junk} has no certificate in PEM`],
    [{ proxy: { tls: { ...tls, key: junk } } }, `proxy.tls.key: ${junk} has no private key in PEM`],
    [
      { proxy: { tls: { cert: missing, key: junk } } },
      `proxy.tls.cert: ${missing} can't be read: no such file\nproxy.tls.key: ${junk} has no private key in PEM`,
    ],
    [
      { proxy: { tls: { ...tls, key: directory.write("other.key", other.key) } } },
      `proxy.tls.key: the key in ${directory.path}/other.key does not belong to the certificate in ${tls.cert}`,
    ],
    [
      { backends: ["http://a", { url: "https://b", tls: { ca: missing } }, { url: "https://c", tls: { ca: junk } }] },
      `backends[1].tls.ca: ${missing} can't be read: no such file\n` +
      `backends[2].tls.ca: ${junk} has no certificate in PEM`,
    ],
    [
      { proxy: { tls: { ...tls, cert: junk } }, backends: [{ url: "https://a", tls: { ca: junk } }] },
      `proxy.tls.cert: ${junk} has no certificate in PEM\nbackends[0].tls.ca: ${junk} has no certificate in PEM`,
    ],
  ];
  await using backend = HttpBackend.named("still here");
  const good: ConfigFile = { proxy: { tls }, backends: [backend.url] };
  const settings = { ...good };
  await using proxy = await TestProxy.start(settings);
  for (const [file, text] of bad) {
    const atStart = await assertRejects(() => TestProxy.start(file), ConfigError);
    assertEquals(atStart.message, text);
    Object.assign(settings, { proxy: {}, backends: [] }, file);
    const response = await fetch(`${proxy.adminUrl}/reload`, { method: "POST" });
    assertEquals([response.status, (await response.json()).detail], [400, text]);
    assertEquals(proxy.backends.map(({ url }) => url), [backend.url]);
  }
  Object.assign(settings, good);
  directory.writePair(other);
  const changed = ENGINE === "fetch" ? ["proxy.tls"] : []; // `wire` changes it in place
  assertEquals((await proxy.roundhouse.reload()).restartNeeded, changed);
  assertEquals((await proxy.roundhouse.reload()).restartNeeded, changed); // it still is
  directory.writePair(pair);
  assertEquals((await proxy.roundhouse.reload()).restartNeeded, []);
  settings.proxy = { tls: { ...tls, redirectFrom: 0 } };
  assertEquals((await proxy.roundhouse.reload()).restartNeeded, ["proxy.tls.redirectFrom"]);
});

Deno.test("backends with their own authority: requests and checks go by its file; others are a connect failure", async () => {
  using directory = new TemporaryDirectory();
  const authority = await makeAuthority();
  const pair = await makePair({ authority });
  const ca = directory.write("ca.crt", `# a comment\n${(await makeAuthority("another")).cert}\n${authority.cert}\n`);
  const wrong = directory.write("wrong.crt", (await makeAuthority("stranger")).cert);
  await using backend = new HttpsBackend(pair, (request) => new Response(request.headers.get("host")));
  const settings: ConfigFile = {
    backends: [{ url: backend.url, tls: { ca } }],
    health: { type: "http", interval: 20 },
    passive: { connectFailures: 0 },
  };
  await using proxy = await TestProxy.start(settings);
  await waitFor(() => proxy.backend(backend.url).lastCheck?.ok === true, { what: "a check that passes" });
  // The certificate has to be for the URL's host, whatever Host the client asks for.
  for (const method of ["GET", "DELETE"]) {
    using client = await RawClient.connect(proxy.port);
    const response = await client.request(`${method} / HTTP/1.1\r\nHost: other.example\r\n\r\n`);
    assertEquals([response?.status, response && textOf(response)], [200, "other.example"]);
  }

  settings.backends = [{ url: backend.url, tls: { ca: wrong } }];
  assertEquals((await proxy.roundhouse.reload()).changed, [backend.url]);
  await waitFor(() => proxy.backend(backend.url).alive === false, { what: "checks that fail" });
  assertMatch(proxy.backend(backend.url).lastCheck?.error ?? "", /certificate/);
  settings.health = { type: "none" };
  await proxy.roundhouse.reload();
  const seen = backend.requests;
  const response = await fetch(proxy.url, { method: "POST", body: "x" });
  assertEquals([response.status, (await response.json()).detail], [502, "No connection to a backend could be made."]);
  assertEquals(backend.requests, seen);
  await proxy.roundhouse.settled();
  assertEquals(proxy.log.of("attempt failed").map(({ fields }) => fields["code"]), ["connect_failed"]);
  await proxy.idle();

  // The same file with the right contents: another backend in the pool's eyes.
  Deno.copyFileSync(ca, wrong);
  assertEquals((await proxy.roundhouse.reload()).changed, [backend.url]);
  assertEquals((await fetch(proxy.url).then((response) => response.text())).length > 0, true);
  assertEquals((await proxy.roundhouse.reload()).changed, []);
});

Deno.test("selfSigned keeps its certificate in STATE_DIRECTORY from one start to the next", async () => {
  using directory = new StateDirectory();
  await using backend = HttpBackend.named("ok");
  const settings: ConfigFile = {
    proxy: { tls: { selfSigned: ["localhost", "127.0.0.1"] } },
    backends: [backend.url],
  };
  const first = await TestProxy.start(settings);
  await first.roundhouse.stop();
  const cert = keptCertificate(directory.path);
  assertEquals(first.log.of("certificate made").length, 1);
  await using second = await TestProxy.start(settings);
  assertEquals(second.log.of("certificate made").length, 0);
  using client = clientFor("HTTP/1.1", { cert });
  assertEquals(await (await fetch(second.url, { client })).text(), "ok");
  assertEquals((await second.roundhouse.reload()).restartNeeded, []);
});

Deno.test("selfSigned with an engine that can't change it: the log warns in time, and a reload names the restart", async () => {
  using _directory = new StateDirectory();
  const clock = new ManualClock();
  const settings: ConfigFile = { engine: "fetch", proxy: { tls: { selfSigned: ["localhost"] } } };
  await using proxy = await TestProxy.start(settings, { clock });
  await clock.advance(365 * DAY_MS);
  assertEquals((await proxy.roundhouse.reload()).restartNeeded, []);
  assertEquals(proxy.log.of("certificate expires"), []);
  await clock.advance(2 * DAY_MS); // less than 30 days are left
  assertEquals((await proxy.roundhouse.reload()).restartNeeded, ["proxy.tls"]);
  const [line] = proxy.log.of("certificate expires");
  assertEquals([line?.level, line?.fields["remedy"]], ["warn", "a restart makes another one"]);
  assertEquals(proxy.log.of("certificate made").length, 1);
  settings.proxy = { tls: { selfSigned: ["other.example"] } };
  assertEquals((await proxy.roundhouse.reload()).restartNeeded, ["proxy.tls"]);
});
