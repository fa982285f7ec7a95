/** The configuration in force in the file's own words, without its secrets: what `GET /config` answers. */
import type { DeepReadonly } from "./fields.ts";
import { show } from "./problems.ts";
import type { Config, ConfigFile, HealthConfig, StickyConfig, StrategyConfig } from "./schema.ts";
import type { Path } from "./setting_path.ts";
import { formatDuration, formatSize } from "./units.ts";

/** What stands in a secret's place. */
const HIDDEN = "***";

/**
 * The configuration as a file could say it, every key present: durations and sizes as text, backends as objects.
 * Hidden are the admin token, the values of headers (and of query parameters of `health.path`) whose names look like
 * secrets, and credentials in the URLs of header values. Without such secrets, `configSchema` reads it as `config`.
 */
export function showConfig(config: Config): unknown {
  const { proxy, admin, passive, timeouts, retries, queue, headers, log } = config;
  return {
    proxy: {
      host: proxy.host,
      port: proxy.port,
      workers: proxy.workers,
      maxBodySize: proxy.maxBodyBytes === null ? "unlimited" : formatSize(proxy.maxBodyBytes),
      trustForwarded: proxy.trustForwarded,
      compression: proxy.compression,
      maxConnections: proxy.maxConnections,
      maxHeaderSize: formatSize(proxy.maxHeaderBytes),
      proxyProtocol: proxy.proxyProtocol,
      tls: showTls(proxy.tls),
    },
    admin: {
      host: admin.host,
      port: admin.port,
      token: admin.token === null ? null : HIDDEN,
      persist: admin.persist,
    },
    backends: config.backends.map(({ url, weight, maxConnections, backup, tls: { ca, insecure } }) => (
      { url, weight, maxConnections, backup, tls: { ca, insecure } }
    )),
    strategy: showStrategy(config.strategy),
    sticky: showSticky(config.sticky),
    engine: config.engine,
    health: showHealth(config.health),
    passive: {
      connectFailures: passive.connectFailures,
      serverErrors: passive.serverErrors,
      window: formatDuration(passive.windowMs),
      ejectFor: formatDuration(passive.ejectForMs),
      maxEjected: passive.maxEjected,
    },
    timeouts: {
      connect: formatDuration(timeouts.connectMs),
      response: formatDuration(timeouts.responseMs),
      request: formatDuration(timeouts.requestMs),
      shutdown: formatDuration(timeouts.shutdownMs),
      idle: formatDuration(timeouts.idleMs),
      header: formatDuration(timeouts.headerMs),
      keepAlive: formatDuration(timeouts.keepAliveMs),
    },
    retries: { attempts: retries.attempts, budget: retries.budget, statuses: retries.statuses },
    queue: { size: queue.size, timeout: formatDuration(queue.timeoutMs) },
    headers: {
      request: {
        set: showHeaders(headers.request.set, ["headers", "request", "set"]),
        remove: headers.request.remove,
      },
      response: {
        set: showHeaders(headers.response.set, ["headers", "response", "set"]),
        remove: headers.response.remove,
      },
    },
    log: { level: log.level, format: log.format, access: log.access },
  } satisfies Complete;
}

/** A file with every section, and in each section every key; `sticky.cookie` has a meaning for one kind alone. */
type Complete = {
  readonly [K in Exclude<keyof File, "$schema">]-?: K extends "sticky" ? File[K]
    : Required<Exclude<File[K], undefined>>;
};
type File = DeepReadonly<ConfigFile>;

function showTls(tls: Config["proxy"]["tls"]) {
  if (tls === null) return null;
  const { redirectFrom } = tls;
  switch (tls.kind) {
    case "files":
      return { cert: tls.cert, key: tls.key, redirectFrom };
    case "self-signed":
      return { selfSigned: tls.names, redirectFrom };
  }
}

function showStrategy(strategy: StrategyConfig) {
  return strategy.kind === "header-hash" ? `header-hash:${strategy.header}` : strategy.kind;
}

function showSticky(sticky: StickyConfig) {
  if (sticky === null) return null;
  const timeout = formatDuration(sticky.timeoutMs);
  return sticky.by === "cookie" ? { by: sticky.by, cookie: sticky.cookie, timeout } : { by: sticky.by, timeout };
}

function showHealth(health: HealthConfig) {
  return {
    type: health.type,
    path: showPath(health.path),
    method: health.method,
    status: health.status.map(({ from, to }) => from === to ? `${from}` : `${from}-${to}`).join(","),
    body: health.body,
    headers: showHeaders(health.headers, ["health", "headers"]),
    port: health.port,
    interval: formatDuration(health.intervalMs),
    timeout: formatDuration(health.timeoutMs),
    jitter: health.jitter,
    healthyThreshold: health.healthyThreshold,
    unhealthyThreshold: health.unhealthyThreshold,
    startUp: health.startUp,
    slowStart: formatDuration(health.slowStartMs),
  };
}

function showHeaders(headers: Readonly<Record<string, string>>, map: Path): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      isSecret([...map, name]) ? HIDDEN : value.replace(/\/\/[^\s/?#]*@/g, `//${HIDDEN}@`),
    ]),
  );
}

/** The path of the health check, with the values of secret-looking query parameters hidden. */
function showPath(path: string): string {
  const start = path.indexOf("?") + 1;
  if (start === 0) return path;
  const query = path.slice(start).replace(/([^&=]+)=[^&]*/g, (parameter, name) => {
    return isSecret(["health", "headers", name]) ? `${name}=${HIDDEN}` : parameter;
  });
  return path.slice(0, start) + query;
}

/** Whether error lines hide what stands at a path: one rule decides for both. */
function isSecret(path: Path): boolean {
  const harmless = "x";
  return show(harmless, path) !== JSON.stringify(harmless);
}
