/** Fewest current connections for its weight: the backend with the most room, ties in turn. */

import type { Backend } from "../pool/backend.ts";
import { smoothSchedule } from "./schedule.ts";
import type { Candidate, PickRequest, Strategy, StrategyContext } from "./strategy.ts";

/**
 * Picks the smallest current connections / weight, counted over all isolates, whatever the order of the backends.
 *
 * Ties go round robin by weight. While all are tied, above all while all are idle, the order is exactly that of
 * `round-robin`, shared by all isolates. Among some of them each isolate goes by nginx's smooth weighted rule, where
 * only the tied gain and only the chosen pays: a busy backend collects no turns for later. What they gain are shares
 * of one pick, not weights: else a pick would cost more in some ties than in others, and alternating ties be unfair.
 */
export function leastConnections(candidates: readonly Candidate[], context: StrategyContext): Strategy {
  return new LeastConnections(candidates, context);
}

/** Shares add up with rounding errors; credits closer than this count as equal, and the first of equals is chosen. */
const SAME_CREDIT = 1e-9;

class LeastConnections implements Strategy {
  readonly #candidates: readonly Candidate[];
  readonly #context: StrategyContext;
  /** The order of turns while all are tied. */
  readonly #schedule: Uint16Array;
  /** The picks that each had coming to it in ties of some, less those it got. */
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
    let total = 0;
    for (let place = 0; place < tied; place++) total += this.#weightOf(place);
    let chosen = 0;
    let most = -Infinity;
    for (let place = 0; place < tied; place++) {
      const index = this.#tied[place] ?? 0;
      const credit = (this.#credit[index] ?? 0) + this.#weightOf(place) / total;
      this.#credit[index] = credit;
      if (credit <= most + SAME_CREDIT) continue;
      most = credit;
      chosen = index;
    }
    this.#credit[chosen] = most - 1;
    return chosen;
  }

  #weightOf(place: number): number {
    return this.#candidates[this.#tied[place] ?? 0]?.weight ?? 0;
  }
}
