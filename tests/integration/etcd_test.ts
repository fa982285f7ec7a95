// Backends from a real etcd: what it really sends, and what becomes of it when it is killed, frozen or emptied.

import { assert, assertEquals } from "@std/assert";
import { type Clock, systemClock } from "../../src/net/clock.ts";
import { EtcdSource } from "../../src/sources/etcd/etcd.ts";
import { EtcdServer, HAS_ETCD } from "../support/etcd_server.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawClient, textOf } from "../support/raw_client.ts";
import { Told } from "../support/source.ts";
import { waitFor } from "../support/wait.ts";

if (!HAS_ETCD) console.log("etcd is not installed: tests of discovery by a real etcd are skipped");

/** Limits of ten seconds pass in one. */
const hurried: Clock = { now: () => Date.now(), after: (ms, callback) => systemClock.after(ms / 10, callback) };

function watching(etcd: EtcdServer, login: { user: string; password: string } | null = null, clock = systemClock) {
  const { user, password } = login ?? { user: null, password: null };
  const settings = { prefix: "/api/", endpoints: [etcd.url], user, password };
  return new Told(new EtcdSource(settings, { clock, random: Math.random }));
}

const ignore = !HAS_ETCD;

Deno.test({ name: "etcd: keys come and go, by hand and with their lease", ignore }, async () => {
  await using etcd = await EtcdServer.start();
  await etcd.put("/api/1", "http://10.0.0.1:8080");
  await etcd.put("/other", "http://10.0.0.9:8080");
  await using source = watching(etcd);
  await source.finds("http://10.0.0.1:8080");
  const lease = await etcd.grant(60);
  await etcd.put("/api/2", `{"url": "http://10.0.0.2:8080", "weight": 5}`, lease);
  await source.finds("http://10.0.0.1:8080", "http://10.0.0.2:8080");
  await etcd.delete("/api/1");
  await source.finds("http://10.0.0.2:8080");
  await etcd.put("/api/1", "nonsense");
  await source.fails(/^key "\/api\/1": got "nonsense", want/);
  await etcd.put("/api/1", "http://10.0.0.3:8080");
  await source.finds("http://10.0.0.2:8080", "http://10.0.0.3:8080");
  await etcd.call("/v3/lease/revoke", { ID: lease });
  await source.finds("http://10.0.0.3:8080");
});

