import { assert, assertEquals, assertMatch, assertNotEquals, assertThrows } from "@std/assert";
import { DuplicateBackendError, PoolFullError, ServerPool } from "../../../src/pool/server_pool.ts";
import { MAX_BACKENDS } from "../../../src/config/backend_limit.ts";
import { Memory } from "../../../src/memory/memory.ts";
import { backendSpec, poolOf } from "../../support/pool.ts";

Deno.test("ServerPool.add() refuses a URL that is there and changes nothing", () => {
  const pool = poolOf([1]);
  const { epoch } = pool.shared.cells;
  assertThrows(() => pool.add(backendSpec("http://backend-1"), "test"), DuplicateBackendError);
  assertEquals([pool.backends.length, pool.shared.cells.epoch], [1, epoch]);
});

Deno.test("Backend.id is stable for a URL and differs between URLs", () => {
  const [one, two] = [poolOf([1]).backends[0], poolOf([9]).backends[0]];
  assertEquals(one?.id, two?.id);
  assertMatch(one?.id ?? "", /^b-[0-9a-f]{12}$/);
  assertNotEquals(one?.id, poolOf([1, 1]).backends[1]?.id);
});

Deno.test("ServerPool tells each change once, and none where nothing changed", () => {
  const pool = new ServerPool(Memory.allocate().pool(0));
  const events: string[] = [];
  const unsubscribe = pool.subscribe(({ type, reason }) => events.push(`${type}: ${reason}`));
  const backend = pool.add(backendSpec("http://a"), "configured");
  pool.setUp(backend, true, "check passed");
  pool.setUp(backend, false, "check failed");
  pool.setUp(backend, false, "check failed again");
  pool.setEjected(backend, true, "ejected while down: its health does not change");
  pool.setUp(backend, true, "check passed while ejected: nor does it now");
  pool.setEjected(backend, false, "ejection ended");
  pool.update(backend, { weight: 1 }, "same weight");
  pool.update(backend, { weight: 2, state: "draining" }, "operator");
  pool.remove(backend, "operator");
  pool.remove(backend, "twice");
  unsubscribe();
  pool.add(backendSpec("http://b"), "nobody listens");
  assertEquals(events, [
    "added: configured",
    "down: check failed",
    "up: ejection ended",
    "changed: operator",
    "draining: operator",
    "removed: operator",
  ]);
});

Deno.test("ServerPool changes the epoch or the list with everything that changes who is eligible", () => {
  const pool = poolOf([1]);
  const [backend] = pool.backends;
  assert(backend !== undefined);
  const changes: (() => void)[] = [
    () => pool.setUp(backend, false, "test"),
    () => pool.setEjected(backend, true, "test"),
    () => pool.update(backend, { state: "disabled" }, "test"),
    () => pool.update(backend, { weight: 7 }, "test"),
    () => pool.update(backend, { backup: true }, "test"),
    () => pool.setRamp(backend, 3),
    () => pool.add(backendSpec("http://another"), "test"),
    () => pool.remove(backend, "test"),
  ];
  for (const change of changes) {
    const { backends, shared: { cells: { epoch } } } = pool;
    change();
    assert(pool.shared.cells.epoch !== epoch || pool.backends !== backends);
  }
});

Deno.test("ServerPool keeps a removed backend's slot until its last request has ended", () => {
  const pool = poolOf([1]);
  const [old] = pool.backends;
  assert(old !== undefined);
  const lease = old.lease();
  pool.remove(old, "test");
  const next = pool.add(backendSpec("http://next"), "test");
  assertNotEquals(next.slot, old.slot);
  assertEquals([old.currentConnections, next.currentConnections], [1, 0]);
  lease?.release();
  const third = pool.add(backendSpec("http://third"), "test");
  assertEquals([third.slot, third.currentConnections, third.totalRequests], [old.slot, 0, 0]);
});

Deno.test("SlotAllotment.hold() keeps a removed backend's slot for as long as replicas may not have heard", () => {
  const pool = poolOf([1]);
  const [old] = pool.backends;
  assert(old !== undefined);
  const release = pool.shared.memory.slots.hold(old.slot);
  pool.remove(old, "test");
  assertNotEquals(pool.add(backendSpec("http://next"), "test").slot, old.slot);
  release();
  assertEquals(pool.add(backendSpec("http://third"), "test").slot, old.slot);
});

Deno.test("ServerPool.adopt() follows another pool: the same backend in the same place, its state shared", () => {
  const pool = poolOf([1, 1]);
  const [first, second] = pool.backends;
  assert(first !== undefined && second !== undefined);
  const replica = new ServerPool(Memory.attach(pool.shared.memory.sharedWith(0)).pool(0));
  for (const { spec, slot } of pool.backends) replica.adopt(spec, slot, "test");
  const twin = replica.getBySlot(second.slot, second.generation);
  assertEquals([twin?.id, twin?.weight, replica.backends.length], [second.id, 1, 2]);
  pool.setUp(second, false, "test");
  assertEquals([twin?.alive, replica.getBySlot(second.slot, second.generation + 1)], [false, undefined]);
});

Deno.test("Backend.lease() gives nothing once the backend has been removed, whoever still knows it", () => {
  const pool = poolOf([1]);
  const [backend] = pool.backends;
  assert(backend !== undefined);
  pool.remove(backend, "test");
  assertEquals([backend.lease(), backend.currentConnections], [undefined, 0]);
});

Deno.test("ServerPool says when it is full", () => {
  const pool = poolOf(Array.from({ length: MAX_BACKENDS }, () => 1));
  assertThrows(() => pool.add(backendSpec("http://one-too-many"), "test"), PoolFullError);
});

Deno.test("ServerPool shares the slots with the other pools of the process: no two have one, and the limit is that of all", () => {
  const memory = Memory.allocate();
  const one = poolOf(Array.from({ length: MAX_BACKENDS - 1 }, () => 1), memory.pool(0));
  const other = poolOf([1], memory.pool(1));
  assertEquals(new Set([...one.backends, ...other.backends].map(({ slot }) => slot)).size, MAX_BACKENDS);
  assertThrows(() => other.add(backendSpec("http://one-too-many"), "test"), PoolFullError);
  const [gone] = one.backends;
  assert(gone !== undefined);
  const lease = gone.lease();
  one.remove(gone, "test");
  const successor = other.add(backendSpec("http://successor"), "test");
  assertNotEquals(successor.slot, gone.slot, "a request of the other pool still counts there");
  lease?.release();
  other.remove(successor, "test");
  assertEquals(other.add(backendSpec("http://next"), "test").slot, gone.slot);
});

Deno.test("Lease.release() counts once however often it is called", () => {
  const pool = poolOf([1]);
  const [backend] = pool.backends;
  assert(backend !== undefined);
  const leases = [backend.lease(), backend.lease()];
  assertEquals(backend.currentConnections, 2);
  for (const lease of [...leases, ...leases]) lease?.release();
  assertEquals([backend.currentConnections, backend.totalRequests], [0, 2]);
});
