/** Rules between settings. They are checked when each setting is valid by itself. */
import ipaddr from "ipaddr.js";
import type { Config } from "./schema.ts";
import type { Diagnostic } from "./diagnostics.ts";
import type { Path } from "./setting_path.ts";

/** What the rules need to know beside the configuration. */
export interface CheckContext {
  /** Whether the configuration came from a file that can be written to. */
  readonly hasFile: boolean;
  /** Whether a setting has the value that was given. A setting whose value was bad has its default here. */
  readonly isTrusted: (path: Path) => boolean;
  /** What error lines call the setting at a path. */
  readonly nameOf: (path: Path) => string;
}

/** Every rule that `config` breaks. */
export function brokenRules(config: Config, context: CheckContext): Diagnostic[] {
  return [
    ...sameBackends(config.backends, context.nameOf),
    ...openAdmin(config),
    ...uselessPersist(config, context),
    ...sharedPorts(config, context),
    ...bodyOfHead(config),
    ...insecureNone(config),
  ];
}

/** What is allowed but probably not intended. */
export function doubts(config: Config, cores = navigator.hardwareConcurrency): string[] {
  const { backends, proxy: { workers } } = config;
  const lines: string[] = [];
  if (backends.length === 0) lines.push("backends: none, so every request gets 503");
  else if (backends.every(({ weight }) => weight === 0)) {
    lines.push("backends: every weight is 0, so no backend gets new traffic");
  }
  if (workers !== "auto" && workers > 1 && workers > cores) {
    lines.push(
      `proxy.workers: ${workers} on ${cores === 1 ? "1 core" : `${cores} cores`}, so they compete for CPU time`,
    );
  }
  for (const { url, tls } of backends) {
    if (tls.insecure && url.startsWith("https:")) {
      lines.push(`tls.insecure: the certificate of ${url} is not checked`);
    }
  }
  return lines;
}

/** The backends that are in the list already. */
export function sameBackends(
  backends: readonly { readonly url: string }[],
  nameOf: CheckContext["nameOf"],
): Diagnostic[] {
  const first = new Map<string, number>();
  const diagnostics: Diagnostic[] = [];
  for (const [index, { url }] of backends.entries()) {
    const earlier = first.get(url);
    if (earlier === undefined) first.set(url, index);
    else {
      const path = ["backends", index];
      const other = nameOf(["backends", earlier]);
      const which = other === nameOf(path) ? `an earlier ${other}` : other;
      diagnostics.push({ path, text: `same backend as ${which} (${url})` });
    }
  }
  return diagnostics;
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

/** With `reusePort` the system would let two of our own servers share a port, and each would get some connections. */
function sharedPorts({ proxy, admin }: Config, { nameOf, isTrusted }: CheckContext): Diagnostic[] {
  const proxyPort = { path: ["proxy", "port"], host: proxy.host, port: proxy.port };
  const adminPort = { path: ["admin", "port"], host: admin.host, port: admin.port };
  const listeners = [proxyPort, adminPort];
  const redirectFrom = proxy.tls?.redirectFrom ?? null;
  if (redirectFrom !== null) {
    listeners.push({ path: ["proxy", "tls", "redirectFrom"], host: proxy.host, port: redirectFrom });
  }
  return listeners.flatMap(({ path, host, port }, index) => {
    const other = listeners.slice(0, index).find((earlier) => earlier.port === port && overlap(earlier.host, host));
    if (port === 0 || other === undefined || !isTrusted(path) || !isTrusted(other.path)) return [];
    return [{ path, text: `got ${port}, want another port than ${nameOf(other.path)}` }];
  });
}

function bodyOfHead({ health }: Config): Diagnostic[] {
  if (health.type !== "http" || health.body === null || health.method !== "HEAD") return [];
  return [{
    path: ["health", "body"],
    text: "can't be checked with health.method HEAD: a response to HEAD has no body",
  }];
}

/** Browsers drop such a cookie. */
function insecureNone({ sticky }: Config): Diagnostic[] {
  if (sticky?.by !== "cookie" || sticky.sameSite !== "none" || sticky.secure !== false) return [];
  return [{ path: ["sticky", "secure"], text: `got false, want true or null, because sticky.sameSite is "none"` }];
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
