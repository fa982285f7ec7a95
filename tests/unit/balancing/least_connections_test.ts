import { assertEquals, assertLessOrEqual } from "@std/assert";
import fc from "fast-check";
import { leastConnections } from "../../../src/balancing/least_connections.ts";
import { LoadBalancer } from "../../../src/balancing/load_balancer.ts";
import { roundRobin } from "../../../src/balancing/round_robin.ts";
import type { Backend } from "../../../src/pool/backend.ts";
import { ServerPool } from "../../../src/pool/server_pool.ts";
import { Memory } from "../../../src/memory/memory.ts";
import { countPicks, pickRequest, rejecting } from "../../support/pick.ts";
import { backendSpec, poolOf } from "../../support/pool.ts";
import { testStrategyContract } from "./strategy_contract.ts";

testStrategyContract("leastConnections()", leastConnections);

/** Opens `loads[i]` connections at the i-th backend. */
function load(pool: ServerPool, loads: readonly number[]): void {
  pool.backends.forEach((backend, index) => {
    for (let connection = 0; connection < (loads[index] ?? 0); connection++) backend.lease();
  });
}

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, index) =>
    permutations([...items.slice(0, index), ...items.slice(index + 1)]).map((rest) => [item, ...rest])
  );
}

// Caddy's least_conn was tested with ascending loads alone; with descending ones it picked a busier backend.
// Whoever had listed the backends in another order got another balance.
Deno.test("leastConnections() finds the least loaded in every order of the backends", () => {
  for (const loads of permutations([0, 1, 2, 3, 7])) {
    const pool = poolOf(loads.map(() => 1));
    load(pool, loads);
    const least = pool.backends[loads.indexOf(0)];
    assertEquals(new LoadBalancer(pool, leastConnections).pick(pickRequest())?.url, least?.url, loads.join());
  }
});

Deno.test("leastConnections() weighs connections by weight in every order of the backends", () => {
  // 3/4 < 1/1 < 5/4 < 3/2
  const kinds = [{ weight: 4, load: 3 }, { weight: 1, load: 1 }, { weight: 4, load: 5 }, { weight: 2, load: 3 }];
  for (const order of permutations(kinds)) {
    const pool = poolOf(order.map(({ weight }) => weight));
    load(pool, order.map((kind) => kind.load));
    const picked = new LoadBalancer(pool, leastConnections).pick(pickRequest());
    assertEquals([picked?.weight, picked?.currentConnections], [4, 3]);
  }
});

Deno.test("leastConnections() calls equal loads equal, and what differs by one connection different", () => {
  // 49 × (1 / 49) is not 1 in floating point.
  const pool = poolOf([49, 1]);
  const balancer = new LoadBalancer(pool, leastConnections);
  load(pool, [49, 1]);
  assertEquals(countPicks(balancer, 100), { "http://backend-1": 98, "http://backend-2": 2 });
  pool.backends[0]?.lease();
  assertEquals(countPicks(balancer, 50), { "http://backend-2": 50 });
});

Deno.test("leastConnections() picks one of a naive model's least loaded, whatever is excluded", () => {
  const backends = fc.array(
    fc.record({ weight: fc.integer({ min: 1, max: 256 }), load: fc.nat(40), excluded: fc.boolean() }),
    { minLength: 1, maxLength: 12 },
  );
  fc.assert(fc.property(backends, (kinds) => {
    const pool = poolOf(kinds.map(({ weight }) => weight));
    load(pool, kinds.map((kind) => kind.load));
    const request = rejecting(...pool.backends.filter((_, index) => kinds[index]?.excluded));
    const balancer = new LoadBalancer(pool, leastConnections);
    const accepted = pool.backends.filter((backend) => request.accepts(backend));
    const noMoreThan = (one: Backend, other: Backend) =>
      BigInt(one.currentConnections) * BigInt(other.weight) <= BigInt(other.currentConnections) * BigInt(one.weight);
    const least = accepted.filter((one) => accepted.every((other) => noMoreThan(one, other)));
    // Each of the tied comes exactly as often as its weight says.
    const cycle = least.reduce((sum, backend) => sum + backend.weight, 0);
    const expected = Object.fromEntries(least.map((backend) => [backend.url, backend.weight]));
    assertEquals(countPicks(balancer, Math.max(cycle, 1), request), least.length === 0 ? { none: 1 } : expected);
  }));
});

