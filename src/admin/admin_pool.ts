/** The pools, as the admin API shows and changes them. */

import type { Explanation, SupposedRequest } from "../balancing/explain.ts";
import { nearest } from "../config/nearest.ts";
import type { PoolSettings } from "../config/pool_settings.ts";
import type { Discover } from "../config/schema.ts";
import type { Backend } from "../pool/backend.ts";
import type { Membership } from "../pool/membership.ts";
import type { ServerPool } from "../pool/server_pool.ts";
import { AdminError } from "./admin_error.ts";

/** The state of a source. */
export interface SourceState {
  readonly kind: Discover["kind"];
  readonly ok: boolean;
  readonly lastSuccess: Date | null;
  readonly staleSince: Date | null;
  readonly error: string | null;
}

/** One pool. */
export interface AdminPool {
  readonly name: string;
  readonly pool: ServerPool;
  /** Makes the changes. */
  readonly membership: Membership;
  /** As of the last reload. */
  readonly config: Pick<PoolSettings, "strategy">;
  /** The state of the source of its backends; `undefined`: they come from the file and the admin API. */
  readonly source: SourceState | undefined;
  /** Whether it is there since the start, and has had no answer of its source yet. */
  readonly awaitsSource: boolean;
  /** Tells which backend a request would get. */
  explain(request: SupposedRequest): Explanation;
  /** The backend that the client of a request has a session with. */
  sessionOf(request: SupposedRequest): Backend | undefined;
}

/** All pools of the configuration in force. */
export interface AdminPools {
  readonly default: AdminPool;
  get(name: string): AdminPool | undefined;
  /** `default` first. */
  all(): readonly AdminPool[];
}

/** The pool with this name; 404 if there is none. */
export function poolNamed(pools: AdminPools, name: string): AdminPool {
  const pool = pools.get(name);
  if (pool !== undefined) return pool;
  const near = nearest(name, pools.all().map(({ name }) => name));
  const hint = near === undefined ? "" : `, did you mean ${JSON.stringify(near)}?`;
  throw new AdminError(404, `there is no pool ${JSON.stringify(name.slice(0, 80))}${hint}`);
}
