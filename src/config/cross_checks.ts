/** Rules between settings. They are checked when each setting is valid by itself. */
import ipaddr from "ipaddr.js";
import type { Config } from "./schema.ts";
import type { Diagnostic } from "./diagnostics.ts";
import { brokenPoolRules, type PoolCheckContext, poolDoubts } from "./pool_checks.ts";
import { poolsOf } from "./pool_settings.ts";
import { isSocket } from "./socket_path.ts";
import { brokenRouteRules, type RouteCheckContext } from "./routes/checks.ts";
import { routeDoubts, usedPools } from "./routes/doubts.ts";

/** What the rules need to know beside the configuration. */
export interface CheckContext extends PoolCheckContext, RouteCheckContext {
  /** Whether the configuration came from a file that can be written to. */
  readonly hasFile: boolean;
}

/** Every rule that `config` breaks. */
export function brokenRules(config: Config, context: CheckContext): Diagnostic[] {
  return [
    ...brokenPoolRules(config, context),
    ...openAdmin(config),
    ...uselessPersist(config, context),
    ...twoKeepers(config),
    ...clusterLimits(config),
    ...acmeNeeds(config),
    ...sharedPorts(config, context),
    ...socketRules(config),
    ...brokenRouteRules(config, context),
  ];
}

/** What is allowed but probably not intended. */
export function doubts(config: Config, cores = navigator.hardwareConcurrency): string[] {
  const { proxy: { workers } } = config;
  const used = usedPools(config);
  const pools = poolsOf(config);
  const shareOf = (name: string) => !used.has(name) ? "none" : config.routes === null ? "all" : "some";
  const lines = Array.from(pools, ([name, pool]) => poolDoubts(name, pool, shareOf(name))).flat();
  if (workers !== "auto" && workers > 1 && workers > cores) {
    lines.push(
      `proxy.workers: ${workers} on ${cores === 1 ? "1 core" : `${cores} cores`}, so they compete for CPU time`,
    );
  }
  for (const { backends } of pools.values()) {
    for (const { url, tls } of backends) {
      if (tls.insecure && url.startsWith("https:")) {
        lines.push(`tls.insecure: the certificate of ${url} is not checked`);
      }
    }
  }
  const { tls } = config.proxy;
  if (tls !== null && tls.acme !== null && tls.redirectFrom !== null && tls.redirectFrom !== 80) {
    lines.push("proxy.tls.redirectFrom: the authority of acme asks at port 80, which has to lead here");
  }
  return [...lines, ...socketDoubts(config), ...routeDoubts(config)];
}

/** The defaults, which need no warning. */
const DEFAULT_PORT = 8080;
const DEFAULT_SOCKET_MODE = 0o660;

/** Settings that have no effect at a unix socket, or nowhere else. */
function socketDoubts({ proxy: { host, port, socketMode, trustForwarded } }: Config): string[] {
  if (isSocket(host)) {
    return port === DEFAULT_PORT ? [] : [`proxy.port: ${port} has no effect, because proxy.host is a unix socket`];
  }
  const because = `because proxy.host is ${JSON.stringify(host)}, not a unix socket`;
  return [
    ...socketMode === DEFAULT_SOCKET_MODE ? [] : [`proxy.socketMode: has no effect, ${because}`],
    ...trustForwarded.includes("unix") ? [`proxy.trustForwarded: "unix" has no effect, ${because}`] : [],
  ];
}

function openAdmin({ admin }: Config): Diagnostic[] {
  if (admin.token !== null || isLoopback(admin.host)) return [];
  const text = `got nothing, want a token, because admin.host is ${JSON.stringify(admin.host)}, not a loopback address`;
  return [{ path: ["admin", "token"], text }];
}

/** The next start must read what was written. */
function uselessPersist({ admin }: Config, { hasFile, nameOf }: CheckContext): Diagnostic[] {
  if (!admin.persist) return [];
  const path = ["admin", "persist"];
  if (!hasFile) return [{ path, text: "got true, want a configuration file to write to" }];
  const backends = nameOf(["backends"]);
  if (backends === "backends") return [];
  return [{
    path,
    text: `got true, want the backends in the file: ${backends} would replace them at the next start`,
  }];
}

