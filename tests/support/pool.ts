/** Pools for unit tests. */

import type { BackendSpec } from "../../src/config/schema.ts";
import { ServerPool } from "../../src/pool/server_pool.ts";
import { ServerPools } from "../../src/pool/server_pools.ts";
import { Memory } from "../../src/memory/memory.ts";

/** A backend as the configuration would describe it, with the usual defaults. */
export function backendSpec(url: string, spec: Partial<BackendSpec> = {}): BackendSpec {
  return {
    url,
    weight: 1,
    maxConnections: null,
    backup: false,
    tls: { ca: null, insecure: false, serverName: null, cert: null, key: null },
    ...spec,
  };
}

/** The pools of an isolate. */
export function together(...pools: readonly ServerPool[]): ServerPools {
  const all = new ServerPools();
  for (const pool of pools) all.join(pool);
  return all;
}

/** A pool of `http://backend-1`, `http://backend-2` … with these weights, all up. */
export function poolOf(weights: readonly number[], shared = Memory.allocate().pool(0)): ServerPool {
  const pool = new ServerPool(shared);
  weights.forEach((weight, index) => pool.add(backendSpec(`http://backend-${index + 1}`, { weight }), "test"));
  return pool;
}
