// A list that replicas share: what another one has changed is put in force, and a removal with a drain drains here, too.

import { assertEquals } from "@std/assert";
import type { BackendState } from "../../../src/config/backend_change.ts";
import type { BackendSpec } from "../../../src/config/schema.ts";
import { ChangeQueue } from "../../../src/pool/change_queue.ts";
import type { Drain } from "../../../src/pool/drain.ts";
import { SharedList } from "../../../src/pool/shared_list.ts";
import type { ServerPool } from "../../../src/pool/server_pool.ts";
import { backendSpec, poolOf } from "../../support/pool.ts";
import { waitFor } from "../../support/wait.ts";

const [ONE, TWO, NEW] = ["http://backend-1", "http://backend-2", "http://new"];

/** A pool of `ONE` and `TWO`. */
class Shared implements AsyncDisposable {
  readonly pool: ServerPool = poolOf([1, 1]);
  readonly changes = new ChangeQueue(() => Promise.resolve());
  readonly drains = new Set<Drain>();
  readonly list = new SharedList({ pool: this.pool, changes: this.changes, drains: this.drains });

  replace(
    specs: readonly BackendSpec[],
    { states = {}, drains = {} }: {
      readonly states?: Readonly<Record<string, BackendState>>;
      readonly drains?: Readonly<Record<string, number>>;
    } = {},
  ) {
    return this.changes.run((lists) =>
      this.list.replace(lists, {
        pool: this.pool,
        specs,
        up: true,
        reason: "test",
        states: new Map(Object.entries(states)),
        drains: new Map(Object.entries(drains)),
      })
    );
  }

  get shown(): string[] {
    return this.pool.backends.map(({ url, weight, state }) => `${url} ${weight} ${state}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.list.stop();
  }
}

Deno.test("SharedList.replace() sets fields and states, and what no longer has a state is active", async () => {
  await using shared = new Shared();
  const specs = [backendSpec(ONE, { weight: 3 }), backendSpec(NEW)];
  const difference = await shared.replace(specs, { states: { [ONE]: "disabled", [NEW]: "draining" } });
  assertEquals(difference, { added: [NEW], removed: [TWO], changed: [ONE] });
  assertEquals(shared.shown, [`${ONE} 3 disabled`, `${NEW} 1 draining`]);
  await shared.replace(specs);
  assertEquals(shared.shown, [`${ONE} 3 active`, `${NEW} 1 active`]);
});

Deno.test("SharedList.replace() drains what another replica drains, whatever else changes meanwhile", async () => {
  await using shared = new Shared();
  const lease = shared.pool.getByUrl(TWO)?.lease();
  const drains = { [TWO]: 60_000 };
  await shared.replace([backendSpec(ONE)], { drains });
  await shared.replace([backendSpec(ONE, { weight: 2 }), backendSpec(NEW)], { drains });
  assertEquals(shared.shown, [`${ONE} 2 active`, `${TWO} 1 draining`, `${NEW} 1 active`]);
  const drained = shared.pool.getByUrl(TWO);
  lease?.release();
  await waitFor(() => shared.pool.getByUrl(TWO) === undefined, { what: "the removal" });
  assertEquals([drained?.drained, shared.drains.size], [true, 0]);
});

Deno.test("SharedList.replace() calls off a removal of a backend that is back in the list, also before it drains again", async () => {
  await using shared = new Shared();
  const lease = shared.pool.getByUrl(TWO)?.lease();
  const drains = { [TWO]: 60_000 };
  await shared.replace([backendSpec(ONE)], { drains });
  await shared.replace([backendSpec(ONE), backendSpec(TWO)]);
  assertEquals(shared.shown, [`${ONE} 1 active`, `${TWO} 1 active`]);
  await shared.replace([backendSpec(ONE)], { drains });
  assertEquals(shared.shown, [`${ONE} 1 active`, `${TWO} 1 draining`]);
  lease?.release();
  await waitFor(() => shared.pool.getByUrl(TWO) === undefined, { what: "the removal" });
});

Deno.test("SharedList.stop() ends drains, and the backends stay", async () => {
  await using shared = new Shared();
  const lease = shared.pool.getByUrl(TWO)?.lease();
  await shared.replace([backendSpec(ONE)], { drains: { [TWO]: 60_000 } });
  await shared.list.stop();
  assertEquals([shared.shown, shared.drains.size], [[`${ONE} 1 active`, `${TWO} 1 draining`], 0]);
  lease?.release();
});

Deno.test("SharedList.set() gives backends that a source has found their settings, and touches no others", async () => {
  await using shared = new Shared();
  const specs = [backendSpec(ONE, { weight: 7, backup: true }), backendSpec(NEW)];
  shared.list.set({ specs, states: new Map([[ONE, "draining"]]) }, "test");
  assertEquals(shared.shown, [`${ONE} 7 draining`, `${TWO} 1 active`]);
});
