/**
 * How often each key has asked: the generic cell rate algorithm (ITU-T I.371). Each key has one number, the time at which
 * its allowance is whole again. A request adds what one request takes to it, unless that would lead too far ahead of the
 * clock. Any isolate changes the number with a compare-and-exchange, so no request is counted twice or not at all.
 *
 * The table has memory of its own, because a reload can bring and remove it. It is a hash table with a fixed number of
 * entries, which are used in a circle: a new key takes the place of the oldest one. A key that was used since it became
 * the oldest is spared once, while there are not too many of these. Keys are found without a lock; only a new key needs
 * it. Zeroed memory is an empty table, and the memory of unused entries is never touched. 100,000 keys take 3.7 MB.
 */

import { LINE_WORDS } from "./arena.ts";
import { SessionLock } from "./session_lock.ts";

/** A key as two 32-bit numbers that are evenly distributed. Never are both 0. */
export interface RateKey {
  readonly high: number;
  readonly low: number;
}

/** What a limit allows, in whole ticks: a part of a millisecond of which both numbers are multiples. */
export interface RateLimit {
  readonly ticksPerMs: number;
  readonly ticksPerRequest: number;
  /** How many requests may come at once. */
  readonly burst: number;
}

/** The limit for so many requests in so many milliseconds. */
export function rateLimitOf(requests: number, perMs: number, burst: number): RateLimit {
  const common = greatestCommonDivisor(requests, perMs);
  return { ticksPerMs: requests / common, ticksPerRequest: perMs / common, burst };
}

/**
 * The part of a limit that one of `replicas` may spend by itself, in the same ticks. A bucket that can't be divided is
 * rounded up: a replica that lets nothing through would be no replica.
 */
export function shareOf(limit: RateLimit, replicas: number): RateLimit {
  return {
    ticksPerMs: limit.ticksPerMs,
    ticksPerRequest: limit.ticksPerRequest * replicas,
    burst: Math.ceil(limit.burst / replicas),
  };
}

// Header, in 32-bit cells. Its second cache line is written once, before any other isolate gets the buffer.
const LOCK = 0;
const USED = 1; // how many entries were ever used; they have the numbers 1 to USED
const HAND = 2; // the entry that has been there for longest, from 0, when all are used
const CAPACITY = LINE_WORDS;
const BUCKETS = CAPACITY + 1;
const SEED = BUCKETS + 1; // two cells
const EPOCH = SEED + 2; // 64-bit float
const HEADER = 2 * LINE_WORDS;

// Entry.
const KEY_LOW = 0;
const KEY_HIGH = 1;
const CHAIN = 2; // the next entry of the same bucket
const BUCKET = 3;
const WHOLE_AT = 4; // 64-bit integer: ticks since the epoch
const SEEN = 6; // 64-bit float: `WHOLE_AT` when the entry became the newest
const ENTRY = 8;

const NONE = 0;

/** A chain is hardly ever longer than ten. A longer one has led to entries that were moved meanwhile. */
const MOST_STEPS = 64;

/** With a hundred thousand keys that are all in use, a whole round would hold up all isolates for 100 ms. */
const MOST_SPARED = 1000;

/** A number that is so far ahead was written before the clock was set back. It is forgotten. */
const CLOCK_SET_BACK_MS = 10_000;

/** One isolate's view of the table. */
export class RateTable {
  readonly #words: Int32Array;
  readonly #floats: Float64Array;
  readonly #longs: BigInt64Array;
  readonly #capacity: number;
  readonly #mask: number;
  readonly #buckets: number;
  readonly #epochMs: number;
  readonly #lock: SessionLock;

  /** Allocates an empty table. */
  static allocate(nowMs: number, capacity = 100_000): SharedArrayBuffer {
    const buckets = 2 ** Math.ceil(Math.log2(capacity));
    const cells = HEADER + capacity * ENTRY + buckets;
    const buffer = new SharedArrayBuffer(cells * Int32Array.BYTES_PER_ELEMENT);
    const words = new Int32Array(buffer);
    words[CAPACITY] = capacity;
    words[BUCKETS] = buckets;
    words.set(crypto.getRandomValues(new Int32Array(2)), SEED);
    new Float64Array(buffer, 0, HEADER / 2)[EPOCH / 2] = nowMs;
    return buffer;
  }

