// Certificates that roundhouse shows to backends: requests, WebSockets and checks, both engines, and what a reload does.

import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { createServer, type TLSSocket } from "node:tls";
import type { AddressInfo } from "node:net";
import type { ConfigFile } from "../../src/config/schema.ts";
import { ConfigError } from "../../src/errors.ts";
import { ask, get, post, within } from "../conformance/engine_under_test.ts";
import { makeAuthority, makePair, type Pair, serialOf, TemporaryDirectory } from "../support/certificates.ts";
import { hasCommand } from "../support/has_command.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawClient, textOf } from "../support/raw_client.ts";
import { webSocketHandshake } from "../support/raw_websocket.ts";
import { waitFor } from "../support/wait.ts";

const ENGINES = ["fetch", "wire"] as const;

/** A server that answers with the serial number of the certificate that it was shown, and with `-` for none. */
class AskingBackend implements AsyncDisposable {
  readonly port: number;
  readonly url: string;
  readonly seen: string[] = [];
  readonly #server: ReturnType<typeof createServer>;
  readonly #sockets = new Set<TLSSocket>();

  private constructor(server: ReturnType<typeof createServer>, port: number) {
    this.#server = server;
    this.port = port;
    this.url = `https://localhost:${port}`;
    server.on("secureConnection", (socket) => this.#serve(socket));
    server.on("tlsClientError", () => {});
  }

  static async start(pair: Pair, authority: Pair): Promise<AskingBackend> {
    const server = createServer({ ...pair, ca: authority.cert, requestCert: true, rejectUnauthorized: false });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new AskingBackend(server, (server.address() as AddressInfo).port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(socket: TLSSocket): void {
    this.#sockets.add(socket);
    const shown = socket.getPeerCertificate()?.serialNumber ?? "-";
    const who = socket.authorized ? shown : shown === "-" ? "-" : "unknown";
    let text = "";
    socket.on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      for (let end = text.indexOf("\r\n\r\n"); end !== -1; end = text.indexOf("\r\n\r\n")) {
        const head = text.slice(0, end);
        const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
        if (text.length < end + 4 + length) return;
        text = text.slice(end + 4 + length);
        this.seen.push(who);
        const status = /^upgrade:/im.test(head) ? "403 Forbidden" : "200 OK";
        socket.write(`HTTP/1.1 ${status}\r\nX-Seen: ${who}\r\nContent-Length: ${who.length}\r\n\r\n${who}`);
      }
    });
  }
}

/** Everything that a backend with a client certificate needs. */
class Setup implements Disposable {
  readonly directory = new TemporaryDirectory();
  readonly authority: Pair;
  readonly server: Pair;
  readonly client: Pair;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;

  private constructor(authority: Pair, server: Pair, client: Pair) {
    this.authority = authority;
    this.server = server;
    this.client = client;
    this.ca = this.directory.write("ca.pem", authority.cert);
    this.cert = this.directory.write("client.crt", client.cert);
    this.key = this.directory.write("client.key", client.key);
  }

  static async make(): Promise<Setup> {
    const authority = await makeAuthority();
    const pairs = [makePair({ authority }), makePair({ authority, name: "roundhouse.test" })];
    const [server, client] = await Promise.all(pairs);
    if (server === undefined || client === undefined) throw new Error("no certificates");
    return new Setup(authority, server, client);
  }

