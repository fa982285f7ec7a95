// Whole roundhouses with certificates from a real authority (pebble).

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { connect } from "node:tls";
import type { ConfigFile } from "../../src/config/schema.ts";
import { type Clock, systemClock } from "../../src/net/clock.ts";
import { certificateFrom, TemporaryDirectory } from "../support/certificates.ts";
import { hasCommand } from "../support/has_command.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { HAS_PEBBLE, lastingPort, Pebble, type PebbleOptions } from "../support/pebble.ts";
import { Program } from "../support/program.ts";
import { TestProxy, type TestProxyOptions } from "../support/proxy.ts";
import { RedisServer } from "../support/redis_server.ts";
import { waitFor } from "../support/wait.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** What a client gets that asks for a name. */
interface Shown {
  readonly names: string;
  readonly serial: string;
  readonly isFromPebble: boolean;
}

/**
 * Makes a new connection, and one request on it, whose answer must be 200.
 *
 * @param ca the authority that has to have signed the certificate; default: any certificate will do
 */
async function shown(port: number, servername: string, ca?: string): Promise<Shown> {
  const trust = ca === undefined ? { rejectUnauthorized: false } : { ca };
  const socket = connect({ host: "127.0.0.1", port, servername, ...trust });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let text = "";
  let certificate = socket.getPeerCertificate();
  socket.once("secureConnect", () => certificate = socket.getPeerCertificate());
  socket.setTimeout(20_000, () => reject(new Error("waited in vain for an answer")));
  socket.on("data", (data: Uint8Array) => text += new TextDecoder().decode(data));
  socket.once("end", resolve).once("error", reject).once("close", resolve);
  socket.write(`GET / HTTP/1.1\r\nHost: ${servername}\r\nConnection: close\r\n\r\n`);
  try {
    await promise;
    assertStringIncludes(text, "200 OK");
    const { serialNumber, subjectaltname = "", issuer } = certificate;
    return { serial: serialNumber, names: subjectaltname, isFromPebble: `${issuer?.CN}`.startsWith("Pebble") };
  } finally {
    const closed = new Promise((resolve) => socket.once("close", resolve));
    if (!socket.destroyed) {
      socket.destroy();
      await closed;
    }
  }
}

/** Everything that a roundhouse with ACME needs: an authority, a backend, a folder. */
class Bed implements AsyncDisposable {
  /** Where the authority asks for the answers to its challenges. */
  readonly httpPort: number;
  readonly pebble: Pebble;
  readonly backend = HttpBackend.named("one");
  readonly folder = new TemporaryDirectory();

  static async start(options: Partial<PebbleOptions> = {}): Promise<Bed> {
    const httpPort = lastingPort();
    return new Bed(httpPort, await Pebble.start({ httpPort, ...options }));
  }

  private constructor(httpPort: number, pebble: Pebble) {
    this.httpPort = httpPort;
    this.pebble = pebble;
  }

  settings(names: readonly string[], { redirectFrom = this.httpPort, ...more }: BedSettings = {}): ConfigFile {
    const { directory, ca } = this.pebble;
    const { workers } = more;
    return {
      engine: "wire",
      proxy: {
        ...workers === undefined ? {} : { workers },
        tls: { acme: { names: [...names], directory, ca }, redirectFrom },
      },
      backends: [this.backend.url],
    };
  }

  async proxy(settings: ConfigFile, options: TestProxyOptions = {}): Promise<TestProxy> {
    return await TestProxy.start(settings, { stateDirectory: this.folder.path, ...options });
  }

