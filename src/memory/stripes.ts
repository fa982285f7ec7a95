/**
 * Counts by isolate. Each isolate writes its own stripes. So counting needs neither a lock nor `Atomics`. The counts are
 * 64-bit floats, exact to 2^53. A reader sums the stripes, and may see a count a moment late.
 *
 * A stripe names the generation of the place that it counts. The first count of a later generation empties the stripe.
 * A late one of an earlier generation is not counted. So a reused place never shows the counts of its earlier user.
 */

import { type Arena, LINE_FLOATS, linesFor } from "./arena.ts";
import type { SlotUse } from "./slots.ts";

/** Upper bounds of the histograms' buckets in milliseconds, inclusive. One more bucket counts longer times. */
export const BUCKET_BOUNDS_MS = [0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000] as const;

const BUCKETS = BUCKET_BOUNDS_MS.length + 1;

/** The cells of a histogram in a stripe: first the sum, then the buckets. */
export const HISTOGRAM_CELLS = 1 + BUCKETS;

/** The cells of counts by class of status in a stripe. */
export const CLASS_CELLS = 9;

/** Counts of times, by length. */
export interface Histogram {
  /** One bucket for each bound, and one for longer times. The counts are not cumulative. */
  readonly buckets: readonly number[];
  readonly sumMs: number;
}

const GENERATION = 0;

/** The first cell of a stripe that its user names. */
export const FIRST_CELL = GENERATION + 1;

/** One isolate's view of the stripes of some places. */
export class Stripes {
  readonly #cells: Float64Array;
  readonly #isolates: number;
  readonly #isolate: number;
  readonly #size: number;

  /** @param cells the cells of a stripe, the first one included */
  static lines(isolates: number, places: number, cells: number): number {
    return isolates * places * linesFor(cells, LINE_FLOATS);
  }

  constructor(arena: Arena, places: number, cells: number) {
    this.#cells = arena.take(Stripes.lines(arena.isolates, places, cells)).floats;
    this.#isolates = arena.isolates;
    this.#isolate = arena.isolate;
    this.#size = linesFor(cells, LINE_FLOATS) * LINE_FLOATS;
  }

  /** The beginning of a place's stripe in this isolate; `undefined`: a later generation already uses it. */
  toWrite({ slot, generation }: SlotUse): number | undefined {
    const stripe = this.#stripe(slot, this.#isolate);
    const counted = this.#cells[stripe + GENERATION] ?? 0;
    if (counted === generation) return stripe;
    if (counted > generation) return undefined;
    this.#cells.fill(0, stripe, stripe + this.#size);
    this.#cells[stripe + GENERATION] = generation;
    return stripe;
  }

  add(cell: number, amount: number): void {
    this.#cells[cell] = (this.#cells[cell] ?? 0) + amount;
  }

  /** Adds a time to the histogram that begins at this cell. */
  observe(histogram: number, ms: number): void {
    let bucket = 0;
    while (bucket < BUCKET_BOUNDS_MS.length && ms > (BUCKET_BOUNDS_MS[bucket] ?? 0)) bucket++;
    this.add(histogram, ms);
    this.add(histogram + 1 + bucket, 1);
  }

  /** Counts an answer in the counts by class of status that begin at this cell. */
  countStatus(classes: number, status: number): void {
    this.add(classes + Math.min(Math.max(Math.floor(status / 100), 1), CLASS_CELLS) - 1, 1);
  }

  /** The beginnings of a place's stripes in all isolates, as far as they count this generation. */
  toRead({ slot, generation }: SlotUse): readonly number[] {
    return Array.from({ length: this.#isolates }, (_, isolate) => this.#stripe(slot, isolate))
      .filter((stripe) => this.#cells[stripe + GENERATION] === generation);
  }

  /** The sum of a cell over stripes. */
  sum(stripes: readonly number[], cell: number): number {
    return stripes.reduce((sum, stripe) => sum + (this.#cells[stripe + cell] ?? 0), 0);
  }

  /** Answers by the first digit of the status: 1 to 9 at index 0 to 8. */
  byClass(stripes: readonly number[], cell: number): number[] {
    return Array.from({ length: CLASS_CELLS }, (_, index) => this.sum(stripes, cell + index));
  }

  histogram(stripes: readonly number[], cell: number): Histogram {
    const buckets = Array.from({ length: BUCKETS }, (_, bucket) => this.sum(stripes, cell + 1 + bucket));
    return { buckets, sumMs: this.sum(stripes, cell) };
  }

  #stripe(place: number, isolate: number): number {
    return (place * this.#isolates + isolate) * this.#size;
  }
}
