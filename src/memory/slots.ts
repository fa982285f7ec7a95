/** How many backends and pools have room in shared memory, and how a backend's place there is named. */

import { MAX_BACKENDS } from "../config/backend_limit.ts";

/**
 * Places for the backends of all pools: twice the largest number of backends. A removed backend keeps its slot until
 * its last request has ended and all isolates have heard of the removal. With twice as many slots, a reload can still
 * exchange all backends in one step.
 */
export const SLOTS = 2 * MAX_BACKENDS;

/**
 * Places for pools. A pool that has ended keeps its place until its last request has ended. With twice as many places as
 * pools, a reload can still exchange all of them in one step.
 */
export const POOLS = 2 * MAX_BACKENDS;

/** Places for routes whose requests are counted by route. */
export const ROUTES = 1000;

/** Identifies one user of a slot, such as a backend. A slot has several one after the other; `generation` counts them. */
export interface SlotUse {
  readonly slot: number;
  readonly generation: number;
}

/** The number of the pool that always exists. */
export const DEFAULT_POOL = 0;
