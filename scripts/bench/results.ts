/** What was measured, by scenario and subject, and its file for programs. */
import type { Column, Figures, Scenario } from "./scenario.ts";
import { type Spread, spread } from "./statistics.ts";
import type { Subject } from "./subject.ts";

/** All that was measured of one subject in one scenario. */
export interface Row {
  readonly name: string;
  readonly title: string;
  readonly own: boolean;
  readonly version: string;
  /** One for each round; never empty. */
  readonly samples: readonly Figures[];
}

/** One scenario's findings. */
export interface Result {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  readonly columns: readonly Column[];
  /** Whether the page has a chart of its first column. */
  readonly chart?: boolean;
  /** The title of the first column. Default: rows are proxies with their versions. */
  readonly rowsAre?: string;
  readonly rows: readonly Row[];
}

/** One cell of the tables. */
export function cellSpread(row: Row, { key }: Pick<Column, "key">): Spread {
  return spread(row.samples.map((sample) => sample[key] ?? NaN));
}

/** The median of one subject's figure; `undefined` when it was not measured. */
export function medianOf(
  results: readonly Result[],
  scenario: string,
  subject: string,
  key: string,
): number | undefined {
  const row = results.find(({ name }) => name === scenario)?.rows.find(({ name }) => name === subject);
  return row === undefined ? undefined : cellSpread(row, { key }).median;
}

/** The sum over all rounds, for what should be 0. */
export function cellTotal(row: Row, { key }: Column): number {
  return row.samples.reduce((sum, sample) => sum + (sample[key] ?? 0), 0);
}

/** The rows with the lowest figure in the first column on top. */
export function lowestFirst({ rows, columns }: Result): Row[] {
  const [first] = columns;
  if (first === undefined) return [...rows];
  return rows.toSorted((a, b) => cellSpread(a, first).median - cellSpread(b, first).median);
}

/** Which subjects were left out, and why. */
export interface LeftOut {
  readonly title: string;
  readonly reason: string;
  /** The names of the scenarios. */
  readonly scenarios: readonly string[];
}

/** Collects samples as they come. */
export class Findings {
  readonly #samples = new Map<string, Figures[]>();
  readonly #leftOut: { readonly scenario: Scenario; readonly subject: Subject; readonly reason: string }[] = [];

  /** Adds what one round found. */
  add(scenario: Scenario, subject: Subject, figures: Figures): void {
    const key = keyOf(scenario, subject);
    const samples = this.#samples.get(key);
    if (samples === undefined) this.#samples.set(key, [figures]);
    else samples.push(figures);
  }

  /** Notes why a subject can't take part. */
  leaveOut(scenario: Scenario, subject: Subject, reason: string): void {
    this.#leftOut.push({ scenario, subject, reason });
  }

  /** Whether `leaveOut` was called for the two. */
  isLeftOut(scenario: Scenario, subject: Subject): boolean {
    return this.#leftOut.some((one) => one.scenario === scenario && one.subject === subject);
  }

  /** Each reason once for each subject. */
  leftOut(): LeftOut[] {
    const groups = Map.groupBy(this.#leftOut, ({ subject, reason }) => `${subject.title}\n${reason}`);
    return Array.from(groups, ([key, all]) => {
      const [title = "", reason = ""] = key.split("\n");
      return { title, reason, scenarios: all.map(({ scenario }) => scenario.name) };
    });
  }

  /** All so far, in the order of `scenarios` and `subjects`; what has no sample is left out. */
  results(
    scenarios: readonly Scenario[],
    subjects: readonly Subject[],
    versions: ReadonlyMap<Subject, string>,
  ): Result[] {
    return scenarios.map((scenario) => {
      const rows = subjects.flatMap((subject) => {
        const samples = this.#samples.get(keyOf(scenario, subject));
        const { name, title, own } = subject;
        return samples === undefined ? [] : [{ name, title, own, version: versions.get(subject) ?? "?", samples }];
      });
      const { name, title, about, columns, chart = false } = scenario;
      return { name, title, about, columns, chart, rows };
    }).filter(({ rows }) => rows.length > 0);
  }
}

/** Everything as JSON: each figure's median, minimum and maximum, and the samples behind it. */
export function toJson(
  results: readonly Result[],
  leftOut: readonly LeftOut[],
  conditions: Readonly<Record<string, unknown>>,
): string {
  const scenarios = results.map(({ name, title, columns, rows }) => ({
    name,
    title,
    units: Object.fromEntries(columns.map((column) => [column.key, column.title])),
    rows: rows.map((row) => ({
      subject: row.name,
      version: row.version,
      figures: Object.fromEntries(columns.map((column) => [column.key, cellSpread(row, column)])),
      samples: row.samples,
    })),
  }));
  return JSON.stringify({ conditions, scenarios, leftOut }, null, 2) + "\n";
}

function keyOf(scenario: Scenario, subject: Subject): string {
  return `${scenario.name} ${subject.name}`;
}
