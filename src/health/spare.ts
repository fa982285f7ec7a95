/** Whether a pool can do without a backend. */

import type { Backend } from "../pool/backend.ts";

/** Whether another backend takes requests: the last one that does is never ejected, however badly it serves. */
export function canSpare(backends: readonly Backend[], backend: Backend): boolean {
  return backends.some((other) => other !== backend && other.selectable);
}
