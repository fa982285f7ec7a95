/** What the session table knows a client by: 128 bits, and the bucket that they belong in. */

import { createHash } from "node:crypto";
import ipaddr from "ipaddr.js";

/** 32-bit cells of a key. */
export const KEY_CELLS = 4;

/** A key in 16-bit parts, as an IPv6 address is written. */
const KEY_PARTS = 2 * KEY_CELLS;

/** Numbers that `bucketOf` multiplies with: one for each part. */
export const MULTIPLIERS = KEY_PARTS;

/** Clients whose key an isolate remembers: reading an IPv6 address takes some 10 µs. */
const MAX_REMEMBERED = 4096;

/** With 16-bit parts the hash below is universal up to this many bits. */
const MAX_BUCKET_BITS = 17;

/** A client as the table knows it. */
export interface SessionKey {
  /** 128 bits. */
  readonly cells: Int32Array;
  readonly bucket: number;
}

/** The keys of one table. */
export class SessionKeys {
  readonly #multipliers: Int32Array;
  readonly #bits: number;
  readonly #remembered = new Map<string, SessionKey>();

  /** @param multipliers random ones, the same in all isolates */
  constructor(multipliers: Int32Array, capacity: number) {
    this.#multipliers = multipliers;
    this.#bits = bucketBits(capacity);
  }

  /**
   * The key of a client.
   *
   * @param client an address, or any other text; the IPv4 address in an IPv4-mapped IPv6 one is the same client
   */
  of(client: string): SessionKey {
    let known = this.#remembered.get(client);
    if (known === undefined) {
      const cells = clientKey(client);
      known = { cells, bucket: bucketOf(cells, this.#multipliers, this.#bits) };
      if (this.#remembered.size === MAX_REMEMBERED) this.#remembered.clear();
      this.#remembered.set(client, known);
    }
    return known;
  }
}

/**
 * Multiply-shift over vectors (Thorup, "High Speed Hashing for Integers and Strings"): whoever can choose addresses, out
 * of an IPv6 network of their own, can't choose ones that share a bucket without knowing the multipliers.
 */
export function bucketOf(key: Int32Array, multipliers: Int32Array, bits: number): number {
  let sum = 0;
  for (let cell = 0; cell < KEY_CELLS; cell++) {
    const parts = key[cell] ?? 0;
    const low = Math.imul(parts & 0xffff, multipliers[2 * cell] ?? 0);
    const high = Math.imul(parts >>> 16, multipliers[2 * cell + 1] ?? 0);
    sum = sum + low + high | 0;
  }
  return sum >>> (32 - bits);
}

/** As many buckets as entries, rounded up to a power of two; at least 2, since a shift by 32 bits is none. */
export function bucketBits(capacity: number): number {
  return Math.min(Math.max(Math.ceil(Math.log2(capacity)), 1), MAX_BUCKET_BITS);
}

/** 128 bits: an IPv6 address, an IPv4 one as the IPv6 one it is mapped to, or a digest of any other text. */
function clientKey(client: string): Int32Array {
  const key = new Int32Array(KEY_CELLS);
  const parts = new Uint16Array(key.buffer);
  if (ipaddr.IPv4.isValidFourPartDecimal(client)) {
    const [a = 0, b = 0, c = 0, d = 0] = ipaddr.IPv4.parse(client).octets;
    parts.set([0xffff, a << 8 | b, c << 8 | d], 5);
  } else if (ipaddr.IPv6.isValid(client) && !client.includes("%")) { // fe80::1 on another link is another client
    parts.set(ipaddr.IPv6.parse(client).parts);
  } else {
    const digest = createHash("sha256").update(client).digest();
    for (let part = 0; part < KEY_PARTS; part++) parts[part] = digest.readUInt16BE(2 * part);
  }
  return key;
}
