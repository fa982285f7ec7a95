/** Binds servers to addresses. If that fails, the error names the setting. */

import { isSocket } from "../config/socket_path.ts";
import { ConfigError, messageOf } from "../errors.ts";
import type { BoundAddress } from "../net/listen_address.ts";

/**
 * Starts a server.
 *
 * @throws {ConfigError} when the address can't be bound; it names the setting
 */
export async function bind<Server>(
  section: "proxy" | "admin",
  at: { readonly host: string; readonly port: number },
  start: () => Server | Promise<Server>,
  portSetting: string = `${section}.port`,
): Promise<Server> {
  try {
    return await start();
  } catch (error) {
    const inUse = error instanceof Deno.errors.AddrInUse;
    const isPorts = inUse || error instanceof Deno.errors.PermissionDenied;
    const [place, name] = isSocket(at.host)
      ? [`${section}.host`, at.host]
      : [isPorts ? portSetting : `${section}.host`, `${at.host}:${at.port}`];
    const why = inUse ? "another process listens there" : messageOf(error);
    throw new ConfigError([`${place}: can't listen on ${name}: ${why}`], { cause: error });
  }
}

/** The address of a running server, as a URL, or as the name of a socket. */
export function urlOf(address: BoundAddress | undefined, scheme: "http" | "https" = "http"): string {
  if (address === undefined) throw new Error("the server is not running");
  if ("path" in address) return `unix:${address.path}`;
  const host = address.hostname.includes(":") ? `[${address.hostname}]` : address.hostname;
  return `${scheme}://${host}:${address.port}`;
}
