/**
 * The retry budget of a pool: how many requests and retries there were in each of the last seconds. Each isolate has a
 * ring of seconds, which only it writes.
 */

import { type Arena, LINE_WORDS, linesFor } from "./arena.ts";

const BUDGET_SECONDS = 10;
const SECONDS = BUDGET_SECONDS + 1; // one more, because the current second is not over yet

// Cells of a second, 32-bit.
const SECOND = 0; // the second that is counted
const REQUESTS = 1;
const RETRIES = 2;
const CELLS = 3;

const RING_LINES = linesFor(SECONDS * CELLS, LINE_WORDS);
const RING = RING_LINES * LINE_WORDS;

/** Retries that are allowed in addition to the share, so that a proxy with few requests can retry, too. */
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

  /** Prepares the rings for a new pool. */
  reset(): void {
    this.#words.fill(0);
  }

  countRequest(nowMs: number): void {
    const cell = this.#current(nowMs) + REQUESTS;
    this.#words[cell] = (this.#words[cell] ?? 0) + 1;
  }

  /** Whether the retries, with one more, stay within `share` × requests + 10, over the last 10 s and all isolates. */
  allows(share: number, nowMs = Date.now()): boolean {
    return this.#retriesBelow(share, nowMs, 1);
  }

  /**
   * Counts a retry, unless the budget is used up. Returns whether it was counted. The retry is counted before the sum
   * is read. So if two isolates take the last retry at the same moment, at least one of them sees the other's.
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
      requests += this.#words[cell + REQUESTS] ?? 0; // may be a moment late; the limit is lower then
      retries += Atomics.load(this.#words, cell + RETRIES);
    }
    return retries < share * requests + BUDGET_FLOOR;
  }

  /** The cells of the current second. They are emptied first if they counted an earlier second. */
  #current(nowMs: number): number {
    const second = Math.floor(nowMs / 1000);
    const cell = this.#isolate * RING + (second % SECONDS) * CELLS;
    if (this.#words[cell + SECOND] !== second) {
      // SECOND is written last. Until then, readers see the counts as those of the earlier second, which they ignore.
      this.#words[cell + REQUESTS] = 0;
      Atomics.store(this.#words, cell + RETRIES, 0);
      Atomics.store(this.#words, cell + SECOND, second);
    }
    return cell;
  }
}
