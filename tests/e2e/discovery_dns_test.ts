// The program with a real DNS server, which is changed, killed, frozen and broken: not one request fails, and what is the
// matter can be seen.

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { HttpsBackend, makeAuthority, makePair, TemporaryDirectory } from "../support/certificates.ts";
import { DnsServer, reply, zone } from "../support/dns_server.ts";
import { Dnsmasq, NO_DNSMASQ } from "../support/dnsmasq.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { Program } from "../support/program.ts";
import { waitFor } from "../support/wait.ts";

/** Backends with one port at several addresses. */
async function backendsAt(addresses: readonly string[]): Promise<readonly HttpBackend[]> {
  for (let attempt = 0;; attempt++) {
    const backends: HttpBackend[] = [];
    try {
      for (const address of addresses) {
        backends.push(new HttpBackend(() => new Response(address), backends[0]?.port ?? 0, address));
      }
      return backends;
    } catch (error) {
      for (const backend of backends) await backend[Symbol.asyncDispose]();
      if (attempt > 20 || !(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

interface PoolView {
  readonly source: { readonly ok: boolean; readonly staleSince: string | null; readonly error: string | null };
  readonly backends: readonly {
    readonly url: string;
    readonly alive: boolean;
    readonly state: string;
    readonly lastCheck: { readonly error: string | null } | null;
  }[];
}

async function poolOf(program: Program): Promise<PoolView> {
  const response = await fetch(`${program.adminUrl}/status`);
  return (await response.json()).pools.default;
}

async function poolBecomes(program: Program, what: string, holds: (pool: PoolView) => boolean): Promise<PoolView> {
  let pool = await poolOf(program);
  await waitFor(async () => holds(pool = await poolOf(program)), { what, timeoutMs: 60_000 });
  return pool;
}

function has(...urls: readonly string[]) {
  return ({ backends }: PoolView) =>
    JSON.stringify(backends.map(({ url }) => url).sort()) === JSON.stringify([...urls].sort()) &&
    backends.every(({ alive, state }) => alive && state === "active");
}

function isStale({ source }: PoolView): boolean {
  return !source.ok && source.staleSince !== null;
}

/** Clients that ask again and again until they are disposed of. */
class Load implements AsyncDisposable {
  readonly answers = new Map<string, number>();
  readonly failures: string[] = [];
  #going = true;
  readonly #clients: Promise<unknown>;

  constructor(url: string) {
    this.#clients = Promise.all(Array.from({ length: 4 }, () => this.#ask(url)));
  }

  get count(): number {
    return [...this.answers.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Lets so many more requests be answered. */
  async goOn(more: number): Promise<void> {
    const wanted = this.count + more;
    await waitFor(() => this.count >= wanted, { what: `${more} more answers`, timeoutMs: 60_000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#going = false;
    await this.#clients;
  }

  async #ask(url: string): Promise<void> {
    while (this.#going) {
      try {
        const response = await fetch(url);
        const text = await response.text();
        if (response.status === 200) this.answers.set(text, (this.answers.get(text) ?? 0) + 1);
        else this.failures.push(`${response.status} ${text}`);
      } catch (error) {
        this.failures.push(String(error));
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

async function start(
  directory: TemporaryDirectory,
  config: ConfigFile,
  env: Readonly<Record<string, string>> = {},
): Promise<Program> {
  const common = { proxy: { host: "127.0.0.1", port: 0 }, admin: { port: 0 }, health: { type: "tcp", interval: "1s" } };
  return await Program.start(["-c", directory.write("config.json", JSON.stringify({ ...common, ...config }))], { env });
}

Deno.test({
  name: "dns: names come and go, and the server is killed, frozen and broken, without one failed request",
  ignore: NO_DNSMASQ,
  async fn() {
    using directory = new TemporaryDirectory();
    const addresses = ["127.0.0.1", "127.0.0.2", "127.0.0.3"] as const;
    const backends = await backendsAt(addresses);
    await using stack = new AsyncDisposableStack();
    for (const backend of backends) stack.use(backend);
    const [one = "", two = "", three = ""] = backends.map(({ url }) => url);
    await using broken = new DnsServer((asked) => [reply(asked, { code: 2 })]);
    await using dnsmasq = await Dnsmasq.start({ "api.test": addresses.slice(0, 2) });
    const port = backends[0]?.port ?? 0;
    await using program = await start(directory, {
      discover: { dns: "api.test", port, server: dnsmasq.address, keepFor: "10s", drain: "1s" },
    });
    await poolBecomes(program, "the first two", has(one, two));
    const load = new Load(program.url);
    await using _load = load;
    await load.goOn(20);

    dnsmasq.set({ "api.test": addresses });
    await poolBecomes(program, "the third one", has(one, two, three));
    await waitFor(() => (load.answers.get("127.0.0.3") ?? 0) > 5, { what: "traffic for the third one" });

    dnsmasq.set({ "api.test": addresses.slice(1) });
    await poolBecomes(program, "the first one to go", has(two, three));
    const left = load.answers.get("127.0.0.1");
    await load.goOn(50);
    assertEquals(load.answers.get("127.0.0.1"), left);

    for (
      const [what, harm, mend] of [
        ["killed", () => dnsmasq.kill(), () => dnsmasq.restart()],
        ["frozen", () => dnsmasq.signal("SIGSTOP"), () => dnsmasq.signal("SIGCONT")],
        ["broken", () => dnsmasq.restart(["--server=/api.test/127.0.0.1#" + broken.port]), () => dnsmasq.restart([])],
      ] as const
    ) {
      if (what === "broken") dnsmasq.set({});
      await harm();
      const { source } = await poolBecomes(program, `a server that is ${what}`, isStale);
      assertMatch(String(source.error), what === "broken" ? /SERVFAIL/ : /no answer within 2000 ms/);
      await load.goOn(50);
      assert(has(two, three)(await poolOf(program)), what);
      if (what === "broken") dnsmasq.set({ "api.test": addresses.slice(1) });
      await mend();
      await poolBecomes(program, "the server to be back", ({ source }) => source.ok);
      assert(has(two, three)(await poolOf(program)), what);
    }

    dnsmasq.set({}); // no such name: an answer, but one that has to last
    await load.goOn(20);
    dnsmasq.set({ "api.test": [addresses[0]] });
    await poolBecomes(program, "the first one to be back", has(one));
    await load.goOn(20);
    assertEquals(load.failures, []);
    await load[Symbol.asyncDispose]();
    dnsmasq.set({});
    await poolBecomes(program, "nothing to be left", has());
    const response = await fetch(program.url);
    await response.body?.cancel();
    assertEquals(response.status, 503);
  },
});

Deno.test({
  name: "srv: dnsmasq's records become backends, and backups where their priority is higher",
  ignore: NO_DNSMASQ,
  async fn() {
    using directory = new TemporaryDirectory();
    const backends = [HttpBackend.named("one"), HttpBackend.named("two")] as const;
    const [one, two] = backends;
    await using _one = one;
    await using _two = two;
    const records = [`one.test,${one.port},1,10`, `two.test,${two.port},2,10`];
    await using dnsmasq = await Dnsmasq.start(
      { "one.test": [new URL(one.url).hostname], "two.test": [new URL(two.url).hostname] },
      records.map((record) => `--srv-host=_http._tcp.api.test,${record}`),
    );
    await using program = await start(directory, { discover: { srv: "_http._tcp.api.test", server: dnsmasq.address } });
    await poolBecomes(program, "both", has(one.url, two.url));
    for (let count = 0; count < 4; count++) {
      assertEquals(await fetch(program.url).then((answer) => answer.text()), "one");
    }
    await one[Symbol.asyncDispose]();
    await poolBecomes(program, "one to be down", ({ backends }) => backends.some(({ alive }) => !alive));
    assertEquals(await fetch(program.url).then((answer) => answer.text()), "two");
  },
});

// Elsewhere names are looked up when a request needs them, and it waits as long as the DNS server likes.
Deno.test("no request waits for a lookup", async () => {
  using directory = new TemporaryDirectory();
  await using backend = new HttpBackend(() => new Response("ok"), 0, "127.0.0.1");
  const names = zone([{ name: "api.test", type: "A", data: "127.0.0.1", ttl: 1 }]);
  let held = 0;
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  await using server = new DnsServer(async (asked) => {
    if (server.questions.length > 4) {
      held++;
      await released;
    }
    return await names(asked);
  });
  await using program = await start(directory, {
    discover: { dns: "api.test", port: backend.port, server: server.address, refresh: "100ms" },
  });
  await poolBecomes(program, "the backend", has(backend.url));
  await waitFor(() => held > 0, { what: "a question without an answer" });
  for (let count = 0; count < 100; count++) {
    const response = await fetch(program.url);
    assertEquals([response.status, await response.text()], [200, "ok"]);
  }
  assertEquals(has(backend.url)(await poolOf(program)), true);
  release();
});

// A backend that DNS finds is an address, and no certificate is for that.
Deno.test("dns with https: certificates and checks are for the name, and a certificate for another name is refused", async () => {
  using directory = new TemporaryDirectory();
  const authority = await makeAuthority();
  const DENO_CERT = directory.write("authority.pem", authority.cert);
  await using backend = new HttpsBackend(await makePair({ authority, name: "api.test" }), () => new Response("secure"));
  await using server = new DnsServer(
    zone(["api.test", "b.test"].map((name) => ({ name, type: "A", data: "127.0.0.1" }))),
  );
  const byName = { port: Number(new URL(backend.url).port), scheme: "https", server: server.address } as const;
  for (const [name, status] of [["api.test", 200], ["b.test", 503]] as const) {
    const health = { type: "http", interval: "1s", startUp: false } as const;
    const config = { engine: "wire", discover: { dns: name, ...byName }, health, queue: { hold: 0 } } as const;
    await using program = await start(directory, config, { DENO_CERT });
    await poolBecomes(program, "a check", ({ backends }) => backends.some(({ lastCheck }) => lastCheck !== null));
    const response = await fetch(program.url);
    assertEquals([response.status, (await response.text()) === "secure"], [status, status === 200]);
    const [found] = (await poolOf(program)).backends;
    assertEquals(found?.url, backend.url);
    if (status === 503) assertMatch(String(found?.lastCheck?.error), /certificate/i);
  }
});
