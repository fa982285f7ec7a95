// Pools of the control plane and those that follow them in a worker, without the messages' way between isolates.

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { configSchema } from "../../../src/config/schema.ts";
import { SessionTable } from "../../../src/memory/session_table.ts";
import { ServerPool } from "../../../src/pool/server_pool.ts";
import { FollowingPool } from "../../../src/workers/following_pool.ts";
import type { News } from "../../../src/workers/messages.ts";
import { PendingSwaps, type TakenSwaps } from "../../../src/workers/pending_swaps.ts";
import { memories } from "../../support/memory.ts";
import { backendSpec } from "../../support/pool.ts";

/** Two pools, and their followers in one worker. */
class Bench {
  readonly news: News[] = [];
  readonly pools: readonly ServerPool[];
  readonly followers: readonly FollowingPool[];
  readonly pending: PendingSwaps;
  begun = 0;

  constructor() {
    const [control, worker] = memories(2);
    assert(control !== undefined && worker !== undefined);
    this.pools = [0, 1].map((number) => new ServerPool(control.pool(number)));
    this.followers = [0, 1].map((number) =>
      new FollowingPool({
        name: `pool-${number}`,
        number,
        memory: worker,
        settings: configSchema.parse({ passive: { serverErrors: 1 } }),
        send: (news) => this.news.push(news),
      })
    );
    this.pending = new PendingSwaps(() => this.begun++);
    for (const pool of this.pools) pool.subscribe((event) => this.pending.note(pool, event));
  }

  /** The worker is told, but has yet to acknowledge it. */
  tell(): TakenSwaps | undefined {
    const taken = this.pending.take();
    for (const swap of taken?.swaps ?? []) this.followers[swap.pool]?.swap(swap);
    return taken;
  }

  /** The backends of both pools, in the control plane and in the worker. */
  get lists(): readonly (readonly string[])[] {
    return [...this.pools, ...this.followers.map(({ pool }) => pool)].map(({ backends }) =>
      backends.map(({ url, slot }) => `${url} ${slot}`)
    );
  }
}

Deno.test("PendingSwaps tells in one order what has changed in all pools, each in its own", () => {
  const bench = new Bench();
  const [one, two] = bench.pools;
  const same = one?.add(backendSpec("http://same"), "test");
  two?.add(backendSpec("http://same"), "test");
  one?.add(backendSpec("http://other"), "test");
  assertEquals(bench.begun, 1);
  const taken = bench.tell();
  assertEquals(taken?.swaps.map(({ pool, added, removed }) => [pool, added.length, removed.length]), [[0, 2, 0], [
    1,
    1,
    0,
  ]]);
  const expected = [["http://same 0", "http://other 2"], ["http://same 1"]];
  assertEquals(bench.lists, [...expected, ...expected]);
  assertEquals(bench.pending.take(), undefined);
  if (same !== undefined) one?.remove(same, "test");
  bench.tell();
  assertEquals([bench.begun, bench.lists[2], bench.lists[3]], [2, ["http://other 2"], ["http://same 1"]]);
});

Deno.test("PendingSwaps holds a slot until the workers have acknowledged that, whichever pool wants it", () => {
  const bench = new Bench();
  const [one, two] = bench.pools;
  const backend = one?.add(backendSpec("http://gone"), "test");
  bench.tell()?.release();
  assert(backend !== undefined);
  one?.remove(backend, "test");
  const taken = bench.tell();
  assertNotEquals(two?.add(backendSpec("http://next"), "test").slot, backend.slot);
  taken?.release();
  assertEquals(two?.add(backendSpec("http://third"), "test").slot, backend.slot);
});

Deno.test("PendingSwaps has nothing to tell of a backend that came and went at once", () => {
  const bench = new Bench();
  const [one] = bench.pools;
  const backend = one?.add(backendSpec("http://brief"), "test");
  if (backend !== undefined) one?.remove(backend, "test");
  assertEquals(bench.tell(), undefined);
  assertEquals(bench.lists, [[], [], [], []]);
});

Deno.test("PendingSwaps says that a pool has ended after its backends, once, also if it had none", () => {
  const bench = new Bench();
  const [one, two] = bench.pools;
  assert(one !== undefined && two !== undefined);
  const backend = one.add(backendSpec("http://gone"), "test");
  bench.tell()?.release();
  one.remove(backend, "test");
  for (const pool of [one, two]) bench.pending.noteEnd(pool);
  assertEquals(bench.begun, 2);
  const taken = bench.tell();
  assertEquals([taken?.swaps.map(({ pool, removed }) => [pool, removed.length]), taken?.ended], [[[0, 1]], [0, 1]]);
  assertEquals(bench.pending.take(), undefined);
  bench.pending.noteEnd(two);
  assertEquals([bench.begun, bench.tell()?.ended], [3, [1]]);
});

Deno.test("FollowingPool says which pool its news are of, and acts in that alone", () => {
  const bench = new Bench();
  for (const pool of bench.pools) pool.add(backendSpec("http://same"), "test");
  bench.tell();
  const [one, two] = bench.followers;
  const [ones] = one?.pool.backends ?? [];
  const [twos] = two?.pool.backends ?? [];
  assert(ones !== undefined && twos !== undefined);
  two?.passive.serverError(twos);
  two?.passive.connectFailed(twos, "refused");
  const name = { slot: twos.slot, generation: twos.generation };
  assertEquals(bench.news, [
    { type: "failure", pool: 1, backend: name },
    { type: "took-out", pool: 1, backend: name, reason: "refused", wasAlive: true },
  ]);
  assertEquals([ones.alive, twos.alive], [true, false]);
});

Deno.test("FollowingPool takes part in its own pool's sessions", () => {
  const { followers: [one, two] } = new Bench();
  const tables = [1, 2].map(() => SessionTable.allocate(60_000));
  const settings = configSchema.parse({ sticky: { by: "ip" } });
  one?.configure(settings, tables[0]?.shared);
  two?.configure(settings, tables[1]?.shared);
  const now = Date.now();
  one?.sessions?.bind("192.0.2.1", 3, 4, now);
  assertEquals(tables.map((table) => table.find("192.0.2.1", now)?.slot), [3, undefined]);
  two?.configure(configSchema.parse({}), undefined);
  assertEquals([one?.sessions === undefined, two?.sessions], [false, undefined]);
});
