/** Weighted random choice. It is a strategy, and other strategies use its draw. */

import type { Candidate, PickRequest, StrategyFactory } from "./strategy.ts";

/** After this many draws of backends that the request can't use, the backends are checked one by one. */
const DRAWS = 4;

/** Draws candidates with probabilities in proportion to their weights. */
export class WeightedDraw {
  readonly #candidates: readonly Candidate[];
  readonly #random: () => number;
  /**
   * For each candidate: the sum of the weights up to and including its own. It owns the numbers from the sum before it
   * to below its own sum.
   */
  readonly #bounds: Float64Array;

  constructor(candidates: readonly Candidate[], random: () => number) {
    let sum = 0;
    this.#candidates = candidates;
    this.#random = random;
    this.#bounds = Float64Array.from(candidates, ({ weight }) => sum += weight);
  }

  /**
   * Returns the index of a candidate that the request accepts; `undefined`: it accepts none. The probability of each is
   * its share of the weights of all accepted candidates. Draws that were rejected do not change that.
   *
   * @param except the index of a candidate that may not be drawn
   */
  draw(request: PickRequest, except = -1): number | undefined {
    for (let draw = 0; draw < DRAWS; draw++) {
      const index = this.#search();
      const candidate = this.#candidates[index];
      if (index !== except && candidate !== undefined && request.accepts(candidate.backend)) return index;
    }
    return this.#drawAccepted(request, except);
  }

  #search(): number {
    const bounds = this.#bounds;
    let low = 0;
    let high = bounds.length - 1;
    const point = this.#random() * (bounds[high] ?? 0);
    while (low < high) {
      const middle = (low + high) >> 1;
      if (point < (bounds[middle] ?? 0)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /**
   * Draws in one pass over the candidates. Each replaces the one drawn before with a probability of its share of the
   * weight so far (Chao, 1982).
   */
  #drawAccepted(request: PickRequest, except: number): number | undefined {
    let drawn: number | undefined;
    let total = 0;
    for (let index = 0; index < this.#candidates.length; index++) {
      const candidate = this.#candidates[index];
      if (index === except || candidate === undefined || !request.accepts(candidate.backend)) continue;
      total += candidate.weight;
      if (this.#random() * total < candidate.weight) drawn = index;
    }
    return drawn;
  }
}

/** Picks at random by weight. The share of a backend that the request can't use goes to the others by weight. */
export const random: StrategyFactory = (candidates, context) => {
  const draw = new WeightedDraw(candidates, context.random);
  return {
    pick(request) {
      const index = draw.draw(request);
      return index === undefined ? undefined : candidates[index]?.backend;
    },
  };
};