  [Symbol.dispose](): void {
    this.directory[Symbol.dispose]();
  }
}

for (const engine of ENGINES) {
  Deno.test(`${engine}: a backend is shown its certificate, in requests, WebSockets and checks, and others are not`, async () => {
    using setup = await Setup.make();
    const { ca, cert, key } = setup;
    await using named = await AskingBackend.start(setup.server, setup.authority);
    await using other = await AskingBackend.start(setup.server, setup.authority);
    const health = { type: "http", interval: "50ms", path: "/up" } as const;
    const backends = [{ url: named.url, tls: { ca, cert, key } }, { url: other.url, tls: { ca }, backup: true }];
    await using proxy = await TestProxy.start({ engine, backends, health });
    const serial = serialOf(setup.client);
    using client = await RawClient.connect(proxy.port);
    for (const request of [get("/"), post("/", "abc"), get("/again")]) {
      assertEquals(textOf(await ask(client, request)), serial);
    }
    assertEquals((await ask(client, webSocketHandshake())).status, 403);
    await waitFor(() => other.seen.length > 0 && named.seen.length > 5, { what: "checks" });
    assertEquals([new Set(named.seen), new Set(other.seen)], [new Set([serial]), new Set(["-"])]);
    client.close();
    await proxy.idle();
  });

  Deno.test(`${engine}: a reload shows the certificate that the files have by then, and keeps it while they are the same`, async () => {
    using setup = await Setup.make();
    const { ca, cert, key, authority, directory } = setup;
    await using backend = await AskingBackend.start(setup.server, authority);
    const settings: ConfigFile = { engine, backends: [{ url: backend.url, tls: { ca, cert, key } }] };
    await using proxy = await TestProxy.start(settings);
    const ask = async () => await (await fetch(proxy.url)).text();
    const first = serialOf(setup.client);
    assertEquals(await ask(), first);
    const kept = proxy.backend(backend.url);
    await proxy.roundhouse.reload();
    assertEquals(proxy.backend(backend.url) === kept, true);
    const next = await makePair({ authority, name: "roundhouse.test" });
    directory.write("client.crt", next.cert);
    const error = await assertRejects(() => proxy.roundhouse.reload(), ConfigError);
    assertEquals(error.lines, [`backends[0].tls.key: the key in ${key} does not belong to the certificate in ${cert}`]);
    directory.write("client.key", next.key);
    await proxy.roundhouse.reload();
    assertEquals(proxy.backend(backend.url) === kept, false);
    await waitFor(async () => await ask() === serialOf(next), { what: "the new certificate" });
  });

  Deno.test(`${engine}: files that can't be used are errors that name their place`, async () => {
    using setup = await Setup.make();
    const { ca, cert, key, authority, directory } = setup;
    const old = await makePair({ authority, days: -1 });
    const [oldCert, oldKey] = [directory.write("old.crt", old.cert), directory.write("old.key", old.key)];
    const text = directory.write("text", "nothing");
    const refusals = async (tls: object, pool?: string) => {
      const backends = [{ url: "https://localhost:1", tls }];
      const list = pool === undefined ? { backends } : { pools: { [pool]: { backends } }, routes: { "*/": pool } };
      return (await assertRejects(() => TestProxy.start({ engine, ...list }), ConfigError)).lines;
    };
    assertEquals(await refusals({ cert: ca, key }), [
      `backends[0].tls.key: the key in ${key} does not belong to the certificate in ${ca}`,
    ]);
    assertEquals(await refusals({ cert: text, key: text }), [
      `backends[0].tls.cert: ${text} has no certificate in PEM`,
      `backends[0].tls.key: ${text} has no private key in PEM`,
    ]);
    assertEquals(await refusals({ cert, key: "/nowhere" }, "api"), [
      "pools.api.backends[0].tls.key: /nowhere can't be read: no such file",
    ]);
    assertMatch((await refusals({ cert: oldCert, key: oldKey })).join(), /^backends\[0\]\.tls\.cert: .* expired at /);
  });

  Deno.test({
    name: `${engine}: nginx with ssl_verify_client takes the certificate, and turns away who shows none`,
    ignore: !hasCommand("nginx"),
    async fn() {
      using setup = await Setup.make();
      const { ca, cert, key } = setup;
      await using nginx = await startNginx(setup);
      const certified = { url: nginx.url, tls: { ca, cert, key } };
      const health = { type: "http", path: "/", interval: "50ms", status: "200", startUp: false } as const;
      await using proxy = await TestProxy.start({ engine, backends: [certified], health });
      await waitFor(() => proxy.backend(nginx.url).up, { what: "a check that passes" });
      const response = await fetch(proxy.url);
      assertEquals([response.status, await response.text()], [200, "CN=test server"]);
      await using without = await TestProxy.start({ engine, backends: [{ url: nginx.url, tls: { ca } }], health });
      const check = () => without.backend(nginx.url).lastCheck;
      await waitFor(() => check() !== null, { what: "a check" });
      assertEquals(check()?.error, "status 400");
    },
  });
}

async function startNginx({ directory, ca, server }: Setup) {
  const files = directory.writePair(server);
  const { port } = await freePort();
  const path = directory.path;
  const config = directory.write(
    "nginx.conf",
    `user root; daemon off; pid ${path}/pid; error_log ${path}/log;
events {}
http {
  access_log off; client_body_temp_path ${path}/b; proxy_temp_path ${path}/p;
  fastcgi_temp_path ${path}/f; uwsgi_temp_path ${path}/u; scgi_temp_path ${path}/s;
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${files.cert}; ssl_certificate_key ${files.key};
    ssl_client_certificate ${ca}; ssl_verify_client on;
    location / { return 200 $ssl_client_s_dn; }
  }
}`,
  );
  const child = new Deno.Command("nginx", { args: ["-c", config], stdout: "null", stderr: "null" }).spawn();
  const connected = () => RawClient.connect(port).then((client) => (client.close(), true), () => false);
  await waitFor(connected, { what: "nginx" });
  return {
    url: `https://localhost:${port}`,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.status;
    },
  };
}

