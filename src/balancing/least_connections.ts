/** Fewest current connections for its weight: the backend with the most room, ties in turn. */

import type { Backend } from "../pool/backend.ts";
import { smoothSchedule } from "./schedule.ts";
import type { Candidate, PickRequest, Strategy, StrategyContext } from "./strategy.ts";

/**
 * Picks the smallest current connections / weight, counted over all isolates, whatever the order of the backends.
 *
 * Ties go round robin by weight. While all are tied, above all while all are idle, the order is exactly that of
 * `round-robin`, shared by all isolates. Among some of them each isolate keeps nginx's smooth weighted rule, in which
 * only the tied gain and only the chosen pays, so no backend collects turns for later while it is busy.
 */
export function leastConnections(candidates: readonly Candidate[], context: StrategyContext): Strategy {
  return new LeastConnections(candidates, context);
}

class LeastConnections implements Strategy {
  readonly #candidates: readonly Candidate[];
  readonly #context: StrategyContext;
  /** The order of turns while all are tied. */
  readonly #schedule: Uint16Array;
  /** What each has gained and not paid in ties of some. */
  readonly #credit: Float64Array;
  /** Scratch of a pick: the indices of the tied. */
  readonly #tied: Uint16Array;

  constructor(candidates: readonly Candidate[], context: StrategyContext) {
    this.#candidates = candidates;
    this.#context = context;
    this.#schedule = smoothSchedule(candidates.map((candidate) => candidate.weight));
    this.#credit = new Float64Array(candidates.length);
    this.#tied = new Uint16Array(candidates.length);
  }

  pick(request: PickRequest): Backend | undefined {
    const tied = this.#collectTied(request);
    if (tied === 0) return undefined;
    return this.#candidates[this.#breakTie(tied)]?.backend;
  }

  /** Writes the indices of the least loaded to `#tied`; returns how many there are, 0 when the request accepts none. */
  #collectTied(request: PickRequest): number {
    const candidates = this.#candidates;
    let tied = 0;
    // The least load so far, as a fraction. Fractions are compared by cross-multiplying, which is exact in whole numbers.
    let leastConnections = Infinity;
    let itsWeight = 1;
    for (let index = 0; index < candidates.length; index++) {
      const candidate = candidates[index];
      if (candidate === undefined) break; // never: the index is in range
      const connections = candidate.backend.currentConnections;
      const difference = connections * itsWeight - leastConnections * candidate.weight;
      if (difference > 0 || !request.accepts(candidate.backend)) continue;
      if (difference < 0) {
        tied = 0;
        leastConnections = connections;
        itsWeight = candidate.weight;
      }
      this.#tied[tied++] = index;
    }
    return tied;
  }

  #breakTie(tied: number): number {
    if (tied === 1) return this.#tied[0] ?? 0;
    const schedule = this.#schedule;
    if (tied === this.#candidates.length) return schedule[this.#context.takeTurn() % schedule.length] ?? 0;
    let chosen = 0;
    let most = -Infinity;
    let total = 0;
    for (let place = 0; place < tied; place++) {
      const index = this.#tied[place] ?? 0;
      const weight = this.#candidates[index]?.weight ?? 0;
      const credit = (this.#credit[index] ?? 0) + weight;
      this.#credit[index] = credit;
      total += weight;
      if (credit <= most) continue;
      most = credit;
      chosen = index;
    }
    this.#credit[chosen] = most - total;
    return chosen;
  }
}
