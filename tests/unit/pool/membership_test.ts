// Who is in a pool: changes from everywhere, one after the other.

import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { afterChange, type BackendChange } from "../../../src/config/backend_change.ts";
import { MAX_BACKENDS } from "../../../src/config/backend_limit.ts";
import type { BackendSpec } from "../../../src/config/schema.ts";
import { DrainCalledOffError } from "../../../src/pool/drain.ts";
import { ChangeQueue } from "../../../src/pool/change_queue.ts";
import { type ChangeOptions, NotPersistedError } from "../../../src/pool/keeping.ts";
import { Membership, type MembershipOptions } from "../../../src/pool/membership.ts";
import { DuplicateBackendError, PoolFullError, ServerPool } from "../../../src/pool/server_pool.ts";
import { Memory, type PoolMemory } from "../../../src/memory/memory.ts";
import { backendSpec, poolOf } from "../../support/pool.ts";
import { settle, waitFor } from "../../support/wait.ts";

interface Options extends Partial<MembershipOptions> {
  readonly settled?: () => Promise<void>;
}

function membershipOf(pool: ServerPool, { settled = () => Promise.resolve(), ...options }: Options = {}): Membership {
  const changes = new ChangeQueue(settled);
  return new Membership({
    pool,
    changes,
    persist: () => Promise.resolve(),
    trial: () => Promise.resolve(null),
    ...options,
  });
}

function urlsOf(pool: ServerPool): string[] {
  return pool.backends.map(({ url }) => url);
}

function list(prefix: string, length: number): BackendSpec[] {
  return Array.from({ length }, (_, index) => backendSpec(`http://${prefix}-${index}`));
}

const find = (url: string) => (pool: ServerPool) => {
  const backend = pool.getByUrl(url);
  if (backend === undefined) throw new Error("not there");
  return backend;
};

function deployment(specs: readonly BackendSpec[]) {
  return { specs, waitMs: 1000, drainMs: 0, reason: "test", abandoned: new AbortController().signal };
}

/** A pool with its part of the file. */
class FiledPool {
  readonly pool: ServerPool;
  readonly membership: Membership;
  file: readonly BackendSpec[] = [];

  constructor(shared: PoolMemory, changes: ChangeQueue, persist: () => Promise<void>) {
    this.pool = new ServerPool(shared);
    this.membership = new Membership({
      pool: this.pool,
      changes,
      persist: async (change) => {
        await persist();
        this.file = afterChange(this.file, change);
      },
      trial: () => Promise.resolve(null),
    });
  }
}

Deno.test("Membership makes any changes one after the other: the file and the pools agree after each, and none is lost", async () => {
  const change = fc.record({
    of: fc.nat(1),
    kind: fc.constantFrom("add", "remove", "drain", "weight", "deploy", "reload"),
    url: fc.constantFrom("http://a", "http://b", "http://c"),
    weight: fc.nat(9),
    delay: fc.nat(2),
  });
  await fc.assert(fc.asyncProperty(fc.array(change, { maxLength: 20 }), async (wanted) => {
    const memory = Memory.allocate();
    const changes = new ChangeQueue(() => Promise.resolve());
    let [writers, writes] = [0, 0];
    const persist = async () => {
      assertEquals(++writers, 1, "one change of the file at a time, whosever it is");
      for (let turn = 0; turn < (wanted[writes]?.delay ?? 0); turn++) await settle();
      writes++;
      writers--;
    };
    const one = new FiledPool(memory.pool(0), changes, persist);
    const two = new FiledPool(memory.pool(1), changes, persist);
    const said = (backends: readonly BackendSpec[]) => backends.map(({ url, weight }) => [url, weight]);
    await Promise.all(wanted.map(async ({ of, kind, url, weight }) => {
      const { membership } = of === 0 ? one : two;
      const outcome: Promise<unknown> = kind === "add"
        ? membership.add(backendSpec(url, { weight }), "test")
        : kind === "weight"
        ? membership.change(find(url), { weight }, "test")
        : kind === "reload"
        ? changes.run((lists) => {
          for (const { pool, file } of [one, two]) {
            const difference = lists.replace({ pool, specs: file, up: true, reason: "reload" });
            // Backends that a deployment drains are not in the file any more.
            assertEquals({ ...difference, removed: [] }, { added: [], removed: [], changed: [] });
          }
        })
        : kind === "deploy"
        ? membership.deploy(deployment([backendSpec(url, { weight }), backendSpec("http://d")]))
        : membership.remove(find(url), {
          drainMs: kind === "drain" ? 0 : undefined,
          reason: "test",
          describe: () => {},
        });
      await outcome.catch((error) => {
        if (error.message === "not there" || error instanceof DuplicateBackendError) return;
        assert(
          ["UnknownBackendError", "DeploymentEndedError", "DrainCalledOffError"].includes(error.name),
          error.stack,
        );
      });
    }));
    // A deployment puts the file into the order of its list. In the pool, those that stay come first.
    for (const { pool, file } of [one, two]) assertEquals(said(pool.backends).sort(), said(file).sort());
  }));
});

Deno.test("Membership changes nothing when the file can't be written", async () => {
  const pool = poolOf([1]);
  const changes = new ChangeQueue(() => Promise.resolve());
  const membership = membershipOf(pool, { changes, persist: () => Promise.reject(new NotPersistedError("read-only")) });
  const [url = ""] = urlsOf(pool);
  await assertRejects(() => membership.add(backendSpec("http://a"), "test"), NotPersistedError, "nothing has changed");
  await assertRejects(() => membership.change(find(url), { weight: 5, state: "disabled" }, "test"), NotPersistedError);
  const removal = { drainMs: 0, reason: "test", describe: () => {} };
  await assertRejects(() => membership.remove(find(url), removal), NotPersistedError);
  assertEquals(pool.backends.map(({ url, settings }) => [url, settings.weight, settings.state]), [[url, 1, "active"]]);
  await changes.idle(); // a failure holds up nobody
});

