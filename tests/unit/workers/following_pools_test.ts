// The pools of a worker: a new one is there with its backends before the configuration, an ended one goes after.

import { assertEquals, assertThrows } from "@std/assert";
import { configSchema } from "../../../src/config/schema.ts";
import { SessionTable } from "../../../src/memory/session_table.ts";
import { ServerPool } from "../../../src/pool/server_pool.ts";
import { FollowingPools } from "../../../src/workers/following_pools.ts";
import { memories } from "../../support/memory.ts";
import { backendSpec } from "../../support/pool.ts";

const config = configSchema.parse({});

function setUp() {
  const [control, worker] = memories(2);
  if (control === undefined || worker === undefined) throw new Error();
  const pools = new FollowingPools({ memory: worker, send: () => {} });
  const told: string[] = [];
  pools.serverPools.subscribe({
    poolChanged: ({ type, backend }, pool) => told.push(`${pool.name} ${pool.shared.number}: ${type} ${backend.url}`),
    poolLeft: (pool) => told.push(`${pool.name} ${pool.shared.number} left`),
  });
  const place = (number: number) => {
    const { slot, spec } = new ServerPool(control.pool(number)).add(backendSpec(`http://${number}`), "test");
    return { slot, spec };
  };
  return { pools, told, place };
}

Deno.test("FollowingPools has a new pool with its backends and sessions, and keeps one that is dropped until it has ended", () => {
  const { pools, told, place } = setUp();
  const backend = place(3);
  const table = SessionTable.allocate(60_000);
  pools.configure({
    config,
    begun: [{ name: "default", pool: 3, backends: [backend] }],
    sessions: [{ pool: 3, sessions: table.shared }],
  });
  const first = pools.get("default");
  assertEquals([...pools], [first]);
  assertEquals(told, ["default 3: added http://3"]);
  first?.sessions?.bind("192.0.2.1", 3, 4, Date.now());
  assertEquals(table.find("192.0.2.1", Date.now())?.slot, 3);

  pools.configure({
    config,
    begun: [{ name: "default", pool: 5, backends: [] }],
    sessions: [{ pool: 5, sessions: undefined }],
  });
  assertEquals(pools.get("default")?.pool.shared.number, 5);
  assertEquals([...pools.serverPools].map(({ shared }) => shared.number), [3, 5]);
  assertEquals(first?.pool.backends.length, 1, "requests in flight still have it");

  pools.swap({ swaps: [{ pool: 3, removed: [{ slot: backend.slot, drained: false }], added: [] }], ended: [3, 7] });
  assertEquals(told.slice(1), ["default 3: removed http://3", "default 3 left"]);
  assertEquals([...pools.serverPools].map(({ shared }) => shared.number), [5]);
});

Deno.test("FollowingPools refuses a configuration with a pool that it was never told of", () => {
  const { pools } = setUp();
  assertThrows(() => pools.configure({ config, begun: [], sessions: [{ pool: 0, sessions: undefined }] }), Error);
  const begun = [{ name: "other", pool: 1, backends: [] }];
  assertThrows(() => pools.configure({ config, begun, sessions: [] }), Error, "the configuration has no pool other");
});
