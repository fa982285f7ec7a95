/** The key of a client in the session table: 128 bits, and the bucket that they belong in. */

import { digestOf } from "../digest.ts";
import ipaddr from "ipaddr.js";

/** 32-bit cells of a key. */
export const KEY_CELLS = 4;

/** 16-bit parts of a key. An IPv6 address is written in such parts. */
const KEY_PARTS = 2 * KEY_CELLS;

/** How many multipliers `bucketOf` needs: one for each part. */
export const MULTIPLIERS = KEY_PARTS;

/** How many keys an isolate remembers. Parsing an IPv6 address takes about 10 µs. */
const MAX_REMEMBERED = 4096;

/** With 16-bit parts, `bucketOf` is a universal hash up to this many bits. */
const MAX_BUCKET_BITS = 17;

/** The key of a client. */
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

  /** @param multipliers random numbers, the same in all isolates */
  constructor(multipliers: Int32Array, capacity: number) {
    this.#multipliers = multipliers;
    this.#bits = bucketBits(capacity);
  }

  /**
   * Returns the key of a client.
   *
   * @param client an address, or any other text. An IPv4 address and the IPv4-mapped IPv6 address are the same client
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
 * Multiply-shift hashing of vectors (Thorup, "High Speed Hashing for Integers and Strings"). An attacker with an IPv6
 * network can choose many addresses, but can't choose ones that share a bucket without the multipliers.
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

/**
 * The number of buckets, in bits: as many buckets as entries, rounded up to a power of two, at most 2^17. At least 2
 * buckets, because JavaScript's shift by 32 bits does nothing.
 */
export function bucketBits(capacity: number): number {
  return Math.min(Math.max(Math.ceil(Math.log2(capacity)), 1), MAX_BUCKET_BITS);
}

/**
 * The 128 bits of a key: an IPv6 address, the IPv4-mapped IPv6 address of an IPv4 address, or a digest of any other
 * text.
 */
function clientKey(client: string): Int32Array {
  const key = new Int32Array(KEY_CELLS);
  const parts = new Uint16Array(key.buffer);
  if (ipaddr.IPv4.isValidFourPartDecimal(client)) {
    const [a = 0, b = 0, c = 0, d = 0] = ipaddr.IPv4.parse(client).octets;
    parts.set([0xffff, a << 8 | b, c << 8 | d], 5);
  } else if (ipaddr.IPv6.isValid(client) && !client.includes("%")) { // fe80::1 on another link is a different client
    parts.set(ipaddr.IPv6.parse(client).parts);
  } else {
    const digest = digestOf(client);
    for (let part = 0; part < KEY_PARTS; part++) parts[part] = digest.getUint16(2 * part);
  }
  return key;
}
