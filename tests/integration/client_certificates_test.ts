// Client certificates under `wire`: who gets in, and what backends learn of it.

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { connect } from "node:tls";
import type { ConfigFile } from "../../src/config/schema.ts";
import { ConfigError } from "../../src/errors.ts";
import { clientCertHeader } from "../../src/tls/client_identity.ts";
import { ask, get } from "../conformance/engine_under_test.ts";
import { FOR_SERVERS, issue, issueAuthority, type Issued, NO_CA } from "../support/chains.ts";
import { makeAuthority, makePair, type Pair, serialOf, TemporaryDirectory } from "../support/certificates.ts";
import { hasCommand } from "../support/has_command.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawClient } from "../support/raw_client.ts";
import { RecordingBackend, valuesOf } from "../support/raw_recorder.ts";
import { waitFor } from "../support/wait.ts";

/** A proxy that asks clients for certificates, and what its backend has received. */
class Asking implements AsyncDisposable {
  readonly directory = new TemporaryDirectory();
  readonly backend = new RecordingBackend();
  readonly settings: ConfigFile & { proxy: NonNullable<ConfigFile["proxy"]> };
  readonly #stack = new AsyncDisposableStack();
  readonly #front: Pair;
  #proxy: TestProxy | undefined;

  private constructor(front: Pair, pair: Pair, ca: string, require: boolean) {
    this.#front = front;
    this.#stack.use(this.directory);
    this.#stack.use(this.backend);
    const clientCertificates = { ca: this.directory.write("ca.pem", ca), require };
    this.settings = {
      engine: "wire",
      backends: [this.backend.url],
      proxy: { tls: { ...this.directory.writePair(pair), clientCertificates } },
    };
  }

  static async start(
    ca: string,
    { require, trusting = false, workers }: { require: boolean; trusting?: boolean; workers?: number },
  ) {
    const front = await makeAuthority();
    const asking = new Asking(front, await makePair({ authority: front }), ca, require);
    if (workers !== undefined) asking.settings.proxy.workers = workers;
    if (trusting) asking.settings.proxy.trustForwarded = ["127.0.0.1"];
    asking.#proxy = asking.#stack.use(await TestProxy.start(asking.settings));
    return asking;
  }

