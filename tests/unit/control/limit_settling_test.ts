// Replicas that share a limit, on a clock that is moved by hand, through a store that does what the script does.

import { assert, assertEquals, assertGreaterOrEqual, assertLessOrEqual } from "@std/assert";
import fc from "fast-check";
import type { Settled, Spent } from "../../../src/cluster/settlement.ts";
import { LimitSettling } from "../../../src/control/limit_settling.ts";
import { Memory } from "../../../src/memory/memory.ts";
import { type RateLimit, rateLimitOf, settledShareOf, shareOf } from "../../../src/memory/rate_share.ts";
import type { RateSeed } from "../../../src/memory/rate_table.ts";
import type { Clock } from "../../../src/net/clock.ts";

const KEY = { high: 7, low: -7 };
const STEP_MS = 10;

class HandClock implements Clock {
  #nowMs = 1_700_000_000_000;
  readonly #timers = new Map<object, { readonly atMs: number; readonly callback: () => void }>();

  now(): number {
    return this.#nowMs;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = {};
    this.#timers.set(timer, { atMs: this.#nowMs + ms, callback });
    return () => this.#timers.delete(timer);
  }

  async step(): Promise<void> {
    this.#nowMs += STEP_MS;
    for (const [timer, { atMs, callback }] of [...this.#timers]) {
      if (atMs > this.#nowMs) continue;
      this.#timers.delete(timer);
      callback();
    }
    for (let i = 0; i < 8; i++) await Promise.resolve(); // what the timers began
  }
}

class FakeStore {
  isAway = false;
  readonly #clock: Clock;
  readonly #allowances = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  settle(spent: readonly Spent[]): Promise<readonly Settled[] | undefined> {
    if (this.isAway) return Promise.resolve(undefined);
    const now = this.#clock.now() * 1000;
    for (const { field, spentUs, burstUs } of spent) {
      const at = Math.max(this.#allowances.get(field) ?? 0, now);
      this.#allowances.set(field, Math.min(at + spentUs, now + burstUs));
    }
    return Promise.resolve(Array.from(this.#allowances, ([field, at]) => {
      return { field, wholeAfterMs: Math.max(0, at - now) / 1000 };
    }));
  }
}

class Cluster implements AsyncDisposable {
  readonly clock = new HandClock();
  readonly store = new FakeStore(this.clock);
  seed: RateSeed = [1, 2];
  readonly #limit: RateLimit;
  readonly #memories: Memory[] = [];
  readonly #settling: LimitSettling[] = [];

  /** Starts replicas that do not settle at the same moments. */
  static async start(limit: RateLimit, replicas: number): Promise<Cluster> {
    const cluster = new Cluster(limit);
    for (let i = 0; i < replicas; i++) {
      const memory = Memory.allocate();
      memory.limits.useSeed(cluster.seed);
      memory.limits.assign({ concurrency: [], rates: [], cluster: new Map([["all", limit]]) });
      memory.limits.shareAmong(replicas);
      cluster.#memories.push(memory);
      cluster.#settling.push(
        new LimitSettling({
          limits: memory.limits,
          replicas: () => replicas,
          seed: () => cluster.seed,
          settle: (spent) => cluster.store.settle(spent),
          clock: cluster.clock,
        }),
      );
      await cluster.clock.step();
    }
    for (let i = 0; i < 20; i++) await cluster.clock.step();
    return cluster;
  }

  private constructor(limit: RateLimit) {
    this.#limit = limit;
  }

  get settles(): boolean {
    return this.#memories.every(({ limits }) => limits.settles);
  }

  get seeds(): RateSeed[] {
    return this.#memories.map(({ limits }) => limits.rate("all").seed);
  }

