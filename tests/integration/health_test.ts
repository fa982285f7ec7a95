// Health checks on real sockets: what each kind of check finds, and the monitor that makes them.

import { assert, assertEquals, assertGreaterOrEqual, assertLess, assertMatch } from "@std/assert";
import { type BackendSpec, type ConfigFile, configSchema, PLAIN_TLS } from "../../src/config/schema.ts";
import { HealthMonitor } from "../../src/health/monitor.ts";
import { PassiveHealth } from "../../src/health/passive.ts";
import { passiveLimits } from "../../src/health/passive_rule.ts";
import { CheckClients } from "../../src/health/check_clients.ts";
import { type Observation, type Probe, PROBES } from "../../src/health/probes.ts";
import { ServerPool } from "../../src/pool/server_pool.ts";
import { Memory } from "../../src/memory/memory.ts";
import { HttpsBackend, makeAuthority, makePair, TemporaryDirectory } from "../support/certificates.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { RecordingLog } from "../support/log.ts";
import { backendSpec, poolOf } from "../support/pool.ts";
import { RawBackend, refusedUrl } from "../support/raw_backend.ts";
import { TestProxy } from "../support/proxy.ts";
import { waitFor } from "../support/wait.ts";

type HealthSettings = NonNullable<ConfigFile["health"]>;

function configOf(health: HealthSettings) {
  return configSchema.parse({ health }).health;
}

/** The probe of a backend at `url`. */
function probeOf(url: string, health: HealthSettings, tls = backendSpec(url).tls): Probe {
  const backend = new ServerPool(Memory.allocate().pool(0)).add(backendSpec(url, { tls }), "test");
  const config = configOf(health);
  if (config.type === "none") throw new Error("there is no such probe");
  return PROBES[config.type](backend, config, new CheckClients());
}

/** One check of a backend at `url`. */
async function check(
  url: string,
  health: HealthSettings = {},
  tls: Partial<BackendSpec["tls"]> = {},
): Promise<Observation> {
  const probe = probeOf(url, health, { ...PLAIN_TLS, ...tls });
  try {
    return await probe.check(new AbortController().signal);
  } finally {
    probe.close();
  }
}

/** The same, without the time it took. */
async function finding(url: string, health: HealthSettings = {}): Promise<Omit<Observation, "durationMs">> {
  const { ok, status, error } = await check(url, health);
  return { ok, status, error };
}

const failed = (error: string, status: number | null = null) => ({ ok: false, status, error });
const passed = (status: number | null) => ({ ok: true, status, error: null });

/** One that accepts connections and never says a word. */
function stalling(): RawBackend {
  return new RawBackend((connection) => connection.toEnd());
}

/** A backend on the first of the ports that `fetch` blocks and that is free. */
function onBlockedPort(): HttpBackend {
  for (const port of [6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080]) {
    try {
      return new HttpBackend(() => new Response("all is well"), port);
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
  throw new Error("none of the ports is free");
}

/** A port whose queue of connections is full: the system answers no more of them. Dispose of it to let go. */
async function unreachable(): Promise<{ url: string; [Symbol.dispose](): void }> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
  const { port } = listener.addr;
  const connections: Deno.Conn[] = [];
  try {
    // The queue's real size is the system's own business: fill it until a connection is not made at once.
    while (connections.length < 64) {
      connections.push(await Deno.connect({ hostname: "127.0.0.1", port, signal: AbortSignal.timeout(300) }));
    }
  } catch {
    // full
  }
  assertLess(connections.length, 64, "the queue never filled");
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.dispose]() {
      for (const connection of connections) connection.close();
      listener.close();
    },
  };
}

Deno.test("a tcp check passes when a connection can be made, and closes it", async () => {
  let ended = false;
  await using backend = new RawBackend(async (connection) => {
    await connection.toEnd();
    ended = true;
  });
  assertEquals(await finding(backend.url, { type: "tcp" }), passed(null));
  await waitFor(() => ended, { what: "the end of the connection" });
  assertEquals(backend.received, "");
});

