/** Tells which route a request would take, and why. Changes nothing. */

import type { RouteEntry } from "../config/schema/routes.ts";
import { inMatchOrder, leadsTo } from "../config/routes/match_order.ts";
import { hostName, parseRouteKey } from "../config/routes/route_key.ts";
import { DEFAULT_POOL_NAME } from "../config/pool_settings.ts";
import type { Config } from "../config/schema.ts";
import { Condition, type Mismatch, type RoutedRequest, type When } from "./condition.ts";
import { HostTable } from "./host_table.ts";
import { responderFor } from "./own_response.ts";
import { pathRewrite } from "./path_rewrite.ts";
import { AMBIGUOUS, RouteTable } from "./route_table.ts";
import { Split } from "./split.ts";

/** A request that could be made. */
export interface SupposedRoutedRequest extends RoutedRequest {
  readonly secure: boolean;
  /** Well-formed: a host, with or without a port. */
  readonly authority: string;
}

/** What is known of something that was looked at, in words. */
interface Verdict {
  readonly reason: string;
}

/** What a request comes to before its pool chooses a backend. */
export interface RouteExplanation {
  /** The keys that were looked at, in match order. */
  readonly keys: readonly (Verdict & { readonly key: string })[];
  /** How many more there are. */
  readonly keysLeftOut: number;
  /** The entries of the key that takes the request. */
  readonly entries: readonly (Verdict & { readonly entry: number; readonly name: string | null })[];
  readonly route: { readonly key: string; readonly entry: number; readonly to: string } | null;
  readonly split: ExplainedSplit | null;
  /** The pool that the request goes to. */
  readonly pool: string | null;
  /** What a backend gets as the target. */
  readonly target: string | null;
  /** The answer, if no backend gives it. */
  readonly answer: (Verdict & { readonly status: number; readonly location?: string }) | null;
}

export interface ExplainedSplit extends Verdict {
  readonly side: string;
  readonly sides: Readonly<Record<string, number>>;
}

/** Tells whether the client of a request has a session with a backend of a pool. */
type HasSession = (pool: string) => boolean;

/** More keys than these are counted, not listed. */
const MOST_KEYS = 100;

const NOTHING = { split: null, pool: null, target: null } as const;

/** Tells what would become of a request with these routes. */
export function explainRoute(
  routes: Config["routes"],
  request: SupposedRoutedRequest,
  hasSession: HasSession,
): RouteExplanation {
  const none = { keys: [], keysLeftOut: 0, entries: [], route: null };
  if (request.method === "CONNECT" || request.method === "TRACE") {
    return { ...none, ...NOTHING, answer: { status: 405, reason: `${request.method} is refused` } };
  }
  if (routes === null) {
    return { ...none, ...NOTHING, pool: DEFAULT_POOL_NAME, target: request.target, answer: null };
  }
  const { found, keys } = lookUp(routes, request);
  const looked = {
    ...none,
    ...NOTHING,
    keys: keys.slice(0, MOST_KEYS),
    keysLeftOut: Math.max(keys.length - MOST_KEYS, 0),
  };
  if (found === AMBIGUOUS) {
    return { ...looked, answer: { status: 400, reason: "the path can be read as one of another route" } };
  }
  if (found === undefined) return { ...looked, answer: { status: 404, reason: "no key takes this host and path" } };
  const all = routes[found] ?? [];
  const { entries, taken } = lookThrough(all, request);
  const entry = all[taken];
  if (entry === undefined) {
    return { ...looked, entries, answer: { status: 404, reason: "no entry of the key takes the request" } };
  }
  const route = { key: found, entry: taken, to: leadsTo(entry) };
  return { ...looked, entries, route, ...comesTo(entry, request, hasSession) };
}

type Outcome = Pick<RouteExplanation, "split" | "pool" | "target" | "answer">;

/** What an entry does with a request. */
function comesTo(entry: RouteEntry, request: SupposedRoutedRequest, hasSession: HasSession): Outcome {
  const respond = responderFor(entry);
  if (respond !== undefined) {
    const response = respond(request);
    const reason = `the route says: ${leadsTo(entry)}`;
    if (response === undefined) {
      return { ...NOTHING, answer: { status: 500, reason: "the file of the response could not be read" } };
    }
    const location = response.headers.find(([name]) => name === "location")?.[1];
    return { ...NOTHING, answer: { status: response.status, reason, ...location === undefined ? {} : { location } } };
  }
  const rewrite = pathRewrite(entry);
  const target = rewrite === undefined ? request.target : rewrite.apply(request.target);
  if (target === undefined) {
    return { ...NOTHING, answer: { status: 400, reason: "the path leaves the prefix of its route" } };
  }
  const weights = Object.entries(entry.pool ?? {});
  const [only] = weights;
  const split = weights.length < 2 ? null : explainSplit(entry, request, hasSession);
  return { split, pool: split === null ? only?.[0] ?? null : split.side, target, answer: null };
}

