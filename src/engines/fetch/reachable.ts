/** Tests whether a backend accepts connections. */

import { connectTo } from "../../net/endpoint.ts";
import { isExhaustion } from "../../net/exhaustion.ts";
import { withinLimit } from "../../net/fair_limit.ts";
import type { Backend } from "../../pool/backend.ts";

/**
 * Dials once. Returns `false` if no connection is made within `limitMs`, unless our own file descriptors or ports have
 * run out.
 */
export async function isReachable(backend: Backend, limitMs: number): Promise<boolean> {
  try {
    const connection = await withinLimit(limitMs, (signal) => connectTo(backend.endpoint, signal));
    connection.close();
    return true;
  } catch (error) {
    return isExhaustion(error); // otherwise it was refused, timed out, or the host is unknown
  }
}
