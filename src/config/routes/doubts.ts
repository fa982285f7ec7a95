/** What is allowed in routes but probably not intended. */
import { DEFAULT_POOL_NAME, poolPath, poolsOf } from "../pool_settings.ts";
import type { Config } from "../schema.ts";
import type { RouteEntry } from "../schema/routes.ts";
import { formatPath } from "../setting_path.ts";
import { askedPool } from "./checks.ts";
import { doubledRequests, mirrors } from "./mirrors.ts";
import { hostName, type HostPattern, parseRouteKey, type RouteKey } from "./route_key.ts";

/**
 * The names of the pools that some route leads to, and of those that `auth` asks. Without routes, everything goes to
 * `default`.
 */
export function usedPools({ routes, auth }: Config): ReadonlySet<string> {
  const entries = Object.values(routes ?? {}).flat();
  const asked = [auth, ...entries.map((entry) => entry.auth)].map(askedPool).filter((name) => name !== undefined);
  const led = routes === null ? [DEFAULT_POOL_NAME] : entries.flatMap(({ pool }) => Object.keys(pool ?? {}));
  return new Set([...led, ...asked]);
}

/** A line for each doubt. */
export function routeDoubts(config: Config): string[] {
  const hosts = hostsOf(config);
  return [
    ...unusedPools(config),
    ...doubledRequests(config),
    ...hosts.flatMap(lonelyPaths),
    ...hosts.flatMap((host) => missingRest(host, hosts)),
  ];
}

function unusedPools(config: Config): string[] {
  const used = new Set([...usedPools(config), ...mirrors(config).map(({ pool }) => pool)]);
  const unused = Array.from(poolsOf(config)).filter(([name, { backends }]) =>
    // Nobody has to give the pool `default` backends.
    !used.has(name) && (name !== DEFAULT_POOL_NAME || backends.length > 0)
  );
  return unused.map(([name]) =>
    name === DEFAULT_POOL_NAME
      ? "backends: no route leads to the pool default"
      : `${formatPath(poolPath(name))}: no route leads to this pool`
  );
}

interface Host {
  readonly pattern: HostPattern;
  readonly routes: { readonly written: string; readonly key: RouteKey; readonly entries: readonly RouteEntry[] }[];
}

function hostsOf({ routes }: Config): Host[] {
  const hosts = new Map<string, Host>();
  for (const [written, entries] of Object.entries(routes ?? {})) {
    const key = parseRouteKey(written);
    const name = hostName(key.host);
    const host = hosts.get(name) ?? { pattern: key.host, routes: [] };
    host.routes.push({ written, key, entries });
    hosts.set(name, host);
  }
  return [...hosts.values()];
}

/** Exact paths that lead to a pool, have no file's name and no route below them: `/api` where `/api/*` is meant. */
function lonelyPaths({ routes }: Host): string[] {
  const parents = new Set(routes.flatMap(({ key: { path, isPrefix } }) => [...isPrefix ? [path] : [], ...above(path)]));
  return routes.filter(({ key: { path, isPrefix }, entries }) =>
    !isPrefix && !/\.[^/]*$/.test(path) && !parents.has(path.replace(/\/$/, "")) &&
    entries.some(({ pool }) => pool !== null)
  ).map(({ written }) =>
    `${formatPath(["routes", written])}: takes this one path; ${JSON.stringify(`${written.replace(/\/$/, "")}/*`)} ` +
    "takes all below it, too"
  );
}

/** `/a/b/` has `""`, `/a` and `/a/b` above it. */
function above(path: string): string[] {
  const found: string[] = [];
  const end = path.endsWith("/") ? path.length - 1 : path.length;
  for (let at = path.indexOf("/"); at !== -1 && at < end; at = path.indexOf("/", at + 1)) found.push(path.slice(0, at));
  return found;
}

/** A host takes all requests for it, whatever its paths; those that none of them fits never get to a wider host. */
function missingRest({ pattern, routes }: Host, hosts: readonly Host[]): string[] {
  if (takesAll(routes)) return [];
  const wider = hosts.filter((host) => isWider(host.pattern, pattern) && takesAll(host.routes))
    .toSorted((one, other) => hostName(other.pattern).length - hostName(one.pattern).length)[0];
  if (wider === undefined) return [];
  const [name, fallback] = [hostName(pattern), `${hostName(wider.pattern)}/*`];
  return [`routes: ${name} has no "${name}/*", so its other paths get 404 and not what "${fallback}" says`];
}

function takesAll(routes: Host["routes"]): boolean {
  return routes.some(({ key: { path, isPrefix } }) => isPrefix && path === "");
}

function isWider(outer: HostPattern, inner: HostPattern): boolean {
  if (inner.kind === "any" || outer.kind === "exact") return false;
  if (outer.kind === "any") return true;
  const name = inner.kind === "exact" ? inner.name : inner.suffix;
  return name !== outer.suffix && name.endsWith(outer.suffix);
}
