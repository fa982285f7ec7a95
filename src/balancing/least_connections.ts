/** Picks the backend with the fewest current connections for its weight. Tied backends take turns. */

import type { Backend } from "../pool/backend.ts";
import { smoothSchedule } from "./schedule.ts";
import type { Candidate, PickRequest, Strategy, StrategyContext } from "./strategy.ts";

/**
 * Picks the backend with the smallest current connections / weight. Connections of all isolates count. The order of the
 * backends does not matter.
 *
 * Tied backends take turns by weight. While all backends are tied, for example when all are idle, the order is exactly
 * that of `round-robin`, shared by all isolates. When only some are tied, each isolate follows nginx's smooth weighted
 * rule: the tied backends gain credit and the chosen one pays. So a busy backend collects no turns for later. The
 * credit is a share of one pick, not the weight. Otherwise a pick would cost more in some ties than in others, and
 * alternating ties would be unfair.
 */
export function leastConnections(candidates: readonly Candidate[], context: StrategyContext): Strategy {
  return new LeastConnections(candidates, context);
}

/**
 * Credits that differ by less than this count as equal, because sums of shares have rounding errors. The first of
 * equals is chosen.
 */
const SAME_CREDIT = 1e-9;

class LeastConnections implements Strategy {
  readonly #candidates: readonly Candidate[];
  readonly #context: StrategyContext;
  /** The order of turns while all backends are tied. */
  readonly #schedule: Uint16Array;
  /** For each backend: the shares that it gained when only some were tied, minus the picks that it got. */
  readonly #credit: Float64Array;
  /** Scratch memory of a pick: the indices of the tied backends. */
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

  /**
   * Writes the indices of the least loaded backends to `#tied`. Returns how many there are; 0: the request accepts
   * none.
   */
  #collectTied(request: PickRequest): number {
    const candidates = this.#candidates;
    let tied = 0;
    // The least load so far, as a fraction. Fractions are compared by cross-multiplication, which is exact for whole
    // numbers.
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
