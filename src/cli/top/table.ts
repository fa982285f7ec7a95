/** Turns a status into the lines that `roundhouse top` shows, for the screen or in plain form. Pure. */

import {
  countOf,
  formatCount,
  formatDuration,
  formatLatency,
  formatRate,
  formatShare,
} from "../../admin/dashboard/format.js";
import type { History } from "../../admin/dashboard/history.js";
import type { BackendStatus, Status } from "../../admin/dashboard/status.d.ts";
import { healthOf, reasonOf, verdictOf } from "../../admin/dashboard/verdict.js";
import { printable } from "../admin_call.ts";

/** How a piece of a line looks on a terminal. */
export type Style = "plain" | "bold" | "faint" | "good" | "warning" | "bad";

/** A piece of a line. */
export interface Piece {
  readonly text: string;
  readonly style?: Style;
}

/** Pieces from left to right. */
export type Line = readonly Piece[];

/** What there is to show. */
export interface View {
  readonly status: Status;
  readonly history: History;
  /** Milliseconds since 1970, on the server's clock. */
  readonly now: number;
}

interface Column {
  readonly title: string;
  readonly align: "left" | "right";
  readonly cell: (row: Row) => Piece;
}

interface Row {
  readonly backend: BackendStatus;
  readonly traffic: { readonly share: number | null; readonly perSecond: number | null };
  readonly now: number;
}

const HEALTH_STYLES = { up: "good", down: "bad", draining: "warning", disabled: "faint" } as const;
const LEVEL_STYLES = { ok: "good", warning: "warning", bad: "bad" } as const;

const COLUMNS: readonly Column[] = [
  { title: "BACKEND", align: "left", cell: ({ backend }) => ({ text: printable(backend.url), style: "bold" }) },
  { title: "HEALTH", align: "left", cell: ({ backend }) => healthCell(backend) },
  { title: "SHARE", align: "right", cell: ({ traffic }) => ({ text: formatShare(traffic.share) }) },
  { title: "REQ/S", align: "right", cell: ({ traffic }) => ({ text: formatRate(traffic.perSecond) }) },
  { title: "CONNS", align: "right", cell: ({ backend }) => ({ text: connections(backend) }) },
  { title: "LATENCY", align: "right", cell: ({ backend }) => ({ text: formatLatency(backend.latencyMs.ewma) }) },
  { title: "REQUESTS", align: "right", cell: ({ backend }) => ({ text: formatCount(backend.totalRequests) }) },
  { title: "FAILURES", align: "right", cell: ({ backend }) => failuresCell(backend) },
  { title: "WEIGHT", align: "right", cell: ({ backend }) => ({ text: String(backend.weight) }) },
  { title: "WHY", align: "left", cell: ({ backend, now }) => whyCell(backend, now) },
];

const GAP = "  ";
/** Most reasons above the table, where a narrow terminal does not cut them. The table has all of them. */
const MOST_DETAILS = 5;
const NO_TRAFFIC = { share: null, perSecond: null };

/** The screen of a terminal with `rows` rows, from the top. A last line says how many backends had no room. */
export function screen(view: View, rows: number): Line[] {
  const { status, history, now } = view;
  const verdict = verdictOf(status, history.traffic(), now);
  const details = verdict.details.slice(0, MOST_DETAILS).map(({ url, text }): Line => [
    { text: `${GAP}${printable(url)}${GAP}` },
    { text: printable(text), style: LEVEL_STYLES[verdict.level] },
  ]);
  const head: Line[] = [
    headline(status),
    totals(view),
    [],
    [{ text: verdict.headline, style: LEVEL_STYLES[verdict.level] }],
    ...details,
    [],
  ];
  const [titles, ...lines] = table(view);
  const room = Math.max(1, rows - head.length - 2);
  const shown = lines.length <= room ? lines : lines.slice(0, room - 1);
  const hidden = lines.length - shown.length;
  const more: Line[] = hidden === 0 ? [] : [[{ text: `… and ${countOf(hidden, "more backend")}`, style: "faint" }]];
  return [...head, ...(titles === undefined ? [] : [titles]), ...shown, ...more];
}

