/** The measured part of docs/performance.md and its charts. What stands outside the markers is written by hand and stays. */
import { barChart } from "./chart.ts";
import { goalResults, goalsTable } from "./goals.ts";
import type { Machine } from "./machine.ts";
import { cellSpread, type LeftOut, lowestFirst, type Result } from "./results.ts";
import { leftOutLines, markdownTable, number } from "./table.ts";

/** One run: what it found, and what that depends on. */
export interface Run {
  readonly results: readonly Result[];
  readonly leftOut: readonly LeftOut[];
  readonly machine: Machine;
  readonly at: Date;
  readonly rounds: number;
  readonly seconds: number;
}

const begin = "<!-- measured by deno task bench --write: begin -->";
const end = "<!-- measured: end -->";

const docs = new URL("../../docs/", import.meta.url);
const page = new URL("performance.md", docs);

/** Writes all of it. Throws when the page has not both markers, in that order. */
export async function writePage(run: Run): Promise<void> {
  const text = replaceMeasured(await Deno.readTextFile(page), measuredPart(run));
  for (const result of run.results) {
    if (result.chart === true) await Deno.writeTextFile(new URL(chartFile(result), docs), chart(result));
  }
  await Deno.writeTextFile(page, text);
}

/** Puts `measured` between the markers. */
export function replaceMeasured(text: string, measured: string): string {
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error(`docs/performance.md needs the lines "${begin}" and "${end}"`);
  return `${text.slice(0, from + begin.length)}\n\n${measured.trim()}\n\n${text.slice(to)}`;
}

/** What stands between the markers. */
export function measuredPart(run: Run): string {
  const goals = goalResults(run.results);
  return [
    conditions(run),
    ...(goals.length === 0 ? [] : [`### Goals\n\n${goalsTable(goals)}`]),
    ...run.results.map(section),
    ...leftOutLines(run.leftOut),
  ].join("\n\n");
}

function conditions({ machine, at, rounds, seconds }: Run): string {
  const { cpu, cores, memoryGiB, kernel, deno, v8, loadAverage } = machine;
  return `Measured on ${
    at.toISOString().slice(0, 10)
  } in one run: ${cpu}, ${cores} cores, ${memoryGiB} GiB, ${kernel}, ` +
    `Deno ${deno} (V8 ${v8}); the load average before was ${
      number(loadAverage, 1)
    }. Load, backends and proxies shared ` +
    `these cores, so CPU per request is the figure to go by. Each figure is the median of up to ${rounds} rounds (of ` +
    `${seconds} s each where there is load), beside it the lowest and the highest.`;
}

function section(result: Result): string {
  const image = result.chart === true ? [`![${result.title}](${chartFile(result)})`] : [];
  return [`### ${result.title}`, result.about, ...image, markdownTable(result)].join("\n\n");
}

function chartFile({ name }: Result): string {
  return `images/bench-${name}.svg`;
}

function chart(result: Result): string {
  const [column] = result.columns;
  if (column === undefined) throw new Error(`${result.name} has no columns`);
  const bars = lowestFirst(result).map((row) => {
    const { median, min, max } = cellSpread(row, column);
    return { label: row.title, value: median, min, max, own: row.own };
  });
  const title = `${result.title}: ${column.title} (less is better)`;
  return barChart(bars, { title, format: (value) => number(value, column.digits) });
}
