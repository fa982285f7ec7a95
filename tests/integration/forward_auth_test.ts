// `auth.forward` over real sockets and several workers: a server that stands still, drops and lies holds up nobody else, and
// nothing is held for ever.

import { assert, assertEquals, assertLess } from "@std/assert";
import { ALLOWED, AuthServer } from "../support/auth_server.ts";
import { clientFor, makeAuthority, makePair, TemporaryDirectory } from "../support/certificates.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";
import { headerOf, RawClient } from "../support/raw_client.ts";
import { webSocketHandshake } from "../support/raw_websocket.ts";
import { SocketDirectory } from "../support/unix_socket.ts";
import { waitFor } from "../support/wait.ts";

const REFUSED = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";

async function statusOf(client: RawClient, target: string): Promise<number | undefined> {
  return (await client.request(`GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`))?.status;
}

/** Whether nothing of a guard's questions is left in flight. */
async function isIdle(proxy: TestProxy): Promise<void> {
  await proxy.idle();
  assertEquals(proxy.roundhouse.memory.limits.concurrency("all").current, 0);
}

const FAILING_WORKER = new URL("../support/failing_worker.ts", import.meta.url);

for (const engine of ["fetch", "wire"] as const) {
  for (const workers of [1, 2]) {
    const name = `${engine}, ${workers} workers`;

    Deno.test(`${name}: a frozen server under load stops no other route, and every count returns to 0`, async () => {
      await using auth = new AuthServer();
      await using backend = HttpBackend.named("b");
      await using proxy = await TestProxy.start({
        engine,
        proxy: { workers },
        backends: [backend.url],
        pools: { auth: { backends: [auth.origin] } },
        concurrency: 100_000,
        auth: { forward: { pool: "auth", path: "/auth" }, timeout: "60s" },
        routes: { "*/*": "default", "*/open": { pool: "default", auth: null } },
      });
      auth.freeze();
      const held = await Promise.all(Array.from({ length: 200 }, () => RawClient.connect(proxy.port)));
      await Promise.all(held.map((client) => client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")));
      await waitFor(() => auth.questions.length === held.length, { what: "all questions" });
      const pool = proxy.roundhouse.pools.get("auth")?.pool;
      assertEquals(pool?.backends[0]?.currentConnections, held.length, "a question counts while it is asked");
      const others = Array.from({ length: 20 }, async () => {
        using client = await RawClient.connect(proxy.port);
        for (let asked = 0; asked < 20; asked++) assertEquals(await statusOf(client, "/open"), 200);
      });
      await Promise.all(others);
      assertEquals(backend.requests, 400);
      for (const client of held.slice(0, 100)) client.close(); // they have had enough
      await waitFor(() => pool?.backends[0]?.currentConnections === 100, { what: "their questions to end" });
      auth.thaw();
      const answers = await Promise.all(held.slice(100).map((client) => client.response()));
      assertEquals(answers.filter((answer) => answer?.status === 200).length, 100);
      for (const client of held) client.close();
      await isIdle(proxy);
      assertEquals(backend.requests, 500);
    });

    Deno.test(`${name}: whatever the server does, nobody passes without its word, and nothing is left`, async () => {
      const moods = [
        () => ALLOWED,
        () => REFUSED,
        () => undefined,
        () => "HTTP/1.1 200 OK\r\nContent-Len",
        () => "lies\r\n\r\n",
        () => "HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nhalf",
        () => `${ALLOWED}${ALLOWED}`, // an answer to a question that nobody has asked
        () => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
        () => "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
      ];
      let asked = 0;
      let allowed = 0;
      await using auth = new AuthServer(async (_question, connection) => {
        const answer = moods[asked++ % moods.length]?.();
        if (answer?.startsWith("HTTP/1.1 20") && !answer.endsWith("Content-Len")) allowed++;
        if (answer === ALLOWED || answer === REFUSED || answer === undefined) return answer;
        await connection.send(answer);
        return undefined;
      });
      await using backend = HttpBackend.named("b");
      await using proxy = await TestProxy.start({
        engine,
        proxy: { workers },
        backends: [backend.url],
        concurrency: 100_000,
        auth: { forward: auth.url },
      });
      const statuses = await Promise.all(Array.from({ length: 16 }, async () => {
        using client = await RawClient.connect(proxy.port);
        const seen: (number | undefined)[] = [];
        for (let count = 0; count < 30; count++) seen.push(await statusOf(client, "/"));
        return seen;
      }));
      const passed = statuses.flat().filter((status) => status === 200).length;
      assertEquals(statuses.flat().filter((status) => status !== 200 && status !== 403 && status !== 503), []);
      await isIdle(proxy);
      assertEquals(backend.requests, passed);
      assert(passed <= allowed && passed > 0, `${passed} of ${allowed} passed`);
      assertEquals(auth.violations, []);
      assertEquals(proxy.roundhouse.memory.requestTotals().failed, 0);
    });

    Deno.test(`${name}: reloads keep the connections, change who is asked at once, and fail no request`, async () => {
      await using one = new AuthServer();
      await using two = new AuthServer(REFUSED);
      await using backend = HttpBackend.named("b");
      const settings = {
        engine,
        proxy: { workers },
        backends: [backend.url],
        concurrency: 100_000,
        auth: { forward: one.url, timeout: "60s" } as { forward: string; timeout: string } | null,
      };
      await using proxy = await TestProxy.start(settings);
      using client = await RawClient.connect(proxy.port);
      assertEquals(await statusOf(client, "/"), 200);
      for (let count = 0; count < 3; count++) {
        await proxy.roundhouse.reload();
        assertEquals(await statusOf(client, "/"), 200);
      }
      assertEquals(one.connections, 1, "the connection is kept");
      one.freeze();
      await client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      await waitFor(() => one.questions.length === 5, { what: "the question" });
      settings.auth = { forward: two.url, timeout: "60s" };
      await proxy.roundhouse.reload();
      using later = await RawClient.connect(proxy.port);
      assertEquals(await statusOf(later, "/"), 403);
      one.thaw();
      assertEquals((await client.response())?.status, 200, "by the configuration that it began with");
      settings.auth = null;
      await proxy.roundhouse.reload();
      assertEquals(await statusOf(later, "/"), 200);
      assertEquals([one.questions.length, two.questions.length], [5, 1]);
      client.close();
      later.close();
      await isIdle(proxy);
    });
  }

  Deno.test(`${engine}: what a dead worker held while it asked is given back, and the others' requests go on`, async () => {
    await using auth = new AuthServer();
    await using backend = HttpBackend.named("b");
    await using proxy = await TestProxy.start({
      engine,
      proxy: { workers: 2 },
      backends: [backend.url],
      pools: { auth: { backends: [auth.origin] } },
      concurrency: 1000,
      auth: { forward: { pool: "auth", path: "/auth" }, timeout: "60s" },
      routes: { "*/*": "default", "*/throw": { pool: "default", auth: null } },
    }, { workerUrl: FAILING_WORKER });
    auth.freeze();
    const held = await Promise.all(Array.from({ length: 20 }, () => RawClient.connect(proxy.port)));
    await Promise.all(held.map((client) => client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")));
    await waitFor(() => auth.questions.length === held.length, { what: "the questions" });
    using killer = await RawClient.connect(proxy.port);
    await killer.send("GET /throw HTTP/1.1\r\nHost: x\r\n\r\n");
    await killer.response().catch(() => undefined);
    await waitFor(() => proxy.roundhouse.workerRestarts > 0, { what: "another worker" });
    auth.thaw();
    const answers = await Promise.all(held.map((client) => client.response().catch(() => undefined)));
    assertEquals(answers.filter((answer) => answer !== undefined && answer.status !== 200), []);
    for (const client of [...held, killer]) client.close();
    await isIdle(proxy);
  });

  Deno.test(`${engine}: a stop waits for requests that are held, and ends the connections to the server`, async () => {
    let ended: Promise<void> | undefined;
    await using auth = new AuthServer((_question, connection) => {
      ended ??= connection.toEnd();
      return ALLOWED;
    });
    await using backend = HttpBackend.named("b");
    const proxy = await TestProxy.start({
      engine,
      backends: [backend.url],
      auth: { forward: auth.url, timeout: "60s" },
    });
    auth.freeze();
    using client = await RawClient.connect(proxy.port);
    await client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await waitFor(() => auth.questions.length === 1, { what: "the question" });
    const stopped = proxy.roundhouse.stop();
    auth.thaw();
    assertEquals((await client.response())?.status, 200);
    client.close();
    assertEquals(await stopped, true);
    await ended;
  });

  Deno.test(`${engine}: a stop does not wait for a frozen server for longer than timeouts.shutdown`, async () => {
    await using auth = new AuthServer();
    await using backend = HttpBackend.named("b");
    await using proxy = await TestProxy.start({
      engine,
      backends: [backend.url],
      timeouts: { shutdown: 100 },
      auth: { forward: auth.url, timeout: "60s" },
    });
    auth.freeze();
    const requests = ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", webSocketHandshake("/")];
    const clients = await Promise.all(requests.map(async (request) => {
      const client = await RawClient.connect(proxy.port);
      await client.send(request);
      return client;
    }));
    await waitFor(() => auth.questions.length === clients.length, { what: "the questions" });
    const stopped = proxy.roundhouse.stop();
    const answers = await Promise.all(clients.map((client) => client.response().catch(() => undefined)));
    assertEquals(await stopped, false);
    assertEquals(answers.filter((answer) => answer !== undefined && answer.status !== 503), []);
    for (const client of clients) client.close();
    assertEquals(backend.requests, 0);
  });

  Deno.test(`${engine}: a pool is asked over TLS, by the name of its certificate`, async () => {
    using directory = new TemporaryDirectory();
    const authority = await makeAuthority();
    const { cert, key } = await makePair({ authority });
    const asked: string[] = [];
    await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", cert, key, onListen() {} }, (request) => {
      asked.push(new URL(request.url).pathname);
      return new Response(null, { status: 204, headers: { "x-user": "me" } });
    });
    await using backend = new HttpBackend((request) => new Response(request.headers.get("x-user")));
    await using proxy = await TestProxy.start({
      engine,
      backends: [backend.url],
      pools: {
        auth: {
          backends: [{
            url: `https://localhost:${server.addr.port}`,
            tls: { ca: directory.write("ca.pem", authority.cert) },
          }],
        },
        untrusted: { backends: [`https://localhost:${server.addr.port}`] },
      },
      routes: {
        "*/*": { pool: "default", auth: { forward: { pool: "auth", path: "/a" }, copy: ["x-user"] } },
        "*/untrusted": { pool: "default", auth: { forward: { pool: "untrusted", path: "/a" } } },
      },
    });
    using client = await RawClient.connect(proxy.port);
    const response = await client.request("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assertEquals([response?.status, new TextDecoder().decode(response?.body)], [200, "me"]);
    assertEquals(await statusOf(client, "/untrusted"), 503);
    assertEquals(asked, ["/a"]);
    client.close();
    await proxy.idle();
  });
}

Deno.test("HTTP/2: every stream is asked about, held, and given up with its client", async () => {
  using directory = new TemporaryDirectory();
  const authority = await makeAuthority();
  const tls = directory.writePair(await makePair({ authority }));
  await using auth = new AuthServer(({ headers }) => {
    const isKnown = headers.some(([name, value]) => name.toLowerCase() === "cookie" && value === "session=1");
    return isKnown ? "HTTP/1.1 200 OK\r\nX-User: me\r\nContent-Length: 0\r\n\r\n" : REFUSED;
  });
  const seen: string[] = [];
  await using backend = new HttpBackend(async (request) => {
    const body = await request.text();
    seen.push([...request.headers].filter(([name]) => /^x.user$/.test(name)).join(" "));
    return new Response(String(body.length));
  });
  await using proxy = await TestProxy.start({
    engine: "fetch",
    proxy: { tls },
    backends: [backend.url],
    concurrency: 100,
    auth: { forward: auth.url, copy: ["X-User"], timeout: "60s" },
  });
  using client = clientFor("HTTP/2", authority);
  const url = `https://localhost:${proxy.port}/`;
  const forged = { "X-User": "admin", "x_user": "admin", "x.user": "admin" };
  const ask = (init: RequestInit & { client?: Deno.HttpClient } = {}) => {
    return fetch(url, { client, ...init, headers: { ...forged, ...init.headers as Record<string, string> } });
  };
  const known = { cookie: "session=1" };
  const bodies = ["x".repeat(100_000), "hello", ""];
  const answers = await Promise.all([
    ...bodies.map((body) => ask({ method: "POST", body, headers: known })),
    ask({ headers: known }),
    ask({ method: "DELETE", headers: known }),
    ...bodies.map((body) => ask({ method: "PUT", body })),
    ask(),
  ]);
  const texts = await Promise.all(answers.map(async (answer) => `${answer.status} ${await answer.text()}`));
  assertEquals(texts, ["200 100000", "200 5", "200 0", "200 0", "200 0", "403 no", "403 no", "403 no", "403 no"]);
  assertEquals(seen.filter((users) => users !== "x-user,me"), []);
  assertEquals(auth.said("x-forwarded-proto"), "https");
  assertEquals(auth.said("x-forwarded-host"), `localhost:${proxy.port}`);
  auth.freeze();
  const before = auth.questions.length;
  const leaving = new AbortController();
  const left = ask({ signal: leaving.signal, headers: known }).catch(() => "left");
  await waitFor(() => auth.questions.length === before + 1, { what: "the question" });
  assertEquals(proxy.roundhouse.memory.limits.concurrency("all").current, 1);
  leaving.abort();
  assertEquals(await left, "left");
  await isIdle(proxy);
});

Deno.test("a pool of unix sockets is asked", async () => {
  using directory = new SocketDirectory();
  const path = directory.at("auth");
  await using _server = Deno.serve({ path, onListen() {} }, () => new Response(null, { headers: { "x-user": "me" } }));
  await using backend = new HttpBackend((request) => new Response(request.headers.get("x-user")));
  for (const engine of ["fetch", "wire"] as const) {
    await using proxy = await TestProxy.start({
      engine,
      backends: [backend.url],
      pools: { auth: { backends: [`unix:${path}`] } },
      auth: { forward: { pool: "auth", path: "/a" }, copy: ["X-User"] },
    });
    using client = await RawClient.connect(proxy.port);
    const response = await client.request("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assertEquals([response?.status, new TextDecoder().decode(response?.body)], [200, "me"]);
    client.close();
    await proxy.idle();
  }
});

Deno.test("auth for all holds for redirects, responses and what no route takes", async () => {
  await using auth = new AuthServer(REFUSED);
  await using backend = HttpBackend.named("b");
  await using proxy = await TestProxy.start({
    backends: [backend.url],
    auth: { forward: auth.url },
    routes: {
      "x/*": "default",
      "x/page": { respond: 200 },
      "x/moved": { redirect: "/" },
      "x/open": { respond: 200, auth: null },
    },
  });
  using client = await RawClient.connect(proxy.port);
  for (const target of ["/", "/page", "/moved"]) assertEquals(await statusOf(client, target), 403, target);
  assertEquals((await client.request("GET / HTTP/1.1\r\nHost: nowhere\r\n\r\n"))?.status, 403);
  assertEquals(await statusOf(client, "/open"), 200);
  auth.verdict = () => "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\n\r\n";
  for (const [target, status] of [["/page", 200], ["/moved", 308], ["/", 200]] as const) {
    const response = await client.request(`GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
    assertEquals([response?.status, response && headerOf(response, "set-cookie")], [status, "a=1"], target);
  }
  client.close();
  await proxy.idle();
});

Deno.test("GET /explain says who would be asked, and asks nobody", async () => {
  await using auth = new AuthServer();
  await using backend = HttpBackend.named("b");
  await using proxy = await TestProxy.start({
    backends: [backend.url],
    pools: { auth: { backends: [auth.origin] } },
    auth: { forward: `${auth.url}?token=abc`, preflight: true },
    routes: {
      "*/*": "default",
      "*/pool": { pool: "default", auth: { forward: { pool: "auth", path: "/auth" } } },
      "*/open": { pool: "default", auth: null },
    },
  });
  const explain = async (path: string, more: Record<string, string> = {}) => {
    const query = new URLSearchParams({ url: `http://x${path}`, ...more });
    return await (await fetch(`${proxy.adminUrl}/explain?${query}`)).json();
  };
  const { guards, backend: picked, settings } = await explain("/");
  const reason = `${auth.url}?token=*** would be asked, and decides`;
  assertEquals(guards, [{ guard: "auth", refuses: false, reason }]);
  assertEquals(picked?.url, backend.url);
  assertEquals(settings.auth.value.forward, `${auth.url}?token=***`);
  assertEquals((await explain("/pool")).guards[0].reason, "the pool auth would be asked, and decides");
  assertEquals((await explain("/open")).guards, []);
  assertLess(auth.questions.length, 1);
});
