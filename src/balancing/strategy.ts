/** The interface of a balancing strategy. Each implementation has its own file in this folder. */

import type { Backend } from "../pool/backend.ts";

/** A backend that may be chosen, with its share of the traffic. */
export interface Candidate {
  readonly backend: Backend;
  /** A whole number from 1. Only its ratio to the other weights matters. */
  readonly weight: number;
}

/** What a strategy may know of a request. */
export interface PickRequest {
  /** The client's IP address. */
  readonly client: string;
  /** Path and query, as the client sent them. */
  readonly target: string;
  /** The value of the header with this name in lower case; `undefined`: there is none. */
  header(name: string): string | undefined;
  /** Whether the request may go to the backend: the backend has room, and this request has not tried it yet. */
  accepts(backend: Backend): boolean;
}

/**
 * Chooses among the candidates that it was built for. Knows nothing of health, limits and retries. When the candidates
 * change, a new strategy is built; `accepts` covers the rest.
 */
export interface Strategy {
  /** Returns a backend that the request accepts; `undefined`: it accepts none. */
  pick(request: PickRequest): Backend | undefined;
}

/** What strategies get from outside. It stays the same when a strategy is rebuilt. */
export interface StrategyContext {
  /** Takes the next number of a counter that all isolates share. It wraps at 2^32. */
  takeTurn(): number;
  /** A random number, uniform in [0, 1). */
  random(): number;
}

/** Builds a strategy. `candidates` is never empty. */
export type StrategyFactory = (candidates: readonly Candidate[], context: StrategyContext) => Strategy;
