/**
 * The lock of the session table: a word, taken and given back with `Atomics.compareExchange`. What an isolate wrote before
 * it gave the lock back, the next to take it sees, since that pair of calls orders the two; so everything in between is
 * plain reads and writes. Nothing under the lock awaits or throws, and it is held for less than a microsecond.
 */

const FREE = 0; // otherwise the number of the isolate that holds it, plus 1

/** After this many vain tries for the lock its holder has lost its processor, or died. */
const SPINS = 1000;

/** Tries of one who only looks: some 10 ms. */
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

  /** Waits for the lock, however long that takes. */
  take(): void {
    this.#try(Infinity);
  }

  /** Waits for the lock for some 10 ms; returns whether it got it. */
  tryTake(): boolean {
    return this.#try(PEEK_TRIES);
  }

  /** Only if it is still ours: an isolate that was taken for dead too early must not free its successor's. */
  giveBack(): void {
    Atomics.compareExchange(this.#words, this.#cell, this.#own, FREE);
  }

  /** Takes the lock from an isolate that has ended; returns whether that held it. */
  takeFrom(isolate: number): boolean {
    return Atomics.compareExchange(this.#words, this.#cell, isolate + 1, this.#own) === isolate + 1;
  }

  /** Returns whether it got the lock within that many tries; every thousandth lasts a millisecond. */
  #try(most: number): boolean {
    for (let tries = 1; tries <= most; tries++) {
      const holder = Atomics.compareExchange(this.#words, this.#cell, FREE, this.#own);
      if (holder === FREE) return true;
      // Nobody notifies: that would cost every section a call, for a wait that ends within a millisecond by itself.
      if (tries % SPINS === 0) Atomics.wait(this.#words, this.#cell, holder, 1);
      else Atomics.pause();
    }
    return false;
  }
}
