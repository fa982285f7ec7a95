/** A connection as this engine uses it, whatever carries it. */

import type { Timed } from "./timeouts.ts";

/** What a `Deno.Conn` does, and all that is asked of it. */
export type Link = Pick<Deno.Conn, "read" | "write" | "close" | "closeWrite"> & Partial<KeptAlive>;

interface KeptAlive {
  /** Whether the system asks a silent peer now and then if it is still there. */
  setKeepAlive(on: boolean): void;
}

/**
 * Writes all of `bytes`. They must not change before it settles.
 *
 * @param clock started anew, if it runs, whenever a part has been taken
 */
export async function writeAll(link: Link, bytes: Uint8Array, clock?: Timed): Promise<void> {
  let written = await link.write(bytes);
  while (written < bytes.length) {
    clock?.restartClock();
    written += await link.write(bytes.subarray(written));
  }
}