Deno.test("leastConnections() is round robin while all are idle", () => {
  const weights = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 });
  fc.assert(fc.property(weights, (weights) => {
    const orders = [leastConnections, roundRobin].map((factory) => {
      const balancer = new LoadBalancer(poolOf(weights), factory);
      return Array.from({ length: 100 }, () => balancer.pick(pickRequest())?.url);
    });
    if (weights.length > 1) assertEquals(orders[0], orders[1]);
  }));
});

Deno.test("leastConnections() is exact across isolates while all are idle, and sees their connections", () => {
  const shared = Memory.allocate(2).pool(0);
  const pool = poolOf([1, 2], shared);
  // The other isolate's replica of the same pool: its `add` writes the same slots again, as messages will tell it to.
  const replica = new ServerPool(Memory.attach(shared.memory.sharedWith(1)).pool(0));
  for (const backend of pool.backends) replica.add(backendSpec(backend.url, { weight: backend.weight }), "replica");
  const balancers = [new LoadBalancer(pool, leastConnections), new LoadBalancer(replica, leastConnections)];
  const counts: Record<string, number> = {};
  for (let pick = 0; pick < 300; pick++) {
    const url = balancers[pick % 7 % 2]?.pick(pickRequest())?.url ?? "none";
    counts[url] = (counts[url] ?? 0) + 1;
    const cycles = (pick + 1) / 3;
    if (Number.isInteger(cycles)) assertEquals(counts, { "http://backend-1": cycles, "http://backend-2": 2 * cycles });
  }

  replica.backends[0]?.lease();
  assertEquals(balancers[0]?.pick(pickRequest())?.url, "http://backend-2");
});

Deno.test("leastConnections() takes turns by weight among some that are tied", () => {
  const pool = poolOf([1, 3, 1, 2]);
  load(pool, [1]);
  const balancer = new LoadBalancer(pool, leastConnections);
  const order = Array.from({ length: 12 }, () => balancer.pick(pickRequest())?.url.at(-1)).join("");
  assertEquals(order, "242342242342");
});

Deno.test("leastConnections() stays fair when ties of all and of some alternate", () => {
  // Two requests at a time: the first finds all idle, the second all but one. A shared turn for both would favour some.
  for (const weights of [[1, 1, 1], [1, 1, 1, 1, 1], [1, 2, 3], [5, 1, 1]]) {
    const pool = poolOf(weights);
    const balancer = new LoadBalancer(pool, leastConnections);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const seconds = new Map<string, number>();
    for (let round = 0; round < 60 * total; round++) {
      const lease = balancer.pick(pickRequest())?.lease();
      const second = balancer.pick(pickRequest());
      seconds.set(second?.url ?? "none", (seconds.get(second?.url ?? "none") ?? 0) + 1);
      lease?.release();
    }
    // What the second would get if each choice among the rest went exactly by weight.
    weights.forEach((weight, index) => {
      const expected = weights.reduce(
        (sum, first, other) => other === index ? sum : sum + 60 * first * weight / (total - first),
        0,
      );
      const got = seconds.get(pool.backends[index]?.url ?? "") ?? 0;
      assertLessOrEqual(
        Math.abs(got - expected),
        0.02 * 60 * total,
        `${weights}: ${index} got ${got}, not ${expected}`,
      );
    });
  }
});

Deno.test("leastConnections() gives a backend that was busy no turns to catch up with", () => {
  const pool = poolOf([1, 1, 1, 1]);
  const balancer = new LoadBalancer(pool, leastConnections);
  load(pool, [0, 0, 0, 1]);
  const lease = pool.backends[0]?.lease();
  countPicks(balancer, 100); // two are tied
  lease?.release();
  assertEquals(Object.values(countPicks(balancer, 30)), [10, 10, 10]);
});

Deno.test("leastConnections() fills a pool of 1,000 by weight", () => {
  const weights = Array.from({ length: 1000 }, (_, index) => 1 + index % 3);
  const pool = poolOf(weights);
  const balancer = new LoadBalancer(pool, leastConnections);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  for (let request = 0; request < 3 * total; request++) balancer.pick(pickRequest())?.lease();
  assertEquals(pool.backends.map((backend) => backend.currentConnections), weights.map((weight) => 3 * weight));
});
