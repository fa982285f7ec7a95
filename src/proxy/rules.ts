/** The rules for forwarding: one immutable snapshot for each configuration. A request keeps its snapshot to its end. */

import type { Config } from "../config/schema.ts";
import type { RouteEntry, RouteOverrides } from "../config/schema/routes.ts";
import type { GuardMeans } from "../guards/guard.ts";
import { ALL_REQUESTS, Guards } from "../guards/guards.ts";
import { mirrorName } from "../guards/limit_names.ts";
import type { Log } from "../log.ts";
import type { PoolRuntime } from "../routing/pool_runtime.ts";
import type { ReadFile } from "../routing/own_response.ts";
import { type RouteIdentity, Routes } from "../routing/routes.ts";
import type { Limits, RequestTimeouts } from "./exchange.ts";
import type { ForwardedTrust } from "./forwarded.ts";
import { dropsRequestTrailer, dropsResponseTrailer, type HeaderRules } from "./headers.ts";
import type { RandomHex } from "./ids.ts";
import { Mirror } from "./mirror.ts";
import type { RequestRecorder } from "./record.ts";

/** The settings that forwarding uses. */
export interface ForwardingRules {
  readonly requestHeaders: HeaderRules;
  readonly responseHeaders: HeaderRules;
  readonly maxRetries: number;
  readonly retryStatuses: ReadonlySet<number>;
  readonly limits: Limits;
  /** `undefined`: every request may go on. */
  readonly guards: Guards | undefined;
  /** `undefined`: requests are not copied. */
  readonly mirror: Mirror | undefined;
}

/** What rules are made with, beside the configuration. */
export interface RuleMeans extends GuardMeans {
  /** All pools of the configuration by name. */
  readonly pools: ReadonlyMap<string, PoolRuntime>;
}

/** The pool that requests go to if there are no routes, and the rules for those that no route decides about. */
export interface UsualRoute {
  readonly pool: PoolRuntime;
  readonly rules: ForwardingRules;
}

/** What a `Forwarder` uses with one configuration. */
export interface ForwarderParts {
  readonly route: UsualRoute;
  /** `undefined`: every request goes to the pool of `route`. */
  readonly routes: Routes<ForwardingRules> | undefined;
  /** Whose `X-Forwarded-*` headers are trusted. */
  readonly trust: ForwardedTrust;
  readonly recorder: RequestRecorder;
  readonly random: RandomHex;
  readonly log: Log;
}

/** Returns the rules of a configuration, for requests that no route says more about. */
export function forwardingRules(config: Config, means: RuleMeans): ForwardingRules {
  const { proxy, headers, retries, timeouts } = config;
  const { maxBodyBytes, compression } = proxy;
  return rulesOf({ maxBodyBytes, compression, headers, retries, timeouts }, {
    guards: Guards.forAll(config, means),
    mirror: mirrorFor(config.mirror, ALL_REQUESTS, means),
  });
}

/**
 * Returns the routes of a configuration, ready for requests; `undefined`: it has none.
 *
 * @param usual the rules of the configuration
 * @param readFile reads the files of responses
 */
export function forwardingRoutes(
  config: Config,
  usual: ForwardingRules,
  means: RuleMeans,
  readFile: ReadFile,
): Routes<ForwardingRules> | undefined {
  const { routes } = config;
  if (routes === null) return undefined;
  const rulesFor = (entry: RouteEntry, { label }: Pick<RouteIdentity, "label">) => {
    return overridden(config, usual, entry, {
      guards: Guards.forEntry(usual.guards, entry, { ...means, name: label }),
      mirror: entry.mirror === undefined ? usual.mirror : mirrorFor(entry.mirror, label, means),
    });
  };
  return new Routes({ routes, pools: means.pools, rulesFor, readFile });
}

