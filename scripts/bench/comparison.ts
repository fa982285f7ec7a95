/** Compares two source trees: what has changed, and whether that is more than noise. */
import type { Result, Row } from "./results.ts";
import { type Spread, spread } from "./statistics.ts";
import { number } from "./table.ts";

/** How a figure of this tree compares with another revision's. */
export interface Comparison {
  /** This tree's figure divided by the other's, in each round. */
  readonly ratios: Spread;
  /**
   * How likely rounds that differ by chance alone show a difference as large, 0 to 1: the exact sign-flip permutation
   * test of the rounds' log ratios (Fisher, The Design of Experiments, 1935, section 21).
   */
  readonly chance: number;
}

/** Above this the difference counts as noise. */
const MOST_CHANCE = 0.05;

/**
 * Compares the rounds in pairs: both trees were measured within the same round, so what the machine did beside that
 * hits both alike.
 *
 * @param mine one figure a round, above 0
 * @param theirs the other revision's, in the same order
 */
export function compare(mine: readonly number[], theirs: readonly number[]): Comparison {
  const logs = mine.slice(0, theirs.length).map((figure, round) => Math.log(figure / (theirs[round] ?? NaN)));
  const ratios = spread(logs.map(Math.exp));
  const found = Math.abs(logs.reduce((sum, log) => sum + log, 0));
  const flips = 2 ** logs.length;
  let asLarge = 0;
  for (let flip = 0; flip < flips; flip++) {
    const sum = logs.reduce((sum, log, round) => sum + ((flip >> round) & 1 ? -log : log), 0);
    if (Math.abs(sum) >= found - 1e-12) asLarge++;
  }
  return { ratios, chance: asLarge / flips };
}

/**
 * A line for each scenario and subject that was measured at both trees: the figure to go by, its ratio, the verdict.
 */
export function comparisonLines(results: readonly Result[], label: string): string[] {
  return results.flatMap((result) => {
    const [column] = result.columns;
    if (column === undefined) return [];
    return result.rows.flatMap((row) => {
      const other = result.rows.find(({ name }) => name === `${row.name}@${label}`);
      if (other === undefined) return [];
      const { ratios, chance } = compare(figures(row, column.key), figures(other, column.key));
      const percent = (ratio: number) => `${ratio < 1 ? "" : "+"}${number((ratio - 1) * 100, 1)} %`;
      const verdict = chance > MOST_CHANCE ? "noise" : ratios.median < 1 ? "less" : "MORE";
      return [
        `${result.name}, ${row.name}: ${percent(ratios.median)} ${column.title} than ${label} ` +
        `(${percent(ratios.min)} to ${percent(ratios.max)}, by chance ${number(chance, 3)}): ${verdict}`,
      ];
    });
  });
}

function figures(row: Row, key: string): number[] {
  return row.samples.map((sample) => sample[key] ?? NaN);
}
