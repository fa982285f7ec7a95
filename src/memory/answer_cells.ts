/**
 * What attempts showed about each backend: how fast it answers, and how many connections in a row have failed. Each
 * backend has one cache line, which any isolate writes at every answer.
 */

import { type Arena, LINE_FLOATS, LINE_WORDS } from "./arena.ts";
import { SLOTS } from "./slots.ts";

// Line of a backend: 32-bit cells first, then 64-bit floats.
const CONNECT_FAILURES = 0; // in a row
const REFUSED_AT = 1; // milliseconds since the Unix epoch: the first failed connection of the row
const LATENCY = 2; // milliseconds; 0: no answer yet
const ANSWERED_AT = 3; // milliseconds since the Unix epoch

/** One isolate's view of these results. */
export class AnswerCells {
  static readonly lines: number = SLOTS;
  readonly #words: Int32Array;
  readonly #floats: Float64Array;

  constructor(arena: Arena) {
    const { words, floats } = arena.take(AnswerCells.lines);
    this.#words = words;
    this.#floats = floats;
  }

  /** Prepares an unused slot for a new backend. */
  reset(slot: number): void {
    this.#words.fill(0, slot * LINE_WORDS, (slot + 1) * LINE_WORDS);
  }

  /** Counts a failed connection; returns how many there have been in a row. */
  countConnectFailure(slot: number, nowMs = Date.now()): number {
    const cell = slot * LINE_WORDS + CONNECT_FAILURES;
    if (Atomics.load(this.#words, cell) === 0) this.#floats[slot * LINE_FLOATS + REFUSED_AT] = nowMs;
    return Atomics.add(this.#words, cell, 1) + 1;
  }

  /**
   * The time of the first failed connection in a row, in milliseconds since the Unix epoch; 0: the last one did not
   * fail.
   */
  refusingSince(slot: number): number {
    if (Atomics.load(this.#words, slot * LINE_WORDS + CONNECT_FAILURES) === 0) return 0;
    return this.#floats[slot * LINE_FLOATS + REFUSED_AT] ?? 0;
  }

  /**
   * Ends the row of failed connections. Reads before it writes, because the line is shared and there is usually no row.
   */
  clearConnectFailures(slot: number): void {
    const cell = slot * LINE_WORDS + CONNECT_FAILURES;
    if (Atomics.load(this.#words, cell) !== 0) Atomics.store(this.#words, cell, 0);
  }

  /** Peak EWMA of the time to the response head in milliseconds; `null` before the first answer. */
  latencyMs(slot: number): number | null {
    return this.#floats[slot * LINE_FLOATS + LATENCY] || null;
  }

  /** When the last response head arrived, in milliseconds since the Unix epoch; 0: none has arrived. */
  answeredAt(slot: number): number {
    return this.#floats[slot * LINE_FLOATS + ANSWERED_AT] ?? 0;
  }

  /**
   * Adds one response time to the average (peak EWMA, as in Finagle). A slower answer replaces the average at once. A
   * faster one counts more, the longer ago the last answer was. A race with another isolate can lose one sample, which
   * does no harm.
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
