/** The table of backends, in groups where there are several pools. */

import { formatCount, formatLatency, formatRate, formatShare } from "../../admin/dashboard/format.js";
import { type Pool, poolsOf } from "../../admin/dashboard/pools.js";
import type { BackendStatus } from "../../admin/dashboard/status.d.ts";
import { healthOf, isFailing, reasonOf } from "../../admin/dashboard/verdict.js";
import { printable } from "../admin_call.ts";
import { type Column, layOut, type Line, type Piece } from "./layout.ts";
import type { View } from "./view.ts";

interface Row {
  readonly backend: BackendStatus;
  readonly share: number | null;
  readonly perSecond: number | null;
  readonly now: number;
}

const HEALTH_STYLES = { up: "good", down: "bad", draining: "warning", disabled: "faint" } as const;

/** What is left out of a narrow terminal has the lowest numbers. Columns without a number always stay. */
const COLUMNS: readonly Column<Row>[] = [
  { title: "BACKEND", keeps: "end", cell: ({ backend }) => ({ text: printable(backend.url), style: "bold" }) },
  { title: "HEALTH", cell: ({ backend }) => healthCell(backend) },
  { title: "REQ/S", align: "right", cell: ({ perSecond }) => ({ text: formatRate(perSecond) }) },
  { title: "5XX", align: "right", cell: ({ backend }) => troubleCell(backend.responses["5xx"]) },
  { title: "FAILURES", align: "right", cell: ({ backend }) => troubleCell(backend.totalFailures) },
  { title: "P50", align: "right", goes: 4, cell: ({ backend }) => ({ text: formatLatency(backend.latencyMs.p50) }) },
  { title: "P95", align: "right", cell: ({ backend }) => ({ text: formatLatency(backend.latencyMs.p95) }) },
  { title: "CONNS", align: "right", goes: 6, cell: ({ backend }) => ({ text: connections(backend) }) },
  { title: "SHARE", align: "right", goes: 3, cell: ({ share }) => ({ text: formatShare(share) }) },
  { title: "REQUESTS", align: "right", goes: 2, cell: ({ backend }) => ({ text: formatCount(backend.totalRequests) }) },
  { title: "WEIGHT", align: "right", goes: 1, cell: ({ backend }) => ({ text: String(backend.weight) }) },
  { title: "WHY", goes: 5, keeps: "start", cell: ({ backend, now }) => whyCell(backend, now) },
];

/**
 * The titles, then a line for each backend; with several pools, a line with its name above those of each. Where they are
 * more than `most` lines, those that fail come first, so that they are not among those that are left out.
 */
export function backendTable(
  view: View,
  room: number,
  most: number,
): { readonly titles: Line; readonly lines: readonly Line[] } {
  const pools = poolsOf(view.status);
  const lines = pools.reduce((sum, { backends }) => sum + backends.length, pools.length === 1 ? 0 : pools.length);
  const shown = lines > most ? failingFirst(pools) : pools;
  const groups = shown.map((pool) => rowsOf(pool, view));
  const [titles = [], ...laidOut] = layOut(COLUMNS, groups.flat(), room);
  if (shown.length === 1) return { titles, lines: laidOut };
  let next = 0;
  const grouped = shown.flatMap((pool, index) => {
    const rows = groups[index] ?? [];
    const own = laidOut.slice(next, next + rows.length);
    next += rows.length;
    return [heading(pool), ...own];
  });
  return { titles, lines: grouped };
}

function failingFirst(pools: readonly Pool[]): Pool[] {
  const sorted = pools.map((pool) => ({
    ...pool,
    backends: pool.backends.toSorted((one, other) => urgency(one) - urgency(other)),
  }));
  const ofPool = ({ backends: [first] }: Pool) => first === undefined ? 0 : urgency(first);
  return sorted.sort((one, other) => ofPool(one) - ofPool(other));
}

/** The lowest come first. */
function urgency(backend: BackendStatus): number {
  return !backend.alive ? 0 : isFailing(backend) ? 1 : 2;
}

function rowsOf({ backends }: Pool, { history, now }: View): Row[] {
  const traffic = history.traffic();
  return backends.map((backend) => {
    const { share = null, perSecond = null } = traffic.get(backend.id) ?? {};
    return { backend, now, perSecond, share };
  });
}

function heading({ name, strategy, backends, source }: Pool): Line {
  const up = backends.filter(({ alive }) => alive).length;
  const facts = backends.length === 0 ? "empty" : `${up} of ${backends.length} up`;
  const line: Line = [
    { text: printable(name), style: "bold" },
    { text: `  ${printable(strategy)}, ${facts}`, style: "faint" },
  ];
  if (source.kind === "static") return line;
  const from = `, from ${source.kind}`;
  return [...line, source.ok ? { text: from, style: "faint" } : { text: `${from}, stale`, style: "warning" }];
}

function healthCell(backend: BackendStatus): Piece {
  const { kind } = healthOf(backend);
  const state = kind === "down" && backend.state !== "active" ? `, ${backend.state}` : "";
  return { text: `${kind}${state}${backend.backup ? " (backup)" : ""}`, style: HEALTH_STYLES[kind] };
}

function connections({ currentConnections, maxConnections }: BackendStatus): string {
  return `${formatCount(currentConnections)}${maxConnections === null ? "" : `/${formatCount(maxConnections)}`}`;
}

/** A count of something that should not happen. */
export function troubleCell(count: number): Piece {
  return { text: formatCount(count), style: count > 0 ? "warning" : "plain" };
}

function whyCell(backend: BackendStatus, now: number): Piece {
  return { text: printable(reasonOf(backend, now)), style: backend.alive ? "faint" : "bad" };
}