Deno.test("checks name a refused connection and an unknown host", async () => {
  for (const type of ["tcp", "http"] as const) {
    assertEquals(await finding(refusedUrl(), { type }), failed("connection refused"));
  }
  const impossible = `${"a".repeat(64)}.test`; // a label has 63 characters at most: no name server is asked
  for (const type of ["tcp", "http"] as const) {
    const { error } = await check(`http://${impossible}`, { type });
    assertMatch(error ?? "", /^failed to lookup address information/);
  }
});

Deno.test("tcp and http checks give up a connection that is not made in time", async () => {
  using backend = await unreachable();
  for (const type of ["tcp", "http"] as const) {
    const { ok, error, durationMs } = await check(backend.url, { type, timeout: "150ms" });
    assertEquals([type, ok, error], [type, false, "timed out after 150 ms"]);
    assertGreaterOrEqual(durationMs, 140);
    assertLess(durationMs, 1_500);
  }
});

Deno.test("checks go to the port they are given, at the backend's host", async () => {
  await using backend = HttpBackend.named("healthy");
  for (const type of ["tcp", "http"] as const) {
    assertEquals((await check(refusedUrl(), { type, port: backend.port })).ok, true, type);
  }
  assertEquals((await check(backend.url, { port: Number(new URL(refusedUrl()).port) })).error, "connection refused");
});

Deno.test("an http check reaches ports that fetch blocks, which engine wire serves", async () => {
  // Whoever moved to `wire` for such a backend, as the error message says, found it down for ever.
  await using backend = onBlockedPort();
  assertEquals(await finding(backend.url), passed(200));
  assertEquals(await finding(backend.url, { body: "well" }), passed(200));
  assertEquals(await finding(backend.url, { body: "other" }), failed('body does not contain "other"', 200));
  assertEquals(await finding(refusedUrl(), { port: backend.port }), passed(200));
  await backend[Symbol.asyncDispose]();
  assertEquals(await finding(backend.url), failed("connection refused"));
});

Deno.test("an http check sends what is configured, and asks for an answer that is not compressed", async () => {
  const seen: (string | null)[][] = [];
  await using backend = new HttpBackend(({ method, url, headers }) => {
    const { pathname, search } = new URL(url);
    seen.push([method, pathname + search, ...["host", "x-check", "accept-encoding"].map((name) => headers.get(name))]);
    return new Response("ok");
  });
  const health = { path: "/health?deep=1", method: "POST", headers: { Host: "shop.example", "X-Check": "yes" } };
  assertEquals(await finding(`${backend.url}/base`, health), passed(200));
  assertEquals(seen, [["POST", "/base/health?deep=1", "shop.example", "yes", "identity"]]);
});

Deno.test("an http check goes by the status alone, redirects included, where no body is asked for", async () => {
  const cases: [status: number, ranges: string, passes: boolean][] = [
    [200, "200-399", true],
    [302, "200-399", true],
    [399, "200-399", true],
    [400, "200-399", false],
    [503, "200-399", false],
    [204, "200,204", true],
    [201, "200,204", false],
    [503, "503", true],
  ];
  for (const [status, ranges, passes] of cases) {
    await using backend = RawBackend.answering(
      `HTTP/1.1 ${status} Some\r\nlocation: /elsewhere\r\n${status === 204 ? "" : "content-length: 0\r\n"}\r\n`,
    );
    const want = passes ? passed(status) : failed(`status ${status}`, status);
    assertEquals(await finding(backend.url, { status: ranges }), want);
    assertEquals(backend.connections.length, 1, "a redirect is not followed");
  }
});

Deno.test("an http check of / passes with anything but 5xx where nobody named a path", async () => {
  // `roundhouse -b http://api` answered 503 for ever where `/` was 404, 401 or 426.
  const cases: [status: number, health: HealthSettings, passes: boolean][] = [
    ...[200, 302, 401, 404, 426, 499].map((status): [number, HealthSettings, boolean] => [status, {}, true]),
    [500, {}, false],
    [503, { path: null, status: null }, false],
    [404, { path: "/" }, false],
    [404, { path: "/health" }, false],
    [302, { path: "/health" }, true],
    [404, { status: "200-399" }, false],
  ];
  for (const [status, health, passes] of cases) {
    await using backend = RawBackend.answering(`HTTP/1.1 ${status} Some\r\ncontent-length: 0\r\n\r\n`);
    const want = passes ? passed(status) : failed(`status ${status}`, status);
    assertEquals(await finding(backend.url, health), want, JSON.stringify(health));
  }
});

