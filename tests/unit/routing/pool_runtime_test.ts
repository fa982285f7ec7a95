// Two pools of one process: what requests of the one do, those of the other never feel.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { configSchema } from "../../../src/config/schema.ts";
import { PassiveHealth } from "../../../src/health/passive.ts";
import { passiveLimits } from "../../../src/health/passive_rule.ts";
import { Memory } from "../../../src/memory/memory.ts";
import { SessionTable } from "../../../src/memory/session_table.ts";
import type { Backend, Lease } from "../../../src/pool/backend.ts";
import { RequestQueue } from "../../../src/pool/queue.ts";
import { PoolRuntime } from "../../../src/routing/pool_runtime.ts";
import { pickRequest } from "../../support/pick.ts";
import { poolOf } from "../../support/pool.ts";

const SETTINGS = configSchema.parse({
  sticky: { by: "ip" },
  queue: { size: 1, timeout: "1m" },
  passive: { serverErrors: 1, ejectFor: "8s" },
});

/** A pool of `http://backend-1`, `http://backend-2` … with all that is its own. */
class Bench implements Disposable {
  readonly pool;
  readonly passive: PassiveHealth;
  readonly runtime: PoolRuntime;

  constructor(memory: Memory, number: number, backends: number) {
    this.pool = poolOf(Array<number>(backends).fill(1), memory.pool(number));
    this.passive = new PassiveHealth({ pool: this.pool, limits: passiveLimits(SETTINGS) });
    this.runtime = new PoolRuntime({
      name: `pool-${number}`,
      pool: this.pool,
      settings: SETTINGS,
      retryShare: 0,
      queue: new RequestQueue(this.pool.shared.line, memory.metrics),
      sessions: SessionTable.allocate(60_000),
      passive: this.passive,
    });
  }

  backend(index: number): Backend {
    const backend = this.pool.backends[index];
    assert(backend !== undefined);
    return backend;
  }

  /** Whose turn it is, by the last digit of the URL. */
  pick(): string | undefined {
    return this.runtime.balancer.pick(pickRequest())?.url.slice(-1);
  }

  /** Waits for the first backend to have room. */
  wait(): Promise<Lease> {
    const backend = this.backend(0);
    return this.runtime.queue.wait({
      tryLease: (ticket) => backend.hasRoomFor(ticket) ? backend.lease() : undefined,
      hopeless: undefined,
      held: false,
      slots: undefined,
      limits: this.runtime.queueLimits,
    });
  }

  [Symbol.dispose](): void {
    this.passive.stop();
  }
}

function benches(backends: readonly [number, number]): readonly [Bench, Bench] {
  const memory = Memory.allocate();
  return [new Bench(memory, 0, backends[0]), new Bench(memory, 1, backends[1])];
}

Deno.test("PoolRuntime takes turns of its own", () => {
  const [one, two] = benches([2, 3]);
  using _ = one;
  using __ = two;
  const picked = { one: "", two: "" };
  for (let round = 0; round < 6; round++) {
    picked.one += one.pick();
    picked.two += `${two.pick()}${two.pick()}`;
  }
  assertEquals(picked, { one: "121212", two: "123123123123" });
});

Deno.test("PoolRuntime looks at its pool again when that has changed, and not when another has", () => {
  const [one, two] = benches([2, 2]);
  using _ = one;
  using __ = two;
  const { eligible } = two.runtime.balancer;
  const { epoch } = two.pool.shared.cells;
  one.pool.setUp(one.backend(0), false, "test");
  one.pool.update(one.backend(1), { weight: 7 }, "test");
  one.pool.shared.cells.setFailingOpen(true);
  assertEquals(two.pool.shared.cells.epoch, epoch);
  assert(two.runtime.balancer.eligible === eligible, "it was built anew");
  assertEquals([one.runtime.balancer.eligible.length, two.pool.shared.cells.failingOpen], [2, false]);
});

Deno.test("PoolRuntime has a queue of its own: its size, its tickets and its places are no other pool's", async () => {
  const [one, two] = benches([1, 1]);
  using _ = one;
  using __ = two;
  const leases = [one, two].map((bench) => {
    bench.pool.update(bench.backend(0), { maxConnections: 1 }, "test");
    return bench.backend(0).lease();
  });
  const first = one.wait();
  await assertRejects(() => one.wait(), Error, "the queue is full");
  const second = two.wait(); // the other queue has room
  assertEquals([one.pool.shared.line.queued(), two.pool.shared.line.queued()], [1, 1]);
  leases[1]?.release();
  two.runtime.queue.released(two.backend(0));
  (await second).release();
  assertEquals([one.pool.shared.line.queued(), two.pool.shared.line.queued()], [1, 0]);
  assertEquals(two.backend(0).hasRoomFor(0), true, "who waits in one holds up nobody in two");
  leases[0]?.release();
  one.runtime.queue.released(one.backend(0));
  (await first).release();
});

Deno.test("PoolRuntime has a budget of its own", () => {
  const [one, two] = benches([1, 1]);
  using _ = one;
  using __ = two;
  let taken = 0;
  while (one.runtime.takeRetry()) taken++;
  assert(taken > 0);
  assertEquals([one.runtime.allowsRetry, two.runtime.allowsRetry], [false, true]);
  let others = 0;
  while (two.runtime.takeRetry()) others++;
  assertEquals(others, taken);
});

Deno.test("PoolRuntime ejects in its own pool alone, though the URL is in both", () => {
  const [one, two] = benches([2, 2]);
  using _ = one;
  using __ = two;
  assertEquals(one.backend(0).url, two.backend(0).url);
  one.runtime.passive.serverError(one.backend(0), 500);
  assertEquals([one.backend(0).ejected, two.backend(0).ejected], [true, false]);
  assertEquals([one.runtime.retryAfterSeconds(), two.runtime.retryAfterSeconds()], [8, 1]);
  two.runtime.passive.serverError(one.backend(1), 500); // no backend of this pool
  assertEquals(one.backend(1).ejected, false);
});

Deno.test("PoolRuntime binds clients in its own pool alone", () => {
  const [one, two] = benches([1, 1]);
  using _ = one;
  using __ = two;
  const request = { client: "192.0.2.1", secure: false, header: () => undefined };
  one.runtime.stickiness?.bind(request, one.backend(0));
  assertEquals(one.runtime.stickiness?.find(request), one.backend(0));
  assertEquals(two.runtime.stickiness?.find(request), undefined);
});
