/**
 * The settings of each backend, from operators and the configuration, and the progress of its slow start. A backend has
 * half a cache line: only the control plane writes here, and rarely.
 */

import { BACKEND_STATES, type BackendState } from "../config/backend_change.ts";
import { type Arena, LINE_WORDS, linesFor } from "./arena.ts";
import { SLOTS } from "./slots.ts";

/** Slow start raises a backend's weight in this many steps. */
export const FULL_RAMP = 10;

// Record of a backend, in 32-bit cells.
const GENERATION = 0;
const STATE = 1;
const WEIGHT = 2;
const RAMP = 3;
const BACKUP = 4;
const CONNECTION_LIMIT = 5; // 0: none
const RECORD = 8;

/** One isolate's view of the backends' settings. */
export class SettingCells {
  static readonly lines: number = linesFor(SLOTS * RECORD, LINE_WORDS);
  readonly #words: Int32Array;

  constructor(arena: Arena) {
    this.#words = arena.take(SettingCells.lines).words;
  }

  /** Prepares an unused slot for a new backend: active, weight 0, no limit, the next generation. */
  reset(slot: number): void {
    const generation = this.generation(slot) + 1;
    this.#words.fill(0, slot * RECORD, (slot + 1) * RECORD);
    Atomics.store(this.#words, slot * RECORD + GENERATION, generation);
    Atomics.store(this.#words, slot * RECORD + RAMP, FULL_RAMP);
  }

  /** How often the slot has been given to a backend. It tells backends that had the same slot apart. */
  generation(slot: number): number {
    return this.#load(slot, GENERATION);
  }

  state(slot: number): BackendState {
    // The cell only ever holds an index that `setState` took from the list.
    return BACKEND_STATES[this.#load(slot, STATE)] as BackendState;
  }

  /** Returns whether this call changed the value, like all setters below. */
  setState(slot: number, state: BackendState): boolean {
    return this.#exchange(slot, STATE, BACKEND_STATES.indexOf(state));
  }

  weight(slot: number): number {
    return this.#load(slot, WEIGHT);
  }

  setWeight(slot: number, weight: number): boolean {
    return this.#exchange(slot, WEIGHT, weight);
  }

  /** The step that slow start has reached: 1 to `FULL_RAMP`. */
  ramp(slot: number): number {
    return this.#load(slot, RAMP);
  }

  setRamp(slot: number, ramp: number): boolean {
    return this.#exchange(slot, RAMP, ramp);
  }

  isBackup(slot: number): boolean {
    return this.#load(slot, BACKUP) === 1;
  }

  setBackup(slot: number, backup: boolean): boolean {
    return this.#exchange(slot, BACKUP, backup ? 1 : 0);
  }

  /** How many connections the backend may have; 0: there is no limit. */
  connectionLimit(slot: number): number {
    return this.#load(slot, CONNECTION_LIMIT);
  }

  setConnectionLimit(slot: number, limit: number): boolean {
    return this.#exchange(slot, CONNECTION_LIMIT, limit);
  }

  #load(slot: number, cell: number): number {
    return Atomics.load(this.#words, slot * RECORD + cell);
  }

  #exchange(slot: number, cell: number, value: number): boolean {
    return Atomics.exchange(this.#words, slot * RECORD + cell, value) !== value;
  }
}
