// Lists of several pools that are replaced together: all of them fit, or none changes.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { MAX_BACKENDS } from "../../../src/config/backend_limit.ts";
import type { BackendSpec } from "../../../src/config/schema.ts";
import { Memory } from "../../../src/memory/memory.ts";
import { ChangeQueue, type WantedBackends } from "../../../src/pool/change_queue.ts";
import { PoolFullError, ServerPool } from "../../../src/pool/server_pool.ts";
import { backendSpec } from "../../support/pool.ts";

/** Two pools of one process. */
class Pools {
  readonly memory = Memory.allocate();
  readonly one = new ServerPool(this.memory.pool(0));
  readonly two = new ServerPool(this.memory.pool(1));
  readonly #changes = new ChangeQueue(() => Promise.resolve());

  /** Gives both pools lists of such lengths, of backends that are new. */
  async replace(name: string, ones: number, twos: number): Promise<void> {
    const wanted = [this.#wanted(this.one, name, ones), this.#wanted(this.two, name, twos)];
    await this.#changes.run(async (lists) => {
      await lists.makeRoom(wanted);
      for (const list of wanted) lists.replace(list);
    });
  }

  get sizes(): readonly number[] {
    return [this.one.backends.length, this.two.backends.length];
  }

  #wanted(pool: ServerPool, name: string, length: number): WantedBackends {
    const specs = Array.from({ length }, (_, index): BackendSpec => backendSpec(`http://${name}-${index}`));
    return { pool, specs, up: true, reason: "test" };
  }
}

Deno.test("Lists.makeRoom() counts the backends of all pools, whichever of them shrink and grow", async () => {
  const pools = new Pools();
  const half = MAX_BACKENDS / 2;
  await pools.replace("a", half, half);
  await pools.replace("b", MAX_BACKENDS, 0); // the first one grows before the second one has shrunk
  await pools.replace("c", 0, MAX_BACKENDS);
  await assertRejects(() => pools.replace("d", 1, MAX_BACKENDS), PoolFullError, "at most 4096");
  assertEquals(pools.sizes, [0, MAX_BACKENDS]);
});

Deno.test("Lists.makeRoom() refuses whole what the places of all pools together do not suffice for", async () => {
  const pools = new Pools();
  const half = MAX_BACKENDS / 2;
  await pools.replace("a", half, half);
  const leases = [...pools.one.backends, ...pools.two.backends].map((backend) => backend.lease());
  await pools.replace("b", half, half);
  const kept = [pools.one.backends, pools.two.backends];
  leases.push(...kept.flat().map((backend) => backend.lease()));
  await assertRejects(() => pools.replace("c", 1, 1), PoolFullError, "room for 0 new backends, not for 2");
  assertEquals([pools.one.backends, pools.two.backends], kept);
  for (const lease of leases) lease?.release();
  await pools.replace("c", 1, 1);
  assertEquals(pools.sizes, [1, 1]);
});

Deno.test("SlotAllotment gives no slot to two pools, and the same URL in both is two backends", () => {
  const { one, two } = new Pools();
  const spec = backendSpec("http://same");
  const [ones, twos] = [one.add(spec, "test"), two.add(spec, "test")];
  assert(ones.slot !== twos.slot);
  assertEquals(ones.id, twos.id);
  one.setUp(ones, false, "test");
  assertEquals([ones.alive, twos.alive], [false, true]);
  one.remove(ones, "test");
  assertEquals(two.add(backendSpec("http://other"), "test").slot, ones.slot, "a slot moves from pool to pool");
  assertEquals(one.getBySlot(twos.slot, twos.generation), undefined);
});