  /** Sends requests to one replica; returns how many passed. */
  send(replica: number, times: number): number {
    const limits = this.#memories[replica]?.limits;
    assert(limits !== undefined);
    const share = (limits.settles ? settledShareOf : shareOf)(this.#limit, limits.replicas);
    const table = limits.rate("all");
    let passed = 0;
    for (let i = 0; i < times; i++) if (table.take(KEY, share, this.clock.now()) >= 0) passed++;
    return passed;
  }

  /** Sends so many requests to each of these replicas in each step. */
  async flood(replicas: readonly number[], { steps, times }: { steps: number; times: number }): Promise<number> {
    let passed = 0;
    for (let step = 0; step < steps; step++) {
      for (const replica of replicas) passed += this.send(replica, times);
      await this.clock.step();
    }
    return passed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#settling.map((one) => one.stop()));
  }
}

Deno.test("a client whose requests all come to one of two replicas gets the whole limit", async () => {
  await using cluster = await Cluster.start(rateLimitOf(100, 1000, 100), 2);
  const passed = await cluster.flood([1], { steps: 1000, times: 5 });
  assertGreaterOrEqual(passed, 1000);
  assertLessOrEqual(passed, 1102);
  // The other one knows of it.
  assertLessOrEqual(cluster.send(0, 100), 15);
});

Deno.test("a client that floods all replicas gets the whole limit, and no more than a tenth above it", async () => {
  for (const replicas of [2, 3, 8]) {
    for (const burst of [100, 1000]) {
      await using cluster = await Cluster.start(rateLimitOf(100, 1000, burst), replicas);
      const all = Array.from({ length: replicas }, (_, index) => index);
      const passed = await cluster.flood(all, { steps: 1000, times: burst });
      assertLessOrEqual(passed, (1000 + burst) * 1.1 + replicas);
      assertGreaterOrEqual(passed, (1000 + burst) * 0.9);
    }
  }
});

Deno.test("whoever sends to whichever replicas at whatever times gets no more than the limit and a tenth", async () => {
  const run = fc.record({
    replicas: fc.integer({ min: 2, max: 6 }),
    rate: fc.integer({ min: 1, max: 1000 }),
    burst: fc.integer({ min: 60, max: 5000 }),
    phases: fc.array(
      fc.record({
        to: fc.array(fc.nat(5), { minLength: 1, maxLength: 6 }),
        steps: fc.integer({ min: 1, max: 60 }),
        times: fc.nat(1000),
      }),
      { minLength: 1, maxLength: 12 },
    ),
  });
  await fc.assert(
    fc.asyncProperty(run, async ({ replicas, rate, burst, phases }) => {
      await using cluster = await Cluster.start(rateLimitOf(rate, 1000, burst), replicas);
      const begin = cluster.clock.now();
      let passed = 0;
      for (const { to, steps, times } of phases) {
        passed += await cluster.flood(to.map((one) => one % replicas), { steps, times });
      }
      const seconds = (cluster.clock.now() - begin) / 1000;
      assertLessOrEqual(passed, (rate * seconds + burst) * 1.1 + replicas);
    }),
    { numRuns: 60 },
  );
});

Deno.test("a limit below ten for each replica stays in fixed shares", async () => {
  await using cluster = await Cluster.start(rateLimitOf(19, 1000, 19), 2);
  assertEquals([cluster.settles, cluster.send(0, 100), cluster.send(1, 100)], [false, 10, 10]);
});

Deno.test("without the store each replica has its share of what is left, and settles again when it is back", async () => {
  await using cluster = await Cluster.start(rateLimitOf(100, 1000, 100), 2);
  assert(cluster.settles);
  let passed = await cluster.flood([0, 1], { steps: 100, times: 5 });
  cluster.store.isAway = true;
  passed += await cluster.flood([0, 1], { steps: 500, times: 5 });
  assert(!cluster.settles);
  cluster.store.isAway = false;
  passed += await cluster.flood([0, 1], { steps: 400, times: 5 });
  assert(cluster.settles);
  assertLessOrEqual(passed, 1100 * 1.1 + 2);
  assertGreaterOrEqual(passed, 1100 * 0.85);
});

Deno.test("replicas that agree on another seed settle again, with counts that begin anew", async () => {
  await using cluster = await Cluster.start(rateLimitOf(100, 1000, 100), 2);
  assert(cluster.settles);
  cluster.seed = [3, 4];
  const settled = [];
  for (let step = 0; step < 30; step++) {
    await cluster.clock.step();
    settled.push(cluster.settles);
  }
  assertEquals([settled.includes(false), settled.at(-1)], [true, true]);
  assertEquals(cluster.seeds, [[3, 4], [3, 4]]);
});
