/** Smooth weighted round robin: everyone in turn, by weight, exactly. */

import type { Backend } from "../pool/backend.ts";
import { greatestCommonDivisor, smoothSchedule } from "./schedule.ts";
import type { Candidate, PickRequest, Strategy, StrategyContext } from "./strategy.ts";

/** A step of this part of a whole circle spreads the places it meets as evenly as can be (the golden ratio). */
const GOLDEN_PART = (Math.sqrt(5) - 1) / 2;

/**
 * Walks the smooth weighted order with a turn counter that all isolates share: over any whole number of cycles each
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

/** For each place in the order: how many places before it have the same candidate. */
function ranksIn(schedule: Uint16Array, candidates: number): Uint32Array {
  const seen = new Uint32Array(candidates);
  return Uint32Array.from(schedule, (index) => {
    const rank = seen[index] ?? 0;
    seen[index] = rank + 1;
    return rank;
  });
}

/**
 * The turn fell to a backend that this request can't use: its share goes to the others by weight, not to whoever stands
 * next in the order. The turns of one backend are numbered without gaps, so the split is exact over as many of them as
 * the others weigh together. Steps near the golden ratio make neighbours of these turns go to different backends.
 *
 * @param turn which of that backend's turns this is
 */
function pickByWeight(candidates: readonly Candidate[], request: PickRequest, turn: number): Backend | undefined {
  const accepted = candidates.filter((candidate) => request.accepts(candidate.backend));
  const total = accepted.reduce((sum, candidate) => sum + candidate.weight, 0);
  let place = ((turn % total) * strideThrough(total)) % total; // NaN for none, and then the loop is empty
  for (const { backend, weight } of accepted) {
    if (place < weight) return backend;
    place -= weight;
  }
  return undefined;
}

/** A step that meets each of `total` places once before it comes back. */
function strideThrough(total: number): number {
  let stride = Math.max(1, Math.round(total * GOLDEN_PART));
  while (greatestCommonDivisor(stride, total) > 1) stride++; // total + 1 at the latest
  return stride;
}
