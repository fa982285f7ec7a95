/**
 * How often each key has asked: the generic cell rate algorithm (ITU-T I.371). Each key has one number, the time at which
 * its allowance is whole again. A request adds what one request takes to it, unless that would lead too far ahead of the
 * clock. Any isolate changes the number with a compare-and-exchange, so no request is counted twice or not at all.
 *
 * The table has memory of its own, because a reload can bring and remove it. It is a hash table with a fixed number of
 * entries, which are used in a circle: a new key takes the place of the oldest one. A key that was used since it became
 * the oldest is spared once, while there are not too many of these. Keys are found without a lock; only a new key needs
 * it. Zeroed memory is an empty table, and the memory of unused entries is never touched. 100,000 keys take 3.7 MB, and 0.4 more in a
 * table that counts for other replicas.
 */

import { LINE_WORDS } from "./arena.ts";
import type { RateLimit } from "./rate_share.ts";
import { SessionLock } from "./session_lock.ts";

/** A key as two 32-bit numbers that are evenly distributed. Never are both 0. */
export interface RateKey {
  readonly high: number;
  readonly low: number;
}

/** How often a key was let through. */
export interface CountedKey extends RateKey {
  readonly count: number;
}

/** Two random numbers that keys are made with. */
export type RateSeed = readonly [number, number];

// Header, in 32-bit cells. Its second cache line is written before any other isolate gets the buffer, and then hardly ever.
const LOCK = 0;
const USED = 1; // how many entries were ever used; they have the numbers 1 to USED
const HAND = 2; // the entry that has been there for longest, from 0, when all are used
const CAPACITY = LINE_WORDS;
const BUCKETS = CAPACITY + 1;
const SEED = BUCKETS + 1; // two cells
const EPOCH = SEED + 2; // 64-bit float
const COUNTED = EPOCH + 2; // 1: the table counts what each entry was let through
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
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #floats: Float64Array;
  readonly #longs: BigInt64Array;
  readonly #capacity: number;
  readonly #mask: number;
  readonly #buckets: number;
  /** Where the counts of the entries begin. 0: there are none. */
  readonly #counts: number;
  readonly #epochMs: number;
  /** The entry after which `takeCounts` goes on. */
  #looked = 0;
  readonly #lock: SessionLock;

  /**
   * Allocates an empty table.
   *
   * @param shared the seed that the tables of other replicas have, too. The table counts what it lets through then
   */
  static allocate(nowMs: number, capacity = 100_000, shared?: RateSeed): SharedArrayBuffer {
    const buckets = 2 ** Math.ceil(Math.log2(capacity));
    const cells = HEADER + capacity * ENTRY + buckets + (shared === undefined ? 0 : capacity);
    const buffer = new SharedArrayBuffer(cells * Int32Array.BYTES_PER_ELEMENT);
    const words = new Int32Array(buffer);
    words[CAPACITY] = capacity;
    words[BUCKETS] = buckets;
    words.set(shared ?? crypto.getRandomValues(new Int32Array(2)), SEED);
    words[COUNTED] = shared === undefined ? 0 : 1;
    new Float64Array(buffer, 0, HEADER / 2)[EPOCH / 2] = nowMs;
    return buffer;
  }

  /** @param isolate the number of this isolate. No other living isolate may have it */
  constructor(buffer: SharedArrayBuffer, isolate: number) {
    const words = new Int32Array(buffer);
    const longs = Math.floor(buffer.byteLength / Float64Array.BYTES_PER_ELEMENT);
    this.buffer = buffer;
    this.#words = words;
    this.#floats = new Float64Array(buffer, 0, longs);
    this.#longs = new BigInt64Array(buffer, 0, longs);
    this.#capacity = words[CAPACITY] ?? 0;
    this.#mask = (words[BUCKETS] ?? 1) - 1;
    this.#buckets = HEADER + this.#capacity * ENTRY;
    this.#counts = words[COUNTED] === 1 ? this.#buckets + this.#mask + 1 : 0;
    this.#epochMs = this.#floats[EPOCH / 2] ?? 0;
    this.#lock = new SessionLock(words, LOCK, isolate);
  }

  /** What the keys of this table are made with. */
  get seed(): RateSeed {
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
        if (this.#insert(high, low, now + limit.ticksPerRequest, 1)) return limit.ticksPerRequest;
        continue; // another isolate was faster
      }
      const at = (entryCell(entry) + WHOLE_AT) / 2;
      const before = Atomics.load(this.#longs, at);
      if (!this.#hasKey(entry, high, low)) continue; // it was given to another key
      const after = ahead(Number(before), limit, now) + limit.ticksPerRequest;
      const excess = after - limit.burst * limit.ticksPerRequest;
      if (excess > 0) return -excess;
      if (Atomics.compareExchange(this.#longs, at, before, BigInt(now + after)) !== before) continue;
      if (this.#counts !== 0) Atomics.add(this.#words, this.#counts + entry - 1, 1);
      return after;
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

  /** Keys are to be made with another seed. Those that are there are found no more, and leave in time. Control plane only. */
  reseed(seed: RateSeed): void {
    this.#words.set(seed, SEED);
    this.#words.fill(0, this.#counts, this.#counts + this.size);
  }

  /** What keys were let through since the last call: of some of them, if there are more than `most`. Control plane only. */
  takeCounts(most: number): CountedKey[] {
    const counted: CountedKey[] = [];
    const { size } = this;
    for (let looked = 0; looked < size && counted.length < most; looked++) {
      this.#looked = this.#looked >= size ? 1 : this.#looked + 1;
      const at = this.#counts + this.#looked - 1;
      if (this.#words[at] === 0) continue;
      const cell = entryCell(this.#looked);
      const high = Atomics.load(this.#words, cell + KEY_HIGH);
      const low = Atomics.load(this.#words, cell + KEY_LOW);
      const count = Atomics.exchange(this.#words, at, 0);
      if (count > 0 && (high !== 0 || low !== 0)) counted.push({ high, low, count });
    }
    return counted;
  }

  /**
   * The replicas together have spent so much of a key that its allowance is whole again after `ticks`. What was counted
   * here since `takeCounts` adds to that. Control plane only.
   */
  settle({ high, low }: RateKey, limit: RateLimit, ticks: number, nowMs: number): void {
    const now = this.#ticks(limit, nowMs);
    const most = limit.burst * limit.ticksPerRequest;
    while (true) {
      const entry = this.#find(high, low);
      if (entry === NONE) {
        if (ticks <= 0 || this.#insert(high, low, now + Math.min(Math.round(ticks), most), 0)) return;
        continue; // another isolate was faster
      }
      const at = (entryCell(entry) + WHOLE_AT) / 2;
      const before = Atomics.load(this.#longs, at);
      const since = Atomics.load(this.#words, this.#counts + entry - 1) * limit.ticksPerRequest;
      if (!this.#hasKey(entry, high, low)) continue; // it was given to another key
      const wholeAt = now + Math.min(Math.max(0, Math.round(ticks)) + since, most);
      if (Atomics.compareExchange(this.#longs, at, before, BigInt(wholeAt)) === before) return;
    }
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
  #insert(high: number, low: number, wholeAt: number, count: number): boolean {
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
      if (this.#counts !== 0) Atomics.store(words, this.#counts + entry - 1, count);
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
