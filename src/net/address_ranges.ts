/** Ranges of IP addresses in CIDR notation (RFC 4632), and whether an address is in one of them. */

import ipaddr from "ipaddr.js";
import { ipv4Number, IPV6_GROUPS, NOT_IPV4, readIpv6 } from "./address_text.ts";

/** 32-bit words of an IPv6 address. */
const WORDS = 4;

/** The first of the IPv6 addresses that stand for IPv4 addresses. */
const MAPPED = 0xffffn << 32n;

/** From one address to another, both included. */
interface Interval {
  readonly first: bigint;
  readonly last: bigint;
}

/** An IPv4 address in IPv6 clothes counts as IPv4, in a range and in an address. */
export class AddressRanges {
  // Disjoint intervals, in order. An address is looked up by bisection, so thousands of ranges cost what a few cost.
  readonly #ipv4First: Uint32Array;
  readonly #ipv4Last: Uint32Array;
  readonly #ipv6First: Uint32Array;
  readonly #ipv6Last: Uint32Array;
  readonly #groups = new Uint16Array(IPV6_GROUPS);

  /** @param ranges valid addresses and CIDR ranges; an empty list holds no address */
  constructor(ranges: readonly string[]) {
    const ipv4: Interval[] = [];
    const ipv6: Interval[] = [];
    for (const range of ranges) {
      const { interval, isIpv4 } = intervalOf(range);
      (isIpv4 ? ipv4 : ipv6).push(interval);
    }
    const [short, long] = [merged(ipv4), merged(ipv6)];
    this.#ipv4First = Uint32Array.from(short, ({ first }) => Number(first));
    this.#ipv4Last = Uint32Array.from(short, ({ last }) => Number(last));
    this.#ipv6First = Uint32Array.from(long.flatMap(({ first }) => wordsOf(first)));
    this.#ipv6Last = Uint32Array.from(long.flatMap(({ last }) => wordsOf(last)));
  }

  has(address: string): boolean {
    const number = ipv4Number(address);
    if (number !== NOT_IPV4) return this.#hasIpv4(number);
    if (readIpv6(address, this.#groups)) return this.#hasIpv6();
    return ipaddr.isValid(address) && this.#hasParsed(ipaddr.process(address));
  }

  /** For spellings that hardly any address has. */
  #hasParsed(address: ReturnType<typeof ipaddr.process>): boolean {
    if (address.kind() === "ipv4") return this.#hasIpv4(Number(numberOf(address.toByteArray())));
    this.#groups.set((address as InstanceType<typeof ipaddr.IPv6>).parts);
    return this.#hasIpv6();
  }

  #hasIpv4(address: number): boolean {
    let [low, high] = [0, this.#ipv4First.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ipv4First[middle] ?? 0) <= address) low = middle + 1;
      else high = middle;
    }
    return low > 0 && address <= (this.#ipv4Last[low - 1] ?? 0);
  }

  #hasIpv6(): boolean {
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = this.#groups;
    if ((a | b | c | d | e) === 0 && f === 0xffff) return this.#hasIpv4(g * 0x10000 + h);
    const top = a * 0x10000 + b;
    const upper = c * 0x10000 + d;
    const lower = e * 0x10000 + f;
    const bottom = g * 0x10000 + h;
    const firsts = this.#ipv6First;
    let [low, high] = [0, firsts.length / WORDS];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compare(firsts, middle, top, upper, lower, bottom) <= 0) low = middle + 1;
      else high = middle;
    }
    return low > 0 && compare(this.#ipv6Last, low - 1, top, upper, lower, bottom) >= 0;
  }
}

/** Compares an end of an interval with the four words of an address: below 0, 0 or above 0. */
function compare(
  ends: Uint32Array,
  interval: number,
  top: number,
  upper: number,
  lower: number,
  bottom: number,
): number {
  const at = interval * WORDS;
  return (ends[at] ?? 0) - top || (ends[at + 1] ?? 0) - upper || (ends[at + 2] ?? 0) - lower ||
    (ends[at + 3] ?? 0) - bottom;
}

function intervalOf(range: string): { readonly interval: Interval; readonly isIpv4: boolean } {
  const [address, prefix] = range.includes("/") ? ipaddr.parseCIDR(range) : [ipaddr.parse(range), undefined];
  const bytes = address.toByteArray();
  const free = BigInt(bytes.length * 8 - (prefix ?? bytes.length * 8));
  const first = numberOf(bytes) >> free << free;
  const last = first + (1n << free) - 1n;
  const isMapped = bytes.length > WORDS && first >= MAPPED && last <= MAPPED + 0xffff_ffffn;
  const offset = isMapped ? MAPPED : 0n;
  return { interval: { first: first - offset, last: last - offset }, isIpv4: isMapped || bytes.length === WORDS };
}

/** In order, without those that touch or overlap. */
function merged(intervals: readonly Interval[]): Interval[] {
  const result: Interval[] = [];
  for (const interval of intervals.toSorted((one, other) => one.first < other.first ? -1 : 1)) {
    const before = result.at(-1);
    if (before === undefined || interval.first > before.last + 1n) result.push(interval);
    else if (interval.last > before.last) result[result.length - 1] = { first: before.first, last: interval.last };
  }
  return result;
}

function numberOf(bytes: readonly number[]): bigint {
  return bytes.reduce((number, byte) => number << 8n | BigInt(byte), 0n);
}

function wordsOf(address: bigint): number[] {
  return Array.from({ length: WORDS }, (_, word) => Number(BigInt.asUintN(32, address >> BigInt(32 * (3 - word)))));
}
