/** Ranges of IP addresses in CIDR notation (RFC 4632), and whether an address is in one of them. */

import { Buffer } from "node:buffer";
import ipaddr from "ipaddr.js";

type Cidr = ReturnType<typeof ipaddr.parseCIDR>;

/** Verdicts kept, so that a steady client costs one look-up; past this many the memory starts anew. */
const VERDICTS_KEPT = 4096;

export class AddressRanges {
  readonly #ranges: readonly Cidr[];
  readonly #verdicts = new Map<string, boolean>();

  /** @param ranges valid addresses and CIDR ranges; an empty list holds no address */
  constructor(ranges: readonly string[]) {
    this.#ranges = ranges.map((range) => {
      if (range.includes("/")) return ipaddr.parseCIDR(range);
      const address = ipaddr.parse(range);
      return [address, address.kind() === "ipv4" ? 32 : 128] as Cidr;
    });
  }

  has(address: string): boolean {
    if (this.#ranges.length === 0) return false;
    let verdict = this.#verdicts.get(address);
    if (verdict === undefined) {
      verdict = this.#matches(address);
      if (this.#verdicts.size >= VERDICTS_KEPT) this.#verdicts.clear();
      this.#verdicts.set(copyOf(address), verdict);
    }
    return verdict;
  }

  #matches(address: string): boolean {
    if (!ipaddr.isValid(address)) return false;
    const parsed = ipaddr.process(address); // an IPv4 address in IPv6 clothes counts as IPv4
    return this.#ranges.some((range) => parsed.kind() === range[0].kind() && parsed.match(range));
  }
}

/** The same text in memory of its own. A part of a head would keep the whole head in memory. */
function copyOf(address: string): string {
  return Buffer.from(address, "latin1").toString("latin1");
}
