/** Whether a pool can do without a backend. */

import type { Backend } from "../pool/backend.ts";

/** Whether another backend takes requests. The last one that does is never ejected, even if it fails requests. */
export function canSpare(backends: readonly Backend[], backend: Backend): boolean {
  return backends.some((other) => other !== backend && other.selectable);
}
