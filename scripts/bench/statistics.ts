/** Medians and percentiles. */

/** The middle value of several, and how far they lie apart. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** The spread of `values`; all `NaN` when there are none. */
export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (index: number) => sorted[index] ?? NaN;
  const middle = (sorted.length - 1) / 2;
  return {
    median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2,
    min: at(0),
    max: at(sorted.length - 1),
  };
}

/**
 * The smallest of `sorted` (ascending) that at least `percent` (above 0, to 100) of a hundred of them do not exceed,
 * the nearest-rank percentile; `NaN` when it is empty.
 */
export function percentile(sorted: ArrayLike<number>, percent: number): number {
  // The product first: 99.9 / 100 × 1,000 would come out above 999.
  return sorted[Math.max(1, Math.ceil(percent * sorted.length / 100)) - 1] ?? NaN;
}
