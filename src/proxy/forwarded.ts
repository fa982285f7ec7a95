/** Determines the client's address, and whose `X-Forwarded-*` headers are trusted. */

import ipaddr from "ipaddr.js";
import { AddressRanges } from "../net/address_ranges.ts";
import { ipv4Number, NOT_IPV4 } from "../net/address_text.ts";

/** Decides whose `X-Forwarded-*` headers are trusted (`proxy.trustForwarded`). */
export class ForwardedTrust {
  readonly #trusted: AddressRanges;

  /** @param ranges valid addresses and CIDR ranges; an empty list trusts no one */
  constructor(ranges: readonly string[]) {
    this.#trusted = new AddressRanges(ranges);
  }

  trusts(address: string): boolean {
    return this.#trusted.has(address);
  }

  /**
   * Returns the client's address: the last one in the chain that is not a trusted proxy, or the first of the chain if
   * all are trusted.
   *
   * @param forwardedFor the value of `X-Forwarded-For` from `peer`, which is trusted
   */
  client(forwardedFor: string, peer: string): string {
    let client = peer;
    const chain = forwardedFor.split(",");
    for (let hop = chain.length - 1; hop >= 0; hop--) {
      const entry = (chain[hop] ?? "").trim();
      if (ipv4Number(entry) !== NOT_IPV4) {
        client = entry;
      } else {
        const address = addressIn(entry);
        if (address === undefined) return client;
        client = ipaddr.process(address).toString(); // one spelling, because hashes and sessions use it
      }
      if (!this.trusts(client)) return client;
    }
    return client;
  }
}

/** The address in an entry, which may have a port or brackets. `undefined`: it is malformed; octal numbers are, too. */
function addressIn(entry: string): string | undefined {
  const bracket = entry.startsWith("[") ? entry.indexOf("]") : -1;
  if (bracket !== -1) {
    const address = entry.slice(1, bracket);
    return isPort(entry.slice(bracket + 1)) && ipaddr.IPv6.isValid(address) ? address : undefined;
  }
  const colon = entry.indexOf(":");
  const isIpv6 = colon !== -1 && entry.includes(":", colon + 1);
  if (isIpv6) return ipaddr.IPv6.isValid(entry) ? entry : undefined;
  const address = colon === -1 ? entry : entry.slice(0, colon);
  const hasPort = colon === -1 || isPort(entry.slice(colon));
  return hasPort && ipaddr.IPv4.isValidFourPartDecimal(address) ? address : undefined;
}

/** Whether `text` is empty, or a colon and at most five digits. */
function isPort(text: string): boolean {
  if (text === "") return true;
  if (text.length < 2 || text.length > 6 || text.charCodeAt(0) !== 0x3a) return false;
  for (let at = 1; at < text.length; at++) {
    if (text.charCodeAt(at) < 0x30 || text.charCodeAt(at) > 0x39) return false;
  }
  return true;
}