  /** @param isolate the number of this isolate. No other living isolate may have it */
  constructor(buffer: SharedArrayBuffer, isolate: number) {
    const words = new Int32Array(buffer);
    const longs = Math.floor(buffer.byteLength / Float64Array.BYTES_PER_ELEMENT);
    this.#words = words;
    this.#floats = new Float64Array(buffer, 0, longs);
    this.#longs = new BigInt64Array(buffer, 0, longs);
    this.#capacity = words[CAPACITY] ?? 0;
    this.#mask = (words[BUCKETS] ?? 1) - 1;
    this.#buckets = HEADER + this.#capacity * ENTRY;
    this.#epochMs = this.#floats[EPOCH / 2] ?? 0;
    this.#lock = new SessionLock(words, LOCK, isolate);
  }

  /** What the keys of this table are made with. */
  get seed(): readonly [number, number] {
    return [this.#words[SEED] ?? 0, this.#words[SEED + 1] ?? 0];
  }

  /**
   * Counts a request, if the limit allows it. Returns after how many ticks the key's allowance is whole again; or, below
   * 0, after how many ticks another request is allowed.
   *
   * @param nowMs milliseconds since the Unix epoch, the clock that all isolates share
   */
  take({ high, low }: RateKey, limit: RateLimit, nowMs: number): number {
    const now = this.#ticks(limit, nowMs);
    while (true) {
      const entry = this.#find(high, low);
      if (entry === NONE) {
        if (this.#insert(high, low, now + limit.ticksPerRequest)) return limit.ticksPerRequest;
        continue; // another isolate was faster
      }
      const at = (entryCell(entry) + WHOLE_AT) / 2;
      const before = Atomics.load(this.#longs, at);
      if (!this.#hasKey(entry, high, low)) continue; // it was given to another key
      const after = ahead(Number(before), limit, now) + limit.ticksPerRequest;
      const excess = after - limit.burst * limit.ticksPerRequest;
      if (excess > 0) return -excess;
      if (Atomics.compareExchange(this.#longs, at, before, BigInt(now + after)) === before) return after;
    }
  }

  /** What `take` would return. Changes nothing, and never waits. */
  peek({ high, low }: RateKey, limit: RateLimit, nowMs: number): number {
    const entry = this.#find(high, low);
    if (entry === NONE) return limit.ticksPerRequest;
    const before = Atomics.load(this.#longs, (entryCell(entry) + WHOLE_AT) / 2);
    const after = ahead(Number(before), limit, this.#ticks(limit, nowMs)) + limit.ticksPerRequest;
    const excess = after - limit.burst * limit.ticksPerRequest;
    return excess > 0 ? -excess : after;
  }

  /** How many keys the table has. */
  get size(): number {
    return Atomics.load(this.#words, USED);
  }

  /**
   * Frees the lock if a dead isolate held it. The isolate may have died in the middle of a change, so the table is
   * emptied: a limit that begins anew is better than a key that nobody finds.
   */
  reclaim(isolate: number): void {
    if (!this.#lock.takeFrom(isolate)) return;
    this.#words.fill(0, USED, CAPACITY);
    this.#words.fill(0, this.#buckets);
    this.#lock.giveBack();
  }

  #ticks({ ticksPerMs }: RateLimit, nowMs: number): number {
    return (Math.floor(nowMs) - this.#epochMs) * ticksPerMs;
  }

  #find(high: number, low: number): number {
    let entry = Atomics.load(this.#words, this.#buckets + (low & this.#mask));
    for (let steps = 0; entry !== NONE && steps < MOST_STEPS; steps++) {
      if (this.#hasKey(entry, high, low)) return entry;
      entry = Atomics.load(this.#words, entryCell(entry) + CHAIN);
    }
    return NONE;
  }

  #hasKey(entry: number, high: number, low: number): boolean {
    const cell = entryCell(entry);
    return Atomics.load(this.#words, cell + KEY_LOW) === low && Atomics.load(this.#words, cell + KEY_HIGH) === high;
  }

  /** Makes an entry for a key that has none. Returns whether it did: another isolate may have made one. */
  #insert(high: number, low: number, wholeAt: number): boolean {
    const words = this.#words;
    this.#lock.take();
    const isNew = this.#findLocked(high, low) === NONE;
    if (isNew) {
      const entry = this.#placeForNew();
      const cell = entryCell(entry);
      const bucket = this.#buckets + (low & this.#mask);
      // Who reads the number of the old key must not find that key any more.
      Atomics.store(this.#longs, (cell + WHOLE_AT) / 2, BigInt(wholeAt));
      this.#floats[(cell + SEEN) / 2] = wholeAt;
      words[cell + BUCKET] = bucket;
      Atomics.store(words, cell + CHAIN, Atomics.load(words, bucket));
      Atomics.store(words, cell + KEY_HIGH, high);
      Atomics.store(words, cell + KEY_LOW, low);
      Atomics.store(words, bucket, entry);
    }
    this.#lock.giveBack();
    return isNew;
  }

  /** Like `#find`, to the end of the chain: with the lock, no entry moves. */
  #findLocked(high: number, low: number): number {
    let entry = Atomics.load(this.#words, this.#buckets + (low & this.#mask));
    while (entry !== NONE && !this.#hasKey(entry, high, low)) {
      entry = Atomics.load(this.#words, entryCell(entry) + CHAIN);
    }
    return entry;
  }

  /** An entry that is in no chain and has no key. */
  #placeForNew(): number {
    const used = this.#words[USED] ?? 0;
    if (used < this.#capacity) {
      Atomics.store(this.#words, USED, used + 1);
      return used + 1;
    }
    const entry = this.#oldest();
    const cell = entryCell(entry);
    let link = this.#words[cell + BUCKET] ?? 0;
    while (Atomics.load(this.#words, link) !== entry) link = entryCell(Atomics.load(this.#words, link)) + CHAIN;
    Atomics.store(this.#words, link, Atomics.load(this.#words, cell + CHAIN));
    Atomics.store(this.#words, cell + KEY_LOW, 0);
    Atomics.store(this.#words, cell + KEY_HIGH, 0);
    return entry;
  }

  /** The first entry from the hand on that nobody has used since it was looked at. Among many in use, any of them. */
  #oldest(): number {
    let hand = this.#words[HAND] ?? 0;
    let entry = hand + 1;
    for (let looked = 0; looked <= Math.min(this.#capacity, MOST_SPARED); looked++) {
      entry = hand + 1;
      hand = entry === this.#capacity ? 0 : entry;
      const cell = entryCell(entry) / 2;
      const wholeAt = Number(Atomics.load(this.#longs, cell + WHOLE_AT / 2));
      if (wholeAt === this.#floats[cell + SEEN / 2]) break;
      this.#floats[cell + SEEN / 2] = wholeAt;
    }
    this.#words[HAND] = hand;
    return entry;
  }
}

/** How many ticks the time at which an allowance is whole lies ahead. */
function ahead(wholeAt: number, { ticksPerMs, ticksPerRequest, burst }: RateLimit, now: number): number {
  const ticks = wholeAt - now;
  if (ticks <= 0 || ticks > burst * ticksPerRequest + CLOCK_SET_BACK_MS * ticksPerMs) return 0;
  return ticks;
}

/** The first cell of an entry. */
function entryCell(entry: number): number {
  return HEADER + (entry - 1) * ENTRY;
}

export function greatestCommonDivisor(one: number, other: number): number {
  while (other !== 0) [one, other] = [other, one % other];
  return one;
}
