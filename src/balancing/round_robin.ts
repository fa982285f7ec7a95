/** Smooth weighted round robin: everyone in turn, by weight, exactly. */

import type { Backend } from "../pool/backend.ts";
import { smoothSchedule } from "./schedule.ts";
import type { Candidate, PickRequest, Strategy, StrategyContext } from "./strategy.ts";

/**
 * Walks the smooth weighted order with a turn counter that all isolates share: over any whole number of cycles each
 * candidate is picked exactly as often as its weight says. A pick costs the same for 2 backends and for 1,000.
 */
export function roundRobin(candidates: readonly Candidate[], context: StrategyContext): Strategy {
  const schedule = smoothSchedule(candidates.map((candidate) => candidate.weight));
  return {
    pick(request) {
      const turn = context.takeTurn();
      const backend = candidates[schedule[turn % schedule.length] ?? 0]?.backend;
      if (backend !== undefined && request.accepts(backend)) return backend;
      return pickByWeight(candidates, request, Math.floor(turn / schedule.length));
    },
  };
}

/**
 * The turn fell to a backend that this request can't use: its share goes to the others by weight, not to whoever
 * stands next in the order. `cycle` walks their weights, so the split is exact here too.
 */
function pickByWeight(candidates: readonly Candidate[], request: PickRequest, cycle: number): Backend | undefined {
  const accepted = candidates.filter((candidate) => request.accepts(candidate.backend));
  const total = accepted.reduce((sum, candidate) => sum + candidate.weight, 0);
  let place = cycle % total; // NaN for none, and then the loop is empty
  for (const { backend, weight } of accepted) {
    if (place < weight) return backend;
    place -= weight;
  }
  return undefined;
}