  /** The folder of this authority. */
  get kept(): string {
    const [entry] = [...Deno.readDirSync(`${this.folder.path}/acme`)];
    return `${this.folder.path}/acme/${entry?.name}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pebble[Symbol.asyncDispose]();
    await this.backend[Symbol.asyncDispose]();
    this.folder[Symbol.dispose]();
  }
}

interface BedSettings {
  readonly redirectFrom?: number;
  readonly workers?: number;
}

// deno-lint-ignore no-explicit-any
async function certificatesOf(proxy: { readonly adminUrl: string }): Promise<any[]> {
  return (await (await fetch(`${proxy.adminUrl}/status`)).json()).certificates;
}

async function obtained(proxy: TestProxy, ...names: readonly string[]): Promise<void> {
  await waitFor(async () => {
    for (const name of names) if (!(await shown(proxy.port, name)).isFromPebble) return false;
    return true;
  }, { what: `certificates for ${names.join(" and ")}`, timeoutMs: 120_000 });
}

/** A test with a bed of its own. */
function withBed(test: (bed: Bed) => Promise<void>, options: Partial<PebbleOptions> = {}): () => Promise<void> {
  return async () => {
    await using bed = await Bed.start(options);
    await test(bed);
  };
}

Deno.test({
  name: "each name gets a certificate, a self-signed one until then, and a restart uses what was kept",
  ignore: !HAS_PEBBLE,
  fn: withBed(async (bed) => {
    const settings = bed.settings(["one.example", "two.example"]);
    let serials: string[];
    {
      await using proxy = await bed.proxy(settings);
      await obtained(proxy, "one.example", "two.example");
      const both = [await shown(proxy.port, "one.example"), await shown(proxy.port, "two.example")];
      assertEquals(both.map(({ names }) => names), ["DNS:one.example", "DNS:two.example"]);
      assertEquals((await shown(proxy.port, "three.example")).names, "DNS:one.example");
      serials = both.map(({ serial }) => serial);
      await shown(proxy.port, "two.example", await bed.pebble.root()); // with all certificates between
      await waitFor(async () => (await certificatesOf(proxy)).every(({ error }) => error === null), {
        what: "no error",
      });
      const states = await certificatesOf(proxy);
      assertEquals(states.map(({ names, source }) => [...names, source]).sort(), [
        ["one.example", "acme"],
        ["two.example", "acme"],
      ]);
      const metrics = await (await fetch(`${proxy.adminUrl}/metrics`)).text();
      assertStringIncludes(metrics, `roundhouse_certificate_expiry_seconds{name="two.example"}`);
    }
    await bed.pebble.kill();
    await using proxy = await bed.proxy(settings);
    const again = [await shown(proxy.port, "one.example"), await shown(proxy.port, "two.example")];
    assertEquals(again.map(({ serial }) => serial), serials);
  }),
});

Deno.test({
  name: "names that a reload adds are ordered, and the others stay",
  ignore: !HAS_PEBBLE,
  fn: withBed(async (bed) => {
    const settings = bed.settings(["one.example", "two.example"]);
    await using proxy = await bed.proxy(settings);
    await obtained(proxy, "one.example", "two.example");
    const { serial } = await shown(proxy.port, "two.example");
    Object.assign(settings, bed.settings(["two.example", "three.example"]));
    assertEquals((await proxy.roundhouse.reload()).restartNeeded, []);
    assertEquals((await shown(proxy.port, "two.example")).serial, serial);
    await obtained(proxy, "three.example");
    assertEquals((await shown(proxy.port, "two.example")).serial, serial);
    assertEquals((await shown(proxy.port, "one.example")).names, "DNS:two.example");
  }),
});

for (const workers of [1, 2]) {
  Deno.test({
    name: `a certificate that ends in an hour is renewed under load without a failed handshake, ${workers} workers`,
    ignore: !HAS_PEBBLE,
    fn: withBed(async (bed) => {
      const names = ["one.example"];
      const settings = bed.settings(names, { workers });
      const now = Date.now();
      const old = await certificateFrom({ name: "one.example", fromMs: now - 89 * DAY, untilMs: now + HOUR });
      await (await bed.proxy(settings))[Symbol.asyncDispose](); // makes the folder
      await Deno.writeTextFile(`${bed.kept}/one.example.pem`, `${old.key}\n${old.cert}`);
      await bed.pebble.restart();
      await using proxy = await bed.proxy(settings);
      const seen = new Set<string>();
      let handshakes = 0;
      const ended = new AbortController();
      const load = Promise.all(Array.from({ length: 4 }, async () => {
        while (!ended.signal.aborted) {
          seen.add((await shown(proxy.port, "one.example")).serial);
          handshakes++;
        }
      }));
      await obtained(proxy, "one.example");
      const enough = handshakes + 40;
      await waitFor(() => handshakes >= enough, { what: "more handshakes" });
      ended.abort();
      await load; // rejects if one has failed
      assert(seen.size <= 2, `${seen.size} certificates`);
    }),
  });
}

// The time of day moves on while everything else goes on: a certificate of one hour is renewed again and again.
Deno.test({
  name: "short-lived certificates are renewed in time, one after the other",
  ignore: !HAS_PEBBLE,
  fn: withBed(async (bed) => {
    const clock = new JumpingClock();
    await using proxy = await bed.proxy(bed.settings(["one.example"]), { clock });
    await obtained(proxy, "one.example");
    const seen = new Set([(await shown(proxy.port, "one.example")).serial]);
    clock.jump(30 * 60_000);
    assertEquals((await shown(proxy.port, "one.example")).serial, [...seen][0]);
    clock.jump(16 * 60_000);
    await waitFor(async () => seen.add((await shown(proxy.port, "one.example")).serial).size === 2, {
      what: "another certificate",
    });
  }, { validSeconds: 3600 }),
});

/** The real time, which a test can set forward; timers that are due then fire at once. */
class JumpingClock implements Clock {
  #aheadMs = 0;
  readonly #timers = new Set<{ readonly atMs: number; readonly fire: () => void }>();

  now(): number {
    return Date.now() + this.#aheadMs;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { atMs: this.now() + ms, fire: () => (cancel(), callback()) };
    const stop = systemClock.after(ms, () => timer.fire());
    const cancel = () => {
      stop();
      this.#timers.delete(timer);
    };
    this.#timers.add(timer);
    return cancel;
  }

  jump(ms: number): void {
    this.#aheadMs += ms;
    for (const timer of [...this.#timers]) if (timer.atMs <= this.now()) timer.fire();
  }
}

Deno.test({
  name: "an authority that is away keeps nothing from starting, shows in the status, and is asked again",
  ignore: !HAS_PEBBLE,
  fn: withBed(async (bed) => {
    await bed.pebble.kill();
    const clock = new JumpingClock();
    await using proxy = await bed.proxy(bed.settings(["one.example", "two.example"]), { clock });
    assertEquals((await shown(proxy.port, "two.example")).isFromPebble, false);
    await waitFor(async () => `${(await certificatesOf(proxy))[0]?.error}`.includes("can't be asked"), {
      what: "an error",
    });
    await waitFor(() => proxy.log.of("certificate not obtained").length > 0, { what: "a line of the log" });
    assertEquals(proxy.log.of("certificate not obtained").length, 1, "one order for all names");
    await bed.pebble.restart();
    clock.jump(2 * 60_000);
    await obtained(proxy, "one.example", "two.example");
    await waitFor(async () => (await certificatesOf(proxy)).every(({ error }) => error === null), { what: "no error" });
  }),
});

Deno.test({
  name: "a reload tries again what failed",
  ignore: !HAS_PEBBLE,
  fn: withBed(async (bed) => {
    await bed.pebble.lead("one.example", "127.0.0.99");
    const clock = new JumpingClock();
    await using proxy = await bed.proxy(bed.settings(["one.example", "two.example"]), { clock });
    await waitFor(async () => `${(await certificatesOf(proxy))[0]?.error}`.includes("could not validate"), {
      what: "an error",
    });
    clock.jump(61_000);
    await waitFor(() => proxy.log.of("certificate not obtained").length === 2, { what: "a second failure" });
    await bed.pebble.lead("one.example", "127.0.0.1");
    await obtained(proxy, "two.example");
    clock.jump(61_000);
    await proxy.roundhouse.reload();
    await obtained(proxy, "one.example");
    const changes = proxy.log.of("certificate changed").map(({ fields }) => fields["names"]);
    assertEquals(changes.filter((names) => names === "two.example").length, 1, "the reload did not change that one");
  }),
});

Deno.test({
  name: "the redirect port answers challenges that it knows, and redirects everything else",
  ignore: !HAS_PEBBLE,
  fn: withBed(async (bed) => {
    await using proxy = await bed.proxy(bed.settings(["one.example"]));
    await obtained(proxy, "one.example");
    for (const path of ["", "x", "abcdefghijklmnopqrstuvwxyz", "../../etc/passwd", "%00"]) {
      const response = await fetch(`http://127.0.0.1:${bed.httpPort}/.well-known/acme-challenge/${path}`, {
        redirect: "manual",
      });
      await response.body?.cancel();
      assertEquals(response.status, 308, path);
    }
    assertEquals(bed.backend.requests > 0, true);
  }),
});

