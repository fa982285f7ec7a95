/** A pool, as the data plane gets it. */

import type { FailureReports } from "../health/passive.ts";
import type { SessionTable } from "../memory/session_table.ts";
import type { ServerPool } from "../pool/server_pool.ts";

export interface ServedPool<Passive = FailureReports> {
  readonly name: string;
  readonly pool: ServerPool;
  /** Told about attempts that failed because of a backend. */
  readonly passive: Passive;
  /** Sessions by address, according to the configuration in force; `undefined`: there are none. */
  readonly sessions: SessionTable | undefined;
}
