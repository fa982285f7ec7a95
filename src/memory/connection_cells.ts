/**
 * The current connections of each backend, and its totals of attempts, answers and failures. There are two tables:
 * - One line for each backend. It holds the count that is compared with the backend's limit. Any isolate writes it.
 * - One line for each backend and isolate (a stripe). It holds the isolate's current connections. These use `Atomics`,
 *   because the control plane sets those of a dead isolate to zero. It also holds the isolate's totals, 64-bit floats
 *   that only this isolate writes.
 */

import { type Arena, LINE_FLOATS, LINE_WORDS } from "./arena.ts";
import type { SettingCells } from "./setting_cells.ts";
import { SLOTS } from "./slots.ts";

// Stripe: 32-bit cells first, then 64-bit floats.
const CURRENT = 0;
const REQUESTS = 1;
const FAILURES = 2;
const ANSWERS = 3; // one cell for each class of `ANSWER_CLASSES`

/** The classes of statuses that are counted, by their first digit. */
export const ANSWER_CLASSES = [2, 3, 4, 5] as const;

/** One isolate's view of the connections. */
export class ConnectionCells {
  readonly #taken: Int32Array; // one line a slot; only its first cell is used
  readonly #words: Int32Array;
  readonly #floats: Float64Array;
  readonly #isolates: number;
  readonly #isolate: number;
  readonly #settings: SettingCells;

  static lines(isolates: number): number {
    return SLOTS + SLOTS * isolates;
  }

  /** @param settings the cells that hold the limits */
  constructor(arena: Arena, settings: SettingCells) {
    const { isolates, isolate } = arena;
    this.#taken = arena.take(SLOTS).words;
    const { words, floats } = arena.take(SLOTS * isolates);
    this.#words = words;
    this.#floats = floats;
    this.#isolates = isolates;
    this.#isolate = isolate;
    this.#settings = settings;
  }

  /** Prepares an unused slot for a new backend. */
  reset(slot: number): void {
    Atomics.store(this.#taken, slot * LINE_WORDS, 0);
    this.#words.fill(0, this.#stripe(slot, 0) * LINE_WORDS, this.#stripe(slot + 1, 0) * LINE_WORDS);
  }

  /**
   * Counts a connection, unless the backend is at its limit. Returns whether it was counted. The count for the limit is
   * raised before the stripe and lowered after it, so the sum of the stripes never exceeds the limit.
   */
  open(slot: number): boolean {
    const limit = this.#settings.connectionLimit(slot);
    if (limit === 0) Atomics.add(this.#taken, slot * LINE_WORDS, 1);
    else if (!this.#takeBelow(slot * LINE_WORDS, limit)) return false;
    const stripe = this.#stripe(slot, this.#isolate);
    Atomics.add(this.#words, stripe * LINE_WORDS + CURRENT, 1);
    this.#count(stripe, REQUESTS);
    return true;
  }

  close(slot: number): void {
    Atomics.sub(this.#words, this.#stripe(slot, this.#isolate) * LINE_WORDS + CURRENT, 1);
    Atomics.sub(this.#taken, slot * LINE_WORDS, 1);
  }

  /** How many more connections the limit allows; `Infinity`: there is no limit. */
  room(slot: number): number {
    const limit = this.#settings.connectionLimit(slot);
    return limit === 0 ? Infinity : limit - Atomics.load(this.#taken, slot * LINE_WORDS);
  }

  /** Whether no connection is counted. Reads the count for the limit, which is raised first and lowered last. */
  isIdle(slot: number): boolean {
    return Atomics.load(this.#taken, slot * LINE_WORDS) === 0;
  }

  /** Current connections, of all isolates. */
  current(slot: number): number {
    let sum = 0;
    for (let isolate = 0; isolate < this.#isolates; isolate++) {
      sum += Atomics.load(this.#words, this.#stripe(slot, isolate) * LINE_WORDS + CURRENT);
    }
    return sum;
  }

  /** Counts an attempt that failed because of the backend. */
  countFailure(slot: number): void {
    this.#count(this.#stripe(slot, this.#isolate), FAILURES);
  }

  /** Counts the answer to an attempt. */
  countAnswer(slot: number, status: number): void {
    const index = Math.floor(status / 100) - ANSWER_CLASSES[0];
    if (index >= 0 && index < ANSWER_CLASSES.length) this.#count(this.#stripe(slot, this.#isolate), ANSWERS + index);
  }

  /** Answers to attempts with a status of each class of `ANSWER_CLASSES`, of all isolates. */
  answers(slot: number): readonly number[] {
    return ANSWER_CLASSES.map((_, index) => this.#sum(slot, ANSWERS + index));
  }

  /** Attempts, of all isolates. */
  requests(slot: number): number {
    return this.#sum(slot, REQUESTS);
  }

  /** Attempts that failed because of the backend, of all isolates. */
  failures(slot: number): number {
    return this.#sum(slot, FAILURES);
  }

  /** Gives back the connections of an isolate that has ended. Returns how many there were. */
  reclaim(isolate: number): number {
    let connections = 0;
    for (let slot = 0; slot < SLOTS; slot++) {
      const current = this.#stripe(slot, isolate) * LINE_WORDS + CURRENT;
      if (Atomics.load(this.#words, current) === 0) continue; // most were never used; a write would allocate memory
      const held = Atomics.exchange(this.#words, current, 0);
      Atomics.sub(this.#taken, slot * LINE_WORDS, held);
      connections += held;
    }
    return connections;
  }

  #takeBelow(cell: number, limit: number): boolean {
    while (true) {
      const taken = Atomics.load(this.#taken, cell);
      if (taken >= limit) return false;
      if (Atomics.compareExchange(this.#taken, cell, taken, taken + 1) === taken) return true;
    }
  }

  #count(stripe: number, cell: number): void {
    const index = stripe * LINE_FLOATS + cell;
    this.#floats[index] = (this.#floats[index] ?? 0) + 1;
  }

  #sum(slot: number, cell: number): number {
    let sum = 0;
    for (let isolate = 0; isolate < this.#isolates; isolate++) {
      sum += this.#floats[this.#stripe(slot, isolate) * LINE_FLOATS + cell] ?? 0;
    }
    return sum;
  }

  /** The line number of a stripe. */
  #stripe(slot: number, isolate: number): number {
    return slot * this.#isolates + isolate;
  }
}