// Two replicas

Deno.test({
  name: "replicas share challenges, account and certificates through the store, and nobody can read the keys there",
  ignore: !HAS_PEBBLE || !hasCommand("redis-server"),
  fn: async () => {
    await using redis = await RedisServer.start();
    await using bed = await Bed.start();
    using otherFolder = new TemporaryDirectory();
    const cluster = { redis: redis.url, secret: "a secret of the replicas" };
    // All challenges reach only the first one.
    const first = { ...bed.settings(["one.example"]), cluster };
    const second = { ...bed.settings(["one.example", "two.example"], { redirectFrom: lastingPort() }), cluster };
    await using one = await bed.proxy(first);
    await using other = await bed.proxy(second, { stateDirectory: otherFolder.path });
    await obtained(one, "one.example");
    await obtained(other, "one.example", "two.example");
    assertEquals((await shown(one.port, "one.example")).serial, (await shown(other.port, "one.example")).serial);
    const orders = () => [one, other].flatMap(({ log }) => log.of("certificate obtained")).length;
    await waitFor(() => orders() >= 2, { what: "the lines of both orders" });
    assertEquals(orders(), 2);
    const [key = ""] = /\{roundhouse\}:acme:[0-9a-f]+(?=\r)/.exec(await redis.ask("KEYS", "*")) ?? [];
    const stored = await redis.ask("HGETALL", key);
    assertStringIncludes(stored, "certificate:two.example");
    assert(!stored.includes("BEGIN"), "keys and certificates are encrypted");
    // A third one finds everything in the store, and the store may go.
    using thirdFolder = new TemporaryDirectory();
    await bed.pebble.kill();
    const third = { ...bed.settings(["two.example"], { redirectFrom: lastingPort() }), cluster };
    {
      await using proxy = await bed.proxy(third, { stateDirectory: thirdFolder.path });
      await obtained(proxy, "two.example");
    }
    await redis.kill();
    await using again = await bed.proxy(third, { stateDirectory: thirdFolder.path });
    assertEquals((await shown(again.port, "two.example")).isFromPebble, true);
  },
});

