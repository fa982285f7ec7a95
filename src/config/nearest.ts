/** Finds the known word that a mistyped word probably stands for. */

/** Shorter ones begin too many words. */
const LEAST_BEGINNING = 3;

/**
 * The closest of `known` to `word`, or `undefined` when none is close: at most one edit, or one for every 3 letters; or
 * else the only one that begins with it, or that it begins with, as `hostname` with `host`.
 */
export function nearest(word: string, known: readonly string[]): string | undefined {
  // Longer than any setting, so not a typing mistake. The table below would grow with the square of its length.
  if (word.length > 40) return undefined;
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best ?? onlyBeginning(word.toLowerCase(), known);
}

function onlyBeginning(word: string, known: readonly string[]): string | undefined {
  const [first, ...others] = known.filter((candidate) => {
    const other = candidate.toLowerCase();
    if (Math.min(word.length, other.length) < LEAST_BEGINNING) return false;
    return word.startsWith(other) || other.startsWith(word);
  });
  return others.length === 0 ? first : undefined;
}

/**
 * How many letters must be added, dropped, replaced or swapped with their neighbour to turn one word into the other.
 */
function editDistance(from: string, to: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1];
      let cost = Math.min(
        at(last, column) + 1,
        at(current, column - 1) + 1,
        at(last, column - 1) + (same ? 0 : 1),
      );
      const swapped = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (swapped && row > 1 && column > 1) cost = Math.min(cost, at(beforeLast, column - 2) + 1);
      current.push(cost);
    }
    [beforeLast, last] = [last, current];
  }
  return at(last, to.length);
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Infinity;
}
