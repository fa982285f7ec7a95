/** The summary of a configuration that `roundhouse check` prints. */
import { GUARD_NAMES } from "../errors.ts";
import { checkedPath, passingStatuses } from "./checked.ts";
import { describeGuards } from "./guards.ts";
import { describeMirror } from "./mirror.ts";
import { formatStatuses, formatStrategy } from "./fields.ts";
import type { BackendSpec, Config, HealthConfig } from "./schema.ts";
import type { PoolSettings } from "./pool_settings.ts";
import { describeRoutes } from "./routes/describe.ts";
import { describeDiscover } from "./schema/discover.ts";
import { isSocket } from "./socket_path.ts";
import { formatDuration, formatSize } from "./units.ts";

/**
 * What a configuration means, for people: a few short lines, without secrets.
 *
 * @param certificates a line for each certificate that clients can get
 */
export function describeConfig(config: Config, certificates: readonly string[] = []): string[] {
  const { proxy, admin, timeouts, retries, log } = config;
  const lines: readonly Line[] = [
    ["proxy", listenUrl(proxy.tls === null ? "http" : "https", proxy.host, proxy.port)],
    ...[...certificates, ...describeClients(proxy.tls)].map((text, index): Line => [index === 0 ? "tls" : "", text]),
    ["admin", `${listenUrl("http", admin.host, admin.port)}, ${admin.token === null ? "no token" : "with a token"}`],
    ...describeBackends(config),
    ["strategy", describeStrategy(config)],
    ["engine", `${config.engine}, ${proxy.workers === "auto" ? "a worker per core" : count(proxy.workers, "worker")}`],
    ["health", describeHealth(config.health)],
    [
      "timeouts",
      `connect ${formatDuration(timeouts.connectMs)}, response ${formatDuration(timeouts.responseMs)}, request ${
        timeouts.requestMs === 0 ? "unlimited" : formatDuration(timeouts.requestMs)
      }, shutdown ${formatDuration(timeouts.shutdownMs)}`,
    ],
    [
      "retries",
      `at most ${retries.attempts} for a request, ${Math.round(retries.budget * 1000) / 10}% of all requests`,
    ],
    ["body size", proxy.maxBodyBytes === null ? "unlimited" : `at most ${formatSize(proxy.maxBodyBytes)}`],
    ...describeAll(config),
    ...config.mirror === null ? [] : [["mirror", describeMirror(config.mirror).join("")] as const],
    ["log", `${log.level} and up as ${log.format}${describeAccess(log.access)}`],
    ...Object.entries(config.pools).flatMap(([name, pool]) => describePool(name, pool)),
    ...config.routes === null ? [] : listed("routes", describeRoutes(config.routes)),
  ];
  return lines.map(([name, text]) => `${name.padEnd(9)}  ${text}`);
}

function describeClients(tls: Config["proxy"]["tls"]): string[] {
  const { ca, require } = tls?.clientCertificates ?? {};
  if (ca === undefined) return [];
  return [`client certificates ${require ? "required" : "asked for"}, authorities from ${ca}`];
}

/** A line for the guards of all requests, if there are any. */
function describeAll(config: Config): Line[] {
  const given = GUARD_NAMES.filter((name) => config[name] !== null).map((name) => [name, config[name]]);
  return given.length === 0 ? [] : [["guards", describeGuards(Object.fromEntries(given)).join(", ")]];
}

function describeAccess(access: Config["log"]["access"]): string {
  if (access === false) return "";
  return access === "combined" ? ", each request in the Combined Log Format" : ", each request";
}

type Line = readonly [name: string, text: string];

/** How many there are, and a line for each. */
function listed(name: string, lines: readonly string[]): Line[] {
  return [[name, lines.length === 0 ? "none" : String(lines.length)], ...lines.map((line): Line => ["", line])];
}

function describeBackends({ backends, discover }: PoolSettings): Line[] {
  if (discover === null) return listed("backends", backends.map(describeBackend));
  const kept = `an empty list counts after ${formatDuration(discover.keepForMs)}`;
  return [["backends", `from ${describeDiscover(discover)}, ${kept}, drained ${formatDuration(discover.drainMs)}`]];
}

function describePool(name: string, pool: PoolSettings): Line[] {
  return [
    ["pool", name],
    ...describeBackends(pool),
    ["strategy", describeStrategy(pool)],
    ["health", describeHealth(pool.health)],
  ];
}

function listenUrl(scheme: string, host: string, port: number): string {
  if (isSocket(host)) return scheme === "https" ? `${host}, https` : host;
  const authority = host.includes(":") ? `[${host}]` : host;
  return `${scheme}://${authority}:${port === 0 ? "(any free port)" : port}`;
}

function describeBackend({ url, weight, maxConnections, backup, tls }: BackendSpec): string {
  const parts = [url, `weight ${weight}`];
  if (maxConnections !== null) parts.push(`at most ${count(maxConnections, "connection")}`);
  if (backup) parts.push("backup");
  if (tls.ca !== null) parts.push(`authorities from ${tls.ca}`);
  if (tls.insecure) parts.push("certificate not checked");
  if (tls.cert !== null) parts.push(`shown ${tls.cert}`);
  if (tls.serverName !== null) parts.push(`certificate of ${tls.serverName}`);
  return parts.join(", ");
}

function describeStrategy({ strategy, sticky }: PoolSettings): string {
  if (sticky === null) return formatStrategy(strategy);
  const by = sticky.by === "cookie" ? `cookie ${sticky.cookie}` : "client address";
  return `${formatStrategy(strategy)}, sticky by ${by} for ${formatDuration(sticky.timeoutMs)}`;
}

function describeHealth(health: HealthConfig): string {
  if (health.type === "none") return "no checks";
  const every = `every ${formatDuration(health.intervalMs)}, at most ${formatDuration(health.timeoutMs)} each`;
  const where = health.port === null ? "" : ` on port ${health.port}`;
  if (health.type === "tcp") return `a TCP connection${where} ${every}`;
  const how = health.tls === null ? "" : health.tls ? " over TLS" : " without TLS";
  return `${health.method} ${checkedPath(health)}${where}${how} ${every}, status ${
    formatStatuses(passingStatuses(health))
  }`;
}

function count(amount: number, noun: string): string {
  return `${amount} ${noun}${amount === 1 ? "" : "s"}`;
}
