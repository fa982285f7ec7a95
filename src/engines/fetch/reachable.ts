/** Whether a backend takes connections at all. */

import { isExhaustion } from "../../net/exhaustion.ts";
import { withinLimit } from "../../net/fair_limit.ts";
import type { Backend } from "../../pool/backend.ts";

/** Dials once; `false` when no connection is made within `limitMs`, unless it is for lack of our own means. */
export async function isReachable(backend: Backend, limitMs: number): Promise<boolean> {
  try {
    const { hostname, port } = backend;
    const connection = await withinLimit(limitMs, (signal) => Deno.connect({ hostname, port, signal }));
    connection.close();
    return true;
  } catch (error) {
    return isExhaustion(error); // else refused, timed out or no such host: all the same to the caller
  }
}
