/** Gives numbers to pools. The control plane decides. Workers are told. */

import { DEFAULT_POOL, POOLS } from "./slots.ts";

/** A number that was given back, and whether requests of its last pool still use its memory. */
interface Returned {
  readonly number: number;
  readonly isUnused: () => boolean;
}

/** The numbers of a process. Only the control plane uses this. */
export class PoolAllotment {
  /**
   * Those that were given back, the longest unused first. So a number stays unused for a while before it gets another
   * pool.
   */
  readonly #returned: Returned[] = [];
  /** How many were ever taken. `DEFAULT_POOL` is the first one, and is never given back. */
  #used = DEFAULT_POOL + 1;

  /** How many numbers can be taken now. */
  get room(): number {
    return POOLS - this.#used + this.#returned.filter(({ isUnused }) => isUnused()).length;
  }

  /** Takes a number. Fails if there is none. */
  take(): number {
    const index = this.#returned.findIndex(({ isUnused }) => isUnused());
    const [returned] = index === -1 ? [] : this.#returned.splice(index, 1);
    if (returned !== undefined) return returned.number;
    if (this.#used === POOLS) throw new RangeError("there is no room for another pool");
    return this.#used++;
  }

  /** Gives a number back. It is not taken again before `isUnused` returns true. */
  giveBack(number: number, isUnused: () => boolean): void {
    this.#returned.push({ number, isUnused });
  }
}
