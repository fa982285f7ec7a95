/** The interface of a connection as this engine uses it. */

import type { Timed } from "./timeouts.ts";

/** The part of `Deno.Conn` that this engine needs. */
export type Link = Pick<Deno.Conn, "read" | "write" | "close" | "closeWrite"> & Partial<KeptAlive>;

interface KeptAlive {
  /** Sets whether the system checks from time to time that a silent peer is still there. */
  setKeepAlive(on: boolean): void;
}

/**
 * Writes all of `bytes`. They must not change before the promise settles.
 *
 * @param clock started again, if it runs, after each part that was written
 */
export async function writeAll(link: Link, bytes: Uint8Array, clock?: Timed): Promise<void> {
  let written = await link.write(bytes);
  while (written < bytes.length) {
    clock?.restartClock();
    written += await link.write(bytes.subarray(written));
  }
}