Deno.test("a check that fails says in the log what to set", async () => {
  const cases: [answer: string, health: HealthSettings, advice: RegExp][] = [
    [
      "404 Not Found",
      { path: "/up" },
      /^set health\.path \(--health PATH\).* in place of \/up, .*health\.status .* 404 passes/,
    ],
    ["200 OK", { body: "well" }, /^set health\.body /],
  ];
  for (const [answer, health, advice] of cases) {
    await using backend = RawBackend.answering(`HTTP/1.1 ${answer}\r\ncontent-length: 0\r\n\r\n`);
    await using bench = new Bench(health);
    const added = bench.add(backend.url);
    await waitFor(() => !added.up, { what: "a failed check" });
    assertMatch(String(bench.log.of("check failed")[0]?.fields["advice"]), advice);
  }
});

Deno.test("health.tls checks an HTTPS backend's other port plainly, and the reverse", async () => {
  const authority = await makeAuthority();
  using directory = new TemporaryDirectory();
  const ca = directory.write("ca.pem", authority.cert);
  await using secure = new HttpsBackend(await makePair({ authority }), () => new Response("secure"));
  await using plain = new HttpBackend(() => new Response("plain"), 0, "127.0.0.1");
  const tls = { ca, insecure: false, serverName: null };
  const securePort = Number(new URL(secure.url).port);
  const secureUrl = `https://localhost:${securePort}`;
  const cases: [url: string, health: HealthSettings, ok: boolean][] = [
    [secureUrl, {}, true],
    [secureUrl, { tls: true }, true],
    [secureUrl, { tls: false }, false],
    [secureUrl, { port: plain.port }, false],
    [secureUrl, { port: plain.port, tls: false, status: "200-399" }, true],
    [`http://localhost:${plain.port}`, { port: securePort, tls: true }, true],
    [`http://localhost:${plain.port}`, { port: securePort }, false],
  ];
  for (const [url, health, ok] of cases) {
    assertEquals((await check(url, health, tls)).ok, ok, `${url} ${JSON.stringify(health)}`);
  }
});

Deno.test("a check over TLS with tls.insecure or tls.serverName ends in time, whatever the server leaves out", async () => {
  await using mute = new RawBackend((connection) => connection.toEnd());
  await using slow = new HttpsBackend(await makePair({ name: "api.test" }), () => new Promise(() => {}));
  await using body = new HttpsBackend(
    await makePair({ name: "api.test" }),
    () => new Response(new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array(9)) })),
  );
  for (const tls of [{ insecure: true, serverName: null }, { insecure: true, serverName: "api.test" }]) {
    for (const url of [mute.url.replace("http:", "https:"), slow.url]) {
      const { ok, error } = await check(url, { timeout: 100 }, { ca: null, ...tls });
      assertEquals([ok, error], [false, "timed out after 100 ms"]);
    }
    assertEquals((await check(body.url, { timeout: 5000 }, { ca: null, ...tls })).ok, true);
  }
  using directory = new TemporaryDirectory();
  const authority = await makeAuthority();
  const ca = directory.write("ca.pem", authority.cert);
  const pair = await makePair({ authority, name: "api.test" });
  await using trusted = new HttpsBackend(
    pair,
    ({ url }) => url.endsWith("/up") ? new Response("up") : new Promise(() => {}),
  );
  const tls = { ca, insecure: false, serverName: "api.test" };
  assertEquals((await check(trusted.url, { path: "/up", body: "up" }, tls)).ok, true);
  assertEquals((await check(trusted.url, { path: "/", timeout: 100 }, tls)).error, "timed out after 100 ms");
  assertEquals(
    (await check(mute.url.replace("http:", "https:"), { timeout: 100 }, tls)).error,
    "timed out after 100 ms",
  );
});