Deno.test({ name: "etcd: two thousand keys that change ten times a second are followed", ignore }, async () => {
  await using etcd = await EtcdServer.start();
  const success = (from: number) =>
    Array.from({ length: 100 }, (_, index) => ({
      requestPut: { key: btoa(`/api/${from + index}`), value: btoa(`http://10.0.${from / 100}.${index}:8080`) },
    }));
  for (let from = 0; from < 2000; from += 100) await etcd.call("/v3/kv/txn", { success: success(from) });
  await using source = watching(etcd);
  for (let change = 0; change < 30; change++) {
    await etcd.put("/api/0", `http://10.1.0.${change}:8080`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const urls = () => source.lists.at(-1)?.toSorted() ?? [];
  await waitFor(() => urls().includes("http://10.1.0.29:8080"), { what: "the last change", timeoutMs: 60_000 });
  const rest = Array.from(
    { length: 1999 },
    (_, at) => `http://10.0.${Math.floor((at + 1) / 100)}.${(at + 1) % 100}:8080`,
  );
  assertEquals(urls(), ["http://10.1.0.29:8080", ...rest].sort());
});

Deno.test({ name: "etcd: compaction, a kill and a restart lose no change", ignore }, async () => {
  await using etcd = await EtcdServer.start();
  await etcd.put("/api/1", "http://10.0.0.1:8080");
  await using source = watching(etcd);
  await source.finds("http://10.0.0.1:8080");
  await etcd.put("/api/2", "http://10.0.0.2:8080");
  await etcd.compact();
  await source.finds("http://10.0.0.1:8080", "http://10.0.0.2:8080");
  await etcd.kill();
  await source.fails(/Connection refused$/);
  assertEquals(source.lists.at(-1), ["http://10.0.0.1:8080", "http://10.0.0.2:8080"]);
  await etcd.restart({ empty: false });
  await etcd.put("/api/3", "http://10.0.0.3:8080");
  await source.finds("http://10.0.0.1:8080", "http://10.0.0.2:8080", "http://10.0.0.3:8080");
  // An empty store is an answer. That it removes nothing at once is written where every source's list goes.
  await etcd.kill();
  await etcd.restart({ empty: true });
  await source.finds();
  await etcd.put("/api/4", "http://10.0.0.4:8080");
  await source.finds("http://10.0.0.4:8080");
});

Deno.test(
  { name: "etcd: a server that stands still is found out, and followed again when it goes on", ignore },
  async () => {
    await using etcd = await EtcdServer.start();
    await etcd.put("/api/1", "http://10.0.0.1:8080");
    await using source = watching(etcd, null, hurried);
    await source.finds("http://10.0.0.1:8080");
    etcd.freeze();
    await source.fails(/no answer within 5 s$/);
    etcd.thaw();
    await etcd.put("/api/2", "http://10.0.0.2:8080");
    await source.finds("http://10.0.0.1:8080", "http://10.0.0.2:8080");
  },
);

Deno.test({ name: "etcd: a user with a password, whose token ends with a restart", ignore }, async () => {
  await using etcd = await EtcdServer.start();
  await etcd.put("/api/1", "http://10.0.0.1:8080");
  await using early = watching(etcd, { user: "roundhouse", password: "s3cret" });
  await early.fails(/etcdserver: authentication is not enabled$/);
  await etcd.protect("roundhouse", "s3cret", "/api/");
  await using source = watching(etcd, { user: "roundhouse", password: "s3cret" });
  await source.finds("http://10.0.0.1:8080");
  await using wrong = watching(etcd, { user: "roundhouse", password: "wr0ng" });
  assert(!(await wrong.fails(/authentication failed, invalid user ID or password$/)).includes("wr0ng"));
  await using none = watching(etcd);
  await none.fails(/etcdserver: user name is empty$/);
  await etcd.kill();
  await etcd.restart({ empty: false });
  await source.finds("http://10.0.0.1:8080");
  await early.finds("http://10.0.0.1:8080");
});

for (const engine of ["fetch", "wire"] as const) {
  Deno.test({
    name: `${engine}: backends come and go by etcd, which is killed, frozen and restarted: no request fails`,
    ignore,
  }, async () => {
    const backends = ["a", "b", "c", "d"].map((name) => HttpBackend.named(name));
    await using etcd = await EtcdServer.start();
    const change = async (wanted: readonly HttpBackend[]) => {
      for (const [index, backend] of backends.entries()) {
        if (wanted.includes(backend)) await etcd.put(`/api/${index}`, backend.url);
        else await etcd.delete(`/api/${index}`);
      }
    };
    const [a, b, c, d] = backends as [HttpBackend, HttpBackend, HttpBackend, HttpBackend]; // four were made
    await change([a, b]);
    await using proxy = await TestProxy.start({
      engine,
      discover: { etcd: "/api/", endpoints: [etcd.url] },
      health: { type: "http", interval: "1s" },
      retries: { attempts: 0 },
    });
    await using load = await Load.start(proxy, 4);
    const goes = async (wanted: readonly HttpBackend[]) => {
      await change(wanted);
      await follows(proxy, wanted);
      const gone = backends.filter((backend) => !wanted.includes(backend));
      const before = gone.map(({ requests }) => requests);
      await load.goesOn();
      assertEquals(gone.map(({ requests }) => requests), before, "requests to backends that have gone");
    };
    await goes([b, c, d]);
    etcd.freeze();
    await load.goesOn();
    etcd.thaw();
    await goes([a, c]);
    await etcd.kill();
    await waitFor(() => sourceOf(proxy)?.ok === false, { what: "a source that fails", timeoutMs: 60_000 });
    await load.goesOn();
    assertEquals(proxy.backends.map(({ url }) => url).sort(), [a.url, c.url].sort());
    await etcd.restart({ empty: false });
    await goes([b, d]);
    assertEquals(sourceOf(proxy)?.ok, true);
    await etcd.kill();
    await etcd.restart({ empty: true });
    await load.goesOn();
    await goes([a, b, d]);
    await load.stop();
    assertEquals(load.answers(), ["200 a", "200 b", "200 c", "200 d"]);
    await proxy.idle();
    assertEquals([proxy.pool.idle, proxy.roundhouse.memory.requestTotals().failed], [true, 0]);
    for (const backend of backends) await backend[Symbol.asyncDispose]();
  });
}

function sourceOf({ roundhouse }: TestProxy) {
  return roundhouse.pools.default.source;
}

/** Waits until the pool has these backends and no other, and each takes traffic. */
async function follows(proxy: TestProxy, wanted: readonly HttpBackend[]): Promise<void> {
  const urls = wanted.map(({ url }) => url).sort().join();
  await waitFor(() => {
    const all = proxy.backends.map(({ url }) => url).sort().join();
    return all === urls && proxy.backends.every(({ selectable }) => selectable);
  }, { what: `the backends ${urls}`, timeoutMs: 60_000 });
}

/** Clients that send one request after the other, each on its own connection. */
class Load implements AsyncDisposable {
  readonly #answers = new Map<string, number>();
  #count = 0;
  #isStopping = false;
  #clients: Promise<unknown> = Promise.resolve();

  static async start(proxy: TestProxy, clients: number): Promise<Load> {
    const load = new Load();
    await waitFor(() => proxy.backends.some(({ selectable }) => selectable), { what: "a backend", timeoutMs: 60_000 });
    load.#clients = Promise.all(Array.from({ length: clients }, () => load.#ask(proxy.port)));
    return load;
  }

  /** The different answers so far. */
  answers(): string[] {
    return [...this.#answers.keys()].sort();
  }

  /** Waits for more answers. */
  async goesOn(): Promise<void> {
    const before = this.#count;
    await waitFor(() => this.#count > before + 40, { what: "more answers", timeoutMs: 60_000 });
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#clients;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #ask(port: number): Promise<void> {
    using client = await RawClient.connect(port);
    while (!this.#isStopping) {
      const response = await client.request("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      const answer = response === undefined ? "nothing" : `${response.status} ${textOf(response)}`;
      this.#answers.set(answer, (this.#answers.get(answer) ?? 0) + 1);
      this.#count++;
      if (response === undefined) return;
    }
  }
}
