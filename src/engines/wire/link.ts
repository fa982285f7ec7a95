/** A connection as this engine uses it, whatever carries it. */

/** What a `Deno.Conn` does, and all that is asked of it. */
export type Link = Pick<Deno.Conn, "read" | "write" | "close" | "closeWrite"> & Partial<KeptAlive>;

interface KeptAlive {
  /** Whether the system asks a silent peer now and then if it is still there. */
  setKeepAlive(on: boolean): void;
}

/** Closes a connection that may be closed already. */
export function closeQuietly(link: Pick<Link, "close">): void {
  try {
    link.close();
  } catch {
    // it is closed already
  }
}

/** Writes all of `bytes`. They must not change before it settles. */
export async function writeAll(link: Link, bytes: Uint8Array): Promise<void> {
  let written = await link.write(bytes);
  while (written < bytes.length) written += await link.write(bytes.subarray(written));
}
