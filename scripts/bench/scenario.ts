/** The interface of one thing to measure, such as a kind of answer or what memory an idle connection takes. */
import type { Ground } from "./ground.ts";
import type { Subject } from "./subject.ts";

/** The figures by the key of their column; `NaN` for a missing one. */
export type Figures = Readonly<Record<string, number>>;

/** One kind of figure. */
export interface Column {
  readonly key: string;
  /** With its unit. */
  readonly title: string;
  /** After the decimal point. */
  readonly digits: number;
  /** Whether the tables show the minimum and maximum beside the median; they are always in the JSON. */
  readonly range?: boolean;
  /** Whether the tables also show its ratio to HAProxy's. */
  readonly relative?: boolean;
  /** Whether it counts errors. Then it is summed, and shown only if it is not 0. */
  readonly trouble?: boolean;
}

/** What is measured of every subject, in each round once. */
export interface Scenario {
  /** What `--only` calls it. */
  readonly name: string;
  /** What the tables call it. */
  readonly title: string;
  /** What is done, for the page: sentences in Markdown. */
  readonly about: string;
  /** The first is the one to go by; by it the tables are sorted. */
  readonly columns: readonly Column[];
  /** Whether the page has a chart of its first column. */
  readonly chart?: boolean;
  /** About how long `measure` takes. */
  seconds(pace: Pace): number;
  /** Throws when the subject can't take part, or when the comparison would be unfair. */
  measure(subject: Subject, ground: Ground): Promise<Figures>;
}

/** How long to measure. */
export interface Pace {
  readonly seconds: number;
  /** Load before the clock starts, so that caches are warm and code is compiled. */
  readonly warmUpSeconds: number;
}

/** The errors that every scenario with `load` counts. */
export const troubleColumns: readonly Column[] = [
  { key: "badAnswers", title: "answers with an error status", digits: 0, trouble: true },
  { key: "socketErrors", title: "socket errors", digits: 0, trouble: true },
];
