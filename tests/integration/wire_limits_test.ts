// The front door of engine wire: how large a head may be, how long a client may take, how many may come in.

import { assert, assertEquals, assertLess } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { ask, get, post, unharmed, within } from "../conformance/engine_under_test.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawBackend } from "../support/raw_backend.ts";
import { headerOf, RawClient, textOf } from "../support/raw_client.ts";
import { ok, RecordingBackend } from "../support/raw_recorder.ts";
import { waitFor } from "../support/wait.ts";

const MEGABYTE = 1024 * 1024;

function startWire(settings: ConfigFile): Promise<TestProxy> {
  return TestProxy.start({ engine: "wire", ...settings });
}

/** The proxy's own answer, behind which it closes. */
async function problemOf(client: RawClient, what: string) {
  const response = await within(client.response(), what);
  assert(response !== undefined, `${what}: closed`);
  assertEquals(headerOf(response, "content-type"), "application/problem+json");
  assertEquals(headerOf(response, "connection"), "close");
  await within(client.rest(), `the end after ${what}`);
  return { status: response.status, ...JSON.parse(textOf(response)) };
}

Deno.test("a head over proxy.maxHeaderSize, or with more than 128 fields, gets 431, at once or in pieces", async () => {
  await using backend = new RecordingBackend();
  await using proxy = await startWire({ backends: [backend.url], proxy: { maxHeaderSize: "2KiB" } });
  const head = (bytes: number) => {
    const frame = get("/", "X: \r\n");
    return get("/", `X: ${"x".repeat(bytes - frame.length)}\r\n`);
  };
  using fits = await RawClient.connect(proxy.port);
  assertEquals((await ask(fits, head(2048))).status, 200);
  const fields = (count: number) => get("/", Array.from({ length: count - 1 }, (_, at) => `X-${at}: 1\r\n`).join(""));
  assertEquals((await ask(fits, fields(128))).status, 200);
  const seen = backend.requests.length;
  for (const tooLarge of [head(2049), head(100_000), head(2060).slice(0, -4), fields(129)]) {
    using client = await RawClient.connect(proxy.port);
    await client.send(tooLarge).catch(() => {}); // refused before all of it was read
    const { status, title } = await problemOf(client, "431");
    assertEquals([status, title], [431, "Request Header Fields Too Large"]);
  }
  using slow = await RawClient.connect(proxy.port);
  const refused = problemOf(slow, "431");
  for (let at = 0; at < 2100; at += 100) {
    await slow.send(head(5000).slice(at, at + 100)).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assertEquals((await refused).status, 431);
  assertEquals(backend.requests.length, seen);
  await unharmed({ proxy, client: fits, backend, what: "heads that are too large" });
});

Deno.test("a response head over proxy.maxHeaderSize is 502 and a failure of the backend; one within it crosses", async () => {
  const head = (bytes: number) => {
    const frame = ok("", "X: \r\n");
    return ok("", `X: ${"x".repeat(bytes - frame.length)}\r\n`);
  };
  await using backend = new RecordingBackend(({ target }) => head(Number(target.slice(1))));
  await using proxy = await startWire({
    backends: [backend.url],
    proxy: { maxHeaderSize: "100KiB" },
    passive: { connectFailures: 0 },
  });
  using client = await RawClient.connect(proxy.port);
  for (const [bytes, status] of [[102_400, 200], [102_401, 502], [500_000, 502], [102_400, 200]] as const) {
    assertEquals((await ask(client, get(`/${bytes}`))).status, status);
  }
  await proxy.roundhouse.settled();
  assertEquals(proxy.log.of("attempt failed").map(({ fields }) => fields["reason"]), [
    "malformed response: the head is too large",
    "malformed response: the head is too large",
  ]);
  assertEquals(proxy.backend(backend.url).totalFailures, 2);
  client.close();
  await proxy.idle();
});

// A small head in LF alone was "too large" where its body held an empty line in CR LF beyond the limit.
Deno.test("a response head in LF alone is measured to its own end, not to what looks like one in the body", async () => {
  const body = `${"x".repeat(10_000)}\r\n\r\nend`;
  const head = (bytes: number) => `HTTP/1.1 200 OK\nX: ${"x".repeat(bytes)}\nContent-Length: ${body.length}\n\n`;
  await using backend = new RecordingBackend(({ target }) => head(Number(target.slice(1))) + body);
  await using proxy = await startWire({
    backends: [backend.url],
    proxy: { maxHeaderSize: "2KiB" },
    passive: { connectFailures: 0 },
  });
  using client = await RawClient.connect(proxy.port);
  const small = await ask(client, get("/10"));
  assertEquals([small.status, textOf(small) === body], [200, true]);
  assertEquals((await ask(client, get("/2048"))).status, 502);
  client.close();
  await proxy.idle();
});

Deno.test("200 clients that send their heads byte by byte delay nobody, get 408 and are gone after timeouts.header", async () => {
  await using backend = new RecordingBackend();
  await using proxy = await startWire({ backends: [backend.url], timeouts: { header: "1s" } });
  const slow = await Promise.all(Array.from({ length: 200 }, () => RawClient.connect(proxy.port)));
  const refusals = slow.map((client) => problemOf(client, "408"));
  let dripping = true;
  const drip = (async () => {
    const bytes = get("/slow", `X: ${"x".repeat(1000)}\r\n`);
    for (let at = 0; dripping; at++) {
      for (const client of slow) await client.send(bytes.slice(at, at + 1)).catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  using client = await RawClient.connect(proxy.port);
  for (let request = 0; request < 20; request++) assertEquals((await ask(client, get("/quick"))).status, 200);
  for (const { status, detail } of await Promise.all(refusals)) {
    assertEquals([status, detail], [408, "The request's head did not arrive in time."]);
  }
  dripping = false;
  await drip;
  for (const each of slow) each.close();
  assert(backend.requests.every(({ target }) => target === "/quick"));
  await unharmed({ proxy, backend, what: "slow heads" });
  assertEquals(proxy.backend(backend.url).totalFailures, 0);
});

Deno.test("timeouts.header counts from the first byte of a later request, timeouts.keepAlive until then", async () => {
  await using backend = new RecordingBackend();
  await using proxy = await startWire({ backends: [backend.url], timeouts: { header: 100, keepAlive: "20s" } });
  using client = await RawClient.connect(proxy.port);
  assertEquals((await ask(client, get("/"))).status, 200);
  await new Promise((resolve) => setTimeout(resolve, 300)); // well past `header`: nothing was begun
  assertEquals((await ask(client, get("/"))).status, 200);
  await client.send("GET /half HTTP/1.1\r\n");
  assertEquals((await problemOf(client, "408")).status, 408);
  // Who says nothing at all is told nothing.
  using silent = await RawClient.connect(proxy.port);
  assertEquals(await within(silent.closed(), "the end of a silent client"), true);
});

Deno.test("timeouts.keepAlive closes idle connections, and none that is in use", async () => {
  await using backend = new RecordingBackend(async ({ target }) => {
    if (target === "/slow") await new Promise((resolve) => setTimeout(resolve, 300));
    return ok("done");
  });
  await using proxy = await startWire({ backends: [backend.url], timeouts: { keepAlive: 60 } });
  using idle = await RawClient.connect(proxy.port);
  assertEquals((await ask(idle, get("/"))).status, 200);
  using busy = await RawClient.connect(proxy.port);
  const slow = ask(busy, get("/slow"));
  assertEquals(await within(idle.closed(), "the end of the idle one"), true);
  assertEquals(textOf(await slow), "done");
});

Deno.test("timeouts.idle without a byte of a response's body cuts it: logged, a failure; a slow body is left alone", async () => {
  await using backend = new RecordingBackend(async ({ target }, connection) => {
    const chunked = target === "/chunked";
    await connection.send(
      chunked
        ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"
        : "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
    );
    if (target === "/slow") {
      for (const byte of "secret") {
        await new Promise((resolve) => setTimeout(resolve, 120));
        await connection.send(byte);
      }
      return "";
    }
    await connection.read().catch(() => {}); // until the proxy gives up
    return undefined;
  });
  await using proxy = await startWire({ backends: [backend.url], timeouts: { idle: 500 } });
  using client = await RawClient.connect(proxy.port);
  const slow = await ask(client, get("/slow")); // 720 ms in all, and never 500 without a byte
  assertEquals([textOf(slow), slow.complete], ["halfsecret", true]);
  for (const target of ["/stalls", "/chunked"]) {
    using client = await RawClient.connect(proxy.port);
    const response = await ask(client, get(target));
    assertEquals([response.status, textOf(response), response.complete], [200, "half", false]);
  }
  await proxy.idle();
  assertEquals(
    proxy.log.of("response cut").map(({ level, fields }) => [level, fields["code"], fields["backend"]]),
    [["warn", "idle_timeout", backend.url], ["warn", "idle_timeout", backend.url]],
  );
  assertEquals(proxy.backend(backend.url).totalFailures, 2);
});

Deno.test("timeouts.idle without a byte of a request's body is 408, and nobody's failure but the client's", async () => {
  await using backend = new RecordingBackend();
  await using proxy = await startWire({
    backends: [backend.url],
    timeouts: { idle: 500 },
    passive: { serverErrors: 1 },
  });
  for (
    const body of [
      "Content-Length: 10\r\n\r\nhalf",
      "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
      "Content-Length: 9\r\n\r\n",
    ]
  ) {
    using client = await RawClient.connect(proxy.port);
    await client.send(`POST /stalls HTTP/1.1\r\nHost: x\r\n${body}`);
    const { status, detail } = await problemOf(client, "408");
    assertEquals([status, detail], [408, "The request body did not arrive in time."]);
  }
  await proxy.idle();
  assertEquals(backend.requests.map(({ complete }) => complete), [false, false, false]);
  assertEquals([proxy.backend(backend.url).totalFailures, proxy.backend(backend.url).alive], [0, true]);
  using client = await RawClient.connect(proxy.port);
  await client.send("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n");
  for (const byte of "bytes") {
    await new Promise((resolve) => setTimeout(resolve, 120));
    await client.send(byte);
  }
  assertEquals(
    textOf(await within(client.response(), "an answer") ?? { body: new Uint8Array(0) } as never),
    "POST /slow 5",
  );
  await unharmed({ proxy, client, backend, what: "a slow body" });
});

Deno.test("a client that takes no byte for timeouts.idle is cut, and that is not the backend's failure", async () => {
  await using backend = new RecordingBackend(async ({ target }, connection) => {
    if (target !== "/flood") return ok("ok");
    const block = new Uint8Array(MEGABYTE);
    await connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${100 * MEGABYTE}\r\n\r\n`);
    for (let sent = 0; sent < 100; sent++) await connection.send(block);
    return "";
  });
  await using proxy = await startWire({
    backends: [backend.url],
    timeouts: { idle: 300 },
    passive: { serverErrors: 1 },
  });
  using client = await RawClient.connect(proxy.port);
  await client.send(get("/flood"));
  await waitFor(() => proxy.backend(backend.url).currentConnections === 1, { what: "the flood" });
  await proxy.idle(); // though the client has not left
  assertEquals([proxy.backend(backend.url).totalFailures, proxy.backend(backend.url).alive], [0, true]);
  assertEquals(proxy.log.of("response cut"), []);
  assertLess((await within(client.rest(), "what was on the way")).length, 100 * MEGABYTE);
});

Deno.test("a backend that takes no byte of a request's body for timeouts.idle has failed, and the client hears of it", async () => {
  // Nothing limited it: client, lease and both connections were held for as long as the backend liked.
  await using backend = new RawBackend(async (connection) => {
    await connection.until("\r\n\r\n");
    await new Promise<void>((resolve) => release.promise.then(resolve));
  });
  const release = Promise.withResolvers<void>();
  using _ = { [Symbol.dispose]: release.resolve };
  await using proxy = await startWire({ backends: [backend.url], timeouts: { idle: 300 } });
  using client = await RawClient.connect(proxy.port);
  const answer = client.response();
  await client.send(`POST /flood HTTP/1.1\r\nHost: x\r\nContent-Length: ${100 * MEGABYTE}\r\n\r\n`);
  const flood = (async () => {
    for (let sent = 0; sent < 100; sent++) await client.send(new Uint8Array(MEGABYTE));
  })().catch(() => {}); // cut
  assertEquals((await within(answer, "an answer"))?.status, 504);
  client.close();
  await flood;
  await proxy.idle();
  assertEquals(proxy.backend(backend.url).totalFailures, 1);
});

Deno.test("proxy.maxConnections holds: the oldest idle client leaves, others wait and are served when there is room", async () => {
  let release = Promise.withResolvers<void>();
  let together = 0;
  let most = 0;
  await using backend = new RecordingBackend(async ({ target }) => {
    most = Math.max(most, ++together);
    if (target.startsWith("/held")) await release.promise;
    together--;
    return ok(target);
  });
  using _ = { [Symbol.dispose]: () => release.resolve() };
  // One worker: of several each lets its share in, and whom a client meets is the system's choice.
  await using proxy = await startWire({ backends: [backend.url], proxy: { workers: 1, maxConnections: 3 } });
  const idle: RawClient[] = [];
  for (let client = 0; client < 3; client++) {
    idle.push(await RawClient.connect(proxy.port));
    assertEquals((await ask(idle[client] as RawClient, get("/idle"))).status, 200);
  }
  // Each who comes makes the oldest leave, and no other.
  using newcomer = await RawClient.connect(proxy.port);
  assertEquals((await ask(newcomer, get("/new"))).status, 200);
  assertEquals(await within(idle[0]?.closed() ?? Promise.reject(), "the oldest's end"), true);
  assertEquals((await ask(idle[1] as RawClient, get("/still"))).status, 200); // now the youngest

  // All busy: who comes waits, and is served once somebody has left.
  const busy = [newcomer, idle[1] as RawClient, idle[2] as RawClient];
  const held = busy.map((client, index) => ask(client, get(`/held/${index}`)));
  await waitFor(() => together === 3, { what: "all to be busy" });
  const waiting = await Promise.all([0, 1, 2].map(() => RawClient.connect(proxy.port)));
  const answers = waiting.map((client, index) => ask(client, get(`/waited/${index}`)));
  await new Promise((resolve) => setTimeout(resolve, 100));
  assertEquals(backend.requests.filter(({ target }) => target.startsWith("/waited")).length, 0);
  release.resolve();
  assertEquals((await Promise.all(held)).map(({ status }) => status), [200, 200, 200]);
  assertEquals((await Promise.all(answers)).map(textOf), ["/waited/0", "/waited/1", "/waited/2"]);
  assertEquals(most, 3);
  release = Promise.withResolvers();
  for (const client of [...idle, ...waiting]) client.close();
  await proxy.idle();
});

/** What the system allows at most of connections that wait to be accepted; 0 where it does not say. */
function longestListenQueue(): number {
  try {
    return Number(Deno.readTextFileSync("/proc/sys/net/core/somaxconn"));
  } catch {
    return 0;
  }
}

Deno.test({
  name: "600 clients may wait to be let in",
  ignore: longestListenQueue() < 600,
  // 2,000 clients came at once, the listen queue took 511, and the others were served a second late or more.
  async fn() {
    await using backend = new RecordingBackend(async ({ target }) => {
      if (target === "/held") await release.promise;
      return ok(target);
    });
    const release = Promise.withResolvers<void>();
    using _ = { [Symbol.dispose]: release.resolve };
    // One worker: another would have room.
    await using proxy = await startWire({ backends: [backend.url], proxy: { workers: 1, maxConnections: 1 } });
    using busy = await RawClient.connect(proxy.port);
    const held = ask(busy, get("/held"));
    await waitFor(() => backend.requests.length === 1, { what: "the request" });
    // The first of them the proxy has in its hands; all others the kernel keeps, until `busy` is done.
    const waiting: RawClient[] = [];
    const come = async () => {
      while (waiting.length < 600) waiting.push(await RawClient.connect(proxy.port));
    };
    try {
      await within(come(), "600 connections");
    } finally {
      for (const client of waiting) client.close();
    }
    release.resolve();
    assertEquals(textOf(await held), "/held");
  },
});

Deno.test("a stop does not wait for who waits for room", async () => {
  await using backend = new RecordingBackend(async ({ target }) => {
    if (target === "/held") await release.promise;
    return ok(target);
  });
  const release = Promise.withResolvers<void>();
  using _ = { [Symbol.dispose]: release.resolve };
  // One worker: another would have room.
  const proxy = await startWire({ backends: [backend.url], proxy: { workers: 1, maxConnections: 1 } });
  using busy = await RawClient.connect(proxy.port);
  const held = ask(busy, get("/held"));
  await waitFor(() => backend.requests.length === 1, { what: "the request" });
  using waits = await RawClient.connect(proxy.port);
  const stopped = proxy.roundhouse.stop();
  release.resolve();
  assertEquals(textOf(await held), "/held");
  busy.close();
  assertEquals(await within(stopped, "the stop"), true);
  assertEquals(await within(waits.closed(), "the end"), true);
});

Deno.test("limits change on reload, for those who are connected too", async () => {
  await using backend = new RecordingBackend();
  const settings: ConfigFile = {
    engine: "wire",
    backends: [backend.url],
    timeouts: { keepAlive: "1h" },
    proxy: { maxHeaderSize: "2KiB" },
  };
  await using proxy = await TestProxy.start(settings);
  using client = await RawClient.connect(proxy.port);
  assertEquals((await ask(client, post("/", "x"))).status, 200);
  settings.proxy = { maxHeaderSize: "8KiB" };
  await proxy.roundhouse.reload();
  assertEquals((await ask(client, get("/", `X: ${"x".repeat(5000)}\r\n`))).status, 200);
  settings.timeouts = { keepAlive: 50 };
  await proxy.roundhouse.reload();
  assertEquals(await within(client.closed(), "the end of an idle connection"), true);
});

Deno.test("a client that reads nothing of what the proxy itself says has left after timeouts.idle", async () => {
  // It kept its connection, and a place at the backend behind a 1xx, for as long as it liked.
  await using backend = new RawBackend(async (connection) => {
    while (await connection.head()) {
      const hint = `HTTP/1.1 103 Early Hints\r\nLink: ${"x".repeat(8000)}\r\n\r\n`;
      while (connection.received.includes("/hints")) await connection.send(hint);
      await connection.send(ok("done"));
    }
  });
  await using proxy = await startWire({ backends: [backend.url], timeouts: { idle: 300, response: "60s" } });
  using hinted = await RawClient.connect(proxy.port);
  await hinted.send(get("/hints"));
  await waitFor(() => proxy.backend(backend.url).currentConnections === 1, { what: "the request" });
  await proxy.idle();

  using refused = await RawClient.connect(proxy.port);
  const requests = "TRACE / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
  const sending = (async () => {
    while (true) await refused.send(requests);
  })();
  await within(sending.catch(() => {}), "the end of a client that does not read");
  await proxy.idle();
  assertEquals([proxy.backend(backend.url).totalFailures, proxy.backend(backend.url).alive], [0, true]);
});

Deno.test("over timeouts.request a client that reads nothing of an answer is cut", async () => {
  // It held its place at the backend until timeouts.idle.
  await using backend = new RawBackend(async (connection) => {
    while (await connection.head()) {
      await connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      while (true) await connection.send(`10000\r\n${"x".repeat(0x10000)}\r\n`);
    }
  });
  await using proxy = await startWire({ backends: [backend.url], timeouts: { idle: "60s", request: 300 } });
  using client = await RawClient.connect(proxy.port);
  await client.send(get("/"));
  await waitFor(() => proxy.backend(backend.url).currentConnections === 1, { what: "the request" });
  await proxy.idle();
  assertEquals(proxy.backend(backend.url).totalFailures, 0);
});
