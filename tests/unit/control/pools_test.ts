// The registry of the pools: what a reload begins, changes and ends, all or nothing.

import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { MAX_BACKENDS } from "../../../src/config/backend_limit.ts";
import { type ConfigFile, configSchema } from "../../../src/config/schema.ts";
import { Pools } from "../../../src/control/pools.ts";
import { ConfigError } from "../../../src/errors.ts";
import { Memory } from "../../../src/memory/memory.ts";
import { systemClock } from "../../../src/net/clock.ts";
import { ChangeQueue, type Difference } from "../../../src/pool/change_queue.ts";
import { PoolEndedError } from "../../../src/pool/membership.ts";
import { RecordingLog } from "../../support/log.ts";
import { backendSpec } from "../../support/pool.ts";
import { settle, waitFor } from "../../support/wait.ts";

const NO_CHECKS = { health: { type: "none" } } as const satisfies ConfigFile;

function parse(file: ConfigFile) {
  return configSchema.parse({ ...NO_CHECKS, ...file });
}

/** The pools of a process, and what they tell. */
class Bench implements AsyncDisposable {
  readonly memory = Memory.allocate();
  /** How often all isolates were waited for. */
  settled = 0;
  readonly changes = new ChangeQueue(() => {
    this.settled++;
    return Promise.resolve();
  });
  readonly told: string[] = [];
  readonly pools: Pools;

  private constructor(file: ConfigFile) {
    this.pools = new Pools({
      config: parse(file),
      memory: this.memory,
      log: new RecordingLog(),
      clock: systemClock,
      changes: this.changes,
      persist: () => Promise.resolve(),
      limits: () => ({ engine: "fetch", own: [] }),
      laidOver: undefined,
      listenerOf: (name) => ({
        poolChanged: ({ type, backend }) => this.told.push(`${name}: ${type} ${backend.url}`),
        failingOpen: () => {},
        sourceChanged: () => {},
      }),
    });
    this.pools.serverPools.subscribe({ poolChanged: () => {}, poolLeft: ({ name }) => this.told.push(`${name} left`) });
  }

  static async start(file: ConfigFile): Promise<Bench> {
    const bench = new Bench(file);
    await bench.pools.start();
    bench.pools.opened();
    return bench;
  }

  /** Does as a reload does. */
  reload(file: ConfigFile): Promise<Difference[]> {
    return this.changes.run(async (lists) => {
      const occasion = { reason: "reload", changedFiles: new Set<string>() } as const;
      const prepared = await this.pools.prepare(lists, parse(file), occasion);
      const differences = this.pools.configure(lists, prepared);
      this.told.push("configured");
      return [...differences, ...this.pools.replace(lists, prepared)];
    });
  }

  /** Every pool with its number and its backends. */
  get shape(): readonly string[] {
    return this.pools.all().map(({ name, pool }) => `${name} ${pool.backends.map(({ url }) => url).join(" ")}`.trim());
  }

  /** Waits until the pools that were dropped have ended. */
  async ended(): Promise<void> {
    const all = () => [...this.pools.serverPools].length;
    await waitFor(() => all() === this.pools.all().length, { what: "the end of the dropped pools" });
    await settle();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pools.stop();
  }
}

Deno.test("Pools begins all pools of the configuration, in its order, each with a place of its own in the memory", async () => {
  const same = ["http://127.0.0.1:1"];
  await using bench = await Bench.start({ backends: same, pools: { b: { backends: same }, a: {} } });
  assertEquals(bench.shape, ["default http://127.0.0.1:1", "b http://127.0.0.1:1", "a"]);
  assertEquals(bench.told, ["default: added http://127.0.0.1:1", "b: added http://127.0.0.1:1"]);
  const numbers = bench.pools.all().map(({ pool }) => pool.shared.number);
  assertEquals([numbers[0], new Set(numbers).size], [0, 3]);
  const [one, two] = bench.pools.all().flatMap(({ pool }) => pool.backends);
  assertNotEquals(one?.id, two?.id);
  assertEquals([bench.pools.get("b")?.name, bench.pools.get("c")], ["b", undefined]);
  assertEquals([...bench.pools], bench.pools.all());
});

Deno.test("Pools begins new pools before the configuration is put in force, and ends others after it", async () => {
  await using bench = await Bench.start({ pools: { old: { backends: ["http://127.0.0.1:1"] }, kept: {} } });
  const kept = bench.pools.get("kept");
  bench.told.length = 0;
  const differences = await bench.reload({
    pools: { new: { backends: ["http://127.0.0.1:1"] }, kept: { backends: ["http://127.0.0.1:2"] } },
  });
  assertEquals(bench.told, ["new: added http://127.0.0.1:1", "configured", "kept: added http://127.0.0.1:2"]);
  assertEquals(bench.shape, ["default", "new http://127.0.0.1:1", "kept http://127.0.0.1:2"]);
  assertEquals(bench.pools.get("kept"), kept);
  assertEquals(differences.flatMap(({ added }) => added), ["http://127.0.0.1:1", "http://127.0.0.1:2"]);
  assertEquals(differences.flatMap(({ removed }) => removed), ["http://127.0.0.1:1"]);
  await bench.ended();
  assertEquals(bench.told.slice(3), ["old: removed http://127.0.0.1:1", "old left"]);
});

