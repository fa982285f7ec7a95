/** Whether a host name leads to an address that this process listens on. */

import { networkInterfaces } from "node:os";
import ipaddr from "ipaddr.js";

/**
 * Whether connections to `host` arrive at a server that listens on `listening`. Names other than `localhost` are not
 * looked up.
 */
export function isOwnHost(host: string, listening: string): boolean {
  const [asked, own] = [addressOf(host), addressOf(listening)];
  if (asked === undefined || own === undefined) return host.toLowerCase() === listening.toLowerCase();
  if (asked === own) return true;
  if (ipaddr.parse(own).range() !== "unspecified") return false;
  const range = ipaddr.parse(asked).range();
  return range === "loopback" || range === "unspecified" || interfaceAddresses().includes(asked);
}

function addressOf(host: string): string | undefined {
  if (host.toLowerCase() === "localhost") return "127.0.0.1";
  return ipaddr.isValid(host) ? ipaddr.process(host).toString() : undefined;
}

/** Without the permission to ask for them, there are none. */
function interfaceAddresses(): string[] {
  try {
    return Object.values(networkInterfaces()).flatMap((addresses = []) =>
      addresses.map(({ address }) => ipaddr.process(address.replace(/%.*$/, "")).toString())
    );
  } catch {
    return [];
  }
}
