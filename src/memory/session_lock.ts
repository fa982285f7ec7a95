/**
 * The lock of a table that isolates share, such as that of sessions. It is one word, taken and given back with `Atomics.compareExchange`. That pair of
 * calls orders memory: the next isolate to take the lock sees all that the last one wrote. So plain reads and writes
 * are enough while the lock is held. Code that holds the lock never awaits or throws, and holds it for less than a
 * microsecond.
 */

const FREE = 0; // otherwise the number of the isolate that holds it, plus 1

/** After this many failed tries, the holder of the lock has probably lost its processor, or has died. */
const SPINS = 1000;

/** How often `tryTake` tries: about 10 ms. */
const PEEK_TRIES = 10 * SPINS;

/** One isolate's view of the lock. */
export class SessionLock {
  readonly #words: Int32Array;
  readonly #cell: number;
  readonly #own: number;

  constructor(words: Int32Array, cell: number, isolate: number) {
    this.#words = words;
    this.#cell = cell;
    this.#own = isolate + 1;
  }

  /** Waits for the lock without a time limit. */
  take(): void {
    this.#try(Infinity);
  }

  /** Waits for the lock for about 10 ms. Returns whether it got the lock. */
  tryTake(): boolean {
    return this.#try(PEEK_TRIES);
  }

  /**
   * Gives the lock back, but only if this isolate still has it. An isolate that was declared dead too early must not
   * free the lock of the next holder.
   */
  giveBack(): void {
    Atomics.compareExchange(this.#words, this.#cell, this.#own, FREE);
  }

  /** Takes the lock from an isolate that has ended. Returns whether that isolate held it. */
  takeFrom(isolate: number): boolean {
    return Atomics.compareExchange(this.#words, this.#cell, isolate + 1, this.#own) === isolate + 1;
  }

  /** Returns whether it got the lock within `most` tries. Every thousandth try waits for a millisecond. */
  #try(most: number): boolean {
    for (let tries = 1; tries <= most; tries++) {
      const holder = Atomics.compareExchange(this.#words, this.#cell, FREE, this.#own);
      if (holder === FREE) return true;
      // Nobody calls `notify`. It would cost a call each time the lock is given back, and the wait ends within a
      // millisecond anyway.
      if (tries % SPINS === 0) Atomics.wait(this.#words, this.#cell, holder, 1);
      else Atomics.pause();
    }
    return false;
  }
}
