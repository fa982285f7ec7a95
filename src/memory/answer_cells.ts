/**
 * What attempts have shown of every backend: how fast it answers, and how many connections in a row have failed. A line a
 * backend, written by any isolate at every answer.
 */

import { type Arena, LINE_FLOATS, LINE_WORDS } from "./arena.ts";
import { SLOTS } from "./slots.ts";

// Line of a backend: 32-bit cells first, then 64-bit floats.
const CONNECT_FAILURES = 0; // in a row
const REFUSED_AT = 1; // milliseconds since the Unix epoch: the first of the failed connections in a row
const LATENCY = 2; // milliseconds; 0: no answer yet
const ANSWERED_AT = 3; // milliseconds since the Unix epoch

/** One isolate's view of what attempts have shown. */
export class AnswerCells {
  static readonly lines: number = SLOTS;
  readonly #words: Int32Array;
  readonly #floats: Float64Array;

  constructor(arena: Arena) {
    const { words, floats } = arena.take(AnswerCells.lines);
    this.#words = words;
    this.#floats = floats;
  }

  /** Makes a slot that is out of use ready for a new backend. */
  reset(slot: number): void {
    this.#words.fill(0, slot * LINE_WORDS, (slot + 1) * LINE_WORDS);
  }

  /** Counts a failed connection; returns how many there have been in a row. */
  countConnectFailure(slot: number, nowMs = Date.now()): number {
    const cell = slot * LINE_WORDS + CONNECT_FAILURES;
    if (Atomics.load(this.#words, cell) === 0) this.#floats[slot * LINE_FLOATS + REFUSED_AT] = nowMs;
    return Atomics.add(this.#words, cell, 1) + 1;
  }

  /** When the first of the failed connections in a row was, in milliseconds since the Unix epoch; 0: there is none. */
  refusingSince(slot: number): number {
    if (Atomics.load(this.#words, slot * LINE_WORDS + CONNECT_FAILURES) === 0) return 0;
    return this.#floats[slot * LINE_FLOATS + REFUSED_AT] ?? 0;
  }

  /** Ends the row. Reads first: the line is shared and a success is the usual case. */
  clearConnectFailures(slot: number): void {
    const cell = slot * LINE_WORDS + CONNECT_FAILURES;
    if (Atomics.load(this.#words, cell) !== 0) Atomics.store(this.#words, cell, 0);
  }

  /** Peak EWMA of the time to the response head in milliseconds; `null` before the first answer. */
  latencyMs(slot: number): number | null {
    return this.#floats[slot * LINE_FLOATS + LATENCY] || null;
  }

  /** When the last response head came, in milliseconds since the Unix epoch; 0: none has. */
  answeredAt(slot: number): number {
    return this.#floats[slot * LINE_FLOATS + ANSWERED_AT] ?? 0;
  }

  /**
   * Folds one response time into the average: a slower answer counts at once, faster ones by how long ago the last
   * was (peak EWMA, as in Finagle). An update lost to a race with another isolate is one sample less, no more.
   */
  recordLatency(slot: number, sampleMs: number, nowMs: number, decayMs: number): void {
    const cell = slot * LINE_FLOATS + LATENCY;
    const atCell = slot * LINE_FLOATS + ANSWERED_AT;
    const average = this.#floats[cell] ?? 0;
    const elapsed = Math.max(nowMs - (this.#floats[atCell] ?? 0), 0);
    this.#floats[atCell] = nowMs;
    if (average === 0 || sampleMs > average) {
      this.#floats[cell] = sampleMs;
      return;
    }
    const keep = Math.exp(-elapsed / decayMs);
    this.#floats[cell] = average * keep + sampleMs * (1 - keep);
  }
}
