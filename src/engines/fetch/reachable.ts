/** Whether a backend takes connections at all. */

import { isExhaustion } from "../../net/exhaustion.ts";
import type { Backend } from "../../pool/backend.ts";

/** Dials once; `false` when no connection is made within `limitMs`, unless it is for lack of our own means. */
export async function isReachable(backend: Backend, limitMs: number): Promise<boolean> {
  try {
    const connection = await Deno.connect({
      hostname: backend.hostname,
      port: backend.port,
      signal: AbortSignal.timeout(limitMs),
    });
    connection.close();
    return true;
  } catch (error) {
    return isExhaustion(error); // else refused, timed out or no such host: all the same to the caller
  }
}
