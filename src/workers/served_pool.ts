/** A pool as whoever forwards to it gets it handed in. */

import type { FailureReports } from "../health/passive.ts";
import type { SessionTable } from "../memory/session_table.ts";
import type { ServerPool } from "../pool/server_pool.ts";

export interface ServedPool<Passive = FailureReports> {
  readonly name: string;
  readonly pool: ServerPool;
  /** Told of attempts that failed by a backend's fault. */
  readonly passive: Passive;
  /** Sessions by address, as the configuration in force wants them; `undefined`: there are none. */
  readonly sessions: SessionTable | undefined;
}
