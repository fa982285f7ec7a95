// A pool that follows the lists of a source. What stays is left alone, what is new passes a check before it takes traffic,
// what has gone drains without holding up anything, and what an operator has set outlives the lists.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { MAX_BACKENDS } from "../../../src/config/backend_limit.ts";
import type { BackendSpec } from "../../../src/config/schema.ts";
import { Memory } from "../../../src/memory/memory.ts";
import type { Backend } from "../../../src/pool/backend.ts";
import { ChangeQueue } from "../../../src/pool/change_queue.ts";
import { type FollowOptions, FollowsSourceError } from "../../../src/pool/following.ts";
import { Membership } from "../../../src/pool/membership.ts";
import { PoolFullError, ServerPool } from "../../../src/pool/server_pool.ts";
import { backendSpec } from "../../support/pool.ts";
import { waitFor } from "../../support/wait.ts";

const OPTIONS: FollowOptions = { drainMs: 60_000, checked: true, startsUp: true, reason: "discovery" };

class Followed implements AsyncDisposable {
  readonly pool = new ServerPool(Memory.allocate().pool(0));
  readonly told: string[] = [];
  readonly membership: Membership;

  constructor() {
    this.membership = new Membership({
      pool: this.pool,
      changes: new ChangeQueue(() => {
        this.told.push("settled");
        return Promise.resolve();
      }),
      persist: () => Promise.resolve(),
      trial: () => Promise.resolve(null),
    });
    this.membership.setSource("file:x");
    this.pool.subscribe(({ type, backend }) => this.told.push(`${type} ${nameOf(backend)}`));
  }

  get urls(): string[] {
    return this.pool.backends.map(nameOf);
  }

  follow(specs: readonly (BackendSpec | string)[], options: Partial<FollowOptions> = {}): Promise<void> {
    const list = specs.map((spec) => typeof spec === "string" ? backendSpec(`http://${spec}`) : spec);
    return this.membership.follow(list, { ...OPTIONS, ...options });
  }

  get(name: string): Backend {
    const backend = this.pool.getByUrl(`http://${name}`);
    assert(backend !== undefined, name);
    return backend;
  }

  gone(...names: readonly string[]): Promise<void> {
    return waitFor(() => names.every((name) => !this.urls.includes(name)), { what: `the end of ${names}` });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.membership.stop();
  }
}

function nameOf({ url }: { readonly url: string }): string {
  return url.slice("http://".length);
}

Deno.test("new backends are down until a check passes, where another one takes traffic", async () => {
  await using followed = new Followed();
  await followed.follow(["a", "b"]);
  assertEquals([followed.get("a").up, followed.get("b").up], [true, true]);
  await followed.follow(["a", "b", "c"]);
  assertEquals(followed.get("c").up, false);
  followed.pool.setUp(followed.get("a"), false, "test");
  await followed.membership.change(() => followed.get("b"), { state: "disabled" }, "test");
  await followed.follow(["a", "b", "c", "d"]);
  assertEquals(followed.get("d").up, true, "nobody else takes traffic");
  await followed.follow(["a", "b", "c", "d", "e"], { checked: false });
  assertEquals(followed.get("e").up, true, "nobody would ever mark it up");
});

Deno.test("where all others leave, new backends begin as at a start", async () => {
  for (const startsUp of [true, false]) {
    await using followed = new Followed();
    await followed.follow(["a"]);
    followed.told.length = 0;
    await followed.follow(["b"], { startsUp });
    assertEquals(followed.get("b").up, startsUp);
    await followed.gone("a");
    // All isolates know the new one before the old one drains.
    assertEquals(followed.told, ["added b", "settled", "draining a", "removed a"]);
  }
});

Deno.test("a backend that has gone drains while others change, and its WebSockets end with the drain", async () => {
  await using followed = new Followed();
  await followed.follow(["a", "b"]);
  const a = followed.get("a");
  const lease = a.lease();
  let ended = 0;
  a.joinLasting({ goAway: () => ended++ });
  await followed.follow(["b"]);
  await followed.follow(["b", "c"]);
  assertEquals([a.state, a.inPool, ended], ["draining", true, 0]);
  lease?.release();
  await followed.gone("a");
  assertEquals([ended, a.currentConnections], [1, 0]);
});

Deno.test("a drain ends with its time, and the request in flight is still counted until it ends", async () => {
  await using followed = new Followed();
  await followed.follow(["a", "b"]);
  const a = followed.get("a");
  const lease = a.lease();
  await followed.follow(["b"], { drainMs: 0 });
  await followed.gone("a");
  assertEquals(followed.pool.idle, false);
  lease?.release();
  assertEquals(followed.pool.idle, true);
});

