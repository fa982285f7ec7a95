// Backends on unix sockets: requests, checks, retries, WebSockets and tunnels, and who may name a socket.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ask, get, post, within } from "../conformance/engine_under_test.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawClient, textOf } from "../support/raw_client.ts";
import { RecordingBackend, valuesOf } from "../support/raw_recorder.ts";
import { acceptWebSocket, textFrame, webSocketHandshake } from "../support/raw_websocket.ts";
import { SocketBackend, SocketDirectory } from "../support/unix_socket.ts";
import { waitFor } from "../support/wait.ts";

const ENGINES = ["fetch", "wire"] as const;

async function json(url: string, init?: RequestInit) {
  const response = await fetch(url, init);
  return { status: response.status, body: await response.json() };
}

for (const engine of ENGINES) {
  Deno.test(`${engine}: requests of every kind reach a backend on a socket, over few connections`, async () => {
    using directory = new SocketDirectory();
    await using backend = new RecordingBackend(undefined, { path: directory.at("app") });
    await using proxy = await TestProxy.start({ engine, backends: [backend.url], proxy: { workers: 1 } });
    using client = await RawClient.connect(proxy.port);
    for (let round = 0; round < 5; round++) {
      assertEquals(textOf(await ask(client, get("/a?b"))), "GET /a?b 0");
      assertEquals(textOf(await ask(client, post("/c", "x".repeat(70_000)))), "POST /c 70000");
      assertEquals((await ask(client, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")).status, 200);
      assertEquals((await ask(client, "DELETE /d HTTP/1.1\r\nHost: x\r\n\r\n")).status, 200);
    }
    assertEquals(valuesOf(backend.last, "host"), ["x"]);
    assertEquals(valuesOf(backend.last, "x-forwarded-for"), ["127.0.0.1"]);
    const connections = new Set(backend.requests.map(({ connection }) => connection)).size;
    if (engine === "wire") assertEquals(connections, 1);
    assertEquals(backend.violations, []);
    client.close();
    await proxy.idle();
  });

  Deno.test(`${engine}: a missing socket is passed by, nothing is lost, and clients don't learn of its path`, async () => {
    using directory = new SocketDirectory();
    await using backend = new HttpBackend(async (request) => new Response(String((await request.bytes()).length)));
    const missing = `unix:${directory.at("missing")}`;
    const passive = { connectFailures: 0 };
    await using proxy = await TestProxy.start({ engine, backends: [missing, backend.url], passive });
    using client = await RawClient.connect(proxy.port);
    for (let round = 0; round < 6; round++) {
      assertEquals(textOf(await ask(client, post("/", "x".repeat(200_000)))), "200000");
    }
    assert(proxy.backend(missing).totalFailures >= 3);
    await using alone = await TestProxy.start({ engine, backends: [missing], passive });
    using other = await RawClient.connect(alone.port);
    for (const request of [get("/"), post("/", "abc"), webSocketHandshake()]) {
      const response = await ask(other, request);
      assertEquals(response.status, 502);
      const whole = response.head + textOf(response);
      assertEquals(whole.includes("missing") || whole.includes(directory.path) || whole.includes("unix"), false, whole);
    }
    const failures = alone.log.lines.filter(({ fields }) => fields["backend"] === missing);
    assert(failures.length > 0);
    client.close();
    other.close();
    await proxy.idle();
    await alone.idle();
  });

  Deno.test(`${engine}: checks go to the socket: over HTTP with a Host that servers take, or by a connection`, async () => {
    using directory = new SocketDirectory();
    const path = directory.at("app");
    for (const type of ["http", "tcp"] as const) {
      let healthy = true;
      const answer = () => new Response("state", { status: healthy ? 200 : 500 });
      let backend = new SocketBackend(path, answer);
      const health = { type, path: "/health?deep", interval: "20ms", port: 1, startUp: false };
      await using proxy = await TestProxy.start({ engine, backends: [backend.url], health });
      const isUp = () => proxy.backend(backend.url).up;
      const lastError = () => proxy.backend(backend.url).lastCheck?.error;
      await waitFor(isUp, { what: "a check that passes" });
      if (type === "http") {
        assertEquals([backend.targets[0], backend.hosts[0]], ["/health?deep", "localhost"]);
        healthy = false;
        await waitFor(() => !isUp(), { what: "a check that fails" });
        assertEquals(lastError(), "status 500");
        healthy = true;
        await waitFor(isUp, { what: "a check that passes again" });
      }
      await backend[Symbol.asyncDispose]();
      await waitFor(() => !isUp(), { what: "a check that finds nobody" });
      await Deno.remove(path).catch(() => {});
      await waitFor(() => lastError()?.startsWith("no such file") === true, { what: "a check that finds no socket" });
      assertEquals(lastError(), "no such file or directory");
      backend = new SocketBackend(path, answer);
      await waitFor(isUp, { what: "a new server at the same socket" });
      await backend[Symbol.asyncDispose]();
      await Deno.remove(path).catch(() => {});
    }
  });

  Deno.test(`${engine}: the Host of checks is the one of health.headers`, async () => {
    using directory = new SocketDirectory();
    await using backend = new SocketBackend(directory.at("app"));
    const health = { type: "http", interval: "20ms", headers: { Host: "app.example" } } as const;
    await using _proxy = await TestProxy.start({ engine, backends: [backend.url], health });
    await waitFor(() => backend.hosts.length > 0, { what: "a check" });
    assertEquals(backend.hosts[0], "app.example");
  });

  Deno.test(`${engine}: two sockets and a port share the traffic, and /status, logs and metrics name each as the file does`, async () => {
    using directory = new SocketDirectory();
    const paths = [directory.at("one"), directory.at("two")] as const;
    await using one = new SocketBackend(paths[0]);
    await using two = new SocketBackend(paths[1]);
    await using three = HttpBackend.named("ok");
    const names = [one.url, `unix://${paths[1]}`, three.url];
    await using proxy = await TestProxy.start({ engine, backends: names, log: { access: true } });
    using client = await RawClient.connect(proxy.port);
    for (let round = 0; round < 9; round++) assertEquals((await ask(client, get("/"))).status, 200);
    assertEquals([one.targets.length, two.targets.length, three.requests], [3, 3, 3]);
    const { body: status } = await json(`${proxy.adminUrl}/status`);
    const urls = status.backends.map(({ url }: { readonly url: string }) => url);
    assertEquals(urls, [one.url, two.url, three.url]);
    assertEquals(two.url, `unix:${paths[1]}`);
    const metrics = await (await fetch(`${proxy.adminUrl}/metrics`)).text();
    assertStringIncludes(metrics, `backend="${one.url}"`);
    client.close();
    await proxy.idle();
    await waitFor(() => proxy.log.of("request").length === 9, { what: "the access log" });
    const logged = new Set(proxy.log.of("request").map(({ fields }) => fields["backend"]));
    assertEquals(logged, new Set([one.url, two.url, three.url]));
  });

  Deno.test(`${engine}: least-latency learns of sockets as of ports`, async () => {
    using directory = new SocketDirectory();
    const slowly = () => new Promise<Response>((resolve) => setTimeout(() => resolve(new Response("slow")), 150));
    await using slow = new SocketBackend(directory.at("slow"), slowly);
    await using fast = new SocketBackend(directory.at("fast"));
    await using proxy = await TestProxy.start({ engine, backends: [slow.url, fast.url], strategy: "least-latency" });
    using client = await RawClient.connect(proxy.port);
    for (let round = 0; round < 30; round++) assertEquals((await ask(client, get("/"))).status, 200);
    assert(fast.targets.length > slow.targets.length, `${fast.targets.length} and ${slow.targets.length}`);
  });

  Deno.test(`${engine}: a WebSocket reaches a backend on a socket, and ends with its drain`, async () => {
    using directory = new SocketDirectory();
    let ended = false;
    await using backend = new RecordingBackend(async (_, connection) => {
      await acceptWebSocket(connection);
      await connection.send(textFrame("hello", false));
      await connection.read(); // a close frame, or the end
      ended = true;
      return undefined;
    }, { path: directory.at("app") });
    await using other = HttpBackend.named("ok");
    await using proxy = await TestProxy.start({ engine, backends: [backend.url, { url: other.url, backup: true }] });
    using client = await RawClient.connect(proxy.port);
    assertEquals((await ask(client, webSocketHandshake("/chat?room=1"))).status, 101);
    assertEquals(await within(client.chunk(), "the message"), textFrame("hello", false));
    assertEquals(backend.last.target, engine === "fetch" ? "http://ws.example/chat?room=1" : "/chat?room=1");
    assertEquals(valuesOf(backend.last, "host"), ["ws.example"]);
    const query = new URLSearchParams({ url: backend.url, drain: "10ms" });
    assertEquals((await json(`${proxy.adminUrl}/backends?${query}`, { method: "DELETE" })).status, 200);
    client.close(); // an answer to the close frame is not sent
    await waitFor(() => ended, { what: "the backend's side to end", timeoutMs: 20_000 });
    await proxy.idle();
  });

  Deno.test(`${engine}: the admin API adds, changes and removes a backend on a socket`, async () => {
    using directory = new SocketDirectory();
    await using backend = new SocketBackend(directory.at("app"));
    await using proxy = await TestProxy.start({ engine });
    const headers = { "content-type": "application/json" };
    const add = (url: string) =>
      json(`${proxy.adminUrl}/backends`, { method: "POST", headers, body: JSON.stringify({ url }) });
    const added = await add(`unix://${directory.at("app")}`);
    assertEquals([added.status, added.body.url], [201, backend.url]);
    assertEquals((await add(backend.url)).status, 409);
    for (
      const wrong of ["unix:app.sock", "unix:/", "unix:/a/../b", `${backend.url}:/base`, `unix:/${"x".repeat(120)}`]
    ) {
      assertEquals((await add(wrong)).status, 400, wrong);
    }
    using client = await RawClient.connect(proxy.port);
    assertEquals((await ask(client, get("/"))).status, 200);
    const query = new URLSearchParams({ url: backend.url });
    const patch = { method: "PATCH", headers, body: '{"weight":7}' };
    assertEquals((await json(`${proxy.adminUrl}/backends/${added.body.id}`, patch)).body.weight, 7);
    assertEquals((await json(`${proxy.adminUrl}/backends?${query}`, { method: "DELETE" })).status, 200);
    assertEquals((await ask(client, get("/"))).status, 503);
  });

  Deno.test(`${engine}: a file of backends may name sockets, a list from a server may not`, async () => {
    // Whoever answers for the list would choose among all sockets of this machine, that of Docker among them.
    using directory = new SocketDirectory();
    await using backend = new SocketBackend(directory.at("app"));
    const list = JSON.stringify([{ url: backend.url }]);
    const file = `${directory.path}/list.json`;
    Deno.writeTextFileSync(file, list);
    const usual = await TestProxy.start({ engine, discover: { file } });
    try {
      using client = await RawClient.connect(usual.port);
      assertEquals((await ask(client, get("/"))).status, 200);
    } finally {
      await usual[Symbol.asyncDispose]();
    }
    // A start waits for the first list that can be used.
    let asked = 0;
    await using lists = new HttpBackend(() => new Response(asked++ === 0 ? "[]" : list));
    await using proxy = await TestProxy.start({ engine, discover: { http: lists.url, refresh: 100 } });
    const refused = "only the configuration, the admin API and a file of backends";
    const status = async () => JSON.stringify((await json(`${proxy.adminUrl}/status`)).body);
    await waitFor(async () => (await status()).includes(refused), { what: "the list to be refused" });
    using client = await RawClient.connect(proxy.port);
    assertEquals((await ask(client, get("/"))).status, 503);
    assertEquals(backend.targets.length, 1);
  });
}

for (const engine of ENGINES) {
  Deno.test(`${engine}: a burst of requests at a socket with a short accept queue fails none`, async () => {
    // The system refuses a connection at once when the queue is full; the backend was then marked down.
    using directory = new SocketDirectory();
    const path = directory.at("app");
    const script = `
import socket,sys,threading,time
s=socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(1)
print("listening",flush=True)
while True:
  c,_=s.accept()
  time.sleep(0.002)
  d=b""
  while b"\\r\\n\\r\\n" not in d: d+=c.recv(65536)
  c.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok"); c.close()
`;
    const command = new Deno.Command("python3", { args: ["-c", script, path], stdout: "piped" });
    const server = command.spawn();
    const reader = server.stdout.getReader();
    await reader.read();
    try {
      await using proxy = await TestProxy.start({ engine, backends: [`unix:${path}`], retries: { attempts: 1 } });
      const statuses = await Promise.all(Array.from({ length: 60 }, async (_, index) => {
        using client = await RawClient.connect(proxy.port);
        return (await ask(client, index % 2 === 0 ? get("/") : post("/", "x"))).status;
      }));
      assertEquals(statuses, statuses.map(() => 200));
      assertEquals(proxy.backend(`unix:${path}`).totalFailures, 0);
      await proxy.idle();
    } finally {
      server.kill("SIGKILL");
      await reader.cancel();
      await server.status;
    }
  });
}

Deno.test("wire: a tunnel reaches a backend on a socket", async () => {
  using directory = new SocketDirectory();
  await using backend = new RecordingBackend(async (_, connection) => {
    await connection.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n");
    for (let piece = await connection.read(); piece !== undefined; piece = await connection.read()) {
      await connection.send(piece);
    }
    await connection.end();
    return undefined;
  }, { path: directory.at("app") });
  await using proxy = await TestProxy.start({ engine: "wire", backends: [backend.url] });
  using client = await RawClient.connect(proxy.port);
  assertEquals((await ask(client, get("/", "Upgrade: echo\r\nConnection: Upgrade\r\n"))).status, 101);
  await client.send("through the tunnel");
  assertEquals(new TextDecoder().decode(await within(client.chunk(), "the echo")), "through the tunnel");
  await client.connection.closeWrite();
  assertEquals(await within(client.closed(), "the end"), true);
  await proxy.idle();
});

Deno.test("wire: pieces of a response arrive when a backend on a socket sends them", async () => {
  using directory = new SocketDirectory();
  const held = Promise.withResolvers<void>();
  await using backend = new RecordingBackend(async (_, connection) => {
    await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
    await held.promise;
    return "def";
  }, { path: directory.at("app") });
  await using proxy = await TestProxy.start({ engine: "wire", backends: [backend.url] });
  using client = await RawClient.connect(proxy.port);
  await client.send(get("/"));
  let text = "";
  while (!text.endsWith("abc")) text += new TextDecoder().decode(await within(client.chunk(), "the first half"));
  held.resolve();
  assertEquals(new TextDecoder().decode(await within(client.chunk(), "the second half")), "def");
});
