/** Samples to figures: medians, the table for people and the file for programs. */
import type { Sample, Troubles } from "./measure.ts";

/** All that was measured of one peer with one workload. */
export interface Result {
  readonly peer: string;
  readonly version: string;
  readonly workload: string;
  /** One for each round; never empty. */
  readonly samples: readonly Sample[];
}

/** The middle value of several, and how far they lie apart. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** The spread of `values`, of which there is at least one. */
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

/** What went wrong, in words; `undefined` when nothing did. */
export function troublesText({ badAnswers, socketErrors }: Troubles): string | undefined {
  const parts: string[] = [];
  if (badAnswers > 0) parts.push(`${badAnswers} answers not 2xx or 3xx`);
  if (socketErrors > 0) parts.push(`${socketErrors} socket errors`);
  return parts.length > 0 ? parts.join(", ") : undefined;
}

/** An aligned table for each workload, the cheapest proxy first, and below it whatever went wrong. */
export function table(results: readonly Result[]): string {
  const tables = Map.groupBy(results, ({ workload }) => workload).entries().map(([workload, group]) => {
    const cheapestFirst = group
      .map((result) => ({ result, figures: summarise(result.samples) }))
      .toSorted((a, b) => a.figures.cpuMicrosPerRequest.median - b.figures.cpuMicrosPerRequest.median);
    const header = [
      "proxy",
      "version",
      "CPU µs/request",
      "min–max",
      "requests/s",
      "min–max",
      "p50 ms",
      "p99 ms",
      "cores",
      "RSS MiB",
    ];
    const rows = cheapestFirst.map(({ result: { peer, version }, figures }) => [
      peer,
      version,
      figures.cpuMicrosPerRequest.median.toFixed(1),
      range(figures.cpuMicrosPerRequest, 1),
      figures.requestsPerSecond.median.toFixed(0),
      range(figures.requestsPerSecond, 0),
      figures.p50Ms.median.toFixed(2),
      figures.p99Ms.median.toFixed(2),
      figures.coresBusy.median.toFixed(2),
      figures.rssMiB.median.toFixed(0),
    ]);
    const troubles = cheapestFirst.flatMap(({ result, figures }) => {
      const text = troublesText(figures);
      return text === undefined ? [] : [`${result.peer}: ${text}`];
    });
    return [workload, ...align([header, ...rows], 2), ...troubles].join("\n");
  });
  return [...tables].join("\n\n");
}

/** The same as data: each figure's spread and the samples behind it. */
export function json(results: readonly Result[], conditions: Readonly<Record<string, unknown>>): string {
  const all = results.map((result) => ({ ...result, ...summarise(result.samples) }));
  return JSON.stringify({ conditions, results: all }, null, 2) + "\n";
}

function summarise(samples: readonly Sample[]) {
  const of = (figure: keyof Sample) => samples.map((sample) => sample[figure]);
  const total = (figure: keyof Sample) => of(figure).reduce((sum, value) => sum + value, 0);
  return {
    cpuMicrosPerRequest: spread(of("cpuMicrosPerRequest")),
    requestsPerSecond: spread(of("requestsPerSecond")),
    p50Ms: spread(of("p50Ms")),
    p99Ms: spread(of("p99Ms")),
    coresBusy: spread(of("coresBusy")),
    rssMiB: spread(of("rssMiB")),
    badAnswers: total("badAnswers"),
    socketErrors: total("socketErrors"),
  };
}

function range({ min, max }: Spread, digits: number): string {
  return `${min.toFixed(digits)}–${max.toFixed(digits)}`;
}

/** Lines with the columns under each other: the first `left` to the left, figures to the right. */
function align(rows: readonly (readonly string[])[], left: number): string[] {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows.map((row) =>
    row.map((cell, column) => column < left ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))
      .join("  ").trimEnd()
  );
}
