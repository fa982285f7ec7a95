/** Draws two backends at random and picks the better one by response time and current connections. */

import type { Backend } from "../pool/backend.ts";
import { WeightedDraw } from "./random.ts";
import type { Candidate, PickRequest, Strategy, StrategyContext, StrategyFactory } from "./strategy.ts";

/**
 * How fast an old response time fades while the backend gets no requests. New response times replace it at the same
 * rate (see `Backend.answered`).
 */
const FADE_MS = 10_000;

/** What this isolate knows about the age of a backend's response time. */
interface Reading {
  latencyMs: number | null;
  /** When the value was first seen here, or when the backend was last picked, whichever is later. */
  sinceMs: number;
}

/**
 * Draws two different backends by weight (power of two choices: Mitzenmacher, 2001) and picks the one with the lower
 * peak EWMA of response time (Finagle) × (current connections + 1) / weight.
 *
 * - An old response time fades while the backend gets no requests. So one slow answer does not exclude an idle backend
 *   for ever. After a pick, the old value counts in full again until the answer replaces it. So one request tries the
 *   backend, not a flood.
 * - A backend without a response time counts as the best. After a pick it counts as the worst, until it has answered or
 *   10 s have passed. So each isolate tries it with one request at a time, and it can't attract all traffic, even if it
 *   never answers. Between two of the worst, the one with fewer current connections / weight wins.
 *
 * @param now a clock in milliseconds that never goes backwards
 */
export function leastLatency(now: () => number = () => performance.now()): StrategyFactory {
  // Kept when the strategy is rebuilt. Otherwise each change of the pool would make old response times look new.
  const readings = new WeakMap<Backend, Reading>();
  return (candidates, context) => new LeastLatency(candidates, context, readings, now);
}

class LeastLatency implements Strategy {
  readonly #candidates: readonly Candidate[];
  readonly #readings: readonly Reading[];
  readonly #draw: WeightedDraw;
  readonly #now: () => number;

  constructor(
    candidates: readonly Candidate[],
    context: StrategyContext,
    readings: WeakMap<Backend, Reading>,
    now: () => number,
  ) {
    this.#candidates = candidates;
    this.#readings = candidates.map(({ backend }) => {
      const reading = readings.get(backend) ?? { latencyMs: null, sinceMs: -Infinity };
      readings.set(backend, reading);
      return reading;
    });
    this.#draw = new WeightedDraw(candidates, context.random);
    this.#now = now;
  }

  pick(request: PickRequest): Backend | undefined {
    const first = this.#draw.draw(request);
    if (first === undefined) return undefined;
    const second = this.#draw.draw(request, first);
    const nowMs = this.#now();
    const chosen = second !== undefined && this.#isBetter(second, first, nowMs) ? second : first;
    const reading = this.#readings[chosen];
    if (reading !== undefined) reading.sinceMs = nowMs;
    return this.#candidates[chosen]?.backend;
  }

  #isBetter(index: number, other: number, nowMs: number): boolean {
    const cost = this.#cost(index, nowMs);
    const otherCost = this.#cost(other, nowMs);
    return cost < otherCost || (cost === otherCost && this.#load(index) < this.#load(other));
  }

  #cost(index: number, nowMs: number): number {
    const candidate = this.#candidates[index];
    const reading = this.#readings[index];
    if (candidate === undefined || reading === undefined) return Infinity; // never: the index is in range
    const { latencyMs, currentConnections } = candidate.backend;
    if (latencyMs !== reading.latencyMs) {
      reading.latencyMs = latencyMs;
      reading.sinceMs = nowMs;
    }
    const ageMs = nowMs - reading.sinceMs;
    if (latencyMs === null) return ageMs < FADE_MS ? Infinity : 0;
    return latencyMs * Math.exp(-ageMs / FADE_MS) * (currentConnections + 1) / candidate.weight;
  }

  #load(index: number): number {
    const candidate = this.#candidates[index];
    return candidate === undefined ? Infinity : candidate.backend.currentConnections / candidate.weight;
  }
}
