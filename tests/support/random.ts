/** Random numbers from a seed, and how far counts are from the shares of the weights. */

/** Mulberry32: uniform in [0, 1), the same row for the same seed. */
export function seededRandom(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let bits = Math.imul(seed ^ seed >>> 15, seed | 1);
    bits ^= bits + Math.imul(bits ^ bits >>> 7, bits | 61);
    return ((bits ^ bits >>> 14) >>> 0) / 2 ** 32;
  };
}

/** Squared deviations from the shares that `weights` promise; about as large as there are weights when they hold. */
export function chiSquare(counts: readonly number[], weights: readonly number[]): number {
  const picks = counts.reduce((sum, count) => sum + count, 0);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.reduce((sum, weight, index) => {
    const expected = picks * weight / total;
    return sum + ((counts[index] ?? 0) - expected) ** 2 / expected;
  }, 0);
}
