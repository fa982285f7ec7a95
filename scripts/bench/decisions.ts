/** Measures what single decisions cost, in nanoseconds, without any traffic. */
import { VERSION } from "../../src/version.ts";
import type { Result } from "./results.ts";

/** One decision, under one condition. */
export interface Decision {
  /** The row of the table. */
  readonly row: string;
  /** The column, by its title, such as `100 backends`. */
  readonly column: string;
  /** Decides `times` times. Returns how many decisions found something: else the compiler could leave them out. */
  decideOften(times: number): number;
}

/** All about a table of decisions but its figures. */
export type DecisionTable =
  & Pick<Result, "name" | "title" | "about">
  & Required<Pick<Result, "rowsAre">>
  & { readonly decisions: readonly Decision[] };

const rounds = 31;
const warmUpMs = 150;
/** Long beside the clock's resolution, short enough that many samples see a quiet machine. */
const sampleMs = 10;

/** For the page. */
export const sampling = `median of ${rounds} samples of ${sampleMs} ms`;

/** How many different requests to use: a power of two, so that a mask is all it takes to go round. */
export const requestCount = 1_024;

/** The decisions take their turns in every round, so that a disturbance hits all alike. */
export function measureDecisions({ decisions, ...table }: DecisionTable): Result {
  const measured = decisions.map((decision) => ({ decision, times: timesInSample(decision), samples: [] as number[] }));
  for (let round = 0; round < rounds; round++) {
    for (const { decision, times, samples } of measured) {
      const startedAt = performance.now();
      decision.decideOften(times);
      samples.push((performance.now() - startedAt) * 1e6 / times);
    }
  }
  const columns = Array.from(new Set(decisions.map(({ column }) => column)), (column) => {
    return { key: keyOf(column), title: `ns, ${column}`, digits: 0, range: true };
  });
  const rows = Map.groupBy(measured, ({ decision }) => decision.row).entries().map(([row, all]) => ({
    name: row,
    title: row,
    own: true,
    version: VERSION,
    samples: Array.from({ length: rounds }, (_, round) => {
      return Object.fromEntries(all.map(({ decision, samples }) => [keyOf(decision.column), samples[round] ?? NaN]));
    }),
  }));
  return { ...table, columns, rows: [...rows] };
}

/** Warms up. */
function timesInSample(decision: Decision): number {
  const startedAt = performance.now();
  let times = 0;
  while (performance.now() - startedAt < warmUpMs) {
    if (decision.decideOften(256) === 0) throw new Error(`${decision.row}, ${decision.column}: nothing was found`);
    times += 256;
  }
  return Math.ceil(times * sampleMs / warmUpMs);
}

/** `1,000 backends` has the key `backends1000`. */
function keyOf(column: string): string {
  const [count = "", noun = ""] = column.split(" ");
  return noun + count.replaceAll(",", "");
}
