/** Weighted rendezvous hashing: a key always gets the same member. When a member leaves, only its keys move. */

import type { Backend } from "../pool/backend.ts";
import type { Candidate } from "./strategy.ts";

// If any of these changes, nearly all keys move to other members in every installation.
const FIRST_SEED = 0x5bd1e995;
const SECOND_SEED = 0x1b873593;
const LANES_FACTOR = 0x9e3779b1;

/** One of the members that keys are divided among. */
export interface Member {
  /** Its scores depend on this. */
  readonly id: string;
}

/** Decides which members may be chosen. */
interface Chooser<Of extends Member> {
  accepts(member: Of): boolean;
}

/**
 * Highest random weight (Thaler & Ravishankar, 1998) in its weighted form (Schindelhauer & Schomaker, 2005): the hash
 * of the key and a member's id gives a number u in (0, 1) for each member, and the highest score -weight / ln(u) wins.
 * A member's score does not depend on other members. So when a member leaves or can't be used, exactly its keys move,
 * each to the member with its next best score. They return when the member does. When a weight grows, keys move only to
 * that member.
 *
 * The hash uses integer arithmetic on the key and the id only. So it is the same in every isolate, process and release.
 */
export class Rendezvous<Of extends Member> {
  readonly #members: readonly Of[];
  readonly #weights: readonly number[];
  readonly #firstLanes: Int32Array;
  readonly #secondLanes: Int32Array;

  /** @param weights the weight of each member, above 0 */
  constructor(members: readonly Of[], weights: readonly number[]) {
    this.#members = members;
    this.#weights = weights;
    this.#firstLanes = Int32Array.from(members, ({ id }) => murmur3(id, FIRST_SEED));
    this.#secondLanes = Int32Array.from(members, ({ id }) => murmur3(id, SECOND_SEED));
  }

  /**
   * Returns the member with the highest score among those that are accepted; `undefined`: none is.
   *
   * @param length how many characters of `key` are hashed
   */
  pick(key: string, chooser: Chooser<Of>, length = key.length): Of | undefined {
    const first = murmur3(key, FIRST_SEED, length);
    const second = murmur3(key, SECOND_SEED, length);
    let best: Of | undefined;
    // With v = 1 - u, the highest score is the lowest -ln(1 - v) / weight. That is at least v / weight, and v is at
    // least its upper 32 bits. So these bits rule out most members, without the lower bits, the logarithm or `accepts`.
    let lowest = Infinity;
    for (let index = 0; index < this.#members.length; index++) {
      const member = this.#members[index];
      const weight = this.#weights[index];
      if (member === undefined || weight === undefined) break; // never: the index is in range
      const x = first ^ (this.#firstLanes[index] ?? 0);
      const y = second ^ (this.#secondLanes[index] ?? 0);
      const upper = mix(x + Math.imul(y, LANES_FACTOR));
      if (upper >= lowest * weight * 2 ** 32) continue;
      const lower = mix(y + upper) >>> 12;
      const v = (upper * 2 ** 20 + lower + 0.5) * 2 ** -52; // exact, above 0 and below 1
      const cost = -Math.log1p(-v) / weight;
      if (cost >= lowest || !chooser.accepts(member)) continue;
      lowest = cost;
      best = member;
    }
    return best;
  }
}

export function rendezvousOf(candidates: readonly Candidate[]): Rendezvous<Backend> {
  return new Rendezvous(candidates.map(({ backend }) => backend), candidates.map(({ weight }) => weight));
}

/**
 * MurmurHash3_x86_32 (Appleby) of the first `length` UTF-16 code units of `text`, with two bytes each, the lower byte
 * first. Returns 0 to 2^32 - 1.
 */
export function murmur3(text: string, seed: number, length = text.length): number {
  let hash = seed;
  for (let at = 0; at + 1 < length; at += 2) {
    hash ^= scramble(text.charCodeAt(at) | text.charCodeAt(at + 1) << 16);
    hash = hash << 13 | hash >>> 19;
    hash = Math.imul(hash, 5) + 0xe6546b64;
  }
  if (length % 2 === 1) hash ^= scramble(text.charCodeAt(length - 1));
  return mix(hash ^ length * 2);
}

function scramble(block: number): number {
  block = Math.imul(block, 0xcc9e2d51);
  return Math.imul(block << 15 | block >>> 17, 0x1b873593);
}

/** MurmurHash3's finalizer: each bit of the input changes about half of the bits of the output. */
function mix(hash: number): number {
  hash = Math.imul(hash ^ hash >>> 16, 0x85ebca6b);
  hash = Math.imul(hash ^ hash >>> 13, 0xc2b2ae35);
  return (hash ^ hash >>> 16) >>> 0;
}