function headline({ version, strategy, engine, workers, uptimeSeconds }: Status): Line {
  const facts = [strategy, `engine ${engine}`, countOf(workers, "worker"), `up for ${formatDuration(uptimeSeconds)}`];
  return [{ text: `roundhouse ${version}`, style: "bold" }, { text: GAP + facts.join(", "), style: "faint" }];
}

function totals({ status: { requests }, history }: View): Line {
  const figures = [
    `${formatRate(history.current.requests)} requests/s`,
    `${formatCount(requests.active)} in flight`,
    `${formatCount(requests.queued)} queued`,
    `${formatCount(requests.total)} requests`,
    `${formatCount(requests.failed)} failed`,
    `${formatCount(requests.retried)} retried`,
  ];
  return [{ text: figures.join(GAP) }];
}

/** The titles, then a line for each backend. */
function table({ status, history, now }: View): Line[] {
  const traffic = history.traffic();
  const cells = status.backends.map((backend) =>
    COLUMNS.map(({ cell }) => cell({ backend, now, traffic: traffic.get(backend.id) ?? NO_TRAFFIC }))
  );
  const titles = COLUMNS.map(({ title }): Piece => ({ text: title, style: "faint" }));
  const rows = [titles, ...cells];
  const widths = COLUMNS.map((_, index) => Math.max(...rows.map((row) => row[index]?.text.length ?? 0)));
  return rows.map((row) =>
    row.map((piece, index) => {
      const width = widths[index] ?? 0;
      const isLast = index === COLUMNS.length - 1;
      const text = COLUMNS[index]?.align === "right"
        ? piece.text.padStart(width)
        : piece.text.padEnd(isLast ? 0 : width);
      return { ...piece, text: isLast ? text : text + GAP };
    })
  );
}

function healthCell(backend: BackendStatus): Piece {
  const { kind } = healthOf(backend);
  const state = kind === "down" && backend.state !== "active" ? `, ${backend.state}` : "";
  return { text: `${kind}${state}${backend.backup ? " (backup)" : ""}`, style: HEALTH_STYLES[kind] };
}

function connections({ currentConnections, maxConnections }: BackendStatus): string {
  return `${formatCount(currentConnections)}${maxConnections === null ? "" : `/${formatCount(maxConnections)}`}`;
}

function failuresCell({ totalFailures }: BackendStatus): Piece {
  return { text: formatCount(totalFailures), style: totalFailures > 0 ? "warning" : "plain" };
}

function whyCell(backend: BackendStatus, now: number): Piece {
  return { text: printable(reasonOf(backend, now)), style: backend.alive ? "faint" : "bad" };
}

/** The titles of the plain form's columns. */
export const PLAIN_TITLES = "TIME BACKEND HEALTH STATE SHARE REQ/S CONNS LATENCY_MS REQUESTS FAILURES WEIGHT WHY"
  .replaceAll(" ", "\t");

/**
 * The plain form: one line for each backend, with fields separated by tabs and figures without units. `-` stands for an
 * unknown value. An empty pool is one line too, so that a reader sees that `top` still runs.
 */
export function plainLines({ status, history, now }: View): string[] {
  const time = `${new Date(now).toISOString().slice(0, 19)}Z`;
  const traffic = history.traffic();
  if (status.backends.length === 0) return [[time, ...Array(10).fill("-"), "the pool is empty"].join("\t")];
  return status.backends.map((backend) => {
    const { share = null, perSecond = null } = traffic.get(backend.id) ?? {};
    const fields = [
      time,
      printable(backend.url),
      backend.alive ? "up" : "down",
      backend.state,
      rounded(share, 3),
      rounded(perSecond, 1),
      backend.currentConnections,
      rounded(backend.latencyMs.ewma, 1),
      backend.totalRequests,
      backend.totalFailures,
      backend.weight,
      printable(reasonOf(backend, now)) || "-",
    ];
    return fields.join("\t");
  });
}

function rounded(value: number | null, places: number): string {
  return value === null ? "-" : String(Number(value.toFixed(places)));
}
