/** The routes in the order in which they are matched, and what each of their entries leads to, as text. */

import type { RouteEntry } from "../schema/routes.ts";
import { hostName, parseRouteKey, type RouteKey } from "./route_key.ts";

/** A key as the configuration writes it, and its entries. */
export type KeyedEntries = readonly [key: string, entries: readonly RouteEntry[]];

/**
 * Exact hosts come first, then wildcards, the longest first, then `*`. Within a host, exact paths come first, then
 * prefixes, the longest first. What is left is in alphabetical order.
 */
export function inMatchOrder(routes: Readonly<Record<string, readonly RouteEntry[]>>): readonly KeyedEntries[] {
  return Object.entries(routes)
    .map(([key, entries]) => ({ parsed: parseRouteKey(key), keyed: [key, entries] as const }))
    .sort((one, other) => compare(one.parsed, other.parsed))
    .map(({ keyed }) => keyed);
}

const HOST_RANKS = { exact: 0, wildcard: 1, any: 2 } as const satisfies Record<RouteKey["host"]["kind"], number>;

function compare(one: RouteKey, other: RouteKey): number {
  const [host, otherHost] = [hostName(one.host), hostName(other.host)];
  return HOST_RANKS[one.host.kind] - HOST_RANKS[other.host.kind] ||
    (one.host.kind === "wildcard" ? otherHost.length - host.length : 0) ||
    inAlphabet(host, otherHost) ||
    Number(one.isPrefix) - Number(other.isPrefix) ||
    (one.isPrefix ? other.path.length - one.path.length : 0) ||
    inAlphabet(one.path, other.path);
}

function inAlphabet(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

/** Where an entry leads: `api`, `api 95, api-v2 5`, `redirect 308 https://example.com{uri}` or `respond 404`. */
export function leadsTo({ pool, redirect, status, respond }: RouteEntry): string {
  if (redirect !== null) return `redirect ${status} ${redirect}`;
  if (respond !== null) return `respond ${respond.status}`;
  const sides = Object.entries(pool ?? {});
  return sides.length === 1 ? sides.map(([name]) => name).join() : sides.map((side) => side.join(" ")).join(", ");
}