Deno.test({
  name: "a replica with another secret leaves the store alone, and says so",
  ignore: !HAS_PEBBLE || !hasCommand("redis-server"),
  fn: async () => {
    await using redis = await RedisServer.start();
    await using bed = await Bed.start();
    using otherFolder = new TemporaryDirectory();
    const settings = (secret: string, redirectFrom?: number) => ({
      ...bed.settings(["one.example"], redirectFrom === undefined ? {} : { redirectFrom }),
      cluster: { redis: redis.url, secret },
    });
    await using one = await bed.proxy(settings("a secret of the replicas"));
    await obtained(one, "one.example");
    const { serial } = await shown(one.port, "one.example");
    await waitFor(() => one.log.of("certificate obtained").length === 1, { what: "the end of the order" });
    const [key = ""] = /\{roundhouse\}:acme:[0-9a-f]+(?=\r)/.exec(await redis.ask("KEYS", "*")) ?? [];
    const before = await redis.ask("HGET", key, "certificate:one.example");
    await using other = await bed.proxy(settings("another secret of them", lastingPort()), {
      stateDirectory: otherFolder.path,
    });
    await waitFor(() => other.log.of("shared certificates not used").length === 1, { what: "a line of the log" });
    await waitFor(() => other.log.of("certificate obtained").length === 1, { what: "a certificate of its own" });
    assertEquals((await shown(one.port, "one.example")).serial, serial);
    assert(before === await redis.ask("HGET", key, "certificate:one.example"));
  },
});

// The program

Deno.test({
  name: "an order that SIGKILL ends leaves a folder that the next start can use",
  ignore: !HAS_PEBBLE,
  fn: withBed(async (bed) => {
    const file = bed.folder.write(
      "config.json",
      JSON.stringify({
        ...bed.settings(["one.example"]),
        admin: { port: 0 },
        health: { type: "none" },
      }),
    );
    const env = { ROUNDHOUSE_STATE_DIR: bed.folder.path };
    const args = ["--config", file, "--host", "127.0.0.1", "--port", "0"];
    const triesOf = () => `${bed.kept}/one.example.tries.json`;
    {
      await using program = await Program.start(args, { env });
      await waitFor(() => exists(`${bed.folder.path}/acme`) && exists(triesOf()), { what: "an order" });
      program.kill("SIGKILL");
      await program.status;
    }
    const tries = JSON.parse(await Deno.readTextFile(triesOf()));
    await Deno.writeTextFile(triesOf(), JSON.stringify({ ...tries, lastMs: tries.lastMs - 60_000 })); // a minute later
    await using program = await Program.start(args, { env });
    await program.logged("certificate obtained", { name: "one.example" });
    assertEquals(exists(triesOf()), false);
  }, { sleepSeconds: 2 }),
});

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
