// The proxy behind a unix socket: who its clients are, what backends and guards learn of them, and whose the socket is.

import { assert, assertEquals, assertRejects } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { ConfigError } from "../../src/errors.ts";
import { answered, get, post, within } from "../conformance/engine_under_test.ts";
import { makeAuthority, makePair } from "../support/certificates.ts";
import { hasCommand } from "../support/has_command.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";
import { type RawClient, textOf } from "../support/raw_client.ts";
import { ok, RecordingBackend, valuesOf } from "../support/raw_recorder.ts";
import { acceptWebSocket, textFrame, webSocketHandshake } from "../support/raw_websocket.ts";
import { connectTo, leaveStaleSocket, SocketDirectory } from "../support/unix_socket.ts";
import { waitFor } from "../support/wait.ts";

const ENGINES = ["fetch", "wire"] as const;

/** A proxy on a socket, and the directory of the socket. */
class SocketProxy implements AsyncDisposable {
  readonly proxy: TestProxy;
  readonly #directory: SocketDirectory;

  private constructor(proxy: TestProxy, directory: SocketDirectory) {
    this.proxy = proxy;
    this.#directory = directory;
  }

  static async start(settings: ConfigFile): Promise<SocketProxy> {
    const directory = new SocketDirectory();
    try {
      return new SocketProxy(await startAt(directory.at("front"), settings), directory);
    } catch (error) {
      directory[Symbol.dispose]();
      throw error;
    }
  }

  connect(): Promise<RawClient> {
    return connectTo(this.proxy.path);
  }

  /** The status of a request on a connection of its own. */
  async status(request = get("/")): Promise<number> {
    using client = await this.connect();
    return (await answered(client.request(request))).status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy[Symbol.asyncDispose]();
    this.#directory[Symbol.dispose]();
  }
}

function startAt(path: string, settings: ConfigFile): Promise<TestProxy> {
  return TestProxy.start({ ...settings, proxy: { workers: 1, ...settings.proxy, host: `unix:${path}` } });
}

