/** The interface of one thing to measure, such as a kind of answer or what memory an idle connection takes. */
import type { Ground } from "./ground.ts";
import type { Subject } from "./subject.ts";

/** What was found, by the key of its column; `NaN` where there is nothing to tell. */
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
  /** Whether it counts what should not have been: then it is summed, and shown only when it is not 0. */
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
  /** Throws when the subject can't take part, or not fairly. */
  measure(subject: Subject, ground: Ground): Promise<Figures>;
}

/** How long to measure. */
export interface Pace {
  readonly seconds: number;
  /** Load before the clock starts, so that caches are warm and code is compiled. */
  readonly warmUpSeconds: number;
}

/** What every scenario that applies `load` counts as trouble. */
export const troubleColumns: readonly Column[] = [
  { key: "badAnswers", title: "answers with an error status", digits: 0, trouble: true },
  { key: "socketErrors", title: "socket errors", digits: 0, trouble: true },
];
