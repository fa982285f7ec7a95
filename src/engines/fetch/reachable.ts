/** Whether a backend takes connections at all. */

import type { Backend } from "../../pool/backend.ts";

/** Dials once; `false` when no connection is made within `limitMs`. */
export async function isReachable(backend: Backend, limitMs: number): Promise<boolean> {
  try {
    const connection = await Deno.connect({
      hostname: backend.hostname,
      port: backend.port,
      signal: AbortSignal.timeout(limitMs),
    });
    connection.close();
    return true;
  } catch {
    return false; // refused, timed out or no such host: all the same to the caller
  }
}
