/** Binds servers to addresses. If that fails, the error names the setting. */

import { ConfigError, messageOf } from "../errors.ts";

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
    const place = inUse || error instanceof Deno.errors.PermissionDenied ? portSetting : `${section}.host`;
    const why = inUse ? "another process listens there" : messageOf(error);
    throw new ConfigError([`${place}: can't listen on ${at.host}:${at.port}: ${why}`], { cause: error });
  }
}

/** The address of a running server, as a URL. */
export function urlOf(address: Deno.NetAddr | undefined, scheme: "http" | "https" = "http"): string {
  if (address === undefined) throw new Error("the server is not running");
  const host = address.hostname.includes(":") ? `[${address.hostname}]` : address.hostname;
  return `${scheme}://${host}:${address.port}`;
}
