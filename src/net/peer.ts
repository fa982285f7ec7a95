/** The address at the other end of a connection, in one spelling. */

const MAPPED = "::ffff:";

/** Shows an IPv4 client of a listener on `::` as IPv4, so that hashes, logs and address lists recognise it. */
export function peerAddress(hostname: string): string {
  return hostname.startsWith(MAPPED) && hostname.includes(".") ? hostname.slice(MAPPED.length) : hostname;
}
