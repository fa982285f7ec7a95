/** Gives slots to the backends of all pools. The control plane decides. Workers are told. */

import { MAX_BACKENDS } from "../config/backend_limit.ts";
import type { ConnectionCells } from "./connection_cells.ts";
import { SLOTS } from "./slots.ts";

/** The slots of a process. Only the control plane uses this. */
export class SlotAllotment {
  readonly #connections: ConnectionCells;
  /**
   * Slots that were given back, the longest unused first. So a slot stays unused for a while before it gets another
   * backend.
   */
  #returned: number[] = [];
  readonly #held = new Set<number>();
  /** How many slots were ever taken. They have the numbers from 0. */
  #used = 0;

  constructor(connections: ConnectionCells) {
    this.#connections = connections;
  }

  /** How many more backends all pools together may have. */
  get backendsLeft(): number {
    return MAX_BACKENDS - (this.#used - this.#returned.length);
  }

  /** How many slots can be taken now. */
  get room(): number {
    return SLOTS - this.#used + this.#returned.filter((slot) => this.#isFree(slot)).length;
  }

  /** Takes `count` slots. Fails if there is no room for them. */
  take(count: number): number[] {
    const taken: number[] = [];
    const passed: number[] = [];
    let looked = 0; // a reload takes slots for each of thousands of pools, so it looks at no more than it needs
    for (; taken.length < count && looked < this.#returned.length; looked++) {
      const slot = this.#returned[looked] ?? 0; // `looked` is below the length
      (this.#isFree(slot) ? taken : passed).push(slot);
    }
    const more = count - taken.length;
    if (more > SLOTS - this.#used) throw new RangeError(`there is no room for ${count} backends`);
    if (looked > 0) this.#returned = [...passed, ...this.#returned.slice(looked)];
    for (let index = 0; index < more; index++) taken.push(this.#used++);
    return taken;
  }

  /**
   * Gives a slot back. It is not reused before its last request has ended, because that request still has to lower a
   * count there.
   */
  giveBack(slot: number): void {
    this.#returned.push(slot);
  }

  /**
   * Keeps a slot from being reused until the returned function is called. Workers that have not yet heard of a removal
   * may still send requests to its backend.
   */
  hold(slot: number): () => void {
    this.#held.add(slot);
    return () => this.#held.delete(slot);
  }

  #isFree(slot: number): boolean {
    return !this.#held.has(slot) && this.#connections.isIdle(slot);
  }
}