Deno.test("Membership.apply() exchanges a full pool in one step, and waits for places that workers have yet to give up", async () => {
  const pool = poolOf([]);
  const held: (() => void)[] = [];
  const sizes = new Set<number>();
  pool.subscribe(({ type, backend }) => {
    if (type === "removed") held.push(pool.shared.memory.slots.hold(backend.slot));
    sizes.add(pool.backends.length);
  });
  const membership = membershipOf(pool, {
    async settled() {
      await settle();
      for (const release of held.splice(0)) release();
    },
  });
  for (const name of ["one", "two", "three", "four"]) {
    const specs = list(name, MAX_BACKENDS);
    await membership.apply({ specs, up: true, reason: "test" });
    assertEquals(urlsOf(pool), specs.map(({ url }) => url));
  }
  assertEquals([...sizes], [MAX_BACKENDS]);
});

Deno.test("Membership.apply() refuses whole what there is no room for", async () => {
  const pool = poolOf([]);
  const membership = membershipOf(pool);
  const want = (name: string, length = MAX_BACKENDS) =>
    membership.apply({ specs: list(name, length), up: true, reason: "test" });
  await want("one");
  const leases = pool.backends.map((backend) => backend.lease());
  await want("two");
  leases.push(...pool.backends.map((backend) => backend.lease()));
  const before = urlsOf(pool);
  await assertRejects(() => want("three"), PoolFullError, "room for 0 new backends, not for 4096, until requests");
  await assertRejects(() => want("two", MAX_BACKENDS + 1), PoolFullError, "at most 4096");
  await assertRejects(() => membership.add(backendSpec("http://more"), "test"), PoolFullError, "at most 4096");
  assertEquals(urlsOf(pool), before);
  for (const lease of leases) lease?.release();
  await want("three");
  assertEquals(pool.getByUrl("http://three-4095")?.currentConnections, 0);
});

Deno.test("Membership.change() to active calls off a drain, even when the backend drains again by then", async () => {
  const pool = poolOf([1, 1]);
  const [backend] = pool.backends;
  if (backend === undefined) throw new Error("the pool is empty");
  const lease = backend.lease();
  const membership = membershipOf(pool);
  const removal = membership.remove(find(backend.url), { drainMs: 60_000, reason: "test", describe: () => {} });
  await waitFor(() => backend.state === "draining", { what: "the drain" });
  await Promise.all([
    membership.change(find(backend.url), { state: "active" }, "test"),
    membership.change(find(backend.url), { state: "draining" }, "test"),
  ]);
  await assertRejects(() => removal, DrainCalledOffError, "was set to active again, so it is not removed");
  assertEquals([backend.inPool, backend.state], [true, "draining"]);
  lease?.release();
});

/** A pool of two backends whose changes are kept where other replicas see them. */
function sharedPool() {
  const pool = poolOf([1, 1]);
  const kept: (BackendChange & ChangeOptions)[] = [];
  const persist: MembershipOptions["persist"] = (change, { local }) =>
    Promise.resolve(void kept.push({ ...change, ...(local === true ? { local } : {}) }));
  const [one = "", two = ""] = urlsOf(pool);
  return { pool, kept, one, two, membership: membershipOf(pool, { persist, shared: true }) };
}

Deno.test("Membership keeps the operator's state, and nothing of a change that changes nothing", async () => {
  const { kept, one, membership } = sharedPool();
  await membership.change(find(one), { state: "disabled" }, "test");
  await membership.change(find(one), { weight: 3, state: "active" }, "test", { local: true });
  await membership.change(find(one), {}, "test");
  assertEquals(kept, [
    { kind: "change", url: one, fields: {}, state: "disabled" },
    { kind: "change", url: one, fields: { weight: 3 }, state: "active", local: true },
  ]);
});

Deno.test("Membership keeps a removal before its drain where others are to drain likewise, and its end again when it is called off", async () => {
  const { pool, kept, one, two, membership } = sharedPool();
  const removal = { drainMs: 60_000, reason: "test", describe: () => {} };
  await membership.remove(find(one), removal);
  assertEquals([kept, urlsOf(pool)], [[{ kind: "remove", url: one, drainMs: 60_000 }], [two]]);

  const busy = find(two)(pool);
  const lease = busy.lease();
  const removed = membership.remove(find(two), removal).catch((error: Error) => error.name);
  await waitFor(() => busy.state === "draining", { what: "the drain" });
  await membership.change(find(two), { state: "active" }, "test");
  assertEquals([await removed, kept.slice(1), urlsOf(pool)], [
    "DrainCalledOffError",
    [{ kind: "remove", url: two, drainMs: 60_000 }, { kind: "add", spec: backendSpec(two) }],
    [two],
  ]);
  lease?.release();
});

Deno.test("Membership drains nothing when the removal can't be kept", async () => {
  const pool = poolOf([1]);
  const membership = membershipOf(pool, { shared: true, persist: () => Promise.reject(new Error("away")) });
  const [url = ""] = urlsOf(pool);
  const removal = { drainMs: 60_000, reason: "test", describe: () => {} };
  await assertRejects(() => membership.remove(find(url), removal), Error, "away");
  assertEquals(pool.backends.map(({ url, state }) => [url, state]), [[url, "active"]]);
});