function mirrorFor(config: Config["mirror"], place: string, { pools, limits }: RuleMeans): Mirror | undefined {
  if (config === null) return undefined;
  const pool = pools.get(config.pool);
  if (pool === undefined) throw new Error(`there is no pool ${config.pool}`);
  return new Mirror({ config, pool, places: limits.concurrency(mirrorName(place)) });
}

/** What stands before a route, and beside it. */
type Besides = Pick<ForwardingRules, "guards" | "mirror">;

/** The settings that a route may have for itself. */
interface RuleSettings {
  readonly maxBodyBytes: number | null;
  readonly compression: boolean;
  readonly headers: Readonly<Record<"request" | "response", HeaderChanges>>;
  readonly retries: Pick<Config["retries"], "attempts" | "statuses">;
  readonly timeouts: RequestTimeouts;
}

interface HeaderChanges {
  readonly set: Readonly<Record<string, string>>;
  readonly remove: readonly string[];
}

function rulesOf(
  { maxBodyBytes, compression, headers, retries, timeouts }: RuleSettings,
  besides: Besides,
): ForwardingRules {
  const requestHeaders = { ...headerRules(headers.request), owned: besides.guards?.owned };
  const responseHeaders = headerRules(headers.response);
  return {
    requestHeaders,
    responseHeaders,
    maxRetries: retries.attempts,
    retryStatuses: new Set(retries.statuses),
    limits: {
      timeouts,
      compresses: compression,
      maxBodyBytes: maxBodyBytes ?? Infinity,
      dropsRequestTrailer: (name) => dropsRequestTrailer(name, requestHeaders),
      dropsResponseTrailer: (name) => dropsResponseTrailer(name, responseHeaders),
    },
    ...besides,
  };
}

/** The rules of a configuration with those of an entry over them. */
function overridden(
  { proxy, headers, retries, timeouts }: Config,
  usual: ForwardingRules,
  { maxBodyBytes, compression, ...own }: RouteOverrides,
  besides: Besides,
): ForwardingRules {
  const { request, response } = own.headers ?? {};
  const inherits = maxBodyBytes === undefined && compression === undefined;
  const isUsual = besides.guards === usual.guards && besides.mirror === usual.mirror;
  if (inherits && own.headers === null && own.retries === null && own.timeouts === null && isUsual) {
    return usual;
  }
  return rulesOf({
    maxBodyBytes: maxBodyBytes === undefined ? proxy.maxBodyBytes : maxBodyBytes,
    compression: compression ?? proxy.compression,
    headers: {
      request: overChanges(headers.request, request),
      response: overChanges(headers.response, response),
    },
    retries: over(retries, own.retries),
    timeouts: own.timeouts === null ? timeouts : over(timeouts, own.timeouts),
  }, besides);
}

/** The settings of the top level, with those that an entry has in their place. */
function over<Settings extends object>(top: Settings, own: Undefined<Settings> | null): Settings {
  const given = Object.entries(own ?? {}).filter(([, value]) => value !== undefined);
  return { ...top, ...Object.fromEntries(given) };
}

type Undefined<Settings> = { readonly [Key in keyof Settings]?: Settings[Key] | undefined };

/** A header that the entry removes is not set by the top level, and the other way round. */
function overChanges(top: HeaderChanges, own: Undefined<HeaderChanges> | undefined): HeaderChanges {
  if (own === undefined) return top;
  const removed = lowered(own.remove ?? []);
  const changed = new Set([...removed, ...lowered(Object.keys(own.set ?? {}))]);
  const inherited = Object.entries(top.set).filter(([name]) => !changed.has(name.toLowerCase()));
  return { set: { ...Object.fromEntries(inherited), ...own.set }, remove: own.remove ?? top.remove };
}

function lowered(names: readonly string[]): ReadonlySet<string> {
  return new Set(names.map((name) => name.toLowerCase()));
}

function headerRules({ set, remove }: HeaderChanges): HeaderRules {
  return {
    set: Object.entries(set).map(([name, value]) => [name.toLowerCase(), value]),
    remove: lowered(remove),
  };
}