Deno.test("Pools changes nothing and leaves nothing behind when there is too little room in one of many pools", async () => {
  await using bench = await Bench.start({ pools: { kept: { backends: ["http://127.0.0.1:1"] } } });
  const many = Array.from({ length: MAX_BACKENDS }, (_, index) => `http://10.0.${index >> 8}.${index & 255}`);
  const { poolRoom } = bench.memory;
  const { config } = bench.pools.default;
  bench.told.length = 0;
  // The limit of the file does not hold here, because each parse sees a part of the backends only.
  const next = parse({ pools: { new: { backends: many }, kept: {} } });
  const tooMany = { ...next, backends: [backendSpec("http://127.0.0.1:3")] };
  const reload = bench.changes.run((lists) =>
    bench.pools.prepare(lists, tooMany, { reason: "reload", changedFiles: new Set() })
  );
  await assertRejects(() => reload, ConfigError, "at most 4096");
  assertEquals(bench.shape, ["default", "kept http://127.0.0.1:1"]);
  assertEquals([bench.told, bench.memory.poolRoom, bench.pools.default.config === config], [[], poolRoom, true]);
  await bench.reload({ pools: { new: { backends: many } } });
  assertEquals(bench.pools.get("new")?.pool.backends.length, MAX_BACKENDS, "those of the dropped pool count as gone");
});

Deno.test("Pools keeps a dropped pool while a request waits in its line, or is in flight, and no longer", async () => {
  await using bench = await Bench.start({ pools: { old: { backends: ["http://127.0.0.1:1"] } } });
  const old = bench.pools.get("old");
  assert(old !== undefined);
  const [backend] = old.pool.backends;
  const lease = backend?.lease();
  const { number, line } = old.pool.shared;
  line.join(9);
  await bench.reload({});
  assertEquals(bench.memory.requestTotals().queued, 1);
  await assertRejects(() => old.membership.add(backendSpec("http://127.0.0.1:2"), "test"), PoolEndedError);
  await new Promise((resolve) => setTimeout(resolve, 200));
  assertEquals([backend?.inPool, [...bench.pools.serverPools].length], [true, 2]);
  line.leave();
  await new Promise((resolve) => setTimeout(resolve, 100));
  assertEquals(backend?.inPool, true, "its request may need another backend");
  lease?.release();
  await bench.ended();
  assertEquals(backend?.inPool, false);
  await bench.reload({ pools: { other: {} } });
  assertEquals(bench.pools.get("other")?.pool.shared.number, number);
});

Deno.test("Pools gives the number of an ended pool to no other while a long request is in flight there", async () => {
  await using bench = await Bench.start({ pools: { old: { backends: ["http://127.0.0.1:1"] } } });
  const old = bench.pools.get("old");
  const lease = old?.pool.backends[0]?.lease();
  const number = old?.pool.shared.number;
  const reloaded = bench.reload({});
  await reloaded;
  await waitFor(() => [...bench.pools.serverPools].length === 1, { what: "the pool's end", timeoutMs: 15_000 });
  await bench.reload({ pools: { a: {} } });
  assertNotEquals(bench.pools.get("a")?.pool.shared.number, number);
  lease?.release();
  await bench.reload({ pools: { a: {}, b: {} } });
  assertEquals(bench.pools.get("b")?.pool.shared.number, number);
});

Deno.test("a pool that is dropped and named again at once is a new pool, beside the one that ends", async () => {
  const file: ConfigFile = { pools: { api: { backends: ["http://127.0.0.1:1"] } } };
  await using bench = await Bench.start(file);
  const first = bench.pools.get("api");
  await bench.reload({});
  assertEquals(bench.pools.get("api"), undefined);
  await bench.reload(file);
  const second = bench.pools.get("api");
  assertNotEquals(second, first);
  assertNotEquals(second?.pool.shared.number, first?.pool.shared.number);
  await bench.ended();
  assertEquals([first?.pool.backends.length, second?.pool.backends.length], [0, 1]);
});

Deno.test("Pools.stop() ends pools that are still ending", async () => {
  const bench = await Bench.start({ pools: { old: { backends: ["http://127.0.0.1:1"] } } });
  bench.pools.get("old")?.pool.shared.line.join(9);
  await bench.reload({});
  await bench.pools.stop();
  assertEquals([...bench.pools.serverPools].length, 1);
});
