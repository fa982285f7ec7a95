/** Where the proxy listens, as its settings say. */

import type { Config } from "../config/schema.ts";
import { socketPath } from "../config/socket_path.ts";
import type { ListenAddress } from "../net/listen_address.ts";
import { SocketFile } from "../net/socket_file.ts";

/**
 * Returns the address to listen at. A socket is claimed: open it at once, so that others need not wait.
 *
 * @throws {Deno.errors.AddrInUse} and similar errors when it can't be had
 */
export async function listenAddressOf(
  { host, port, socketMode }: Config["proxy"],
  reusePort: boolean,
): Promise<ListenAddress> {
  const path = socketPath(host);
  if (path !== undefined) return await SocketFile.claim({ path, mode: socketMode });
  return { hostname: host, port, reusePort };
}
