/**
 * How long things took in the last minute: a histogram that ages. Each entry has one, such as a backend.
 *
 * A histogram consists of slices of 10 seconds. Whoever records the first time of a new slice empties the oldest one.
 * So no timer is needed, and an entry without traffic costs nothing. The buckets are log-linear, as in HdrHistogram: 16
 * for each power of two. So a reported time differs by at most 3 % from the true one.
 *
 * Any isolate writes, with `Atomics`. A few times may be lost when a slice begins, which does no harm.
 */

import { type Arena, LINE_WORDS, linesFor } from "./arena.ts";

/** Times of the last minute in milliseconds: half, 95 % and 99 % took no longer. */
export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

const SLICE_MS = 10_000;
const SLICES = 6;

// A 32-bit float has 23 bits of mantissa. The exponent and the first 4 of them number the buckets.
const MANTISSA_BITS = 4;
const DROPPED_BITS = 23 - MANTISSA_BITS;
/** Shorter times count as this long, longer times as `LONGEST_MS`. */
const SHORTEST_MS = 2 ** -4;
const LONGEST_MS = 2 ** 16;

/** To see a float as bits. */
const float = new Float32Array(1);
const bits = new Int32Array(float.buffer);

const FIRST = bucketBits(SHORTEST_MS);
const BUCKETS = bucketBits(LONGEST_MS) - FIRST + 1;
const BUCKET_LINES = linesFor(SLICES * BUCKETS, LINE_WORDS);

/** One isolate's view of the histograms. */
export class RecentTimes {
  /** For each entry a line: the number of the 10 seconds that each slice counts; 0: none. */
  readonly #periods: Int32Array;
  readonly #counts: Int32Array;

  static lines(entries: number): number {
    return entries * (1 + BUCKET_LINES);
  }

  constructor(arena: Arena, entries: number) {
    // Apart from the counts, because these are far apart and their pages are not touched before they are needed.
    this.#periods = arena.take(entries).words;
    this.#counts = arena.take(entries * BUCKET_LINES).words;
  }

  /** Forgets all times of an entry. */
  reset(entry: number): void {
    this.#periods.fill(0, entry * LINE_WORDS, entry * LINE_WORDS + SLICES);
  }

  /** @param nowMs milliseconds since the Unix epoch */
  record(entry: number, ms: number, nowMs: number): void {
    const period = Math.floor(nowMs / SLICE_MS);
    const slice = period % SLICES;
    const counts = entry * BUCKET_LINES * LINE_WORDS + slice * BUCKETS;
    const cell = entry * LINE_WORDS + slice;
    const before = Atomics.load(this.#periods, cell);
    if (before !== period && Atomics.compareExchange(this.#periods, cell, before, period) === before) {
      this.#counts.fill(0, counts, counts + BUCKETS);
    }
    Atomics.add(this.#counts, counts + bucketOf(ms), 1);
  }

  /** Of all these entries together; `null`: nothing was recorded in the last minute. */
  percentiles(entries: readonly number[], nowMs: number): Percentiles | null {
    const counts = new Float64Array(BUCKETS);
    let total = 0;
    for (const entry of entries) total += this.#addTo(counts, entry, nowMs);
    if (total === 0) return null;
    return {
      p50: quantile(counts, total, 0.5),
      p95: quantile(counts, total, 0.95),
      p99: quantile(counts, total, 0.99),
    };
  }

  /** Adds the counts of the slices of the last minute; returns their sum. */
  #addTo(counts: Float64Array, entry: number, nowMs: number): number {
    const present = Math.floor(nowMs / SLICE_MS);
    let total = 0;
    for (let slice = 0; slice < SLICES; slice++) {
      const age = present - Atomics.load(this.#periods, entry * LINE_WORDS + slice);
      if (age < 0 || age >= SLICES) continue; // old, unused, or from before the clock was set back
      const base = entry * BUCKET_LINES * LINE_WORDS + slice * BUCKETS;
      for (let bucket = 0; bucket < BUCKETS; bucket++) {
        const count = this.#counts[base + bucket] ?? 0;
        if (count === 0) continue;
        counts[bucket] = (counts[bucket] ?? 0) + count;
        total += count;
      }
    }
    return total;
  }
}

/** The time that this share of all times did not exceed. */
function quantile(counts: Float64Array, total: number, share: number): number {
  let left = Math.ceil(total * share);
  let bucket = 0;
  while (bucket < BUCKETS - 1 && (left -= counts[bucket] ?? 0) > 0) bucket++;
  return middleOf(bucket);
}

function bucketOf(ms: number): number {
  const bucket = bucketBits(ms) - FIRST;
  return bucket < 0 ? 0 : bucket < BUCKETS ? bucket : BUCKETS - 1;
}

/** The first bits of a number. They grow with it; those of negative numbers are negative. */
function bucketBits(ms: number): number {
  float[0] = ms;
  return (bits[0] ?? 0) >> DROPPED_BITS;
}

/** The middle of a bucket, in milliseconds. */
function middleOf(bucket: number): number {
  bits[0] = (FIRST + bucket) << DROPPED_BITS | 1 << DROPPED_BITS - 1;
  return float[0] ?? 0;
}
