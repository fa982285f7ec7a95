/**
 * A pool's retry budget: how many requests and retries there were in each of the last seconds. A ring an isolate, which
 * only that isolate writes.
 */

import { type Arena, LINE_WORDS, linesFor } from "./arena.ts";

const BUDGET_SECONDS = 10;
const SECONDS = BUDGET_SECONDS + 1; // the current second is not over yet

// Cells of a second, 32-bit.
const SECOND = 0; // which one it counts
const REQUESTS = 1;
const RETRIES = 2;
const CELLS = 3;

const RING_LINES = linesFor(SECONDS * CELLS, LINE_WORDS);
const RING = RING_LINES * LINE_WORDS;

/** Retries allowed on top of the budget's share, so that a quiet proxy can retry too. */
const BUDGET_FLOOR = 10;

/** One isolate's view of the rings. */
export class RetryBudget {
  readonly #words: Int32Array;
  readonly #isolates: number;
  readonly #isolate: number;

  static lines(isolates: number): number {
    return isolates * RING_LINES;
  }

  constructor(arena: Arena) {
    this.#words = arena.take(RetryBudget.lines(arena.isolates)).words;
    this.#isolates = arena.isolates;
    this.#isolate = arena.isolate;
  }

  countRequest(nowMs: number): void {
    const cell = this.#current(nowMs) + REQUESTS;
    this.#words[cell] = (this.#words[cell] ?? 0) + 1;
  }

  /** Whether one more retry stays below `share` × requests + 10, over the last 10 s and all isolates. */
  allows(share: number, nowMs = Date.now()): boolean {
    return this.#retriesBelow(share, nowMs, 1);
  }

  /**
   * Counts a retry, unless `allows` would refuse it; returns whether it did. It is counted before the others are looked
   * at, so of two isolates that take the last one at the same moment at least one sees the other.
   */
  take(share: number, nowMs = Date.now()): boolean {
    const cell = this.#current(nowMs) + RETRIES;
    Atomics.add(this.#words, cell, 1);
    if (this.#retriesBelow(share, nowMs, 0)) return true;
    Atomics.sub(this.#words, cell, 1);
    return false;
  }

  #retriesBelow(share: number, nowMs: number, more: number): boolean {
    const oldest = Math.floor(nowMs / 1000) - BUDGET_SECONDS + 1;
    let requests = 0;
    let retries = more;
    for (let index = 0; index < this.#isolates * SECONDS; index++) {
      const cell = Math.floor(index / SECONDS) * RING + (index % SECONDS) * CELLS;
      if (Atomics.load(this.#words, cell + SECOND) < oldest) continue;
      requests += this.#words[cell + REQUESTS] ?? 0; // may be a moment late: the limit is lower then
      retries += Atomics.load(this.#words, cell + RETRIES);
    }
    return retries < share * requests + BUDGET_FLOOR;
  }

  /** The cells of the current second, emptied if they counted an earlier one. */
  #current(nowMs: number): number {
    const second = Math.floor(nowMs / 1000);
    const cell = this.#isolate * RING + (second % SECONDS) * CELLS;
    if (this.#words[cell + SECOND] !== second) {
      // The second last: until then readers take the counts for those of the earlier one, which is over.
      this.#words[cell + REQUESTS] = 0;
      Atomics.store(this.#words, cell + RETRIES, 0);
      Atomics.store(this.#words, cell + SECOND, second);
    }
    return cell;
  }
}
