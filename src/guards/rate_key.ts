/**
 * The key of whoever a rate limit counts: 64 bits of HalfSipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast
 * short-input PRF"). With a secret seed nobody can choose a header that shares the count of another client. Two of
 * 100,000 keys are the same with a probability of 3 in 10 billion.
 */

import { hexDigestOf } from "../digest.ts";
import type { RateKey } from "../memory/rate_table.ts";
import { ipv4Number, IPV6_GROUPS, NOT_IPV4, readIpv6 } from "../net/address_text.ts";

/** What a key stands for. The same text is another key for each. */
const IPV4 = 1;
const IPV6 = 2;
const OTHER_CLIENT = 3;
const TEXT = 4;

/** Longer texts are replaced by their SHA-256. */
const MOST_CHARACTERS = 128;

/** Makes the keys of one table. The two halves of the last key are in `high` and `low`; never are both 0. */
export class RateKeys implements RateKey {
  high = 0;
  low = 0;
  readonly #seedLow: number;
  readonly #seedHigh: number;
  readonly #message = new Int32Array(1 + MOST_CHARACTERS / 2);
  readonly #groups = new Uint16Array(IPV6_GROUPS);

  /** @param seed two random numbers, the same in all isolates */
  constructor([seedLow, seedHigh]: readonly [number, number]) {
    this.#seedLow = seedLow;
    this.#seedHigh = seedHigh;
  }

  /** A client by its address. An IPv6 client is its network of 64 bits, because it can have any address there. */
  ofClient(address: string): void {
    const message = this.#message;
    const ipv4 = ipv4Number(address);
    if (ipv4 !== NOT_IPV4) {
      message[0] = IPV4;
      message[1] = ipv4;
      return this.#hash(2);
    }
    const zone = address.indexOf("%");
    if (!readIpv6(zone === -1 ? address : address.slice(0, zone), this.#groups)) {
      return this.#ofText(OTHER_CLIENT, address);
    }
    const [a = 0, b = 0, c = 0, d = 0] = this.#groups;
    message[0] = IPV6;
    message[1] = a << 16 | b;
    message[2] = c << 16 | d;
    this.#hash(3);
  }

  /** The value of a header or of a cookie. */
  ofText(text: string): void {
    this.#ofText(TEXT, text);
  }

  #ofText(kind: number, text: string): void {
    const short = text.length <= MOST_CHARACTERS ? text : hexDigestOf(text);
    const message = this.#message;
    message[0] = kind | text.length << 8;
    let words = 1;
    for (let at = 0; at < short.length; at += 2) {
      message[words++] = short.charCodeAt(at) | (at + 1 < short.length ? short.charCodeAt(at + 1) << 16 : 0);
    }
    this.#hash(words);
  }

  /** Hashes the first words of the message. Each kind of message says its length in the first word, or always has one. */
  #hash(words: number): void {
    const message = this.#message;
    let v0 = this.#seedLow | 0;
    let v1 = this.#seedHigh ^ 0xee;
    let v2 = this.#seedLow ^ 0x6c796765;
    let v3 = this.#seedHigh ^ 0x74656462;
    const end = words + 6; // three rounds for each half of the result
    for (let round = 0; round < end; round++) {
      const word = round < words ? message[round] ?? 0 : 0;
      v3 ^= word;
      if (round === words) v2 ^= 0xee;
      if (round === words + 3) {
        this.low = v1 ^ v3;
        v1 ^= 0xdd;
      }
      v0 = v0 + v1 | 0;
      v1 = (v1 << 5 | v1 >>> 27) ^ v0;
      v0 = v0 << 16 | v0 >>> 16;
      v2 = v2 + v3 | 0;
      v3 = (v3 << 8 | v3 >>> 24) ^ v2;
      v0 = v0 + v3 | 0;
      v3 = (v3 << 7 | v3 >>> 25) ^ v0;
      v2 = v2 + v1 | 0;
      v1 = (v1 << 13 | v1 >>> 19) ^ v2;
      v2 = v2 << 16 | v2 >>> 16;
      v0 ^= word;
    }
    this.high = v1 ^ v3;
    if (this.low === 0 && this.high === 0) this.low = 1;
  }
}
