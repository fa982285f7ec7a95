import { assert, assertEquals, assertGreater, assertLess, assertLessOrEqual } from "@std/assert";
import { leastLatency } from "../../../src/balancing/least_latency.ts";
import { LoadBalancer } from "../../../src/balancing/load_balancer.ts";
import type { Strategy } from "../../../src/balancing/strategy.ts";
import type { Backend } from "../../../src/pool/backend.ts";
import type { ServerPool } from "../../../src/pool/server_pool.ts";
import { countPicks, pickRequest, rejecting } from "../../support/pick.ts";
import { poolOf } from "../../support/pool.ts";
import { seededRandom } from "../../support/random.ts";
import { testStrategyContract } from "./strategy_contract.ts";

testStrategyContract("leastLatency()", leastLatency());

/** A strategy over the whole pool with a clock that the test turns, and the same random numbers each time. */
function strategyOf(pool: ServerPool, seed = 1): { strategy: Strategy; clock: { nowMs: number } } {
  const clock = { nowMs: 1000 };
  const candidates = pool.backends.map((backend) => ({ backend, weight: backend.weight }));
  const context = { takeTurn: () => 0, random: seededRandom(seed) };
  return { strategy: leastLatency(() => clock.nowMs)(candidates, context), clock };
}

function measure(pool: ServerPool, latencies: readonly number[]): void {
  pool.backends.forEach((backend, index) => backend.answered(200, latencies[index] ?? 0));
}

function backendAt(pool: ServerPool, index: number): Backend {
  const backend = pool.backends[index];
  assert(backend !== undefined);
  return backend;
}

Deno.test("leastLatency() always picks the quicker of two, in either order", () => {
  for (const latencies of [[10, 20], [20, 10]]) {
    const pool = poolOf([1, 1]);
    measure(pool, latencies);
    const quicker = backendAt(pool, latencies.indexOf(10));
    assertEquals(countPicks(strategyOf(pool).strategy, 200), { [quicker.url]: 200 });
  }
});

Deno.test("leastLatency() multiplies by current connections + 1 and divides by weight", () => {
  const cases = [
    { weights: [1, 1], latencies: [10, 25], loads: [1, 0], quicker: 0 }, // 20 against 25
    { weights: [1, 1], latencies: [10, 25], loads: [2, 0], quicker: 1 }, // 30 against 25
    { weights: [1, 3], latencies: [10, 25], loads: [0, 0], quicker: 1 }, // 10 against 8.3
    { weights: [1, 3], latencies: [10, 25], loads: [0, 1], quicker: 0 }, // 10 against 16.7
  ];
  for (const { weights, latencies, loads, quicker } of cases) {
    const pool = poolOf(weights);
    measure(pool, latencies);
    loads.forEach((load, index) => {
      for (let connection = 0; connection < load; connection++) backendAt(pool, index).lease();
    });
    assertEquals(countPicks(strategyOf(pool).strategy, 50), { [backendAt(pool, quicker).url]: 50 });
  }
});

Deno.test("leastLatency() never picks the slowest of many, and picks the quickest as often as a pair holds it", () => {
  const pool = poolOf(Array.from({ length: 10 }, () => 1));
  measure(pool, Array.from({ length: 10 }, (_, index) => 10 + index));
  const counts = countPicks(strategyOf(pool).strategy, 45_000);
  assertEquals(counts["http://backend-10"], undefined);
  // Of the 45 pairs 9 - i have the i-th as their quicker one. 5 standard deviations of a binomial count.
  for (let index = 0; index < 9; index++) {
    const share = (9 - index) / 45;
    const deviation = Math.abs((counts[`http://backend-${index + 1}`] ?? 0) - 45_000 * share);
    assertLess(deviation, 5 * Math.sqrt(45_000 * share * (1 - share)));
  }
});

Deno.test("leastLatency() draws by weight", () => {
  const pool = poolOf([8, 1, 1]);
  measure(pool, [16, 1, 2]); // the costs: 2, 1, 2
  const counts = countPicks(strategyOf(pool).strategy, 10_000);
  // Only a pair of the first and the third leaves the second out: 0.8 × 1/2 + 0.1 × 8/9 of all draws.
  assertLess(Math.abs(10_000 - (counts["http://backend-2"] ?? 0) - 4889), 250);
});

