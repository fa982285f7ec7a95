/** What a new configuration changes in a running process, and what it can't. */

import type { BackendSpec } from "./config/schema.ts";
import type { Backend } from "./pool/backend.ts";
import type { ServerPool } from "./pool/server_pool.ts";

/** The outcome of a reload, as `POST /reload` answers it. */
export interface ReloadReport {
  /** URLs. */
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
  /** Settings that differ but take a restart, by path. */
  readonly restartNeeded: readonly string[];
}

/**
 * Makes the pool what the configuration says. Backends that stay keep their counters, health, connections and the
 * operator's `state`; those that only the admin API knew go.
 *
 * @param options `up`: whether new backends count as up before a check has passed; `newAuthorities`: the files of
 * authorities that hold something else than when the backends in the pool were made
 */
export function applyBackends(
  pool: ServerPool,
  specs: readonly BackendSpec[],
  { up, reason, newAuthorities = new Set() }: {
    readonly up: boolean;
    readonly reason: string;
    readonly newAuthorities?: ReadonlySet<string>;
  },
): Omit<ReloadReport, "restartNeeded"> {
  const wanted = new Map(specs.map((spec) => [spec.url, spec]));
  const gone = pool.backends.filter((backend) => !keeps(backend, wanted.get(backend.url), newAuthorities));
  const replaced = new Set(gone.filter((backend) => wanted.has(backend.url)).map((backend) => backend.url));
  for (const backend of gone) pool.remove(backend, reason);
  const added: string[] = [];
  const changed: string[] = [];
  for (const spec of specs) {
    const { url, weight, maxConnections, backup } = spec;
    const backend = pool.getByUrl(url);
    if (backend === undefined) {
      pool.add(spec, reason, up);
      (replaced.has(url) ? changed : added).push(url);
    } else if (pool.update(backend, { weight, maxConnections, backup }, reason)) {
      changed.push(url);
    }
  }
  const removed = gone.map((backend) => backend.url).filter((url) => !replaced.has(url));
  return { added, removed, changed };
}

/** How connections to a backend are encrypted is part of what it is: with other settings it is another backend. */
function keeps({ tls }: Backend, spec: BackendSpec | undefined, newAuthorities: ReadonlySet<string>): boolean {
  if (spec === undefined || JSON.stringify(spec.tls) !== JSON.stringify(tls)) return false;
  return tls.ca === null || !newAuthorities.has(tls.ca);
}
