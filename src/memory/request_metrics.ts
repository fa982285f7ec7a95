/**
 * The counts and histograms behind `GET /metrics`. Each isolate writes its own stripes. So counting needs neither a
 * lock nor `Atomics`. The counts are 64-bit floats, exact to 2^53. A reader sums the stripes, and may see a count a
 * moment late.
 *
 * The stripe of a backend names the generation of the slot that it counts. The first request of a later generation
 * empties the stripe. A late request of an earlier generation is not counted. So a reused slot never shows counts of
 * the backend that had it before.
 */

import { ERROR_CODES, type ErrorCode } from "../errors.ts";
import { type Arena, LINE_FLOATS, linesFor } from "./arena.ts";
import { SLOTS, type SlotUse } from "./slots.ts";

/** Upper bounds of the histograms' buckets in milliseconds, inclusive. One more bucket counts longer times. */
export const BUCKET_BOUNDS_MS = [0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000] as const;

/** Why a request was tried again: the failure, or a status in `retries.statuses`. */
export const RETRY_REASONS = [...ERROR_CODES, "status"] as const;
export type RetryReason = (typeof RETRY_REASONS)[number];

/** Counts of times, by length. */
export interface Histogram {
  /** One bucket for each bound, and one for longer times. The counts are not cumulative. */
  readonly buckets: readonly number[];
  readonly sumMs: number;
}

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

const CLASSES = 9;
const BUCKETS = BUCKET_BOUNDS_MS.length + 1;

// The cells of a stripe: one backend in one isolate.
const GENERATION = 0;
const CLASS = 1;
const BYTES_IN = CLASS + CLASSES;
const BYTES_OUT = BYTES_IN + 1;
const DURATIONS = BYTES_OUT + 1; // a histogram: first the sum, then the buckets
const STRIPE_LINES = linesFor(DURATIONS + 1 + BUCKETS, LINE_FLOATS);
const STRIPE = STRIPE_LINES * LINE_FLOATS;

// The cells of a block: the process-wide counts of one isolate.
const RETRIES = 0;
const ERRORS = RETRIES + RETRY_REASONS.length;
const STICKY_HITS = ERRORS + ERROR_CODES.length;
const STICKY_MISSES = STICKY_HITS + 1;
const QUEUE_WAITS = STICKY_MISSES + 1; // a histogram
const BLOCK_LINES = linesFor(QUEUE_WAITS + 1 + BUCKETS, LINE_FLOATS);
const BLOCK = BLOCK_LINES * LINE_FLOATS;

/** The stripe after those of the backends counts roundhouse's own answers. */
const OWN = SLOTS;

/** One isolate's view of the counts. */
export class RequestMetrics {
  readonly #isolates: number;
  readonly #isolate: number;
  readonly #cells: Float64Array;

  /** About 2 MiB for each isolate. */
  static lines(isolates: number): number {
    return isolates * (BLOCK_LINES + (SLOTS + 1) * STRIPE_LINES);
  }

  constructor(arena: Arena) {
    this.#isolates = arena.isolates;
    this.#isolate = arena.isolate;
    this.#cells = arena.take(RequestMetrics.lines(arena.isolates)).floats;
  }

  /** Counts a request. Call it once, when the request has ended. */
  countRequest({ backend, status, durationMs, bytesIn, bytesOut }: RequestCount): void {
    const stripe = backend === undefined ? this.#stripe(OWN, this.#isolate) : this.#stripeToWrite(backend);
    if (stripe === undefined) return;
    this.#add(stripe + CLASS + Math.min(Math.max(Math.floor(status / 100), 1), CLASSES) - 1, 1);
    if (bytesIn !== null) this.#add(stripe + BYTES_IN, bytesIn);
    if (bytesOut !== null) this.#add(stripe + BYTES_OUT, bytesOut);
    if (status !== 101) this.#observe(stripe + DURATIONS, durationMs);
  }