Deno.test("a backend that comes back while it drains serves again, with its counts and its operator's state", async () => {
  await using followed = new Followed();
  await followed.follow(["a", "b", "c"]);
  const [a, b] = [followed.get("a"), followed.get("b")];
  await followed.membership.change(() => b, { state: "disabled" }, "test");
  const leases = [a.lease(), b.lease()];
  await followed.follow(["c"]);
  assertEquals([a.state, b.state], ["draining", "disabled"]);
  await assertRejects(() => followed.membership.change(() => a, { state: "active" }, "test"), FollowsSourceError);
  await followed.follow(["a", "b", "c"]);
  assertEquals([a.state, b.state, a.inPool, b.inPool], ["active", "disabled", true, true]);
  for (const lease of leases) lease?.release();
  await followed.follow(["b", "c"]);
  await followed.gone("a");
  assertEquals([followed.urls, a.totalRequests], [["b", "c"], 1]);
});

Deno.test("what an operator has set counts in place of what the source says, until the backend has gone", async () => {
  await using followed = new Followed();
  await followed.follow(["a", "b"]);
  await followed.membership.change(() => followed.get("a"), { weight: 7, state: "draining" }, "test");
  await followed.follow([backendSpec("http://a", { weight: 3, backup: true }), backendSpec("http://b", { weight: 3 })]);
  const { weight, backup, state } = followed.get("a");
  assertEquals({ weight, backup, state, b: followed.get("b").weight }, {
    weight: 7,
    backup: true,
    state: "draining",
    b: 3,
  });
  await followed.follow(["b"]);
  await followed.gone("a");
  await followed.follow(["a", "b"]);
  assertEquals([followed.get("a").weight, followed.get("a").state], [1, "active"]);
});

Deno.test("only the source adds and removes backends", async () => {
  await using followed = new Followed();
  const { membership, pool } = followed;
  await followed.follow(["a"]);
  const { signal } = new AbortController();
  const deployment = { specs: [backendSpec("http://x")], waitMs: 0, drainMs: 0, reason: "test", abandoned: signal };
  const removal = { reason: "test", describe: () => null };
  const refused = [
    () => membership.add(backendSpec("http://x"), "test"),
    () => membership.deploy(deployment),
    () => membership.remove(() => followed.get("a"), { ...removal, drainMs: undefined }),
    () => membership.remove(() => followed.get("a"), { ...removal, drainMs: 1000 }),
  ];
  for (const change of refused) {
    const { message } = await assertRejects(change, FollowsSourceError);
    assertEquals(message, "the pool's backends come from file:x, so they are added and removed there");
  }
  assertEquals([followed.urls, pool.backends[0]?.state], [["a"], "active"]);
  membership.setSource(undefined);
  await membership.add(backendSpec("http://x"), "test");
});

Deno.test("a backend with other TLS settings is another backend, under the same URL", async () => {
  await using followed = new Followed();
  await followed.follow(["a", "b"]);
  const before = followed.get("a");
  await followed.follow([
    backendSpec("http://a", { tls: { ca: null, insecure: true, serverName: null, cert: null, key: null } }),
    backendSpec("http://b"),
  ]);
  const after = followed.get("a");
  assertEquals([before.inPool, after.inPool, after.up, after.tls.insecure], [false, true, false, true]);
});

Deno.test("lists that need all the room there is replace each other: those that have gone can't drain then", async () => {
  await using followed = new Followed();
  const list = (prefix: string, length: number) => Array.from({ length }, (_, index) => `${prefix}-${index}`);
  await followed.follow(list("a", MAX_BACKENDS));
  await followed.follow(list("b", MAX_BACKENDS));
  assertEquals([followed.urls.length, followed.urls[0]], [MAX_BACKENDS, "b-0"]);
  await assertRejects(() => followed.follow(list("c", MAX_BACKENDS + 1)), PoolFullError);
  assertEquals([followed.urls.length, followed.urls[0]], [MAX_BACKENDS, "b-0"]);
});

Deno.test("backends that drain serve again when a reload gives the pool a list that has them", async () => {
  await using followed = new Followed();
  await followed.follow(["a", "b"]);
  const a = followed.get("a");
  using _lease = { lease: a.lease(), [Symbol.dispose]: () => {} };
  await followed.follow(["b"]);
  followed.membership.setSource(undefined);
  followed.membership.takeBack([backendSpec("http://a")], "reload");
  assertEquals([a.state, followed.urls], ["active", ["a", "b"]]);
});

Deno.test("a list may say the states of its backends; those that drain go on draining", async () => {
  await using followed = new Followed();
  await followed.follow(["a", "b"]);
  const a = followed.get("a");
  const lease = a.lease();
  const states = new Map([["http://b", "disabled"], ["http://c", "draining"]] as const);
  await followed.follow(["b", "c"], { states });
  assertEquals([a.state, followed.get("b").state, followed.get("c").state], ["draining", "disabled", "draining"]);
  await followed.follow(["b", "c"], { states: new Map() });
  assertEquals([a.state, followed.get("b").state, followed.get("c").state], ["draining", "active", "active"]);
  lease?.release();
  await followed.gone("a");
});
