/** The counts and histograms behind `GET /metrics`: of each backend's answers, and of the whole process. */

import { ERROR_CODES, type ErrorCode } from "../errors.ts";
import type { Arena } from "./arena.ts";
import { SLOTS, type SlotUse } from "./slots.ts";
import { CLASS_CELLS, FIRST_CELL, type Histogram, HISTOGRAM_CELLS, Stripes } from "./stripes.ts";

/** Why a request was tried again: the failure, or a status in `retries.statuses`. */
export const RETRY_REASONS = [...ERROR_CODES, "status"] as const;
export type RetryReason = (typeof RETRY_REASONS)[number];

/**
 * What came of a request that was to be mirrored. `unavailable`: no backend could take it. `busy`: too many copies were
 * under way. `too_large`, `incomplete`: its body.
 */
export const MIRROR_RESULTS = ["answered", "failed", "unavailable", "busy", "too_large", "incomplete"] as const;
export type MirrorResult = (typeof MIRROR_RESULTS)[number];

/** Counts of the requests that one backend answered, or that roundhouse answered itself. */
export interface AnswerCounts {
  /** Requests by the first digit of the status: 1 to 9 at index 0 to 8. */
  readonly byClass: readonly number[];
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Durations of all requests that did not become tunnels. How long a tunnel lasts says nothing about the backend. */
  readonly durations: Histogram;
}

/** Counts for the whole process. */
export interface ProcessCounts {
  readonly retries: ReadonlyMap<RetryReason, number>;
  /** Requests that failed, by error code. */
  readonly errors: ReadonlyMap<ErrorCode, number>;
  readonly mirrored: ReadonlyMap<MirrorResult, number>;
  /**
   * Requests of clients with a session: those that the session's backend answered, and (`stickyMisses`) those that
   * another backend answered.
   */
  readonly stickyHits: number;
  readonly stickyMisses: number;
  readonly queueWaits: Histogram;
}

/** One request at its end. */
export interface RequestCount {
  /** The backend that answered; `undefined`: roundhouse did. */
  readonly backend: SlotUse | undefined;
  readonly status: number;
  readonly durationMs: number;
  /** `null`: not known. */
  readonly bytesIn: number | null;
  readonly bytesOut: number | null;
}

// The cells of a backend's stripe.
const CLASS = FIRST_CELL;
const BYTES_IN = CLASS + CLASS_CELLS;
const BYTES_OUT = BYTES_IN + 1;
const DURATIONS = BYTES_OUT + 1;
const ANSWER_CELLS = DURATIONS + HISTOGRAM_CELLS;

// The cells of the stripe for the whole process.
const RETRIES = FIRST_CELL;
const ERRORS = RETRIES + RETRY_REASONS.length;
const STICKY_HITS = ERRORS + ERROR_CODES.length;
const STICKY_MISSES = STICKY_HITS + 1;
const MIRRORED = STICKY_MISSES + 1;
const QUEUE_WAITS = MIRRORED + MIRROR_RESULTS.length;
const PROCESS_CELLS = QUEUE_WAITS + HISTOGRAM_CELLS;

/** The place after those of the backends counts roundhouse's own answers. */
const OWN: SlotUse = { slot: SLOTS, generation: 0 };

const PROCESS: SlotUse = { slot: 0, generation: 0 };

/** One isolate's view of the counts. */
export class RequestMetrics {
  readonly #answers: Stripes;
  readonly #process: Stripes;
  /** The stripe of this isolate for the whole process. */
  readonly #own: number;

  /** About 2 MiB for each isolate. */
  static lines(isolates: number): number {
    return Stripes.lines(isolates, SLOTS + 1, ANSWER_CELLS) + Stripes.lines(isolates, 1, PROCESS_CELLS);
  }

  constructor(arena: Arena) {
    this.#answers = new Stripes(arena, SLOTS + 1, ANSWER_CELLS);
    this.#process = new Stripes(arena, 1, PROCESS_CELLS);
    this.#own = this.#process.toWrite(PROCESS) ?? 0; // it has one generation, so it is always there
  }

  /** Counts a request. Call it once, when the request has ended. */
  countRequest({ backend, status, durationMs, bytesIn, bytesOut }: RequestCount): void {
    const answers = this.#answers;
    const stripe = answers.toWrite(backend ?? OWN);
    if (stripe === undefined) return;
    answers.countStatus(stripe + CLASS, status);
    if (bytesIn !== null) answers.add(stripe + BYTES_IN, bytesIn);
    if (bytesOut !== null) answers.add(stripe + BYTES_OUT, bytesOut);
    if (status !== 101) answers.observe(stripe + DURATIONS, durationMs);
  }

  countRetry(reason: RetryReason): void {
    this.#process.add(this.#own + RETRIES + RETRY_REASONS.indexOf(reason), 1);
  }

  countError(code: ErrorCode): void {
    this.#process.add(this.#own + ERRORS + ERROR_CODES.indexOf(code), 1);
  }

  countMirrored(result: MirrorResult): void {
    this.#process.add(this.#own + MIRRORED + MIRROR_RESULTS.indexOf(result), 1);
  }

  /** Counts a request of a client with a session. `hit`: the session's backend answered. */
  countSticky(hit: boolean): void {
    this.#process.add(this.#own + (hit ? STICKY_HITS : STICKY_MISSES), 1);
  }

  /** Counts a request that has left the queue, for any reason. */
  countWait(waitedMs: number): void {
    this.#process.observe(this.#own + QUEUE_WAITS, waitedMs);
  }

  /** Counts of a backend's answers, or of roundhouse's own, of all isolates. */
  answers(backend: SlotUse | undefined): AnswerCounts {
    const answers = this.#answers;
    const stripes = answers.toRead(backend ?? OWN);
    return {
      byClass: answers.byClass(stripes, CLASS),
      bytesIn: answers.sum(stripes, BYTES_IN),
      bytesOut: answers.sum(stripes, BYTES_OUT),
      durations: answers.histogram(stripes, DURATIONS),
    };
  }

  /** The counts for the whole process, of all isolates. */
  processCounts(): ProcessCounts {
    const stripes = this.#process.toRead(PROCESS);
    const sum = (cell: number) => this.#process.sum(stripes, cell);
    return {
      retries: new Map(RETRY_REASONS.map((reason, index) => [reason, sum(RETRIES + index)])),
      errors: new Map(ERROR_CODES.map((code, index) => [code, sum(ERRORS + index)])),
      mirrored: new Map(MIRROR_RESULTS.map((result, index) => [result, sum(MIRRORED + index)])),
      stickyHits: sum(STICKY_HITS),
      stickyMisses: sum(STICKY_MISSES),
      queueWaits: this.#process.histogram(stripes, QUEUE_WAITS),
    };
  }
}
