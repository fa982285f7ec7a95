/** What a balancing strategy is. Its implementations stand beside this file, one each. */

import type { Backend } from "../pool/backend.ts";

/** A backend that may be chosen, with its share of the traffic. */
export interface Candidate {
  readonly backend: Backend;
  /** A whole number from 1. Only its ratio to the others' counts. */
  readonly weight: number;
}

/** What a strategy may know of a request. */
export interface PickRequest {
  /** The client's IP address. */
  readonly client: string;
  /** Path and query as the client sent them. */
  readonly target: string;
  /** The value of a header (lower-case name), or `undefined`. */
  header(name: string): string | undefined;
  /** Whether this request may go to that backend: it has room, and was not tried for this request before. */
  accepts(backend: Backend): boolean;
}

/**
 * Chooses among the candidates it was built for. Knows nothing of health, limits or retries: a new one is built when
 * the candidates change, and `accepts` answers the rest.
 */
export interface Strategy {
  /** Returns a backend that the request accepts, or `undefined` when it accepts none. */
  pick(request: PickRequest): Backend | undefined;
}

/** What strategies share across isolates and rebuilds. */
export interface StrategyContext {
  /** The next of a row of whole numbers that all isolates count along, wrapping at 2^32. */
  takeTurn(): number;
  /** Uniform in [0, 1). */
  random(): number;
}

/** Builds a strategy. `candidates` is never empty. */
export type StrategyFactory = (candidates: readonly Candidate[], context: StrategyContext) => Strategy;
