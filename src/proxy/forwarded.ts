/** Who the client is: which `X-Forwarded-*` headers are believed. */

import ipaddr from "ipaddr.js";

type Cidr = ReturnType<typeof ipaddr.parseCIDR>;

/** Verdicts kept, so that a steady client costs one look-up; past this many the memory starts anew. */
const VERDICTS_KEPT = 4096;

/** Decides whose `X-Forwarded-*` headers are believed (`proxy.trustForwarded`). */
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
   * Returns the client's address: the last one in the chain that is not a trusted proxy, or the first of the chain
   * when all are.
   *
   * @param forwardedFor the value of `X-Forwarded-For` that `peer`, which is trusted, sent
   */
  client(forwardedFor: string, peer: string): string {
    let client = peer;
    const chain = forwardedFor.split(",");
    for (let hop = chain.length - 1; hop >= 0; hop--) {
      const address = (chain[hop] ?? "").trim();
      if (!ipaddr.isValid(address)) return client;
      client = ipaddr.process(address).toString(); // one spelling: hashes and sessions go by it
      if (!this.trusts(client)) return client;
    }
    return client;
  }

  #matches(address: string): boolean {
    if (!ipaddr.isValid(address)) return false;
    const parsed = ipaddr.process(address); // an IPv4 address in IPv6 clothes counts as IPv4
    return this.#ranges.some((range) => parsed.kind() === range[0].kind() && parsed.match(range));
  }
}
