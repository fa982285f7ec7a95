/** Which slots backends have, of all pools. The control plane allots them; replicas of its pools are told. */

import { MAX_BACKENDS } from "../config/backend_limit.ts";
import type { ConnectionCells } from "./connection_cells.ts";
import { SLOTS } from "./slots.ts";

/** The slots of a process, as its control plane gives them out. */
export class SlotAllotment {
  readonly #connections: ConnectionCells;
  /** Slots that were given back, the longest unused first, so that a slot rests before it serves another backend. */
  #returned: number[] = [];
  readonly #held = new Set<number>();
  /** How many slots were ever taken; those are numbered from 0. */
  #used = 0;

  constructor(connections: ConnectionCells) {
    this.#connections = connections;
  }

  /** How many backends more there may be, of all pools. */
  get backendsLeft(): number {
    return MAX_BACKENDS - (this.#used - this.#returned.length);
  }

  /** How many slots can be taken now. */
  get room(): number {
    return SLOTS - this.#used + this.#returned.filter((slot) => this.#isFree(slot)).length;
  }

  /** Takes so many slots; there has to be room for them. */
  take(count: number): number[] {
    if (count > this.room) throw new RangeError(`there is no room for ${count} backends`);
    const taken: number[] = [];
    this.#returned = this.#returned.filter((slot) => {
      if (taken.length === count || !this.#isFree(slot)) return true;
      taken.push(slot);
      return false;
    });
    while (taken.length < count) taken.push(this.#used++);
    return taken;
  }

  /** Gives a slot back. Nobody else has it before its last request has ended: that request still counts down there. */
  giveBack(slot: number): void {
    this.#returned.push(slot);
  }

  /**
   * Keeps a slot from being given to another backend until the returned function is called: replicas that have not yet
   * heard of a removal still send requests there.
   */
  hold(slot: number): () => void {
    this.#held.add(slot);
    return () => this.#held.delete(slot);
  }

  #isFree(slot: number): boolean {
    return !this.#held.has(slot) && this.#connections.isIdle(slot);
  }
}
