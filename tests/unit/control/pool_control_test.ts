// Two pools in one control plane: what happens in the one leaves the other alone, and a reload is of both or of none.

import { assertEquals, assertRejects } from "@std/assert";
import { MAX_BACKENDS } from "../../../src/config/backend_limit.ts";
import { type ConfigFile, configSchema } from "../../../src/config/schema.ts";
import { PoolControl, type PreparedPool } from "../../../src/control/pool_control.ts";
import { CheckClients } from "../../../src/health/check_clients.ts";
import { CheckGate } from "../../../src/health/check_gate.ts";
import { Memory } from "../../../src/memory/memory.ts";
import { systemClock } from "../../../src/net/clock.ts";
import { ChangeQueue } from "../../../src/pool/change_queue.ts";
import { PoolFullError } from "../../../src/pool/server_pool.ts";
import { BackendFile } from "../../support/backend_file.ts";
import { RecordingLog } from "../../support/log.ts";
import { waitFor } from "../../support/wait.ts";

const NO_CHECKS = { health: { type: "none" } } as const satisfies ConfigFile;

/** Pools of one process, and what they tell. */
class Pools implements AsyncDisposable {
  readonly memory = Memory.allocate();
  readonly changes = new ChangeQueue(() => Promise.resolve());
  readonly told: string[] = [];
  readonly #gate = new CheckGate();
  readonly #pools: PoolControl[] = [];

  async add(name: string, settings: ConfigFile): Promise<PoolControl> {
    const pool = new PoolControl({
      name,
      memory: this.memory.pool(this.#pools.length),
      config: configSchema.parse(settings),
      log: new RecordingLog(),
      clock: systemClock,
      changes: this.changes,
      gate: this.#gate,
      clients: new CheckClients(),
      persist: () => Promise.resolve(),
      limits: () => ({ engine: "fetch", own: [] }),
      laidOver: undefined,
      listener: {
        poolChanged: ({ type, backend }) => this.told.push(`${name}: ${type} ${backend.url}`),
        failingOpen: (active) => this.told.push(`${name}: ${active ? "fails open" : "no longer fails open"}`),
        sourceChanged: ({ ok }) => this.told.push(`${name}: source ${ok ? "recovered" : "failed"}`),
      },
    });
    this.#pools.push(pool);
    await this.changes.run(async (lists) => {
      const to = pool.prepare(pool.config, { reason: "configured", changedFiles: new Set() });
      await lists.makeRoom([to.backends]);
      pool.begin(lists, to);
    });
    return pool;
  }

  /** Does as a reload does. */
  async reload(wanted: readonly (readonly [PoolControl, ConfigFile])[]): Promise<void> {
    await this.changes.run(async (lists) => {
      const prepared = wanted.map(([pool, settings]): readonly [PoolControl, PreparedPool] => {
        return [pool, pool.prepare(configSchema.parse(settings), { reason: "reload", changedFiles: new Set() })];
      });
      await lists.makeRoom(prepared.map(([, { backends }]) => backends));
      for (const [pool, to] of prepared) pool.configure(to);
      for (const [pool, to] of prepared) pool.replace(lists, to);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pool of this.#pools) await pool.stop();
  }
}

function urlsOf({ pool }: PoolControl): string[] {
  return pool.backends.map(({ url }) => url);
}

Deno.test("PoolControl keeps ejections, failing open and sessions to its own pool, though the URLs are the same", async () => {
  await using pools = new Pools();
  const backends = ["http://127.0.0.1:1", "http://127.0.0.1:2"];
  const settings: ConfigFile = { ...NO_CHECKS, backends, passive: { connectFailures: 1 }, sticky: { by: "ip" } };
  const one = await pools.add("one", { ...settings, health: { type: "none", failOpen: true } });
  const two = await pools.add("two", settings);
  pools.told.length = 0;
  const [first, second] = one.pool.backends;
  if (first === undefined || second === undefined) throw new Error("the pool is empty");
  one.passive.connectFailed(first, "refused");
  one.pool.setUp(second, false, "test");
  assertEquals(pools.told, [
    "one: down http://127.0.0.1:1",
    "one: down http://127.0.0.1:2",
    "one: up http://127.0.0.1:1",
  ]);
  one.pool.setUp(first, false, "test");
  assertEquals(pools.told.slice(3), ["one: down http://127.0.0.1:1", "one: fails open"]);
  assertEquals(two.pool.backends.map(({ alive }) => alive), [true, true]);
  assertEquals(two.pool.shared.cells.failingOpen, false);
  one.sessions?.bind("192.0.2.1", first.slot, first.generation, Date.now());
  const request = { client: "192.0.2.1", target: "/", headers: {} };
  assertEquals([one, two].map((pool) => pool.explain(request).reason), ["its session", "the strategy's choice"]);
});

Deno.test("PoolControl.prepare() changes nothing: a reload that one pool has no room for leaves all as they were", async () => {
  await using pools = new Pools();
  const one = await pools.add("one", { ...NO_CHECKS, backends: ["http://127.0.0.1:1"], sticky: { by: "ip" } });
  const two = await pools.add("two", { ...NO_CHECKS, backends: ["http://127.0.0.1:1"] });
  const { config, sessions } = one;
  pools.told.length = 0;
  const many = Array.from({ length: MAX_BACKENDS }, (_, index) => `http://10.0.${index >> 8}.${index & 255}`);
  const next: ConfigFile = { ...NO_CHECKS, backends: ["http://127.0.0.1:2"], sticky: { by: "ip", timeout: "1m" } };
  const reload = () => pools.reload([[one, next], [two, { ...NO_CHECKS, backends: many }]]);
  await assertRejects(reload, PoolFullError, "at most 4096");
  assertEquals([pools.told, one.config === config, one.sessions === sessions], [[], true, true]);
  assertEquals([urlsOf(one), urlsOf(two)], [["http://127.0.0.1:1"], ["http://127.0.0.1:1"]]);
  await pools.reload([[one, next], [two, NO_CHECKS]]);
  assertEquals([urlsOf(one), urlsOf(two)], [["http://127.0.0.1:2"], []]);
  assertEquals(one.sessions === sessions, false, "sessions last for another time now");
});

Deno.test("a list that waits for its turn while a reload gives the pool another owner changes nothing", async () => {
  await using pools = new Pools();
  await using file = await BackendFile.create(["http://found"]);
  const pool = await pools.add("default", { ...NO_CHECKS, discover: file.discover });
  const urls = () => pool.pool.backends.map(({ url }) => url);
  await waitFor(() => urls().join() === "http://found", { what: "the first list" });
  const gate = Promise.withResolvers<void>();
  const blocked = pools.changes.run(() => gate.promise);
  const reloaded = pools.reload([[pool, { ...NO_CHECKS, backends: ["http://own"] }]]);
  await file.write(["http://late"]);
  await new Promise((resolve) => setTimeout(resolve, 300)); // so that the late list waits behind the reload
  gate.resolve();
  await Promise.all([blocked, reloaded]);
  await pools.changes.idle();
  assertEquals(urls(), ["http://own"]);
});
