import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { LoadBalancer } from "../../../src/balancing/load_balancer.ts";
import { roundRobin } from "../../../src/balancing/round_robin.ts";
import { Memory } from "../../../src/memory/memory.ts";
import { ServerPool } from "../../../src/pool/server_pool.ts";
import { countPicks, pickRequest, rejecting } from "../../support/pick.ts";
import { backendSpec, poolOf } from "../../support/pool.ts";
import { testStrategyContract } from "./strategy_contract.ts";

testStrategyContract("roundRobin()", roundRobin);

/** How often the same comes in a row at most. */
function longestRun(order: readonly unknown[]): number {
  let [longest, run] = [0, 0];
  for (const [index, item] of order.entries()) {
    run = index > 0 && item === order[index - 1] ? run + 1 : 1;
    longest = Math.max(longest, run);
  }
  return longest;
}

Deno.test("roundRobin() starts a a b a c a a with weights 5,1,1", () => {
  const balancer = new LoadBalancer(poolOf([5, 1, 1]), roundRobin);
  const order = Array.from({ length: 7 }, () => balancer.pick(pickRequest())?.url.at(-1));
  assertEquals(order.join(" "), "1 1 2 1 3 1 1");
});

Deno.test("roundRobin() gives each exactly its weight's share over whole cycles, from any start", () => {
  const weights = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 });
  fc.assert(fc.property(weights, fc.nat(100), fc.integer({ min: 1, max: 5 }), (weights, start, cycles) => {
    const pool = poolOf(weights);
    const balancer = new LoadBalancer(pool, roundRobin);
    countPicks(balancer, start);
    const counts = countPicks(balancer, cycles * weights.reduce((sum, weight) => sum + weight, 0));
    for (const backend of pool.backends) assertEquals(counts[backend.url], cycles * backend.weight);
  }));
});

Deno.test("roundRobin() spreads a dead backend's share over the rest by weight, not to its neighbour", () => {
  const pool = poolOf([1, 1, 1, 1]);
  const balancer = new LoadBalancer(pool, roundRobin);
  countPicks(balancer, 5);
  const [, dead] = pool.backends;
  assert(dead !== undefined);
  pool.setUp(dead, false, "test");
  assertEquals(countPicks(balancer, 300), {
    "http://backend-1": 100,
    "http://backend-3": 100,
    "http://backend-4": 100,
  });
  pool.setUp(dead, true, "test");
  assertEquals(Object.values(countPicks(balancer, 400)), [100, 100, 100, 100]);
});

Deno.test("roundRobin() spreads what one request can't use over the rest by weight", () => {
  const pool = poolOf([1, 1, 2, 1]);
  const balancer = new LoadBalancer(pool, roundRobin);
  const [first] = pool.backends;
  // Of every 5 turns one falls to the first, whose share goes 1:2:1 to the others: 20 turns hold 4 such.
  assertEquals(countPicks(balancer, 20, rejecting(first)), {
    "http://backend-2": 5,
    "http://backend-3": 10,
    "http://backend-4": 5,
  });
});

// A full backend of weight 256 beside two of weight 1: its turns all went to one of the two, 171 times in a row. The
// clients of that one waited while its twin stood idle.
Deno.test("roundRobin() alternates the turns of a full backend among the others", () => {
  const pool = poolOf([256, 1, 1]);
  const balancer = new LoadBalancer(pool, roundRobin);
  const [full] = pool.backends;
  const order = Array.from({ length: 4 * 258 }, () => balancer.pick(rejecting(full))?.url.at(-1));
  assertEquals(longestRun(order) <= 3, true, `${longestRun(order)} in a row`);
  assertEquals(order.filter((url) => url === "2").length, order.length / 2);
});

Deno.test("roundRobin() spreads a full backend's turns evenly by any weights, and exactly over whole rounds", () => {
  const weights = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 2, maxLength: 6 });
  fc.assert(
    fc.property(weights, (others) => {
      const total = others.reduce((sum, weight) => sum + weight, 0);
      const pool = poolOf([256, ...others]);
      const [full, ...rest] = pool.backends;
      const balancer = new LoadBalancer(pool, roundRobin);
      const turnsOfFull: string[] = [];
      // As many cycles as make the turns of the full one whole rounds among the others.
      for (let pick = 0; pick < total * (256 + total); pick++) {
        let asked = false;
        const chosen = balancer.pick({
          ...rejecting(full),
          accepts: (backend) => {
            asked ||= backend === full;
            return backend !== full;
          },
        });
        if (asked) turnsOfFull.push(chosen?.url ?? "none");
      }
      for (const [index, backend] of rest.entries()) {
        const share = turnsOfFull.filter((url) => url === backend.url).length;
        assertEquals(share, turnsOfFull.length * (others[index] ?? 0) / total);
      }
    }),
    { numRuns: 20 },
  );
});

Deno.test("roundRobin() is exact across isolates that share the memory", () => {
  const shared = Memory.allocate(2).pool(0);
  const pool = poolOf([1, 2], shared);
  // The other isolate's replica of the same pool: its `add` writes the same slots again, as messages will tell it to.
  const replica = new ServerPool(Memory.attach(shared.memory.sharedWith(1)).pool(0));
  for (const backend of pool.backends) replica.add(backendSpec(backend.url, { weight: backend.weight }), "replica");
  const balancers = [new LoadBalancer(pool, roundRobin), new LoadBalancer(replica, roundRobin)];
  const counts: Record<string, number> = {};
  for (let pick = 0; pick < 300; pick++) {
    const url = balancers[pick % 7 % 2]?.pick(pickRequest())?.url ?? "none";
    counts[url] = (counts[url] ?? 0) + 1;
  }
  assertEquals(counts, { "http://backend-1": 100, "http://backend-2": 200 });
});

Deno.test("roundRobin() stays exact when the turn counter passes the sign bit", () => {
  const pool = poolOf([1, 1]);
  let turn = 0x7ffffffe; // just below where a signed number of 32 bits turns negative
  const balancer = new LoadBalancer(pool, roundRobin, { takeTurn: () => turn++, random: Math.random });
  assertEquals(Object.values(countPicks(balancer, 10)), [5, 5]);
});
