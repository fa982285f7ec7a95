/**
 * The cells of a pool that every pick in it uses. Each pool has one cache line, which any isolate writes with
 * `Atomics`.
 */

import type { Arena } from "./arena.ts";

const EPOCH = 0;
const TURN = 1;
const FAILING_OPEN = 2; // 1: backends serve although all are down

/** One isolate's view of a pool's line. */
export class PoolCells {
  static readonly lines: number = 1;
  readonly #words: Int32Array;

  constructor(arena: Arena) {
    this.#words = arena.take(PoolCells.lines).words;
  }

  /** Prepares the line for a new pool. */
  reset(): void {
    this.#words.fill(0);
  }

  /**
   * Changes whenever the health, state or weight of a backend may have changed. Does not change with the list of
   * backends.
   */
  get epoch(): number {
    return Atomics.load(this.#words, EPOCH);
  }

  /** Makes every isolate look at the pool again. Call it after a change, never before. */
  bumpEpoch(): void {
    Atomics.add(this.#words, EPOCH, 1);
  }

  /** Takes the next turn: 0, 1, 2 … in the order in which all isolates call. Wraps at 2^32. */
  takeTurn(): number {
    return Atomics.add(this.#words, TURN, 1) >>> 0;
  }

  /** The turn that will be taken next. */
  get turn(): number {
    return Atomics.load(this.#words, TURN) >>> 0;
  }

  /** Whether backends serve although all of them are down (`health.failOpen`). */
  get failingOpen(): boolean {
    return Atomics.load(this.#words, FAILING_OPEN) === 1;
  }

  /** Returns whether this call changed it. */
  setFailingOpen(failingOpen: boolean): boolean {
    const value = failingOpen ? 1 : 0;
    return Atomics.exchange(this.#words, FAILING_OPEN, value) !== value;
  }
}
