/**
 * The requests of the whole process. Each isolate has one cache line. It holds the isolate's active requests. These use
 * `Atomics`, because the control plane sets those of a dead isolate to zero. It also holds the isolate's totals, 64-bit
 * floats that only this isolate writes. They are exact to 2^53. A reader may see a total a moment late, but never half
 * written: aligned 8-byte stores do not tear on the processors that Deno runs on.
 */

import { type Arena, LINE_FLOATS, LINE_WORDS } from "./arena.ts";

// Line of an isolate: 32-bit cells first, then 64-bit floats.
const ACTIVE = 0;
const STARTED = 1;
const FAILED = 2;
const RETRIED = 3;

/** The requests of all isolates. */
export interface RequestSums {
  readonly total: number;
  readonly active: number;
  readonly failed: number;
  readonly retried: number;
}

/** One isolate's view of the requests of all. */
export class RequestTotals {
  readonly #words: Int32Array;
  readonly #floats: Float64Array;
  readonly #isolates: number;
  readonly #isolate: number;

  static lines(isolates: number): number {
    return isolates;
  }

  constructor(arena: Arena) {
    const { words, floats } = arena.take(RequestTotals.lines(arena.isolates));
    this.#words = words;
    this.#floats = floats;
    this.#isolates = arena.isolates;
    this.#isolate = arena.isolate;
  }

  /** Counts a request that has begun. It is active until `ended` is called. */
  started(): void {
    Atomics.add(this.#words, this.#isolate * LINE_WORDS + ACTIVE, 1);
    this.#add(this.#isolate, STARTED, 1);
  }

  ended(): void {
    Atomics.sub(this.#words, this.#isolate * LINE_WORDS + ACTIVE, 1);
  }

  countFailed(): void {
    this.#add(this.#isolate, FAILED, 1);
  }

  countRetry(): void {
    this.#add(this.#isolate, RETRIED, 1);
  }

  sums(): RequestSums {
    const sums = { total: 0, active: 0, failed: 0, retried: 0 };
    for (let isolate = 0; isolate < this.#isolates; isolate++) {
      const floats = isolate * LINE_FLOATS;
      sums.active += Atomics.load(this.#words, isolate * LINE_WORDS + ACTIVE);
      sums.total += this.#floats[floats + STARTED] ?? 0;
      sums.failed += this.#floats[floats + FAILED] ?? 0;
      sums.retried += this.#floats[floats + RETRIED] ?? 0;
    }
    return sums;
  }

  /**
   * Counts the requests that an isolate was serving when it ended as failed. Returns how many there were. Its totals
   * stay.
   */
  reclaim(isolate: number): number {
    const active = Atomics.exchange(this.#words, isolate * LINE_WORDS + ACTIVE, 0);
    this.#add(isolate, FAILED, active);
    return active;
  }

  #add(isolate: number, cell: number, amount: number): void {
    const index = isolate * LINE_FLOATS + cell;
    this.#floats[index] = (this.#floats[index] ?? 0) + amount;
  }
}