  countRetry(reason: RetryReason): void {
    this.#add(this.#block(this.#isolate) + RETRIES + RETRY_REASONS.indexOf(reason), 1);
  }

  countError(code: ErrorCode): void {
    this.#add(this.#block(this.#isolate) + ERRORS + ERROR_CODES.indexOf(code), 1);
  }

  /** Counts a request of a client with a session. `hit`: the session's backend answered. */
  countSticky(hit: boolean): void {
    this.#add(this.#block(this.#isolate) + (hit ? STICKY_HITS : STICKY_MISSES), 1);
  }

  /** Counts a request that has left the queue, for any reason. */
  countWait(waitedMs: number): void {
    this.#observe(this.#block(this.#isolate) + QUEUE_WAITS, waitedMs);
  }

  /** Counts of a backend's answers, or of roundhouse's own, of all isolates. */
  answers(backend: SlotUse | undefined): AnswerCounts {
    const stripes = this.#isolateNumbers().map((isolate) => this.#stripe(backend?.slot ?? OWN, isolate))
      .filter((stripe) => backend === undefined || this.#cells[stripe + GENERATION] === backend.generation);
    const sum = (cell: number) => this.#sum(stripes, cell);
    return {
      byClass: Array.from({ length: CLASSES }, (_, index) => sum(CLASS + index)),
      bytesIn: sum(BYTES_IN),
      bytesOut: sum(BYTES_OUT),
      durations: this.#histogram(stripes, DURATIONS),
    };
  }

  /** The counts for the whole process, of all isolates. */
  processCounts(): ProcessCounts {
    const blocks = this.#isolateNumbers().map((isolate) => this.#block(isolate));
    const sum = (cell: number) => this.#sum(blocks, cell);
    return {
      retries: new Map(RETRY_REASONS.map((reason, index) => [reason, sum(RETRIES + index)])),
      errors: new Map(ERROR_CODES.map((code, index) => [code, sum(ERRORS + index)])),
      stickyHits: sum(STICKY_HITS),
      stickyMisses: sum(STICKY_MISSES),
      queueWaits: this.#histogram(blocks, QUEUE_WAITS),
    };
  }

  /** The stripe of a backend in this isolate; `undefined`: a later backend already uses it. */
  #stripeToWrite({ slot, generation }: SlotUse): number | undefined {
    const stripe = this.#stripe(slot, this.#isolate);
    const counted = this.#cells[stripe + GENERATION] ?? 0;
    if (counted === generation) return stripe;
    if (counted > generation) return undefined;
    this.#cells.fill(0, stripe, stripe + STRIPE);
    this.#cells[stripe + GENERATION] = generation;
    return stripe;
  }

  #observe(histogram: number, ms: number): void {
    let bucket = 0;
    while (bucket < BUCKET_BOUNDS_MS.length && ms > (BUCKET_BOUNDS_MS[bucket] ?? 0)) bucket++;
    this.#add(histogram, ms);
    this.#add(histogram + 1 + bucket, 1);
  }

  #histogram(bases: readonly number[], cell: number): Histogram {
    const buckets = Array.from({ length: BUCKETS }, (_, bucket) => this.#sum(bases, cell + 1 + bucket));
    return { buckets, sumMs: this.#sum(bases, cell) };
  }

  #add(cell: number, amount: number): void {
    this.#cells[cell] = (this.#cells[cell] ?? 0) + amount;
  }

  #sum(bases: readonly number[], cell: number): number {
    return bases.reduce((sum, base) => sum + (this.#cells[base + cell] ?? 0), 0);
  }

  #isolateNumbers(): number[] {
    return Array.from({ length: this.#isolates }, (_, isolate) => isolate);
  }

  #block(isolate: number): number {
    return isolate * BLOCK;
  }

  #stripe(slot: number, isolate: number): number {
    return this.#isolates * BLOCK + (slot * this.#isolates + isolate) * STRIPE;
  }
}
