/** Results as tables for people: aligned text for a terminal, Markdown for the page. */
import { cellSpread, cellTotal, type LeftOut, lowestFirst, type Result, type Row } from "./results.ts";
import type { Column } from "./scenario.ts";

/** One table for each scenario, the lowest on top, and below it whatever went wrong. */
export function textTables(results: readonly Result[]): string {
  return results.map((result) =>
    [`${result.title} (${result.name})`, ...align(cells(result), leftColumns(result)), ...troubleLines(result)].join(
      "\n",
    )
  ).join("\n\n");
}

/** One scenario's table in Markdown, and below it whatever went wrong. */
export function markdownTable(result: Result): string {
  const [head = [], ...rows] = cells(result);
  const line = (texts: readonly string[]) => `| ${texts.join(" | ")} |`;
  const rule = head.map((_, column) => column < leftColumns(result) ? "---" : "--:");
  const troubles = troubleLines(result).map((text) => `\n${text}`);
  return [line(head), line(rule), ...rows.map(line), ...troubles].join("\n");
}

/** What went wrong, a line for each subject with trouble. */
export function troubleLines({ columns, rows }: Result): string[] {
  return rows.flatMap((row) => {
    const text = troubles(row, columns);
    return text === "" ? [] : [`${row.title}: ${text}`];
  });
}

/** Which subjects were left out of which scenarios, and why. */
export function leftOutLines(leftOut: readonly LeftOut[]): string[] {
  return leftOut.map(({ title, scenarios, reason }) => `Left out: ${title} (${scenarios.join(", ")}): ${reason}`);
}

/** The figures of one sample in a few words, for the progress lines. */
export function inWords(columns: readonly Column[], row: Row): string {
  const figures = columns.filter((column) => column.trouble !== true).slice(0, wordsShown).map((column) =>
    `${column.title} ${number(cellSpread(row, column).median, column.digits)}`
  );
  return [...figures, troubles(row, columns)].filter((text) => text !== "").join(", ");
}

/** A figure as the tables show it; `–` for what could not be told. */
export function number(value: number, digits: number): string {
  if (!Number.isFinite(value)) return "–";
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** The subject that the others are compared with. */
const yardstickName = "haproxy";
const ratioDigits = 2;
/** As many figures as a progress line holds. */
const wordsShown = 4;

/** Names and versions; all others are figures. */
function leftColumns({ rowsAre }: Result): number {
  return rowsAre === undefined ? 2 : 1;
}

function cells(result: Result): string[][] {
  const columns = result.columns.filter(({ trouble }) => trouble !== true);
  const yardstick = result.rows.find(({ name }) => name === yardstickName);
  const head = columns.flatMap(({ title, range, relative }) => [
    title,
    ...(range === true ? ["min–max"] : []),
    ...(relative === true && yardstick !== undefined ? [`× ${yardstick.title}`] : []),
  ]);
  const rows = lowestFirst(result).map((row) => [
    row.title,
    ...(result.rowsAre === undefined ? [row.version] : []),
    ...columns.flatMap((column) => figureCells(row, column, yardstick)),
  ]);
  return [[...(result.rowsAre === undefined ? ["proxy", "version"] : [result.rowsAre]), ...head], ...rows];
}

function figureCells(row: Row, column: Column, yardstick: Row | undefined): string[] {
  const { median, min, max } = cellSpread(row, column);
  const { digits, range, relative } = column;
  const ends = Number.isFinite(min) ? `${number(min, digits)}–${number(max, digits)}` : "–";
  return [
    number(median, digits),
    ...(range === true ? [ends] : []),
    ...(relative === true && yardstick !== undefined
      ? [number(median / cellSpread(yardstick, column).median, ratioDigits)]
      : []),
  ];
}

function troubles(row: Row, columns: readonly Column[]): string {
  return columns.filter(({ trouble }) => trouble === true).flatMap((column) => {
    const total = cellTotal(row, column);
    return total === 0 ? [] : [`${number(total, column.digits)} ${column.title}`];
  }).join(", ");
}

/** Lines with the columns under each other: names to the left, figures to the right. */
function align(rows: readonly (readonly string[])[], left: number): string[] {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows.map((row) =>
    row.map((cell, column) => {
      const width = widths[column] ?? 0;
      return column < left ? cell.padEnd(width) : cell.padStart(width);
    }).join("  ").trimEnd()
  );
}
