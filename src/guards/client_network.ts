/** Whom to count as one client. */

import { IPV6_GROUPS, readIpv6 } from "../net/address_text.ts";

/** A client by its address. An IPv6 client is its network of 64 bits, because it can have any address there. */
export function clientNetwork(address: string): string {
  if (!address.includes(":")) return address;
  const groups = new Uint16Array(IPV6_GROUPS);
  const zone = address.indexOf("%");
  return readIpv6(zone === -1 ? address : address.slice(0, zone), groups) ? groups.slice(0, 4).join(":") : address;
}
