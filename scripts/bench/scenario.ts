/** The interface of a measurement, such as a kind of answer or the memory of an idle connection. */
import type { Ground } from "./ground.ts";
import type { Subject } from "./subject.ts";

/** The figures by the key of their column. A missing figure is `NaN`. */
export type Figures = Readonly<Record<string, number>>;

/** One kind of figure. */
export interface Column {
  readonly key: string;
  /** The title with the unit. */
  readonly title: string;
  /** Digits after the decimal point. */
  readonly digits: number;
  /** Whether the tables show the minimum and maximum beside the median; they are always in the JSON. */
  readonly range?: boolean;
  /** Whether the tables also show its ratio to HAProxy's. */
  readonly relative?: boolean;
  /** Whether it counts errors. Then it is summed, and shown only if it is not 0. */
  readonly trouble?: boolean;
}

/** A measurement of every subject. It is made once in each round. */
export interface Scenario {
  /** The name for `--only`. */
  readonly name: string;
  /** The title in the tables. */
  readonly title: string;
  /** What is done, for the page, as sentences in Markdown. */
  readonly about: string;
  /** The first is the most important one. The tables are sorted by it. */
  readonly columns: readonly Column[];
  /** Whether the page has a chart of its first column. */
  readonly chart?: boolean;
  /** Whether only roundhouse takes part. */
  readonly ownOnly?: boolean;
  /** The names of those that take part if the flags name none, each in any revision; default: all. */
  readonly usualSubjects?: readonly string[];
  /** In how many rounds it is measured at most, where a further one would tell nothing new; default: in all. */
  readonly mostRounds?: number;
  /** About how long `measure` takes, with the short warm-up. */
  seconds(pace: Pace): number;
  /** Throws when the subject can't take part, or when the comparison would be unfair. */
  measure(subject: Subject, ground: Ground): Promise<Figures>;
}

/** How long to measure. */
export interface Pace {
  readonly seconds: number;
  /** Load before the first measurement of a program with this load, so that its code is compiled. */
  readonly firstWarmUpSeconds: number;
  /** Load before each of the others, so that caches are warm. */
  readonly warmUpSeconds: number;
}

/** The errors that every scenario with `load` counts. */
export const troubleColumns: readonly Column[] = [
  { key: "badAnswers", title: "answers with an error status", digits: 0, trouble: true },
  { key: "socketErrors", title: "socket errors", digits: 0, trouble: true },
];
