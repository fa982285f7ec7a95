/** The address at the other end of a connection, in one spelling. */

const MAPPED = "::ffff:";

/** An IPv4 client of a listener on `::` is an IPv4 client: hashes, logs and lists of addresses know it as that. */
export function peerAddress(hostname: string): string {
  return hostname.startsWith(MAPPED) && hostname.includes(".") ? hostname.slice(MAPPED.length) : hostname;
}