for (const engine of ENGINES) {
  Deno.test(`${engine}: a client of a socket has no address to forward, and can't name one`, async () => {
    await using backend = new RecordingBackend();
    const log = { access: true };
    await using front = await SocketProxy.start({ engine, backends: [backend.url], log });
    using client = await front.connect();
    const spoofed = "X-Forwarded-For: 192.0.2.7\r\nX-Real-IP: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n";
    for (const headers of ["", spoofed]) {
      const response = await answered(client.request(get("/a?b=c", headers)));
      assertEquals([response.status, textOf(response)], [200, "GET /a?b=c 0"]);
      for (const name of ["x-forwarded-for", "x-real-ip"]) assertEquals(valuesOf(backend.last, name), []);
      assertEquals(valuesOf(backend.last, "host"), ["x"]);
      assertEquals(valuesOf(backend.last, "x-forwarded-host"), ["x"]);
      assertEquals(valuesOf(backend.last, "x-forwarded-proto"), ["http"]);
    }
    client.close();
    await front.proxy.idle();
    await waitFor(() => front.proxy.log.of("request").length === 2, { what: "the access log" });
    assertEquals(front.proxy.log.of("request").map(({ fields }) => fields["client"]), ["unix", "unix"]);
    assertEquals(backend.violations, []);
  });

  Deno.test(`${engine}: the word of a trusted client of a socket counts, and nothing is added to it`, async () => {
    await using backend = new RecordingBackend();
    await using front = await SocketProxy.start({
      engine,
      backends: [backend.url],
      proxy: { trustForwarded: ["unix", "10.0.0.0/8"] },
      deny: ["192.0.2.0/24"],
      log: { access: true },
    });
    const cases = [
      ["198.51.100.1, 10.0.0.1", 200, "198.51.100.1"],
      ["198.51.100.1, 192.0.2.7", 403, "192.0.2.7"],
      ["192.0.2.7, 198.51.100.1", 200, "198.51.100.1"],
      ["2001:db8::1", 200, "2001:db8::1"],
    ] as const;
    for (const [chain, status] of cases) {
      assertEquals(await front.status(get("/", `X-Forwarded-For: ${chain}\r\nX-Forwarded-Proto: https\r\n`)), status);
      if (status !== 200) continue;
      assertEquals(valuesOf(backend.last, "x-forwarded-for"), [chain]);
      assertEquals(valuesOf(backend.last, "x-forwarded-proto"), ["https"]);
    }
    assertEquals(await front.status(), 200);
    assertEquals(valuesOf(backend.last, "x-forwarded-for"), []);
    await waitFor(() => front.proxy.log.of("request").length === 5, { what: "the access log" });
    const clients = front.proxy.log.of("request").map(({ fields }) => fields["client"]);
    assertEquals(clients, [...cases.map(([, , client]) => client), "unix"]);
  });

  Deno.test(`${engine}: guards, hashes and sessions see all clients of a socket as one, which is in no list of addresses`, async () => {
    const backends = Array.from({ length: 6 }, (_, index) => new RecordingBackend(() => ok(String(index))));
    await using all = new AsyncDisposableStack();
    for (const backend of backends) all.use(backend);
    await using front = await SocketProxy.start({
      engine,
      backends: backends.map(({ url }) => url),
      strategy: "ip-hash",
      routes: {
        "*/": "default",
        "*/limited": { pool: "default", rateLimit: { requests: 2, per: "1h", burst: 2, by: "client" } },
        "*/allow": { pool: "default", allow: ["0.0.0.0/0", "::/0"] },
        "*/deny": { pool: "default", deny: ["0.0.0.0/0", "::/0"] },
      },
    });
    for (let round = 0; round < 5; round++) assertEquals(await front.status(), 200);
    assertEquals(backends.filter(({ requests }) => requests.length > 0).length, 1);
    assertEquals([await front.status(get("/allow")), await front.status(get("/deny"))], [403, 200]);
    const statuses = [];
    for (let round = 0; round < 3; round++) statuses.push(await front.status(get("/limited")));
    assertEquals(statuses, [200, 200, 429]);
    const explain = new URL("/explain?url=http://x/allow&ip=unix", front.proxy.adminUrl);
    const { guards } = await (await fetch(explain)).json();
    assertEquals(guards.map(({ guard, refuses }: Record<string, unknown>) => [guard, refuses]), [["allow", true]]);
  });

  Deno.test(`${engine}: bodies of every size go through a socket, both ways`, async () => {
    await using backend = new HttpBackend((request) => new Response(request.body));
    await using front = await SocketProxy.start({ engine, backends: [backend.url] });
    using http = Deno.createHttpClient({ proxy: { transport: "unix", path: front.proxy.path } });
    for (const bytes of [0, 1, 65_536, 8_000_000]) {
      const body = new Uint8Array(bytes).map((_, index) => index % 251);
      const response = await fetch("http://localhost/echo", { client: http, method: "POST", body });
      assertEquals(new Uint8Array(await response.arrayBuffer()).length, bytes);
    }
    await front.proxy.idle();
  });

  Deno.test(`${engine}: a WebSocket goes through sockets on both sides`, async () => {
    using directory = new SocketDirectory();
    await using backend = new RecordingBackend(async (_, connection) => {
      await acceptWebSocket(connection);
      await connection.send(textFrame("hello", false));
      await connection.toEnd();
      return undefined;
    }, { path: directory.at("backend") });
    await using front = await SocketProxy.start({ engine, backends: [backend.url] });
    using client = await front.connect();
    const response = await answered(client.request(webSocketHandshake("/chat")));
    assertEquals(response.status, 101);
    assertEquals(await within(client.chunk(), "the message"), textFrame("hello", false));
    assertEquals(backend.last.target, engine === "fetch" ? "http://ws.example/chat" : "/chat");
    assertEquals(valuesOf(backend.last, "x-forwarded-for"), []);
    client.close();
    await front.proxy.idle();
  });

  Deno.test(`${engine}: targets arrive as they were sent, in every form that a client may use`, async () => {
    // The runtime's URL of a request at a socket begins with its path, where others have the host.
    await using backend = new RecordingBackend();
    await using front = await SocketProxy.start({ engine, backends: [backend.url] });
    const targets = ["/", "/a/b?c=d&e", "/http+unix://x/", "/a//b", "/?http://y/", "/%2Frun"];
    for (const target of targets) {
      using client = await front.connect();
      const response = await answered(client.request(get(target)));
      assertEquals([response.status, textOf(response)], [200, `GET ${target} 0`], target);
    }
    using client = await front.connect();
    const absolute = await answered(client.request("GET http://y.example/a HTTP/1.1\r\nHost: y.example\r\n\r\n"));
    assertEquals([absolute.status, textOf(absolute)], [200, "GET /a 0"]);
    assertEquals(valuesOf(backend.last, "host"), ["y.example"]);
    assertEquals(backend.violations, []);
  });

  Deno.test(`${engine}: a request without Host, or with a malformed one, is refused at a socket, too`, async () => {
    await using backend = new RecordingBackend();
    await using front = await SocketProxy.start({ engine, backends: [backend.url] });
    const wrong = ["", "Host: a b\r\n", "Host: a/b\r\n", "Host: x\r\nHost: y\r\n", "Host: %2Frun%2Fx.sock@y\r\n"];
    for (const headers of wrong) {
      assertEquals(await front.status(`GET / HTTP/1.1\r\n${headers}\r\n`), 400, headers);
    }
    assertEquals(await front.status("GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
    assertEquals(valuesOf(backend.last, "host"), ["y"]);
    assertEquals(await front.status("GET http+unix://y/ HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
  });

  Deno.test(`${engine}: a socket that a killed process has left is replaced, and one in use is an error that names the setting`, async () => {
    using directory = new SocketDirectory();
    const path = directory.at("front");
    await leaveStaleSocket(path);
    const proxy = await startAt(path, { engine });
    try {
      assertEquals(proxy.url, `unix:${path}`);
      assertEquals((Deno.statSync(path).mode ?? 0) & 0o777, 0o660);
      const error = await assertRejects(() => startAt(path, { engine }), ConfigError);
      assertEquals(error.lines, [`proxy.host: can't listen on unix:${path}: another process listens there`]);
      using client = await connectTo(path);
      assertEquals((await answered(client.request(get("/")))).status, 503);
    } finally {
      await proxy[Symbol.asyncDispose]();
    }
    await assertRejects(() => Deno.lstat(path), Deno.errors.NotFound);
    const text = `${directory.path}/text`;
    Deno.writeTextFileSync(text, "kept");
    const error = await assertRejects(() => startAt(text, { engine }), ConfigError);
    assertEquals(error.lines, [`proxy.host: can't listen on unix:${text}: there is a file that is not a socket`]);
    const nowhere = `${directory.path}/none/a.sock`;
    assert((await assertRejects(() => startAt(nowhere, { engine }), ConfigError)).lines[0]?.startsWith("proxy.host: "));
  });

  Deno.test(`${engine}: socketMode is the mode of the socket, and the end leaves a socket alone that another process has made`, async () => {
    using directory = new SocketDirectory();
    const path = directory.at("front");
    const proxy = await startAt(path, { engine, proxy: { socketMode: "0600" } });
    assertEquals((Deno.statSync(path).mode ?? 0) & 0o777, 0o600);
    Deno.removeSync(path);
    using _other = Deno.listen({ transport: "unix", path });
    await proxy[Symbol.asyncDispose]();
    (await connectTo(path)).close();
  });

  Deno.test(`${engine}: a stop answers what is in flight, and no new client comes in`, async () => {
    const held = Promise.withResolvers<void>();
    await using backend = new HttpBackend(async () => {
      await held.promise;
      return new Response("served");
    });
    await using front = await SocketProxy.start({ engine, backends: [backend.url] });
    using client = await front.connect();
    await client.send(get("/"));
    await waitFor(() => backend.requests === 1, { what: "the request" });
    const stopped = front.proxy.roundhouse.stop();
    const isGone = () => connectTo(front.proxy.path).then((late) => late.close(), () => true);
    await waitFor(async () => await isGone() === true, { what: "the socket to be closed" });
    await assertRejects(() => Deno.lstat(front.proxy.path), Deno.errors.NotFound);
    held.resolve();
    assertEquals(textOf(await answered(client.response())), "served");
    assertEquals(await stopped, true);
  });

  Deno.test({
    name: `${engine}: nginx and curl come through a socket`,
    ignore: !hasCommand("nginx") || !hasCommand("curl"),
    async fn() {
      await using backend = new RecordingBackend();
      const trustForwarded = ["unix"];
      await using front = await SocketProxy.start({ engine, backends: [backend.url], proxy: { trustForwarded } });
      const { path } = front.proxy;
      const args = ["-sS", "--unix-socket", path, "http://app.example/a?b"];
      const { stdout } = await new Deno.Command("curl", { args }).output();
      assertEquals(new TextDecoder().decode(stdout), "GET /a?b 0");
      assertEquals(valuesOf(backend.last, "host"), ["app.example"]);

      using directory = new SocketDirectory();
      await using nginx = await startNginx(directory, path);
      const body = new Uint8Array(300_000).fill(97);
      const options = { method: "POST", body, headers: { "x-forwarded-for": "192.0.2.1" } };
      using viaNginx = Deno.createHttpClient({ proxy: { transport: "unix", path: nginx.path } });
      const response = await fetch("http://app.example/upload", { ...options, client: viaNginx });
      assertEquals(await response.text(), "POST /upload 300000");
      assertEquals(valuesOf(backend.last, "x-forwarded-for"), ["192.0.2.1, unix:"]);
      assertEquals(backend.violations, []);
    },
  });
}

/** nginx on a socket of its own, which forwards to the socket at `path`. */
async function startNginx(directory: SocketDirectory, path: string) {
  const own = directory.at("nginx");
  const config = `${directory.path}/nginx.conf`;
  Deno.writeTextFileSync(
    config,
    `user root; daemon off; pid ${directory.path}/pid; error_log ${directory.path}/log;
events {}
http {
  access_log off; client_body_temp_path ${directory.path}/b; proxy_temp_path ${directory.path}/p;
  fastcgi_temp_path ${directory.path}/f; uwsgi_temp_path ${directory.path}/u; scgi_temp_path ${directory.path}/s;
  server {
    listen unix:${own};
    location / {
      proxy_pass http://unix:${path}:;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
  }
}`,
  );
  const child = new Deno.Command("nginx", { args: ["-c", config], stdout: "null", stderr: "null" }).spawn();
  const connected = () => connectTo(own).then((client) => (client.close(), true), () => false);
  await waitFor(connected, { what: "nginx" });
  return {
    path: own,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.status;
    },
  };
}

Deno.test("wire: the PROXY protocol tells the clients of a socket apart", async () => {
  await using backend = new RecordingBackend();
  const proxy = { proxyProtocol: true };
  await using front = await SocketProxy.start({ engine: "wire", backends: [backend.url], proxy });
  const signature = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
  const ofUnix = Uint8Array.of(...signature, 0x21, 0x31, 0, 216, ...new Uint8Array(216));
  const cases = [
    ["PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", ["192.0.2.7"]],
    ["PROXY TCP6 2001:db8::9 2001:db8::1 56324 443\r\n", ["2001:db8::9"]],
    ["PROXY UNKNOWN\r\n", []],
    [ofUnix, []],
  ] as const;
  for (const [header, forwardedFor] of cases) {
    using client = await front.connect();
    await client.send(header);
    assertEquals((await answered(client.request(get("/")))).status, 200);
    assertEquals(valuesOf(backend.last, "x-forwarded-for"), [...forwardedFor]);
  }
  using without = await front.connect();
  await without.send(get("/"));
  assertEquals(await within(without.closed(), "the end"), true);
});

Deno.test("wire: a request of HTTP/1.0 without Host goes on with the name of this machine", async () => {
  await using backend = new RecordingBackend();
  await using front = await SocketProxy.start({ engine: "wire", backends: [backend.url] });
  assertEquals(await front.status("GET / HTTP/1.0\r\n\r\n"), 200);
  assertEquals(valuesOf(backend.last, "host"), ["localhost"]);
});

Deno.test("wire: TLS is spoken over a socket", async () => {
  using directory = new SocketDirectory();
  const authority = await makeAuthority();
  const pair = await makePair({ authority });
  const tls = { cert: directory.at("cert"), key: directory.at("key") };
  Deno.writeTextFileSync(tls.cert, pair.cert);
  Deno.writeTextFileSync(tls.key, pair.key);
  await using backend = new RecordingBackend();
  await using front = await SocketProxy.start({ engine: "wire", backends: [backend.url], proxy: { tls } });
  const args = ["-sS", "--cacert", directory.at("authority"), "--unix-socket", front.proxy.path, "https://localhost/a"];
  Deno.writeTextFileSync(directory.at("authority"), authority.cert);
  const { stdout, stderr } = await new Deno.Command("curl", { args }).output();
  assertEquals(new TextDecoder().decode(stdout), "GET /a 0", new TextDecoder().decode(stderr));
  assertEquals(valuesOf(backend.last, "x-forwarded-proto"), ["https"]);
  assertEquals(await front.status(), 400); // plain HTTP
});

Deno.test("an upload over a socket that the client breaks off ends at the backend, too", async () => {
  for (const engine of ENGINES) {
    await using backend = new RecordingBackend();
    await using front = await SocketProxy.start({ engine, backends: [backend.url] });
    using client = await front.connect();
    await client.send(post("/", "x".repeat(100)).replace("Content-Length: 100", "Content-Length: 200"));
    await waitFor(() => backend.requests.length === 1, { what: "the request" });
    client.close();
    await waitFor(() => backend.requests[0]?.ended === true, { what: "its end" });
    assertEquals(backend.requests[0]?.complete, false);
    await front.proxy.idle();
  }
});

// It served nobody any more, and neither the log nor /readyz said so.
for (const engine of ENGINES) {
  Deno.test(`${engine}: a socket whose file is removed is opened anew, and connections go on`, async () => {
    await using backend = new RecordingBackend();
    await using front = await SocketProxy.start({ engine, backends: [backend.url], proxy: { socketMode: "0600" } });
    using kept = await front.connect();
    assertEquals((await answered(kept.request(get("/")))).status, 200);
    for (let removal = 1; removal <= 2; removal++) {
      Deno.removeSync(front.proxy.path);
      await waitFor(() => isThere(front.proxy.path), { what: "the new file" });
      assertEquals((Deno.statSync(front.proxy.path).mode ?? 0) & 0o777, 0o600);
      assertEquals(await front.status(), 200);
      assertEquals((await answered(kept.request(get("/")))).status, 200);
      await waitFor(() => front.proxy.log.of("socket removed").length === removal, { what: "the warning" });
      await waitFor(async () => await readyz(front.proxy) === 200, { what: "/readyz" });
    }
  });

  Deno.test(`${engine}: while another process has its path, /readyz is 503; then it serves again`, async () => {
    await using backend = new RecordingBackend();
    await using front = await SocketProxy.start({ engine, backends: [backend.url] });
    const { path } = front.proxy;
    {
      Deno.removeSync(path);
      using _other = Deno.listen({ transport: "unix", path });
      await waitFor(async () => await readyz(front.proxy) === 503, { what: "/readyz" });
      assertEquals(front.proxy.log.of("socket replaced").map(({ level, fields }) => [level, fields["path"]]), [
        ["warn", path],
      ]);
    } // which removes the file
    await waitFor(async () => await readyz(front.proxy) === 200, { what: "/readyz" });
    assertEquals(await front.status(), 200);
  });
}

function isThere(path: string): boolean {
  try {
    return Deno.lstatSync(path).isSocket === true;
  } catch {
    return false;
  }
}

async function readyz({ adminUrl }: TestProxy): Promise<number> {
  const response = await fetch(`${adminUrl}/readyz`);
  await response.body?.cancel();
  return response.status;
}