Deno.test("an http check does not wait for a body that nobody asked for", async () => {
  const answer = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n";
  await using backend = new RawBackend(async (connection) => {
    await connection.head();
    await connection.send(answer);
    await connection.toEnd(); // until the check hangs up
  });
  const observation = await check(backend.url, { timeout: "5s" });
  assertEquals(observation.ok, true);
  assertLess(observation.durationMs, 2_500);
  await waitFor(() => backend.connections.length === 1, { what: "the connection" });
});

Deno.test("an http check names what is wrong with an answer", async () => {
  const scripts: [what: string, answer: string, error: RegExp][] = [
    ["closes without an answer", "", /^connection closed before message completed$/],
    ["breaks off in the head", "HTTP/1.1 200 OK\r\nx: y\r\n", /^connection closed before message completed$/],
    ["speaks another protocol", "SSH-2.0-OpenSSH_9.2\r\n\r\n", /^invalid HTTP version parsed$/],
  ];
  for (const [what, answer, error] of scripts) {
    await using backend = new RawBackend(async (connection) => {
      await connection.head();
      await connection.send(answer);
    });
    const observation = await check(backend.url);
    assertEquals([what, observation.ok, observation.status], [what, false, null]);
    assertMatch(observation.error ?? "", error, what);
  }
});

Deno.test("an http check times out on a backend that accepts and says nothing", async () => {
  await using backend = stalling();
  const { ok, status, error, durationMs } = await check(backend.url, { timeout: "120ms" });
  assertEquals([ok, status, error], [false, null, "timed out after 120 ms"]);
  assertGreaterOrEqual(durationMs, 110);
  assertLess(durationMs, 1_500);
});

Deno.test("an http check finds the wanted text wherever its bytes are cut", async () => {
  for (const pieces of [["all is wéll"], ["all is w", "éll"], ["all is w\u00c3", "\u00a9ll"], [..."all is wéll"]]) {
    await using backend = new RawBackend(async (connection) => {
      await connection.head();
      await connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
      for (const piece of pieces) {
        const bytes = piece.includes("\u00c3") || piece.startsWith("\u00a9")
          ? Uint8Array.from(piece, (char) => char.charCodeAt(0)) // one byte a character: the letter is cut in two
          : new TextEncoder().encode(piece);
        await connection.send(`${bytes.length.toString(16)}\r\n`);
        await connection.send(bytes);
        await connection.send("\r\n");
        await new Promise((resolve) => setTimeout(resolve, 2)); // so that most pieces travel alone
      }
      await connection.toEnd(); // the body does not end: what was found is enough
    });
    assertEquals(await finding(backend.url, { body: "is wéll" }), passed(200), pieces.join("|"));
  }
});

Deno.test("an http check looks for the wanted text in the first 64 KiB only", async () => {
  const limit = 64 * 1024;
  for (const [offset, passes] of [[limit - 4, true], [limit - 3, false]] as const) {
    await using backend = new HttpBackend(() => new Response("x".repeat(offset) + "well" + "x".repeat(limit)));
    const want = passes ? passed(200) : failed('body does not contain "well"', 200);
    assertEquals(await finding(backend.url, { body: "well" }), want, `at ${offset}`);
  }
  const chunk = new Uint8Array(1000);
  await using endless = new HttpBackend(() =>
    new Response(new ReadableStream({ pull: (controller) => controller.enqueue(chunk) }))
  );
  assertEquals(await finding(endless.url, { body: "well" }), failed('body does not contain "well"', 200));
});

