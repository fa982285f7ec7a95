/** Tells whether a request would be copied by `mirror`. */

import type { Config } from "../config/schema.ts";
import { formatSize } from "../config/units.ts";

/** What `mirror` would do with a request. */
export interface ExplainedMirror {
  /** The pool that gets copies. */
  readonly pool: string;
  /** Whether the request may be copied. */
  readonly copies: boolean;
  readonly reason: string;
}

/** @param mirror `null`: there is none */
export function explainMirror(mirror: Config["mirror"], method: string): ExplainedMirror | null {
  if (mirror === null) return null;
  const { pool, share, methods, maxBodyBytes } = mirror;
  if (!methods.includes(method)) {
    return { pool, copies: false, reason: `${method} is not one of its methods, ${methods.join(", ")}` };
  }
  if (share === 0) return { pool, copies: false, reason: "its share is 0" };
  const which = share === 1 ? "every such request" : `a share of ${share} of such requests, chosen at random`;
  return { pool, copies: true, reason: `${which}, unless its body is larger than ${formatSize(maxBodyBytes)}` };
}
