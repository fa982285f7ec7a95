/** What is a pool's own and steers every pick in it: one line a pool, with `Atomics`, written by any isolate. */

import type { Arena } from "./arena.ts";

const EPOCH = 0;
const TURN = 1;
const FAILING_OPEN = 2; // 1: all backends serve, whatever their health

/** One isolate's view of a pool's line. */
export class PoolCells {
  static readonly lines: number = 1;
  readonly #words: Int32Array;

  constructor(arena: Arena) {
    this.#words = arena.take(PoolCells.lines).words;
  }

  /** Changes whenever a backend's health, state or weight may have changed; not with the list of them. */
  get epoch(): number {
    return Atomics.load(this.#words, EPOCH);
  }

  /** Tells every isolate to look at the pool again. Call it after the change, never before. */
  bumpEpoch(): void {
    Atomics.add(this.#words, EPOCH, 1);
  }

  /** Takes the next turn: 0, 1, 2 … in the order of the calls of all isolates; wraps at 2^32. */
  takeTurn(): number {
    return Atomics.add(this.#words, TURN, 1) >>> 0;
  }

  /** The turn that will be taken next. */
  get turn(): number {
    return Atomics.load(this.#words, TURN) >>> 0;
  }

  /** Whether all backends serve, whatever their health, since all of them are down (`health.failOpen`). */
  get failingOpen(): boolean {
    return Atomics.load(this.#words, FAILING_OPEN) === 1;
  }

  /** Returns whether this call changed it. */
  setFailingOpen(failingOpen: boolean): boolean {
    const value = failingOpen ? 1 : 0;
    return Atomics.exchange(this.#words, FAILING_OPEN, value) !== value;
  }
}
