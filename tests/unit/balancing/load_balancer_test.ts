import { assert, assertEquals } from "@std/assert";
import { LoadBalancer } from "../../../src/balancing/load_balancer.ts";
import { roundRobin } from "../../../src/balancing/round_robin.ts";
import { ServerPool } from "../../../src/pool/server_pool.ts";
import { Memory } from "../../../src/memory/memory.ts";
import { poolOf } from "../../support/pool.ts";

Deno.test("LoadBalancer notices a backend that its own pool has heard of later than the epoch changed", () => {
  // The control plane's change is seen in shared memory before the message with the backend arrives.
  const pool = poolOf([1]);
  const replica = new ServerPool(Memory.attach(pool.shared.memory.sharedWith(0)).pool(0));
  const balancer = new LoadBalancer(replica, roundRobin);
  const { epoch } = pool.shared.cells;
  assertEquals(balancer.eligible, []);
  const [backend] = pool.backends;
  assert(backend !== undefined);
  const place = replica.adopt(backend.spec, backend.slot, "test");
  assertEquals(pool.shared.cells.epoch, epoch, "a replica changes nothing for others");
  assertEquals(balancer.eligible, [place]);
  replica.remove(place, "test");
  assertEquals(balancer.eligible, []);
});