Deno.test("an http check fails when the wanted text is missing, and says what kept it from coming", async () => {
  const answers: [answer: string, want: ReturnType<typeof failed>][] = [
    ["HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nill!", failed('body does not contain "well"', 200)],
    ["HTTP/1.1 204 No Content\r\n\r\n", failed('body does not contain "well"', 204)],
    ["HTTP/1.1 500 Oh\r\ncontent-length: 4\r\n\r\nwell", failed("status 500", 500)],
    ["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nwel", failed("timed out after 200 ms", 200)],
  ];
  for (const [answer, want] of answers) {
    await using backend = RawBackend.answering(answer);
    assertEquals(await finding(backend.url, { body: "well", timeout: "200ms" }), want);
  }
  await using broken = new RawBackend(async (connection) => {
    await connection.head();
    await connection.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nwel");
  });
  assertEquals(await finding(broken.url, { body: "well" }), failed("error reading a body from connection", 200));
});

Deno.test("an http check makes a connection of its own each time", async () => {
  const ports = new Set<number>();
  await using backend = new HttpBackend((_, { remoteAddr }) => {
    ports.add(remoteAddr.port);
    return new Response("ok");
  });
  const probe = probeOf(backend.url, { body: "ok" });
  for (let time = 0; time < 3; time++) assertEquals((await probe.check(new AbortController().signal)).ok, true);
  probe.close();
  assertEquals(ports.size, 3);
});

Deno.test("a check that is cancelled resolves long before its timeout", async () => {
  await using silent = stalling();
  using deaf = await unreachable();
  await using mute = RawBackend.answering("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nwel");
  const cases: [url: string, health: HealthSettings][] = [
    [silent.url, {}],
    [deaf.url, {}],
    [deaf.url, { type: "tcp" }],
    [mute.url, { body: "well" }],
  ];
  for (const [url, health] of cases) {
    const probe = probeOf(url, { timeout: "1m", ...health });
    const cancel = new AbortController();
    setTimeout(() => cancel.abort(), 30);
    const { ok, durationMs } = await probe.check(cancel.signal);
    probe.close();
    assertEquals(ok, false);
    assertLess(durationMs, 5_000);
  }
});

/** A pool with a monitor on real sockets and the real clock. */
class Bench implements AsyncDisposable {
  readonly pool = new ServerPool(Memory.allocate().pool(0));
  readonly log = new RecordingLog();
  readonly events: string[] = [];
  readonly monitor: HealthMonitor;

  constructor(health: HealthSettings) {
    this.pool.subscribe(({ type, backend, reason }) =>
      this.events.push(`${type} ${new URL(backend.url).port}: ${reason}`)
    );
    this.monitor = new HealthMonitor({ pool: this.pool, config: configOf(health), log: this.log });
  }

  add(url: string) {
    return this.pool.add(backendSpec(url), "test");
  }

  /** Results of the checks of a backend, from the log. */
  checksOf(url: string) {
    return this.log.of("check").filter((line) => line.fields.backend === url);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.monitor.stop();
  }
}

Deno.test("HealthMonitor follows a backend that fails and recovers", async () => {
  let healthy = true;
  await using server = new HttpBackend(() => new Response(null, { status: healthy ? 200 : 503 }));
  await using bench = new Bench({ interval: "20ms" });
  const backend = bench.add(server.url);
  await waitFor(() => backend.lastCheck?.ok === true, { what: "a passed check" });
  healthy = false;
  await waitFor(() => !backend.alive, { what: "the backend to go down" });
  assertEquals([backend.lastCheck?.status, backend.lastCheck?.error], [503, "status 503"]);
  healthy = true;
  await waitFor(() => backend.alive, { what: "the backend to come up" });
  assertEquals(bench.events, [
    `added ${server.port}: test`,
    `down ${server.port}: check failed: status 503`,
    `up ${server.port}: check passed`,
  ]);
});

Deno.test("HealthMonitor follows a backend whose process goes and comes back", async () => {
  for (const type of ["http", "tcp"] as const) {
    await using bench = new Bench({ type, interval: "20ms" });
    const first = HttpBackend.named("first");
    const backend = bench.add(first.url);
    await waitFor(() => backend.lastCheck?.ok === true, { what: "a passed check" });
    await first[Symbol.asyncDispose]();
    await waitFor(() => !backend.alive, { what: "the backend to go down" });
    assertMatch(bench.events.at(-1) ?? "", /^down \d+: check failed: connection (refused|reset by peer|closed .*)$/);
    await using _second = HttpBackend.named("second", first.port);
    await waitFor(() => backend.alive, { what: "the backend to come back" });
  }
});

