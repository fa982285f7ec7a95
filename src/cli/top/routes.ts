/** The table of routes, and their rates. */

import { formatCount, formatLatency, formatRate } from "../../admin/dashboard/format.js";
import type { RouteStatus } from "../../admin/dashboard/status.d.ts";
import { printable } from "../admin_call.ts";
import { troubleCell } from "./backends.ts";
import { type Column, layOut, type Line } from "./layout.ts";
import type { RouteRow } from "./view.ts";

/** The time that rates are over, as for backends. */
const RATE_SECONDS = 10;

const COLUMNS: readonly Column<RouteRow>[] = [
  { title: "ROUTE", keeps: "start", cell: (row) => ({ text: printable(nameOf(row)), style: "bold" }) },
  { title: "TO", keeps: "start", goes: 3, cell: ({ to }) => ({ text: printable(to) }) },
  { title: "REQ/S", align: "right", cell: ({ perSecond }) => ({ text: formatRate(perSecond) }) },
  { title: "FAILED", align: "right", cell: ({ failed }) => failed === null ? { text: "–" } : troubleCell(failed) },
  { title: "P50", align: "right", goes: 2, cell: ({ latencyMs }) => ({ text: formatLatency(latencyMs?.p50 ?? null) }) },
  { title: "P95", align: "right", cell: ({ latencyMs }) => ({ text: formatLatency(latencyMs?.p95 ?? null) }) },
  {
    title: "REQUESTS",
    align: "right",
    goes: 1,
    cell: ({ requests }) => ({ text: requests === null ? "–" : formatCount(requests) }),
  },
];

/**
 * The titles, then a line for each entry of a route, in match order. Where they are more than `most`, those that fail come
 * first, so that they are not among those that are left out.
 */
export function routeTable(rows: readonly RouteRow[], room: number, most: number): Line[] {
  const shown = rows.length > most ? rows.toSorted((one, other) => urgency(one) - urgency(other)) : rows;
  return layOut(COLUMNS, shown, room);
}

/** The lowest come first. */
function urgency({ failed, responses }: RouteRow): number {
  return (failed ?? 0) > 0 || (responses?.["5xx"] ?? 0) > 0 ? 0 : 1;
}

/** The key, and for one of several entries its name or its number. */
function nameOf({ route, entry, name, isOneOfMany }: RouteRow): string {
  if (name !== null) return `${route} ${name}`;
  return isOneOfMany ? `${route} #${entry}` : route;
}

/** Computes the requests a second of each entry from what it has counted. */
export class RouteRates {
  #looks: { readonly at: number; readonly requests: ReadonlyMap<string, number | null> }[] = [];

  /** @param at in seconds */
  add(at: number, routes: readonly RouteStatus[]): RouteRow[] {
    const requests = new Map(routes.map((route) => [keyOf(route), route.requests]));
    // After a restart, the counts begin anew.
    const last = this.#looks.at(-1);
    if (last !== undefined && (at <= last.at || sumOf(requests) < sumOf(last.requests))) this.#looks = [];
    while ((this.#looks[0]?.at ?? at) < at - RATE_SECONDS - 0.5) this.#looks.shift();
    const [since] = this.#looks;
    this.#looks.push({ at, requests });
    const counts = new Map<string, number>();
    for (const { route } of routes) counts.set(route, (counts.get(route) ?? 0) + 1);
    return routes.map((route) => {
      const before = since?.requests.get(keyOf(route)) ?? null;
      const isKnown = since !== undefined && before !== null && route.requests !== null;
      const perSecond = isKnown ? Math.max(0, route.requests - before) / (at - since.at) : null;
      return { ...route, perSecond, isOneOfMany: (counts.get(route.route) ?? 0) > 1 };
    });
  }
}

function keyOf({ route, entry }: RouteStatus): string {
  return `${entry} ${route}`;
}

function sumOf(requests: ReadonlyMap<string, number | null>): number {
  return [...requests.values()].reduce<number>((sum, count) => sum + (count ?? 0), 0);
}
