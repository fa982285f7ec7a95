/** Lays rows out in columns, as many as a terminal has room for. Pure. */

/** How a piece of a line looks on a terminal. */
export type Style = "plain" | "bold" | "faint" | "good" | "warning" | "bad";

/** A piece of a line. */
export interface Piece {
  readonly text: string;
  readonly style?: Style;
}

/** Pieces from left to right. */
export type Line = readonly Piece[];

/** A column of a table. */
export interface Column<Row> {
  readonly title: string;
  /** Default: left. */
  readonly align?: "right";
  /** Columns with low numbers are left out first, where there is too little room. `undefined`: it stays. */
  readonly goes?: number;
  /** Which part of its texts stays where they are too long. `undefined`: they are never cut. */
  readonly keeps?: "start" | "end";
  readonly cell: (row: Row) => Piece;
}

const GAP = "  ";
/** Less of a text says too little. */
const LEAST_WIDTH = 16;

/** The titles, then a line for each row, in at most `room` columns of the terminal as long as there is a way. */
export function layOut<Row>(columns: readonly Column<Row>[], rows: readonly Row[], room: number): Line[] {
  const all = columns.map((column) => measured(column, rows));
  const shown = fitting(all, room);
  return [undefined, ...rows.keys()].map((row) =>
    shown.map(({ column, cells, width }, index) => {
      const piece = row === undefined ? { text: column.title, style: "faint" as const } : cells[row] ?? { text: "" };
      const text = cut(piece.text, width, column.keeps);
      const isLast = index === shown.length - 1;
      if (column.align === "right") return { ...piece, text: text.padStart(width) + (isLast ? "" : GAP) };
      return { ...piece, text: isLast ? text : text.padEnd(width) + GAP };
    })
  );
}

interface Measured<Row> {
  readonly column: Column<Row>;
  readonly cells: readonly Piece[];
  readonly width: number;
}

function measured<Row>(column: Column<Row>, rows: readonly Row[]): Measured<Row> {
  const cells = rows.map((row) => column.cell(row));
  return { column, cells, width: cells.reduce((most, { text }) => Math.max(most, text.length), column.title.length) };
}

/** Leaves columns out, and shortens texts, until the line fits. */
function fitting<Row>(all: readonly Measured<Row>[], room: number): readonly Measured<Row>[] {
  let shown = all;
  const missing = () => shown.reduce((sum, { width }) => sum + width + GAP.length, -GAP.length) - room;
  while (missing() > 0) {
    shown = shortened(shown, missing());
    if (missing() <= 0) break;
    const first = Math.min(...shown.map(({ column }) => column.goes ?? Infinity));
    if (first === Infinity) break;
    // A column that goes gives its room to the others: their texts have their whole length again.
    const left = shown.filter(({ column }) => column.goes !== first);
    shown = all.filter(({ column }) => left.some((other) => other.column === column));
  }
  return shown;
}

/** Takes `missing` columns of the terminal from texts that may be cut, the last ones first. */
function shortened<Row>(all: readonly Measured<Row>[], missing: number): readonly Measured<Row>[] {
  let left = missing;
  return all.toReversed().map((one) => {
    const taken = one.column.keeps === undefined ? 0 : Math.min(left, Math.max(0, one.width - LEAST_WIDTH));
    left -= taken;
    return { ...one, width: one.width - taken };
  }).toReversed();
}

function cut(text: string, width: number, keeps: "start" | "end" | undefined): string {
  if (text.length <= width || keeps === undefined) return text;
  return keeps === "start" ? `${text.slice(0, width - 1)}…` : `…${text.slice(1 - width)}`;
}
