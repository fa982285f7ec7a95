/** Determines the client's address, and whose `X-Forwarded-*` headers are trusted. */

import ipaddr from "ipaddr.js";
import { AddressRanges } from "../net/address_ranges.ts";
import { ipv4Number, NOT_IPV4 } from "../net/address_text.ts";
import { UNIX_PEER } from "../net/peer.ts";

/** Decides whose `X-Forwarded-*` headers are trusted (`proxy.trustForwarded`). */
export class ForwardedTrust {
  readonly #trusted: AddressRanges;
  readonly #trustsUnix: boolean;

  /** @param peers valid addresses and CIDR ranges, and perhaps `UNIX_PEER`; an empty list trusts no one */
  constructor(peers: readonly string[]) {
    this.#trusted = new AddressRanges(peers.filter((peer) => peer !== UNIX_PEER));
    this.#trustsUnix = peers.includes(UNIX_PEER);
  }

  trusts(peer: string): boolean {
    return peer === UNIX_PEER ? this.#trustsUnix : this.#trusted.has(peer);
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

/** `X-Forwarded-For` for the backend. A peer without an address adds nothing; `undefined`: there is none to tell. */
export function forwardedChain(given: string | undefined, peer: string): string | undefined {
  if (peer === UNIX_PEER) return given;
  return given === undefined ? peer : `${given}, ${peer}`;
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
