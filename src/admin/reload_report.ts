/** What came of a reload. */

import type { Difference } from "../pool/membership.ts";

/** The outcome of a reload, as `POST /reload` answers it. */
export interface ReloadReport extends Difference {
  /** Settings that differ but take a restart, by path. */
  readonly restartNeeded: readonly string[];
}
