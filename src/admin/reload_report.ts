/** The result of a reload. */

import type { Difference } from "../pool/change_queue.ts";

/** The result of a reload, as `POST /reload` returns it. */
export interface ReloadReport extends Difference {
  /** The paths of changed settings that need a restart. */
  readonly restartNeeded: readonly string[];
}