  get proxy(): TestProxy {
    assert(this.#proxy !== undefined);
    return this.#proxy;
  }

  connect(own: Pair | undefined): Promise<RawClient> {
    return RawClient.connectTls(this.proxy.port, this.#front, own);
  }

  /** What the backend gets in `Client-Cert` of a client with this certificate; `undefined`: the client was refused. */
  async seen(own: Pair | undefined, lines = ""): Promise<string[] | undefined> {
    const before = this.backend.requests.length;
    try {
      using client = await this.connect(own);
      await client.send(get("/", lines));
      const answer = await client.response();
      if (answer === undefined) return undefined;
      assertEquals(answer.status, 200);
    } catch (error) {
      // Nobody but the client was told of a request that did not come.
      assertMatch(String(error), /alert|reset|EOF|eof|closed|[Bb]roken pipe/);
      assertEquals(this.backend.requests.length, before);
      return undefined;
    }
    return valuesOf(this.backend.last, "client-cert");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

const authority = await issueAuthority();
const own = await issue("own", { issuer: authority });
const middle = await issueAuthority("middle", { issuer: authority });
const lower = await issue("lower", { issuer: middle });
const chained = { cert: lower.cert + middle.cert, key: lower.key };
const invalid: readonly [string, Issued][] = [
  ["another authority's", await issue("other", { issuer: await issueAuthority("authority") })],
  ["one signed by itself", await issue("self")],
  ["an expired one", await issue("expired", { issuer: authority, from: -9, until: -1 })],
  ["one of the future", await issue("future", { issuer: authority, from: 1 })],
  ["one for servers", await issue("server", { issuer: authority, extensions: [NO_CA, FOR_SERVERS] })],
  ["one whose chain has a gap", lower],
];

for (const require of [true, false]) {
  const mode = require ? "required" : "not required";
  Deno.test(`a client certificate, ${mode}: backends get valid ones in Client-Cert, and no others`, async () => {
    await using asking = await Asking.start(authority.cert, { require });
    assertEquals(await asking.seen(own), [clientCertHeader(own.der)]);
    assertEquals(await asking.seen(chained), [clientCertHeader(lower.der)]);
    const refused = require ? undefined : [];
    assertEquals(await asking.seen(undefined), refused);
    for (const [what, pair] of invalid) assertEquals(await asking.seen(pair), refused, what);
    assertEquals(await asking.seen(own), [clientCertHeader(own.der)]);
    await asking.proxy.idle();
  });
}

Deno.test("several certificates and client certificates: both hold for clients that name a host, and for those that name none", async () => {
  await using asking = await Asking.start(authority.cert, { require: true });
  const { directory, proxy, settings } = asking;
  const { clientCertificates = null } = settings.proxy.tls ?? {};
  const [first, second] = [await makePair({ name: "first.example" }), await makePair({ name: "second.example" })];
  const certificates = [directory.writePair(first, "first"), directory.writePair(second, "second")];
  settings.proxy.tls = { certificates, clientCertificates };
  assertEquals((await proxy.roundhouse.reload()).restartNeeded, []);
  const [, foreign] = invalid[0] ?? [];
  for (const [servername, front] of [["", first], ["second.example", second], ["unknown.example", first]] as const) {
    const seen = async (client: Pair | undefined) => {
      const before = asking.backend.requests.length;
      const { promise: ended, resolve } = Promise.withResolvers<void>();
      const to = { host: "127.0.0.1", port: proxy.port, servername, rejectUnauthorized: false };
      const socket = connect({ ...to, ...(client === undefined ? {} : { cert: client.cert, key: client.key }) });
      socket.on("error", () => {}).on("close", resolve).on("data", () => {});
      socket.once("secureConnect", () => {
        assertEquals(socket.getPeerCertificate().serialNumber, serialOf(front));
        socket.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
      });
      await ended;
      return asking.backend.requests.length > before ? valuesOf(asking.backend.last, "client-cert") : undefined;
    };
    assertEquals(await seen(own), [clientCertHeader(own.der)], servername);
    assertEquals([await seen(foreign), await seen(undefined)], [undefined, undefined], servername);
  }
});

Deno.test("nobody but the proxy says Client-Cert where it asks for certificates: no client, and no trusted proxy", async () => {
  for (const trusting of [false, true]) {
    await using asking = await Asking.start(authority.cert, { require: false, trusting });
    const names = [
      "Client-Cert",
      "client-cert",
      "CLIENT-CERT",
      "Client_Cert",
      "Client-Cert-Chain",
      "client_cert_chain",
    ];
    const forged = names.map((name) => `${name}: :Zm9yZ2Vk:\r\n`).join("");
    assertEquals(await asking.seen(undefined, forged), []);
    assertEquals(asking.backend.last.headers.filter(([, value]) => value.includes("Zm9yZ2Vk")), []);
    // A client can't have the true one taken away either.
    assertEquals(await asking.seen(own, `${forged}Connection: Client-Cert, close\r\n`), [clientCertHeader(own.der)]);
    assertEquals(asking.backend.last.headers.filter(([, value]) => value.includes("Zm9yZ2Vk")), []);
  }
});

Deno.test("Client-Cert does not come in as a trailer, and is there for each request of a connection", async () => {
  await using asking = await Asking.start(authority.cert, { require: true });
  using client = await asking.connect(own);
  const chunks = "1\r\nx\r\n0\r\nClient-Cert: :Zm9yZ2Vk:\r\nClient_Cert: :Zm9yZ2Vk:\r\nX-Kept: 1\r\n\r\n";
  const trailer = "TE: trailers\r\nTrailer: Client-Cert\r\nTransfer-Encoding: chunked\r\n";
  await ask(client, `POST / HTTP/1.1\r\nHost: x\r\n${trailer}\r\n${chunks}`);
  assertEquals(asking.backend.last.trailers, [["X-Kept", "1"]]);
  for (let round = 0; round < 2; round++) {
    assertEquals(valuesOf(asking.backend.last, "client-cert"), [clientCertHeader(own.der)]);
    await ask(client, get("/"));
  }
});

Deno.test("a reload asks for certificates, trusts another authority, and asks no more, for clients that connect then", async () => {
  const next = await issueAuthority("next");
  const theirs = await issue("theirs", { issuer: next });
  await using asking = await Asking.start(authority.cert, { require: true });
  const { tls } = asking.settings.proxy;
  assert(tls !== null && tls !== undefined && tls.clientCertificates !== null && tls.clientCertificates !== undefined);
  const asked = tls.clientCertificates;
  const reload = async () => assertEquals((await asking.proxy.roundhouse.reload()).restartNeeded, []);
  assertEquals([await asking.seen(own), await asking.seen(theirs)], [[clientCertHeader(own.der)], undefined]);

  asking.directory.write("ca.pem", next.cert);
  await reload();
  assertEquals([await asking.seen(own), await asking.seen(theirs)], [undefined, [clientCertHeader(theirs.der)]]);

  asking.directory.write("ca.pem", "no certificate");
  await assertRejects(() => asking.proxy.roundhouse.reload(), ConfigError, "proxy.tls.clientCertificates.ca: ");
  assertEquals([await asking.seen(own), await asking.seen(theirs)], [undefined, [clientCertHeader(theirs.der)]]);

  asking.directory.write("ca.pem", authority.cert + next.cert);
  tls.clientCertificates = { ...asked, require: false };
  await reload();
  assertEquals([await asking.seen(own), await asking.seen(undefined)], [[clientCertHeader(own.der)], []]);

  tls.clientCertificates = null;
  await reload();
  assertEquals(await asking.seen(own), []);
});

/** One request with `openssl`, which keeps its session in a file, or resumes the one in it. */
async function openssl(
  port: number,
  version: string,
  options: readonly string[],
): Promise<{ resumed: boolean; ok: boolean }> {
  const args = ["s_client", "-connect", `127.0.0.1:${port}`, "-servername", "localhost", `-${version}`, "-ign_eof"];
  const child = new Deno.Command("openssl", {
    args: [...args, ...options],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  })
    .spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).catch(
    () => {},
  );
  const { stdout } = await child.output();
  await writer.close().catch(() => {});
  const text = new TextDecoder().decode(stdout);
  return { resumed: /^Reused, TLS/m.test(text), ok: text.includes("HTTP/1.1 200") };
}

for (const version of ["tls1_2", "tls1_3"]) {
  Deno.test({
    name: `a client that resumes its session keeps its identity, and gets none that it did not have (${version})`,
    ignore: !hasCommand("openssl"),
    async fn() {
      // The runtime's tickets are good for every server of the process, and nothing of them is verified again: whoever
      // was refused with any certificate came back with its name.
      for (const require of [true, false]) {
        await using asking = await Asking.start(authority.cert, { require, workers: 1 }); // each worker has its own tickets
        const { directory, backend, proxy } = asking;
        const [, other] = invalid[0] ?? [];
        assert(other !== undefined);
        const shown = (pair: Issued, name: string) => {
          const { cert, key } = directory.writePair(pair, name);
          return ["-cert", cert, "-key", key, "-sess_out", `${directory.path}/${name}.session`];
        };
        const again = (name: string) => ["-sess_in", `${directory.path}/${name}.session`];
        const seen = async (options: readonly string[]) => {
          const before = backend.requests.length;
          const { ok, resumed } = await openssl(proxy.port, version, options);
          assertEquals(backend.requests.length, before + (ok ? 1 : 0));
          return { resumed, certs: ok ? valuesOf(backend.last, "client-cert") : undefined };
        };
        const refused = require ? undefined : [];
        assertEquals(await seen(shown(own, "own")), { resumed: false, certs: [clientCertHeader(own.der)] });
        assertEquals(await seen(again("own")), { resumed: true, certs: [clientCertHeader(own.der)] });
        assertEquals(await seen(shown(other, "other")), { resumed: false, certs: refused });
        assertEquals(await seen(again("other")), { resumed: true, certs: refused });

        // Another authority beside the first one changes nothing for its clients; another one in its place does.
        const next = await issueAuthority("next");
        const cases: [string, string[] | undefined][] = [
          [authority.cert + next.cert, [clientCertHeader(own.der)]],
          [next.cert, refused],
        ];
        for (const [ca, certs] of cases) {
          assertEquals(await seen(shown(own, "own")), { resumed: false, certs: [clientCertHeader(own.der)] });
          directory.write("ca.pem", ca);
          await proxy.roundhouse.reload();
          assertEquals(await seen(again("own")), { resumed: true, certs }, ca);
        }
        await waitFor(() => proxy.log.of("connection closed").length > 0 || !require, { what: "a line of the log" });
      }
    },
  });
}

Deno.test({
  name: "a certificate of version 1 counts as none, in a resumed session, too",
  ignore: !hasCommand("openssl"),
  async fn() {
    // `openssl x509 -req` of OpenSSL 3.0 makes one unless it is told of extensions. The runtime refuses it, but let its owner in later.
    await using asking = await Asking.start(authority.cert, { require: false, workers: 1 });
    const { directory, backend, proxy } = asking;
    const { path } = directory;
    const ca = directory.writePair(authority, "authority");
    const key = `${path}/old.key`;
    const words = [
      `req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ${key} -out ${path}/old.csr -subj /CN=old`,
      `x509 -req -in ${path}/old.csr -CA ${ca.cert} -CAkey ${ca.key} -set_serial 7 -days 9 -out ${path}/old.pem`,
    ];
    for (const line of words) {
      const { success } = await new Deno.Command("openssl", { args: line.split(" "), stderr: "null" }).output();
      assert(success);
    }
    const { stdout } = await new Deno.Command("openssl", { args: ["x509", "-in", `${path}/old.pem`, "-text"] })
      .output();
    if (!new TextDecoder().decode(stdout).includes("Version: 1 ")) return; // later versions of OpenSSL make no such one
    const session = `${path}/old.session`;
    for (const version of ["tls1_2", "tls1_3"]) {
      const shown = ["-cert", `${path}/old.pem`, "-key", key, "-sess_out", session];
      assertEquals(await openssl(proxy.port, version, shown), { resumed: false, ok: true });
      assertEquals(valuesOf(backend.last, "client-cert"), []);
      assertEquals(await openssl(proxy.port, version, ["-sess_in", session]), { resumed: true, ok: true });
      assertEquals(valuesOf(backend.last, "client-cert"), []);
    }
  },
});
