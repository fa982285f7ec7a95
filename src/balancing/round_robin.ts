/** Smooth weighted round robin: backends take turns exactly by weight. */

import type { Backend } from "../pool/backend.ts";
import { greatestCommonDivisor, smoothSchedule } from "./schedule.ts";
import type { Candidate, PickRequest, Strategy, StrategyContext } from "./strategy.ts";

/** The golden ratio. Steps of this part of a circle spread their points as evenly as possible. */
const GOLDEN_PART = (Math.sqrt(5) - 1) / 2;

/**
 * Follows the smooth weighted order with a turn counter that all isolates share. Over any whole number of cycles, each
 * candidate is picked exactly as often as its weight says. A pick costs the same for 2 backends and for 1,000.
 */
export function roundRobin(candidates: readonly Candidate[], context: StrategyContext): Strategy {
  const schedule = smoothSchedule(candidates.map((candidate) => candidate.weight));
  const ranks = ranksIn(schedule, candidates.length);
  return {
    pick(request) {
      const turn = context.takeTurn();
      const place = turn % schedule.length;
      const candidate = candidates[schedule[place] ?? 0];
      if (candidate === undefined || request.accepts(candidate.backend)) return candidate?.backend;
      const cycle = Math.floor(turn / schedule.length);
      return pickByWeight(candidates, request, cycle * candidate.weight + (ranks[place] ?? 0));
    },
  };
}

/** For each place in the order: how many earlier places have the same candidate. */
function ranksIn(schedule: Uint16Array, candidates: number): Uint32Array {
  const seen = new Uint32Array(candidates);
  return Uint32Array.from(schedule, (index) => {
    const rank = seen[index] ?? 0;
    seen[index] = rank + 1;
    return rank;
  });
}

/**
 * Picks another backend when the request can't use the one whose turn it is. The share of that backend goes to the
 * others by weight, not to the next one in the order. Its turns are numbered without gaps. So the split is exact over
 * as many of its turns as the sum of the others' weights. Steps near the golden ratio send consecutive turns to
 * different backends.
 *
 * @param turn the number of this turn among the turns of that backend
 */
function pickByWeight(candidates: readonly Candidate[], request: PickRequest, turn: number): Backend | undefined {
  const accepted = candidates.filter((candidate) => request.accepts(candidate.backend));
  const total = accepted.reduce((sum, candidate) => sum + candidate.weight, 0);
  let place = ((turn % total) * strideThrough(total)) % total; // NaN if none is accepted; the loop is then empty
  for (const { backend, weight } of accepted) {
    if (place < weight) return backend;
    place -= weight;
  }
  return undefined;
}

/** Returns a step that visits each of `total` places once before it returns to the first. */
function strideThrough(total: number): number {
  let stride = Math.max(1, Math.round(total * GOLDEN_PART));
  while (greatestCommonDivisor(stride, total) > 1) stride++; // ends at total + 1 at the latest
  return stride;
}
