/** The two ends of a connection, each in one spelling. */

/** Stands for the address of every client that came through a unix socket: such clients have none. */
export const UNIX_PEER = "unix";

const MAPPED = "::ffff:";

/** Shows an IPv4 client of a listener on `::` as IPv4, so that hashes, logs and address lists recognise it. */
export function peerAddress(hostname: string): string {
  return hostname.startsWith(MAPPED) && hostname.includes(".") ? hostname.slice(MAPPED.length) : hostname;
}

/** The address that a client connected to, as an authority. A unix socket has none, and is on this machine. */
export function localAuthority(address: Deno.NetAddr | Deno.UnixAddr): string {
  if ("path" in address) return "localhost";
  const { hostname, port } = address;
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}
