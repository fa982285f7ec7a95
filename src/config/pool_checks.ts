/** Rules between the settings of a pool, and between pools. */
import { MAX_BACKENDS } from "./backend_limit.ts";
import type { Diagnostic } from "./diagnostics.ts";
import { DEFAULT_POOL_NAME, poolPath, type PoolSettings, poolsOf } from "./pool_settings.ts";
import type { Config, StickyConfig } from "./schema.ts";
import { isSocket } from "./socket_path.ts";
import { formatPath, type Path, samePath, valueAt } from "./setting_path.ts";

/** What the rules for pools need to know beside the configuration. */
export interface PoolCheckContext {
  /** What error lines call the setting at a path. */
  readonly nameOf: (path: Path) => string;
  /** What the file says. It tells what a pool inherits. */
  readonly written: unknown;
}

/** Every rule that the pools of `config` break. */
export function brokenPoolRules(config: Config, context: PoolCheckContext): Diagnostic[] {
  const pools = poolsOf(config);
  const inherited = ownRules(config);
  const each = Array.from(pools, ([name, pool]) => {
    const base = poolPath(name);
    // A mistake of the top level is told once, not again for each pool that inherits it.
    const own = ownRules(pool).filter(({ path }) =>
      name === DEFAULT_POOL_NAME || valueAt(context.written, [...base, ...path]) !== undefined ||
      !inherited.some((other) => samePath(other.path, path))
    );
    return [
      ...sameBackends(pool.backends, context.nameOf, [...base, "backends"]),
      ...own.map(({ path, text }) => ({ path: [...base, ...path], text })),
    ];
  });
  return [...each.flat(), ...tooManyBackends(pools), ...sharedCookies(pools, context)];
}

/** The rules within one pool. Paths begin there. */
function ownRules(pool: PoolSettings): Diagnostic[] {
  return [...bodyOfHead(pool), ...insecureNone(pool), ...twoOrigins(pool)];
}

/** The backends that are in the list already. */
export function sameBackends(
  backends: readonly { readonly url: string }[],
  nameOf: PoolCheckContext["nameOf"],
  list: Path = ["backends"],
): Diagnostic[] {
  const first = new Map<string, number>();
  const diagnostics: Diagnostic[] = [];
  for (const [index, { url }] of backends.entries()) {
    const earlier = first.get(url);
    if (earlier === undefined) first.set(url, index);
    else {
      const path = [...list, index];
      const other = nameOf([...list, earlier]);
      const which = other === nameOf(path) ? `an earlier ${other}` : other;
      diagnostics.push({ path, text: `same backend as ${which} (${url})` });
    }
  }
  return diagnostics;
}

function bodyOfHead({ health }: PoolSettings): Diagnostic[] {
  if (health.type !== "http" || health.body === null || health.method !== "HEAD") return [];
  return [{
    path: ["health", "body"],
    text: "can't be checked with health.method HEAD: a response to HEAD has no body",
  }];
}

/** It would be unclear who decides which backends there are. */
function twoOrigins({ backends, discover }: PoolSettings): Diagnostic[] {
  if (discover === null || backends.length === 0) return [];
  return [{ path: ["discover"], text: `want either "backends" or "discover", not both` }];
}

/** Browsers drop such a cookie. */
function insecureNone({ sticky }: PoolSettings): Diagnostic[] {
  if (sticky?.by !== "cookie" || sticky.sameSite !== "none" || sticky.secure !== false) return [];
  return [{ path: ["sticky", "secure"], text: `got false, want true or null, because sticky.sameSite is "none"` }];
}

function tooManyBackends(pools: ReadonlyMap<string, PoolSettings>): Diagnostic[] {
  let count = 0;
  for (const { backends } of pools.values()) count += backends.length;
  if (count <= MAX_BACKENDS || pools.size === 1) return [];
  return [{ path: ["pools"], text: `got ${count} backends in all pools, want at most ${MAX_BACKENDS}` }];
}

/** Clients would send each pool the session of the other. Each would then choose anew, and overwrite it. */
function sharedCookies(pools: ReadonlyMap<string, PoolSettings>, { nameOf }: PoolCheckContext): Diagnostic[] {
  const byCookie = new Map<string, { readonly name: string; readonly sticky: StickyConfig }[]>();
  const diagnostics: Diagnostic[] = [];
  for (const [name, { sticky }] of pools) {
    if (sticky?.by !== "cookie") continue;
    const earlier = byCookie.get(sticky.cookie);
    if (earlier === undefined) byCookie.set(sticky.cookie, [{ name, sticky }]);
    else {
      const other = earlier.find((one) => reachTheSame(one.sticky, sticky));
      if (other !== undefined) {
        const text = `got ${JSON.stringify(sticky.cookie)}, want another name than ${
          nameOf([...poolPath(other.name), "sticky", "cookie"])
        }: some requests would carry both cookies`;
        diagnostics.push({ path: [...poolPath(name), "sticky", "cookie"], text });
      }
      earlier.push({ name, sticky });
    }
  }
  return diagnostics;
}

/** Whether a request may carry both cookies. Without a domain, a cookie may be for any host. */
function reachTheSame(one: StickyConfig, other: StickyConfig): boolean {
  if (one?.by !== "cookie" || other?.by !== "cookie") return false;
  const domains = one.domain === null || other.domain === null || isWithinDomain(one.domain, other.domain) ||
    isWithinDomain(other.domain, one.domain);
  return domains && (isBelow(one.path, other.path) || isBelow(other.path, one.path));
}

function isWithinDomain(domain: string, outer: string): boolean {
  return domain === outer || domain.endsWith(`.${outer}`);
}

/** RFC 6265 §5.1.4. */
function isBelow(path: string, outer: string): boolean {
  return path.startsWith(outer) && (path.length === outer.length || outer.endsWith("/") || path[outer.length] === "/");
}

/** What is allowed in a pool but probably not intended. `share`: the requests that may come to it. */
export function poolDoubts(
  name: string,
  { backends, discover, health }: PoolSettings,
  share: "all" | "some" | "none",
): string[] {
  if (discover !== null) return [];
  const path = formatPath([...poolPath(name), "backends"]);
  if (backends.length === 0) {
    if (share === "none") return [];
    return [`${path}: none, so ${share === "all" ? "every request gets" : "requests for this pool get"} 503`];
  }
  const isIdle = backends.every(({ weight }) => weight === 0);
  return [
    ...isIdle ? [`${path}: every weight is 0, so no backend gets new traffic`] : [],
    ...checksOfSockets(name, { backends, health }),
  ];
}

/** A check of a unix socket goes to the socket, and TLS is not spoken there. */
function checksOfSockets(name: string, { backends, health }: Pick<PoolSettings, "backends" | "health">): string[] {
  const socket = backends.find(({ url }) => isSocket(url));
  if (socket === undefined || health.type === "none") return [];
  return (["port", "tls"] as const)
    .filter((key) => health[key] !== null && health[key] !== false)
    .map((key) => `${formatPath([...poolPath(name), "health", key])}: does not count for ${socket.url}`);
}
