/**
 * The health of each backend: whether it is up, whether it is ejected, and the times of both. Each backend has one
 * cache line. Any isolate writes it, but rarely.
 */

import type { AnswerCells } from "./answer_cells.ts";
import { type Arena, LINE_FLOATS, LINE_WORDS } from "./arena.ts";
import { SLOTS } from "./slots.ts";

// Line of a backend: 32-bit cells first, then 64-bit floats.
const DOWN = 0; // zeroed memory means up
const EJECTED = 1;
// All times are milliseconds since the Unix epoch.
const RECHECK_AT = 1; // the next health check; 0: none is planned
const EJECTED_UNTIL = 2;
const DOWN_SINCE = 3; // when it was last marked down
const UP_SINCE = 4; // when it came back

/** A backend that was up for this long was back, even if it answered nothing. */
const BACK_MS = 1000;

/** One isolate's view of the backends' health. */
export class HealthCells {
  static readonly lines: number = SLOTS;
  readonly #words: Int32Array;
  readonly #floats: Float64Array;
  readonly #answers: AnswerCells;

  constructor(arena: Arena, answers: AnswerCells) {
    const { words, floats } = arena.take(HealthCells.lines);
    this.#words = words;
    this.#floats = floats;
    this.#answers = answers;
  }

  /** Prepares an unused slot for a new backend: up, all times 0. */
  reset(slot: number): void {
    this.#words.fill(0, slot * LINE_WORDS, (slot + 1) * LINE_WORDS);
  }

  isUp(slot: number): boolean {
    return this.#load(slot, DOWN) === 0;
  }

  /** Returns whether this call changed it. So only one of several racing isolates reports the change. */
  setUp(slot: number, up: boolean, nowMs = Date.now()): boolean {
    if (!this.isEjected(slot)) this.#noteTurn(slot, this.isUp(slot), up, nowMs);
    return this.#exchange(slot, DOWN, up ? 0 : 1);
  }

  isEjected(slot: number): boolean {
    return this.#load(slot, EJECTED) === 1;
  }

  /** Returns whether this call changed it. */
  setEjected(slot: number, ejected: boolean, nowMs = Date.now()): boolean {
    if (this.isUp(slot)) this.#noteTurn(slot, !this.isEjected(slot), !ejected, nowMs);
    return this.#exchange(slot, EJECTED, ejected ? 1 : 0);
  }

  /** When the next health check of the backend is due, in milliseconds since the Unix epoch; 0: none is planned. */
  recheckAt(slot: number): number {
    return this.#time(slot, RECHECK_AT);
  }

  setRecheckAt(slot: number, atMs: number): void {
    this.#setTime(slot, RECHECK_AT, atMs);
  }

  /** When the backend's ejection ends, in milliseconds since the Unix epoch; 0: it is not ejected. */
  ejectedUntil(slot: number): number {
    return this.#time(slot, EJECTED_UNTIL);
  }

  setEjectedUntil(slot: number, atMs: number): void {
    this.#setTime(slot, EJECTED_UNTIL, atMs);
  }

  /** When the backend was last marked down, in milliseconds since the Unix epoch; 0: never. */
  downSince(slot: number): number {
    return this.#time(slot, DOWN_SINCE);
  }

  setDownSince(slot: number, atMs: number): void {
    this.#setTime(slot, DOWN_SINCE, atMs);
  }

  /**
   * Notes when a backend comes back or goes. If it passes its checks, answers nothing and goes down again within a
   * second, it was not back: the outage continues. Otherwise requests would wait for it without end.
   */
  #noteTurn(slot: number, wasAlive: boolean, alive: boolean, nowMs: number): void {
    if (alive === wasAlive) return;
    if (alive) return this.#setTime(slot, UP_SINCE, nowMs);
    const cameUpAt = this.#time(slot, UP_SINCE);
    const wasBack = this.#answers.answeredAt(slot) >= cameUpAt || Math.abs(nowMs - cameUpAt) >= BACK_MS;
    if (wasBack) this.setDownSince(slot, nowMs);
  }

  #load(slot: number, cell: number): number {
    return Atomics.load(this.#words, slot * LINE_WORDS + cell);
  }

  #exchange(slot: number, cell: number, value: number): boolean {
    return Atomics.exchange(this.#words, slot * LINE_WORDS + cell, value) !== value;
  }

  #time(slot: number, cell: number): number {
    return this.#floats[slot * LINE_FLOATS + cell] ?? 0;
  }

  #setTime(slot: number, cell: number, atMs: number): void {
    this.#floats[slot * LINE_FLOATS + cell] = atMs;
  }
}
