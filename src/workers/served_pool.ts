/** The pools, as the data plane gets them. */

import type { FailureReports } from "../health/passive.ts";
import type { SessionTable } from "../memory/session_table.ts";
import type { ServerPool } from "../pool/server_pool.ts";
import type { ServerPools } from "../pool/server_pools.ts";

export interface ServedPool<Passive = FailureReports> {
  readonly name: string;
  readonly pool: ServerPool;
  /** Told about attempts that failed because of a backend. */
  readonly passive: Passive;
  /** Sessions by address, according to the configuration in force; `undefined`: there are none. */
  readonly sessions: SessionTable | undefined;
}

/** The pools of the configuration in force. They are the present ones at each access: a reload changes them. */
export interface ServedPools<Pool extends ServedPool<unknown> = ServedPool> extends Iterable<Pool> {
  /** All pools of the isolate, also those that are ending because a reload has dropped them. */
  readonly serverPools: ServerPools;
  /** The pool with this name. */
  get(name: string): Pool | undefined;
}