Deno.test("leastLatency() keeps to what the request accepts when it draws the second", () => {
  const pool = poolOf([1, 1, 1, 1, 1, 1]);
  measure(pool, [1, 2, 3, 4, 50, 5]);
  const request = rejecting(...pool.backends.slice(0, 4));
  assertEquals(countPicks(strategyOf(pool).strategy, 200, request), { "http://backend-6": 200 });
});

Deno.test("leastLatency() tries a backend without a measure at once, with one request until it has answered", () => {
  const pool = poolOf([1, 1]);
  const fresh = backendAt(pool, 1);
  backendAt(pool, 0).answered(200, 1);
  const { strategy } = strategyOf(pool);
  assertEquals(strategy.pick(pickRequest())?.url, fresh.url);
  const lease = fresh.lease();
  assertEquals(countPicks(strategy, 100), { "http://backend-1": 100 });
  lease?.release();
  fresh.answered(200, 0.5);
  assertEquals(countPicks(strategy, 100), { [fresh.url]: 100 });
});

// A backend that breaks every connection never gets a measure and is always idle: had "no measure" stayed best,
// it would have drawn all traffic while passive ejection is off.
Deno.test("leastLatency() tries a backend that never answers once in ten seconds", () => {
  const pool = poolOf([1, 1]);
  backendAt(pool, 0).answered(200, 5);
  const { strategy, clock } = strategyOf(pool);
  let tries = 0;
  for (; clock.nowMs < 101_000; clock.nowMs += 10) {
    if (strategy.pick(pickRequest()) === backendAt(pool, 1)) tries++;
  }
  assertEquals(tries, 10);
});

Deno.test("leastLatency() goes by connections and weight while nothing is measured", () => {
  const pool = poolOf([1, 3, 2]);
  const { strategy } = strategyOf(pool);
  for (let request = 0; request < 600; request++) strategy.pick(pickRequest())?.lease();
  for (const backend of pool.backends) {
    // Two of three are compared each time, so each stays close to its share of 100 for a weight of 1.
    assertLessOrEqual(Math.abs(backend.currentConnections - 100 * backend.weight), 3);
  }
});

Deno.test("leastLatency() forgets an idle backend's old peak, then tries it with one request, not a flood", () => {
  const pool = poolOf([1, 1]);
  measure(pool, [1, 1000]);
  const { strategy, clock } = strategyOf(pool);
  const spiked = backendAt(pool, 1);
  const picks: number[] = [];
  for (; clock.nowMs < 151_000; clock.nowMs += 10) {
    if (strategy.pick(pickRequest()) === spiked) picks.push(clock.nowMs - 1000);
  }
  // 1000 × e^(-t / 10 s) falls below 1 after ln(1000) × 10 s = 69.08 s, and below the other, picked 10 ms ago, one pick
  // later; and again as long after the try, since no answer came.
  assertEquals(picks, [69_090, 138_180]);
});

Deno.test("leastLatency() remembers across changes of the pool how old a measure is", () => {
  const pool = poolOf([1, 1, 1]);
  measure(pool, [1, 1000, 1]);
  const clock = { nowMs: 0 };
  const balancer = new LoadBalancer(pool, leastLatency(() => clock.nowMs));
  let picked = 0;
  for (; clock.nowMs < 100_000; clock.nowMs += 100) {
    // The third comes and goes each second: a strategy that began anew each time would never see the peak fade.
    if (clock.nowMs % 1000 === 0) pool.setUp(backendAt(pool, 2), clock.nowMs % 2000 === 0, "test");
    if (balancer.pick(pickRequest()) === backendAt(pool, 1)) picked++;
  }
  assertGreater(picked, 0);
  assertLess(picked, 5);
});

Deno.test("leastLatency() sends most to the quick ones of 1,000", () => {
  const pool = poolOf(Array.from({ length: 1000 }, () => 1));
  measure(pool, Array.from({ length: 1000 }, (_, index) => index % 2 === 0 ? 5 : 50));
  const { strategy } = strategyOf(pool);
  let slow = 0;
  for (let request = 0; request < 10_000; request++) {
    if ((strategy.pick(pickRequest())?.latencyMs ?? 0) > 5) slow++;
  }
  // A slow one is picked only where both are slow: 499/1998 of the pairs. 5 standard deviations are 217.
  assertLess(Math.abs(slow - 2498), 217);
});
