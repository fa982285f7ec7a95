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
import { type Column, layOut, type Line, type Piece } from "./layout.ts";

/** What there is to show. */
export interface View {
  readonly status: Status;
  readonly history: History;
  /** Milliseconds since 1970, on the server's clock. */
  readonly now: number;
  /** Why there is nothing newer; `undefined`: there is not. */
  readonly lost?: string;
}

/** How much fits on a terminal. */
export interface Size {
  readonly rows: number;
  readonly columns: number;
}

interface Row {
  readonly backend: BackendStatus;
  readonly traffic: Traffic;
  readonly now: number;
}

interface Traffic {
  readonly share: number | null;
  readonly perSecond: number | null;
}

const HEALTH_STYLES = { up: "good", down: "bad", draining: "warning", disabled: "faint" } as const;
const LEVEL_STYLES = { ok: "good", warning: "warning", bad: "bad" } as const;

/** What is left out of a narrow terminal has the lowest numbers. Columns without a number always stay. */
const COLUMNS: readonly Column<Row>[] = [
  { title: "BACKEND", keeps: "end", cell: ({ backend }) => ({ text: printable(backend.url), style: "bold" }) },
  { title: "HEALTH", cell: ({ backend }) => healthCell(backend) },
  { title: "REQ/S", align: "right", cell: ({ traffic }) => ({ text: formatRate(traffic.perSecond) }) },
  { title: "5XX", align: "right", cell: ({ backend }) => troubleCell(backend.responses["5xx"]) },
  { title: "FAILURES", align: "right", cell: ({ backend }) => troubleCell(backend.totalFailures) },
  { title: "P50", align: "right", goes: 4, cell: ({ backend }) => ({ text: formatLatency(backend.latencyMs.p50) }) },
  { title: "P95", align: "right", cell: ({ backend }) => ({ text: formatLatency(backend.latencyMs.p95) }) },
  { title: "CONNS", align: "right", goes: 6, cell: ({ backend }) => ({ text: connections(backend) }) },
  { title: "SHARE", align: "right", goes: 3, cell: ({ traffic }) => ({ text: formatShare(traffic.share) }) },
  { title: "REQUESTS", align: "right", goes: 2, cell: ({ backend }) => ({ text: formatCount(backend.totalRequests) }) },
  { title: "WEIGHT", align: "right", goes: 1, cell: ({ backend }) => ({ text: String(backend.weight) }) },
  { title: "WHY", goes: 5, keeps: "start", cell: ({ backend, now }) => whyCell(backend, now) },
];

const GAP = "  ";
/** Most reasons above the table, which has no room for them on a narrow terminal. */
const MOST_DETAILS = 5;
const NO_TRAFFIC: Traffic = { share: null, perSecond: null };

/** What fits on a terminal, from the top. A last line says how many backends had no room. */
export function screen(view: View, size: Size): Line[] {
  const head: Line[] = [headline(view.status), totals(view), [], ...verdict(view), []];
  const [titles = [], ...lines] = table(view, size.columns);
  const room = Math.max(1, size.rows - head.length - 2);
  const shown = lines.length <= room ? lines : lines.slice(0, room - 1);
  const hidden = lines.length - shown.length;
  const more: Line[] = hidden === 0 ? [] : [[{ text: `… and ${countOf(hidden, "more backend")}`, style: "faint" }]];
  return [...head, titles, ...shown, ...more];
}

/** How things are, or that this is not known at present. */
function verdict({ status, history, now, lost }: View): Line[] {
  if (lost !== undefined) {
    return [[{ text: `Not connected: ${printable(lost)}. Trying again…`, style: "bad" }], [{
      text: `${GAP}What follows is from ${new Date(now).toTimeString().slice(0, 8)}.`,
      style: "faint",
    }]];
  }
  const { level, headline, details } = verdictOf(status, history.traffic(), now);
  return [
    [{ text: headline, style: LEVEL_STYLES[level] }],
    ...details.slice(0, MOST_DETAILS).map(({ url, text }): Line => [
      { text: `${GAP}${printable(url)}${GAP}` },
      { text: printable(text), style: LEVEL_STYLES[level] },
    ]),
  ];
}

function headline({ version, strategy, engine, workers, uptimeSeconds }: Status): Line {
  const facts = [strategy, `engine ${engine}`, countOf(workers, "worker"), `up for ${formatDuration(uptimeSeconds)}`];
  return [{ text: `roundhouse ${version}`, style: "bold" }, { text: GAP + facts.join(", "), style: "faint" }];
}

function totals({ status: { requests }, history, lost }: View): Line {
  const figures = [
    `${formatRate(lost === undefined ? history.perSecond : null)} requests/s`,
    `${formatCount(requests.active)} in flight`,
    `${formatCount(requests.queued)} queued`,
    `${formatCount(requests.total)} requests`,
    `${formatCount(requests.failed)} failed`,
    `${formatCount(requests.retried)} retried`,
  ];
  return [{ text: figures.join(GAP) }];
}

/** The titles, then a line for each backend. */
function table({ status, history, now, lost }: View, columns: number): Line[] {
  const traffic = history.traffic();
  const rows = status.backends.map((backend) => ({ backend, now, traffic: traffic.get(backend.id) ?? NO_TRAFFIC }));
  const lines = layOut(COLUMNS, rows, columns);
  return lost === undefined ? lines : lines.map((line) => line.map(({ text }) => ({ text, style: "faint" })));
}

function healthCell(backend: BackendStatus): Piece {
  const { kind } = healthOf(backend);
  const state = kind === "down" && backend.state !== "active" ? `, ${backend.state}` : "";
  return { text: `${kind}${state}${backend.backup ? " (backup)" : ""}`, style: HEALTH_STYLES[kind] };
}

function connections({ currentConnections, maxConnections }: BackendStatus): string {
  return `${formatCount(currentConnections)}${maxConnections === null ? "" : `/${formatCount(maxConnections)}`}`;
}

function troubleCell(count: number): Piece {
  return { text: formatCount(count), style: count > 0 ? "warning" : "plain" };
}

function whyCell(backend: BackendStatus, now: number): Piece {
  return { text: printable(reasonOf(backend, now)), style: backend.alive ? "faint" : "bad" };
}

/** The titles of the plain form's columns. */
export const PLAIN_TITLES = "TIME BACKEND HEALTH STATE SHARE REQ/S CONNS P50_MS P95_MS REQUESTS 5XX FAILURES WEIGHT WHY"
  .replaceAll(" ", "\t");

/**
 * The plain form: one line for each backend, with fields separated by tabs and figures without units. `-` stands for an
 * unknown value. An empty pool is one line too, so that a reader sees that `top` still runs.
 */
export function plainLines({ status, history, now }: View): string[] {
  const time = `${new Date(now).toISOString().slice(0, 19)}Z`;
  const traffic = history.traffic();
  if (status.backends.length === 0) return [[time, ...Array(12).fill("-"), "the pool is empty"].join("\t")];
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
      rounded(backend.latencyMs.p50, 1),
      rounded(backend.latencyMs.p95, 1),
      backend.totalRequests,
      backend.responses["5xx"],
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