/** A port that was free a moment ago: nginx can't choose one. */
function freePort(): Promise<{ readonly port: number }> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return Promise.resolve({ port: listener.addr.port });
}

Deno.test("wire: a certificate is shown with insecure and with serverName, too, and a wrong name is refused", async () => {
  using setup = await Setup.make();
  const { ca, cert, key, authority } = setup;
  const pair = await makePair({ authority, name: "api.test" });
  const serial = serialOf(setup.client);
  const health = { type: "http", interval: "50ms", path: "/" } as const;
  const cases = [
    [{ insecure: true }, 200],
    [{ insecure: true, serverName: "else.test" }, 200],
    [{ ca, serverName: "api.test" }, 200],
    [{ ca, serverName: "else.test" }, 502],
    [{ ca }, 502],
    [{ serverName: "api.test" }, 502],
  ] as const;
  for (const [tls, status] of cases) {
    await using backend = await AskingBackend.start(pair, authority); // a check of another case may still be under way
    const backends = [{ url: `https://127.0.0.1:${backend.port}`, tls: { ...tls, cert, key } }];
    const passive = { connectFailures: 0 };
    await using proxy = await TestProxy.start({ engine: "wire", backends, health, passive });
    const lastCheck = () => proxy.backends[0]?.lastCheck;
    await waitFor(() => lastCheck() !== null, { what: "a check" });
    assertEquals(lastCheck()?.ok, status === 200, JSON.stringify([tls, lastCheck()]));
    using client = await RawClient.connect(proxy.port);
    const response = await ask(client, get("/"));
    if (status === 200) assertEquals([response.status, textOf(response)], [200, serial], JSON.stringify(tls));
    else assertEquals(response.status >= 502, true, JSON.stringify(tls));
    assertEquals(backend.seen.filter((who) => who !== serial), []);
    assertEquals(backend.seen.length > 0, status === 200);
  }
});

Deno.test("wire: a connection with a certificate ends in time where a backend never makes the handshake", async () => {
  using setup = await Setup.make();
  const { ca, cert, key } = setup;
  using mute = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const backends = [{ url: `https://localhost:${mute.addr.port}`, tls: { ca, cert, key } }];
  await using proxy = await TestProxy.start({ engine: "wire", backends, timeouts: { connect: "200ms" } });
  const accepted = mute.accept();
  using client = await RawClient.connect(proxy.port);
  const response = await within(client.request(get("/")), "an answer");
  assertEquals(response?.status, 502);
  (await accepted).close();
});