Deno.test("HealthMonitor brings back a backend that passive health marked down", async () => {
  await using server = HttpBackend.named("healthy");
  await using bench = new Bench({ interval: "20ms" });
  const passive = new PassiveHealth({ pool: bench.pool, limits: passiveLimits(configSchema.parse({})) });
  const backend = bench.add(server.url);
  await waitFor(() => backend.lastCheck !== null, { what: "a check" });
  passive.connectFailed(backend, "connection refused");
  assert(!backend.alive);
  await waitFor(() => backend.alive, { what: "the backend to come up" });
  passive.stop();
});

Deno.test("HealthMonitor checks others in time while one backend stalls, and that one once at a time", async () => {
  let open = 0;
  let mostOpen = 0;
  await using stalled = new RawBackend(async (connection) => {
    mostOpen = Math.max(mostOpen, ++open);
    await connection.toEnd();
    open--;
  });
  await using quick = HttpBackend.named("quick");
  await using bench = new Bench({ interval: "25ms", timeout: "600ms", jitter: 0 });
  const slow = bench.add(stalled.url);
  bench.add(quick.url);
  // The quick one is checked many times before the first check of the stalled one has come to its end.
  await waitFor(() => bench.checksOf(quick.url).length >= 5, { what: "checks of the quick backend" });
  assertEquals(bench.checksOf(stalled.url).length, 0);
  await waitFor(() => bench.checksOf(stalled.url).length >= 2, { what: "checks of the stalled backend" });
  assertEquals([slow.alive, slow.lastCheck?.error], [false, "timed out after 600 ms"]);
  // A check hangs up before the next begins; the backend may see the two in either order.
  assertLess(mostOpen, 3);
  assertGreaterOrEqual(bench.checksOf(quick.url).length, 10);
});

Deno.test("HealthMonitor never asks a slow backend twice at once", async () => {
  let open = 0;
  let mostOpen = 0;
  await using server = new HttpBackend(async () => {
    mostOpen = Math.max(mostOpen, ++open);
    await new Promise((resolve) => setTimeout(resolve, 60)); // several intervals
    open--;
    return new Response("ok");
  });
  await using bench = new Bench({ interval: "10ms" });
  bench.add(server.url);
  await waitFor(() => bench.checksOf(server.url).length >= 4, { what: "four checks" });
  assertEquals(mostOpen, 1);
  await bench.monitor.stop();
  await waitFor(() => open === 0, { what: "the end of the last request" });
});

Deno.test("HealthMonitor.stop() ends checks under way at once and leaves nothing behind", async () => {
  await using stalled = stalling();
  using deaf = await unreachable();
  for (const type of ["http", "tcp"] as const) {
    const bench = new Bench({ type, timeout: "1m", interval: "10ms" });
    const backends = [stalled.url, deaf.url].map((url) => bench.add(url));
    const refusing = bench.add(refusedUrl());
    await waitFor(() => bench.checksOf(refusing.url).length >= 2, { what: "checks" });
    const startedAt = performance.now();
    await bench.monitor.stop();
    assertLess(performance.now() - startedAt, 5_000);
    assertEquals(backends.map((backend) => backend.up), [true, true], "a check that was cut says nothing");
  }
});

Deno.test("HealthMonitor leaves a removed backend alone", async () => {
  await using server = HttpBackend.named("healthy");
  await using bench = new Bench({ interval: "10ms" });
  const backend = bench.add(server.url);
  await waitFor(() => server.requests >= 2, { what: "two checks" });
  bench.pool.remove(backend, "operator");
  const other = bench.add(refusedUrl());
  const requests = server.requests;
  await waitFor(() => bench.checksOf(other.url).length >= 10, { what: "ten checks of another backend" });
  assertLess(server.requests, requests + 2, "one may have been under way");
});

