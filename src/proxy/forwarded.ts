/** Determines the client's address and whose `X-Forwarded-*` headers are trusted. */

import ipaddr from "ipaddr.js";

type Cidr = ReturnType<typeof ipaddr.parseCIDR>;

/**
 * How many results are remembered, so that a known address costs one look-up. When there are more, all are forgotten.
 */
const VERDICTS_KEPT = 4096;

/** Decides whose `X-Forwarded-*` headers are trusted (`proxy.trustForwarded`). */
export class ForwardedTrust {
  readonly #ranges: readonly Cidr[];
  readonly #verdicts = new Map<string, boolean>();

  /** @param ranges valid addresses and CIDR ranges; an empty list trusts no one */
  constructor(ranges: readonly string[]) {
    this.#ranges = ranges.map((range) => {
      if (range.includes("/")) return ipaddr.parseCIDR(range);
      const address = ipaddr.parse(range);
      return [address, address.kind() === "ipv4" ? 32 : 128] as Cidr;
    });
  }

  trusts(address: string): boolean {
    if (this.#ranges.length === 0) return false;
    let verdict = this.#verdicts.get(address);
    if (verdict === undefined) {
      verdict = this.#matches(address);
      if (this.#verdicts.size >= VERDICTS_KEPT) this.#verdicts.clear();
      this.#verdicts.set(address, verdict);
    }
    return verdict;
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
      const address = addressIn((chain[hop] ?? "").trim());
      if (address === undefined) return client;
      client = ipaddr.process(address).toString(); // one spelling, because hashes and sessions use it
      if (!this.trusts(client)) return client;
    }
    return client;
  }

  #matches(address: string): boolean {
    if (!ipaddr.isValid(address)) return false;
    const parsed = ipaddr.process(address); // an IPv4-mapped IPv6 address counts as IPv4
    return this.#ranges.some((range) => parsed.kind() === range[0].kind() && parsed.match(range));
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
