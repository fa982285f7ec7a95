import { assertEquals } from "@std/assert";
import { Memory } from "../../../src/memory/memory.ts";
import { ServerPool } from "../../../src/pool/server_pool.ts";
import { ServerPools } from "../../../src/pool/server_pools.ts";
import { backendSpec } from "../../support/pool.ts";

Deno.test("ServerPools tells what happens in the pools that are there, and when one has left", () => {
  const memory = Memory.allocate();
  const pools = new ServerPools();
  const [one, two] = ["one", "two"].map((name, number) => new ServerPool(memory.pool(number), name));
  if (one === undefined || two === undefined) throw new Error();
  const told: string[] = [];
  const unsubscribe = pools.subscribe({
    poolChanged: ({ type, backend }, pool) => told.push(`${pool.name}: ${type} ${backend.url}`),
    poolLeft: (pool) => told.push(`${pool.name} left`),
  });
  pools.join(one);
  pools.join(two);
  const backend = one.add(backendSpec("http://a"), "test");
  two.add(backendSpec("http://b"), "test");
  one.remove(backend, "test");
  pools.leave(one);
  pools.leave(one);
  one.add(backendSpec("http://c"), "test");
  assertEquals(told, ["one: added http://a", "two: added http://b", "one: removed http://a", "one left"]);
  assertEquals([...pools], [two]);
  unsubscribe();
  pools.leave(two);
  assertEquals(told.length, 4);
});

Deno.test("ServerPool is idle when no request is in flight at its backends, nor at those that it had", () => {
  const pool = new ServerPool(Memory.allocate().pool(0));
  const backend = pool.add(backendSpec("http://a"), "test");
  const lease = backend.lease();
  assertEquals(pool.idle, false);
  pool.remove(backend, "test");
  pool.remove(pool.add(backendSpec("http://b"), "test"), "test");
  assertEquals(pool.idle, false);
  lease?.release();
  assertEquals(pool.idle, true);
  // Another backend has the slot and a request, which is not the pool's.
  const other = new ServerPool(pool.shared.memory.pool(1));
  while (other.add(backendSpec(`http://${other.backends.length}`), "test").slot !== backend.slot);
  other.backends.at(-1)?.lease();
  assertEquals(pool.idle, true);
});

Deno.test("a backend's id is the URL's in the pool default, and another in each other pool", () => {
  const memory = Memory.allocate();
  const idIn = (name?: string) => new ServerPool(memory.pool(0), name).add(backendSpec("http://a:1"), "test").id;
  assertEquals(idIn(), "b-34e94dd08be1");
  const ids = [idIn(), idIn("default"), idIn("api"), idIn("api-v2")];
  assertEquals(new Set(ids).size, 3);
  assertEquals(idIn("api"), ids[2]);
});
