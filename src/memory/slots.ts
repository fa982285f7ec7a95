/** How many there may be of what has a place in shared memory, and how one that has a place is named. */

import { MAX_BACKENDS } from "../config/backend_limit.ts";

/**
 * Places for backends, of all pools. Twice as many as there may be backends: a removed one keeps its place until its last
 * request has ended and every isolate has heard of it, and yet a reload can exchange all of them in one step.
 */
export const SLOTS = 2 * MAX_BACKENDS;

/** Places for pools: as many as there may be backends. */
export const POOLS = MAX_BACKENDS;

/** Names a backend for sure: a slot has several in turn, and the generation counts them. */
export interface SlotUse {
  readonly slot: number;
  readonly generation: number;
}

/** The pool that there always is. */
export const DEFAULT_POOL = 0;
