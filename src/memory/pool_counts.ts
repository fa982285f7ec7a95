/**
 * The requests of a pool that have ended. Each isolate has one cache line, which only it writes: 64-bit floats, exact to
 * 2^53. A reader may see a count a moment late.
 */

import { type Arena, LINE_FLOATS } from "./arena.ts";

// Line of an isolate.
const ENDED = 0;
const FAILED = 1;
const CLIENT_ERRORS = 2;
const SERVER_ERRORS = 3;

/** The requests of a pool or a route, of all isolates. */
export interface TrafficSums {
  /** Requests that have ended. */
  readonly requests: number;
  /** Those that roundhouse itself answered with 5xx, or had to cut. */
  readonly failed: number;
  /** Those that were answered with this class of status, by a backend or by roundhouse. */
  readonly "4xx": number;
  readonly "5xx": number;
}

/** One isolate's view of a pool's counts. */
export class PoolCounts {
  readonly #floats: Float64Array;
  readonly #isolates: number;
  readonly #own: number;

  static lines(isolates: number): number {
    return isolates;
  }

  constructor(arena: Arena) {
    this.#floats = arena.take(PoolCounts.lines(arena.isolates)).floats;
    this.#isolates = arena.isolates;
    this.#own = arena.isolate * LINE_FLOATS;
  }

  /** Prepares the lines for a new pool. */
  reset(): void {
    this.#floats.fill(0);
  }

  /** Counts a request that has ended. */
  count(status: number, failed: boolean): void {
    this.#add(ENDED);
    if (failed) this.#add(FAILED);
    if (status >= 500 && status < 600) this.#add(SERVER_ERRORS);
    else if (status >= 400 && status < 500) this.#add(CLIENT_ERRORS);
  }

  sums(): TrafficSums {
    const sums = { requests: 0, failed: 0, "4xx": 0, "5xx": 0 };
    for (let isolate = 0; isolate < this.#isolates; isolate++) {
      const line = isolate * LINE_FLOATS;
      sums.requests += this.#floats[line + ENDED] ?? 0;
      sums.failed += this.#floats[line + FAILED] ?? 0;
      sums["4xx"] += this.#floats[line + CLIENT_ERRORS] ?? 0;
      sums["5xx"] += this.#floats[line + SERVER_ERRORS] ?? 0;
    }
    return sums;
  }

  #add(cell: number): void {
    this.#floats[this.#own + cell] = (this.#floats[this.#own + cell] ?? 0) + 1;
  }
}