/** A change is kept in one place: in the file of one replica, or in the store of all. */
function twoKeepers({ admin, cluster }: Config): Diagnostic[] {
  if (!admin.persist || cluster === null) return [];
  return [{
    path: ["admin", "persist"],
    text: "got true, want false beside cluster, which keeps changes for all replicas",
  }];
}

/** Without the cluster, nobody knows how many replicas share a limit. */
function clusterLimits({ rateLimit, routes, cluster }: Config): Diagnostic[] {
  if (cluster !== null) return [];
  const entries = Object.entries(routes ?? {}).flatMap(([key, list]) =>
    list.map((entry, index) => ({ path: ["routes", key, index], rateLimit: entry.rateLimit }))
  );
  return [{ path: [], rateLimit }, ...entries].flatMap(({ path, rateLimit }) => {
    if (rateLimit?.scope !== "cluster") return [];
    const text = 'got "cluster", want the setting cluster, which says where the replicas find each other';
    return [{ path: [...path, "rateLimit", "scope"], text }];
  });
}

/** An authority asks for the answers to its challenges over plain HTTP. Keys are not shared as they are. */
function acmeNeeds({ proxy: { tls }, cluster }: Config): Diagnostic[] {
  if (tls === null || tls.acme === null) return [];
  const broken: Diagnostic[] = [];
  if (tls.redirectFrom === null) {
    const text = "got null, want a port such as 80 beside acme: the authority sends its requests there";
    broken.push({ path: ["proxy", "tls", "redirectFrom"], text });
  }
  if (cluster !== null && cluster.secret === null) {
    const text = "got null, want a secret beside proxy.tls.acme, to encrypt the keys that replicas share";
    broken.push({ path: ["cluster", "secret"], text });
  }
  return broken;
}

/** With `reusePort` the system would let two of our own servers share a port, and each would get some connections. */
function sharedPorts({ proxy, admin }: Config, { nameOf, isTrusted }: CheckContext): Diagnostic[] {
  const proxyPort = { path: ["proxy", "port"], host: proxy.host, port: proxy.port };
  const adminPort = { path: ["admin", "port"], host: admin.host, port: admin.port };
  const listeners = isSocket(proxy.host) ? [adminPort] : [proxyPort, adminPort];
  const redirectFrom = proxy.tls?.redirectFrom ?? null;
  if (redirectFrom !== null && !isSocket(proxy.host)) {
    listeners.push({ path: ["proxy", "tls", "redirectFrom"], host: proxy.host, port: redirectFrom });
  }
  return listeners.flatMap(({ path, host, port }, index) => {
    const other = listeners.slice(0, index).find((earlier) => earlier.port === port && overlap(earlier.host, host));
    if (port === 0 || other === undefined || !isTrusted(path) || !isTrusted(other.path)) return [];
    return [{ path, text: `got ${port}, want another port than ${nameOf(other.path)}` }];
  });
}

/** What a unix socket can't do. */
function socketRules({ engine, proxy: { host, workers, tls } }: Config): Diagnostic[] {
  if (!isSocket(host)) return [];
  const broken: Diagnostic[] = [];
  const because = `because proxy.host is ${JSON.stringify(host)}`;
  if (workers !== 1) {
    const text = `got ${JSON.stringify(workers)}, want 1, ${because}: only one can listen there`;
    broken.push({ path: ["proxy", "workers"], text });
  }
  if (tls !== null && engine === "fetch") {
    const text = `not supported by engine "fetch", use engine "wire", ${because}`;
    broken.push({ path: ["proxy", "tls"], text });
  }
  if (tls !== null && tls.redirectFrom !== null) {
    const text = `got ${tls.redirectFrom}, want null, ${because}: it has no address for a port`;
    broken.push({ path: ["proxy", "tls", "redirectFrom"], text });
  }
  return broken;
}

function overlap(one: string, other: string): boolean {
  return one === other || isEveryAddress(one) || isEveryAddress(other);
}

function isEveryAddress(host: string): boolean {
  return ipaddr.isValid(host) && ipaddr.process(host).range() === "unspecified";
}

/** Whether only this machine can reach a server on that address. */
export function isLoopback(host: string): boolean {
  if (host.toLowerCase() === "localhost") return true;
  return ipaddr.isValid(host) && ipaddr.process(host).range() === "loopback";
}
