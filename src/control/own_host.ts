/** Whether a host name leads to an address that this process listens on. */

import ipaddr from "ipaddr.js";

/**
 * Whether connections to `host` arrive at a server that listens on `listening`. Names other than `localhost` are not
 * looked up.
 */
export function isOwnHost(host: string, listening: string): boolean {
  const [asked, own] = [addressOf(host), addressOf(listening)];
  if (asked === undefined || own === undefined) return host.toLowerCase() === listening.toLowerCase();
  if (asked === own) return true;
  const [askedRange, ownRange] = [ipaddr.parse(asked).range(), ipaddr.parse(own).range()];
  // Connections to no address in particular go to this machine.
  if (askedRange === "unspecified") return ownRange === "loopback" || ownRange === "unspecified";
  return ownRange === "unspecified" && (askedRange === "loopback" || isOfThisMachine(asked));
}

function addressOf(host: string): string | undefined {
  if (/^localhost\.?$/i.test(host)) return "127.0.0.1";
  return ipaddr.isValid(host) ? ipaddr.process(host).toString() : undefined;
}

/** Only an address of this machine can be listened on. Asking for its interfaces would need another permission. */
function isOfThisMachine(address: string): boolean {
  try {
    Deno.listen({ hostname: address, port: 0 }).close();
    return true;
  } catch {
    return false;
  }
}
