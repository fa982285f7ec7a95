import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { random, WeightedDraw } from "../../../src/balancing/random.ts";
import type { Candidate, PickRequest } from "../../../src/balancing/strategy.ts";
import { countPicks, pickRequest, rejecting } from "../../support/pick.ts";
import { poolOf } from "../../support/pool.ts";
import { chiSquare, seededRandom } from "../../support/random.ts";
import { testStrategyContract } from "./strategy_contract.ts";

testStrategyContract("random()", random);

function candidatesOf(weights: readonly number[]): readonly Candidate[] {
  return poolOf(weights).backends.map((backend) => ({ backend, weight: backend.weight }));
}

function countEach(
  candidates: readonly Candidate[],
  times: number,
  request: PickRequest,
  uniform: () => number,
): number[] {
  const counts = countPicks(random(candidates, { takeTurn: () => 0, random: uniform }), times, request);
  assertEquals(counts["none"], undefined);
  return candidates.map(({ backend }) => counts[backend.url] ?? 0);
}

Deno.test("random() gives each backend exactly its weight's part of the numbers", () => {
  const weights = [5, 1, 256, 3, 1, 20];
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let step = 0;
  const counts = countEach(candidatesOf(weights), total, pickRequest(), () => (step++ % total) / total);
  assertEquals(counts, weights);
});

Deno.test("random() takes the ends of the range for the first and the last", () => {
  const candidates = candidatesOf([1, 2, 4]);
  assertEquals(countEach(candidates, 1, pickRequest(), () => 0), [1, 0, 0]);
  assertEquals(countEach(candidates, 1, pickRequest(), () => 1 - 2 ** -53), [0, 0, 1]);
});

Deno.test("random() spreads what a request can't use over all others by weight, not to a neighbour", () => {
  const weights = [1, 2, 50, 3, 4, 40, 5];
  const candidates = candidatesOf(weights);
  // Two of weight 90 in 105 are out, so nearly half of the picks pass the redraws and look the accepted up.
  const request = rejecting(candidates[2]?.backend, candidates[5]?.backend);
  const counts = countEach(candidates, 60_000, request, seededRandom(7));
  assertEquals([counts[2], counts[5]], [0, 0]);
  const accepted = [0, 1, 3, 4, 6];
  // 4 degrees of freedom: above 18.5 once in 1,000 fair runs, and the seed is fixed.
  assertLess(
    chiSquare(accepted.map((index) => counts[index] ?? 0), accepted.map((index) => weights[index] ?? 0)),
    18.5,
  );
});

Deno.test("random() keeps the shares of 1,000 backends with half of them refused", () => {
  const weights = Array.from({ length: 1000 }, (_, index) => 1 + index % 10);
  const candidates = candidatesOf(weights);
  const refused = new Set(candidates.filter((_, index) => index % 3 !== 0).map(({ backend }) => backend));
  const request = pickRequest({ accepts: (backend) => !refused.has(backend) });
  const counts = countEach(candidates, 100_000, request, seededRandom(1));
  const accepted = weights.flatMap((weight, index) => index % 3 === 0 ? [{ weight, count: counts[index] ?? 0 }] : []);
  const statistic = chiSquare(accepted.map(({ count }) => count), accepted.map(({ weight }) => weight));
  // 333 degrees of freedom: outside of this once in 1,000 fair runs; far below would be as odd as far above.
  assertGreater(statistic, 258);
  assertLess(statistic, 419);
});

Deno.test("WeightedDraw never draws the exception, and nothing when only that is left", () => {
  const candidates = candidatesOf([1000, 1, 1]);
  const draw = new WeightedDraw(candidates, seededRandom(3));
  for (let time = 0; time < 200; time++) assert(draw.draw(pickRequest(), 0) !== 0);
  const onlyFirst = rejecting(candidates[1]?.backend, candidates[2]?.backend);
  assertEquals(draw.draw(onlyFirst, 0), undefined);
  assertEquals(draw.draw(onlyFirst), 0);
});
