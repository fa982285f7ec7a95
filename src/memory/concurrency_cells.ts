/**
 * The requests in flight that one limit counts. The first line has the count that is compared with the limit. Any isolate
 * writes it. Then each isolate has a line with its own part, so that the control plane can give back what a dead
 * isolate held.
 */

import { LINE, LINE_WORDS } from "./arena.ts";

/** One isolate's view of the count. */
export class ConcurrencyCells {
  readonly #words: Int32Array;
  readonly #own: number;

  static allocate(isolates: number): SharedArrayBuffer {
    return new SharedArrayBuffer((1 + isolates) * LINE);
  }

  constructor(buffer: SharedArrayBuffer, isolate: number) {
    this.#words = new Int32Array(buffer);
    this.#own = (1 + isolate) * LINE_WORDS;
  }

  /** Counts a request, unless there are `limit` already. Returns whether it was counted. */
  take(limit: number): boolean {
    while (true) {
      const taken = Atomics.load(this.#words, 0);
      if (taken >= limit) return false;
      if (Atomics.compareExchange(this.#words, 0, taken, taken + 1) === taken) break;
    }
    Atomics.add(this.#words, this.#own, 1);
    return true;
  }

  /** The end of a request that was counted in this isolate. */
  giveBack(): void {
    Atomics.sub(this.#words, this.#own, 1);
    Atomics.sub(this.#words, 0, 1);
  }

  /** How many requests of all isolates are counted. */
  get current(): number {
    return Atomics.load(this.#words, 0);
  }

  /** Gives back what an ended isolate held. Control plane only. */
  reclaim(isolate: number): void {
    Atomics.sub(this.#words, 0, Atomics.exchange(this.#words, (1 + isolate) * LINE_WORDS, 0));
  }
}