interface LookUp {
  readonly found: string | typeof AMBIGUOUS | undefined;
  readonly keys: RouteExplanation["keys"];
}

/** Finds the key of a request, and tells about each key of the hosts that take it. */
function lookUp(routes: NonNullable<Config["routes"]>, { authority, target }: SupposedRoutedRequest): LookUp {
  const ofHost = inMatchOrder(routesFor(authority, routes)).map(([key]) => ({ key, parsed: parseRouteKey(key) }));
  const found = new RouteTable(ofHost.map(({ key, parsed }) => [parsed, key] as const)).find(authority, target);
  const [first] = ofHost;
  const taken = first === undefined ? "" : hostName(first.parsed.host);
  const keys = ofHost.map(({ key, parsed }) => {
    if (hostName(parsed.host) !== taken) return { key, reason: `not looked at: ${taken} has routes of its own` };
    if (key === found) return { key, reason: parsed.isPrefix ? "the longest prefix" : "the exact path" };
    const own = new RouteTable([[parsed, key]]).find(authority, target);
    if (own === undefined) return { key, reason: "the path does not match" };
    return {
      key,
      reason: own === AMBIGUOUS || found === AMBIGUOUS ? "one of several readings" : "another path is closer",
    };
  });
  return { found, keys };
}

/** The routes whose host takes the authority. Others are not even parsed: there may be thousands. */
function routesFor(authority: string, routes: NonNullable<Config["routes"]>): NonNullable<Config["routes"]> {
  const hosts = new Map<string, boolean>();
  const takes = (key: string) => {
    const written = key.slice(0, key.indexOf("/"));
    let taken = hosts.get(written);
    if (taken === undefined) {
      taken = new HostTable([[parseRouteKey(key).host, true]]).find(authority) === true;
      hosts.set(written, taken);
    }
    return taken;
  };
  return Object.fromEntries(Object.entries(routes).filter(([key]) => takes(key)));
}

/** Finds the entry of a request, and tells about each of them. */
function lookThrough(all: readonly RouteEntry[], request: RoutedRequest) {
  let taken = -1;
  const entries = all.map(({ name, when }, entry) => {
    if (taken !== -1) return { entry, name, reason: `not looked at: entry ${taken} takes the request` };
    const mismatch = when === null ? undefined : new Condition(when).mismatch(request);
    if (when !== null && mismatch !== undefined) return { entry, name, reason: mismatchText(when, mismatch) };
    taken = entry;
    return { entry, name, reason: when === null ? "takes every request" : "all of its conditions hold" };
  });
  return { entries, taken };
}

/** Such as `when.header.X-Beta: got nothing, want "1"`. */
function mismatchText(when: When, { where, got }: Mismatch): string {
  const dot = where.indexOf(".");
  const [kind, name] = dot === -1 ? [where, ""] : [where.slice(0, dot), where.slice(dot + 1)];
  const lists: Readonly<Record<string, readonly string[] | undefined>> = { method: when.method, client: when.client };
  const rules = { header: when.header, cookie: when.cookie, query: when.query }[kind];
  const wanted = rules === undefined ? `one of ${lists[kind]?.join(", ") ?? ""}` : ruleText(rules[name] ?? null);
  return `when.${where}: got ${got === undefined ? "nothing" : JSON.stringify(got)}, want ${wanted}`;
}

function ruleText(rule: string | null): string {
  if (rule === null) return "nothing";
  if (rule === "*") return "any value";
  return rule.endsWith("*") ? `a value that begins with ${JSON.stringify(rule.slice(0, -1))}` : JSON.stringify(rule);
}

function explainSplit(
  { pool, splitBy }: RouteEntry,
  request: SupposedRoutedRequest,
  hasSession: HasSession,
): ExplainedSplit {
  const sides = pool ?? {};
  const split = new Split(splitBy, Object.entries(sides).map(([id, weight]) => ({ id, weight })));
  const open = split.sides.map(({ id }) => id);
  const [only = ""] = open; // the configuration has a weight above 0
  if (open.length === 1) return { side: only, sides, reason: "the only side with a weight above 0" };
  const bound = open.find(hasSession);
  if (bound !== undefined) return { side: bound, sides, reason: "its session names a backend of this side" };
  const side = split.sideFor(request)?.id ?? only;
  if (splitBy.kind === "request") {
    return { side, sides, reason: "each request takes another turn; this is the first of the turns" };
  }
  const client = `its client's address, ${request.client}`;
  const key = split.keyOf(request);
  if (!("name" in splitBy)) return { side, sides, reason: `by ${client}` };
  const what = `${splitBy.kind} ${splitBy.name}`;
  // Without the header or cookie, the client decides.
  const isThere = key !== undefined && split.keyOf({ ...withoutHeaders(request) }) !== key;
  return { side, sides, reason: isThere ? `by its ${what}, ${JSON.stringify(key)}` : `no ${what}, so by ${client}` };
}

function withoutHeaders({ method, target, client }: RoutedRequest): RoutedRequest {
  return { method, target, client, header: () => undefined };
}