Deno.test("PassiveHealth lets a backend back in by the real clock", async () => {
  const pool = poolOf([1, 1]);
  const config = configSchema.parse({ passive: { serverErrors: 2, ejectFor: "40ms" }, health: { type: "none" } });
  const passive = new PassiveHealth({ pool, limits: passiveLimits(config) });
  const [backend] = pool.backends;
  assert(backend !== undefined);
  passive.serverError(backend, 500);
  passive.failed(backend, "connection lost");
  assert(backend.ejected);
  await waitFor(() => !backend.ejected, { what: "the end of the ejection" });
  passive.stop();
});

Deno.test("a backend that comes up just after the proxy is in soon, and so is one that restarts", async () => {
  // With the default interval it was out for five seconds.
  const url = refusedUrl();
  await using bench = new Bench({ type: "tcp", interval: "1h" });
  const backend = bench.add(url);
  for (let start = 0; start < 2; start++) {
    await waitFor(() => !backend.up, { what: "a failure" });
    await using _backend = new HttpBackend(() => new Response("up"), Number(new URL(url).port));
    await waitFor(() => backend.up, { what: "a check soon after" });
    bench.pool.setUp(backend, false, "connect failed: connection refused");
  }
});

// A check that was wrong everywhere at once, such as a path that a deployment had renamed, turned a working site into 503
// for everybody.
for (const workers of [1, 2]) {
  Deno.test(`failOpen: when checks have taken every backend out, all of them serve, and sessions hold: ${workers} workers`, async () => {
    let healthy = true;
    const start = (name: string) =>
      new HttpBackend((request) => {
        if (new URL(request.url).pathname !== "/up") return new Response(name);
        return new Response("", { status: healthy ? 200 : 500 });
      });
    await using one = start("one");
    await using two = start("two");
    await using proxy = await TestProxy.start({
      backends: [one.url, two.url],
      proxy: { workers },
      sticky: { by: "cookie" },
      health: { type: "http", path: "/up", interval: "20ms", failOpen: true },
    });
    const ask = async (cookie?: string) => {
      const response = await fetch(proxy.url, { headers: cookie === undefined ? {} : { cookie } });
      const set = response.headers.get("set-cookie");
      return { by: await response.text(), status: response.status, cookie: set?.slice(0, set.indexOf(";")) };
    };
    const session = await ask();
    healthy = false;
    await waitFor(() => proxy.log.of("fail open").length === 1, { what: "the pool to fail open" });
    assertEquals(proxy.pool.backends.map(({ alive }) => alive), [false, false]);
    const answers = new Set<string>();
    for (let request = 0; request < 20; request++) {
      const { by, status } = await ask();
      assertEquals(status, 200);
      answers.add(by);
      assertEquals((await ask(session.cookie)).by, session.by);
    }
    assertEquals(answers.size, 2);
    const ready = await fetch(`${proxy.adminUrl}/readyz`);
    await ready.body?.cancel();
    assertEquals(ready.status, 200);
    const explained = await (await fetch(`${proxy.adminUrl}/explain`)).json();
    assertMatch(explained.backends[0].reason, /^down, as all are/);
    // What the operator takes out stays out.
    proxy.pool.update(proxy.backend(one.url), { state: "disabled" }, "test");
    for (let request = 0; request < 4; request++) assertEquals((await ask()).by, "two");
    healthy = true;
    await waitFor(() => proxy.log.of("fail open ended").length === 1, { what: "the end of it" });
  });
}

Deno.test("failOpen is off unless it is asked for, and does not begin before a backend has been up", async () => {
  await using sick = new HttpBackend(() => new Response("", { status: 500 }));
  for (const health of [{ startUp: false, failOpen: true }, { failOpen: false }]) {
    await using proxy = await TestProxy.start({
      backends: [sick.url],
      health: { type: "http", interval: "20ms", ...health },
    });
    await waitFor(() => (proxy.backend(sick.url).lastCheck?.ok) === false, { what: "a check to fail" });
    await waitFor(async () => {
      const response = await fetch(proxy.url);
      await response.body?.cancel();
      return response.status === 503;
    }, { what: "503" });
    assertEquals(proxy.log.of("fail open"), []);
  }
});
