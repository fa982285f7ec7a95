/**
 * Sticky sessions by address: which backend each client is bound to, in one `SharedArrayBuffer`, so that all isolates
 * agree. Holds the latest clients up to a fixed number; beyond it the one unused for longest leaves.
 *
 * A hash table whose entries are also in a list by last use. Every link is an entry's number, from 1; 0 is "none", so
 * zeroed memory is an empty table, and pages of entries never used are never touched. 100,000 entries take 5.3 MB: 48
 * bytes each, and 4 for each of 131,072 buckets.
 *
 * One lock guards all of it: a word, taken and given back with `Atomics.compareExchange`. What an isolate wrote before
 * it gave the lock back, the next to take it sees, since that pair of calls orders the two; so everything in between is
 * plain reads and writes. Nothing under the lock awaits or throws, and it is held for less than a microsecond.
 */

import { createHash } from "node:crypto";
import ipaddr from "ipaddr.js";

const LINE = 64; // bytes of a cache line
const I32 = 4;

// Header, in 32-bit cells. The second line is written once, before any other isolate has the buffer.
const LOCK = 0; // 0: free; otherwise the number of the isolate that holds it, plus 1
const SIZE = 1; // entries ever used; those are numbered 1 to SIZE
const NEWEST = 2;
const OLDEST = 3;
const CAPACITY = LINE / I32;
const MULTIPLIERS = LINE / I32 + 1;
const HEADER = (2 * LINE) / I32;

// Entry, in 32-bit cells.
const ENTRY = 12;
const KEY = 0;
const KEY_CELLS = 4;
const SLOT = 4;
const GENERATION = 5;
const USED_AT = 6; // 64-bit float
const NEWER = 8;
const OLDER = 9;
const BUCKET = 10;
const CHAIN = 11; // the next entry of the same bucket

const NONE = 0;

/** A client's key in 16-bit parts, as an IPv6 address is written. */
const KEY_PARTS = 8;

/** Clients whose key an isolate remembers: reading an IPv6 address takes some 10 µs. */
const MAX_REMEMBERED = 4096;

/** With 16-bit parts the hash below is universal up to this many bits. */
const MAX_BUCKET_BITS = 17;

/** After this many vain tries for the lock its holder has lost its processor, or died. */
const SPINS = 1000;

/** Tries of one who only looks: some 10 ms. */
const PEEK_TRIES = 10 * SPINS;

/** A client as the table knows it. */
interface Client {
  /** 128 bits. */
  readonly key: Int32Array;
  readonly bucket: number;
}

/** One isolate's view of the sessions. */
export class SessionTable {
  /** What another isolate needs to `attach`. */
  readonly buffer: SharedArrayBuffer;
  readonly capacity: number;
  readonly isolate: number;
  readonly timeoutMs: number;
  readonly #words: Int32Array;
  readonly #floats: Float64Array;
  readonly #buckets: number;
  readonly #bucketCount: number;
  readonly #hashShift: number;
  readonly #remembered = new Map<string, Client>();

  /** Allocates an empty table of `capacity` (1 or more) entries; the caller is isolate 0. */
  static allocate(timeoutMs: number, capacity = 100_000): SessionTable {
    const cells = HEADER + capacity * ENTRY + 2 ** bucketBits(capacity);
    const buffer = new SharedArrayBuffer(cells * I32);
    new Int32Array(buffer)[CAPACITY] = capacity;
    // By way of a buffer of its own: the Web Crypto standard has no random values for shared memory.
    new Int32Array(buffer, MULTIPLIERS * I32, KEY_PARTS).set(crypto.getRandomValues(new Int32Array(KEY_PARTS)));
    return new SessionTable(buffer, timeoutMs, 0);
  }

  /** Joins a table allocated elsewhere as isolate number `isolate`, which no other that is alive has. */
  static attach(buffer: SharedArrayBuffer, timeoutMs: number, isolate: number): SessionTable {
    return new SessionTable(buffer, timeoutMs, isolate);
  }

  private constructor(buffer: SharedArrayBuffer, timeoutMs: number, isolate: number) {
    this.buffer = buffer;
    this.timeoutMs = timeoutMs;
    this.isolate = isolate;
    this.#words = new Int32Array(buffer);
    this.#floats = new Float64Array(buffer, 0, Math.floor(buffer.byteLength / Float64Array.BYTES_PER_ELEMENT));
    this.capacity = this.#load(CAPACITY);
    this.#buckets = HEADER + this.capacity * ENTRY;
    this.#bucketCount = 2 ** bucketBits(this.capacity);
    this.#hashShift = 32 - bucketBits(this.capacity);
  }

  /** Clients in the table. One that timed out counts until its entry is needed for another. */
  get size(): number {
    return Atomics.load(this.#words, SIZE);
  }

  /**
   * The place that the client is bound to, unless `timeoutMs` have passed since its last use; this is one. Slots are
   * reused: compare the generation with the slot's.
   *
   * @param client an address, or any other text; the IPv4 address in an IPv4-mapped IPv6 one is the same client
   * @param nowMs since the Unix epoch, which is the clock that isolates have in common
   */
  find(client: string, nowMs: number): { slot: number; generation: number } | undefined {
    const { key, bucket } = this.#client(client);
    this.#takeLock();
    const entry = this.#search(key, bucket);
    if (entry === NONE || this.#timedOut(entry, nowMs)) {
      this.#giveLockBack();
      return undefined;
    }
    this.#use(entry, nowMs);
    const cell = entryCell(entry);
    const slot = this.#load(cell + SLOT);
    const generation = this.#load(cell + GENERATION);
    this.#giveLockBack();
    return { slot, generation };
  }

  /**
   * The place that the client is bound to; this is no use, and changes nothing. `undefined` also where the lock can't be
   * had at once: so it is safe for who supervises the others, and has to give back the lock of one that died.
   */
  peek(client: string, nowMs: number): { slot: number; generation: number } | undefined {
    const { key, bucket } = this.#client(client);
    if (!this.#tryLock(PEEK_TRIES)) return undefined;
    const entry = this.#search(key, bucket);
    const cell = entryCell(entry);
    const bound = entry !== NONE && !this.#timedOut(entry, nowMs);
    const place = bound ? { slot: this.#load(cell + SLOT), generation: this.#load(cell + GENERATION) } : undefined;
    this.#giveLockBack();
    return place;
  }

  /** Binds the client to a place from now on, wherever it was bound before. May cost the oldest client its entry. */
  bind(client: string, slot: number, generation: number, nowMs: number): void {
    const { key, bucket } = this.#client(client);
    this.#takeLock();
    let entry = this.#search(key, bucket);
    if (entry === NONE) entry = this.#insert(key, bucket, nowMs);
    else this.#use(entry, nowMs);
    const cell = entryCell(entry);
    this.#words[cell + SLOT] = slot;
    this.#words[cell + GENERATION] = generation;
    this.#giveLockBack();
  }

  /**
   * Frees the lock if a dead isolate held it, and returns whether it did. The holder may have died between two halves
   * of a change, so the table is emptied: sessions are a convenience, links that lead in circles are not.
   *
   * To be called when the isolate has certainly ended and before its number is given to another. An isolate that waits
   * for the lock can't call it: who supervises the others must not `find` or `bind`, but may `peek`.
   */
  releaseLockOf(isolate: number): boolean {
    if (Atomics.compareExchange(this.#words, LOCK, isolate + 1, this.isolate + 1) !== isolate + 1) return false;
    this.#words.fill(0, SIZE, CAPACITY);
    this.#words.fill(0, this.#buckets, this.#buckets + this.#bucketCount);
    this.#giveLockBack();
    return true;
  }

  /** For tests: says what is wrong with the links, if anything. Walks all of them, with the lock held. */
  findFault(): string | undefined {
    this.#takeLock();
    const fault = this.#faultByAge() ?? this.#faultInBuckets();
    this.#giveLockBack();
    return fault;
  }

  #takeLock(): void {
    this.#tryLock(Infinity);
  }

  /** Returns whether it got the lock within that many tries; every thousandth lasts a millisecond. */
  #tryLock(most: number): boolean {
    for (let tries = 1; tries <= most; tries++) {
      const holder = Atomics.compareExchange(this.#words, LOCK, 0, this.isolate + 1);
      if (holder === 0) return true;
      // Nobody notifies: that would cost every section a call, for a wait that ends within a millisecond by itself.
      if (tries % SPINS === 0) Atomics.wait(this.#words, LOCK, holder, 1);
      else Atomics.pause();
    }
    return false;
  }

  /** Only if it is still ours: one that was taken for dead too early must not free its successor's. */
  #giveLockBack(): void {
    Atomics.compareExchange(this.#words, LOCK, this.isolate + 1, 0);
  }

  #search(key: Int32Array, bucket: number): number {
    let entry = this.#load(this.#buckets + bucket);
    while (entry !== NONE && !this.#hasKey(entry, key)) entry = this.#load(entryCell(entry) + CHAIN);
    return entry;
  }

  #hasKey(entry: number, key: Int32Array): boolean {
    const cell = entryCell(entry) + KEY;
    for (let part = 0; part < KEY_CELLS; part++) {
      if (this.#words[cell + part] !== key[part]) return false;
    }
    return true;
  }

  #timedOut(entry: number, nowMs: number): boolean {
    return nowMs - this.#usedAt(entry) >= this.timeoutMs;
  }

  /** Makes an entry the newest. */
  #use(entry: number, nowMs: number): void {
    this.#setUsedAt(entry, nowMs);
    if (entry === this.#load(NEWEST)) return;
    this.#unlink(entry);
    this.#linkAsNewest(entry);
  }

  /** Makes an entry for a client that has none, the newest, in place of the oldest if need be. */
  #insert(key: Int32Array, bucket: number, nowMs: number): number {
    const oldest = this.#load(OLDEST);
    const size = this.#load(SIZE);
    // Where the oldest has timed out the table need not grow, even if it could.
    const reuses = size === this.capacity || (oldest !== NONE && this.#timedOut(oldest, nowMs));
    const entry = reuses ? oldest : size + 1;
    if (reuses) {
      this.#unlink(entry);
      this.#unchain(entry);
    } else {
      Atomics.store(this.#words, SIZE, entry); // `size` is read without the lock
    }
    const cell = entryCell(entry);
    this.#words.set(key, cell + KEY);
    this.#words[cell + BUCKET] = bucket;
    this.#words[cell + CHAIN] = this.#load(this.#buckets + bucket);
    this.#words[this.#buckets + bucket] = entry;
    this.#setUsedAt(entry, nowMs);
    this.#linkAsNewest(entry);
    return entry;
  }

  #linkAsNewest(entry: number): void {
    const second = this.#load(NEWEST);
    const cell = entryCell(entry);
    this.#words[cell + NEWER] = NONE;
    this.#words[cell + OLDER] = second;
    this.#words[second === NONE ? OLDEST : entryCell(second) + NEWER] = entry;
    this.#words[NEWEST] = entry;
  }

  #unlink(entry: number): void {
    const cell = entryCell(entry);
    const newer = this.#load(cell + NEWER);
    const older = this.#load(cell + OLDER);
    this.#words[newer === NONE ? NEWEST : entryCell(newer) + OLDER] = older;
    this.#words[older === NONE ? OLDEST : entryCell(older) + NEWER] = newer;
  }

  /** Takes an entry out of its bucket. */
  #unchain(entry: number): void {
    const cell = entryCell(entry);
    let link = this.#buckets + this.#load(cell + BUCKET);
    while (this.#load(link) !== entry) link = entryCell(this.#load(link)) + CHAIN;
    this.#words[link] = this.#load(cell + CHAIN);
  }

  /** Every index here is one of a cell in the buffer. */
  #load(cell: number): number {
    return this.#words[cell] ?? 0;
  }

  #usedAt(entry: number): number {
    return this.#floats[(entryCell(entry) + USED_AT) / 2] ?? 0;
  }

  #setUsedAt(entry: number, nowMs: number): void {
    this.#floats[(entryCell(entry) + USED_AT) / 2] = nowMs;
  }

  #client(client: string): Client {
    let known = this.#remembered.get(client);
    if (known === undefined) {
      const key = clientKey(client);
      known = { key, bucket: this.#bucketOf(key) };
      if (this.#remembered.size === MAX_REMEMBERED) this.#remembered.clear();
      this.#remembered.set(client, known);
    }
    return known;
  }

  /**
   * Multiply-shift over vectors (Thorup, "High Speed Hashing for Integers and Strings"): whoever can choose addresses,
   * out of an IPv6 network of their own, can't choose ones that share a bucket without knowing the multipliers.
   */
  #bucketOf(key: Int32Array): number {
    let sum = 0;
    for (let cell = 0; cell < KEY_CELLS; cell++) {
      const parts = key[cell] ?? 0;
      const low = Math.imul(parts & 0xffff, this.#load(MULTIPLIERS + 2 * cell));
      const high = Math.imul(parts >>> 16, this.#load(MULTIPLIERS + 2 * cell + 1));
      sum = sum + low + high | 0;
    }
    return sum >>> this.#hashShift;
  }

  #faultByAge(): string | undefined {
    const size = this.#load(SIZE);
    if (size > this.capacity) return `${size} entries where ${this.capacity} is the most`;
    let newer = NONE;
    let count = 0;
    for (let entry = this.#load(NEWEST); entry !== NONE; entry = this.#load(entryCell(entry) + OLDER)) {
      if (entry > size) return `entry ${entry} is in the list by age but not in use`;
      if (++count > size) return "the list by age leads in a circle";
      if (this.#load(entryCell(entry) + NEWER) !== newer) return `entry ${entry} does not point back to ${newer}`;
      newer = entry;
    }
    if (this.#load(OLDEST) !== newer) return `the list by age ends at ${newer}, not at the oldest`;
    return count === size ? undefined : `${count} of ${size} entries are in the list by age`;
  }

  #faultInBuckets(): string | undefined {
    const size = this.#load(SIZE);
    let count = 0;
    for (let bucket = 0; bucket < this.#bucketCount; bucket++) {
      let entry = this.#load(this.#buckets + bucket);
      for (; entry !== NONE; entry = this.#load(entryCell(entry) + CHAIN)) {
        if (entry > size) return `entry ${entry} is in bucket ${bucket} but not in use`;
        if (++count > size) return "a bucket leads in a circle";
        const cell = entryCell(entry);
        const key = this.#words.subarray(cell + KEY, cell + KEY + KEY_CELLS);
        if (this.#bucketOf(key) !== bucket) return `entry ${entry} does not belong in bucket ${bucket}`;
        if (this.#load(cell + BUCKET) !== bucket) return `entry ${entry} in bucket ${bucket} does not know it is`;
        if (this.#search(key, bucket) !== entry) return `entry ${entry} is for the same client as another`;
      }
    }
    return count === size ? undefined : `${count} of ${size} entries are in a bucket`;
  }
}

/** The first cell of an entry. */
function entryCell(entry: number): number {
  return HEADER + (entry - 1) * ENTRY;
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

/** As many buckets as entries, rounded up to a power of two; at least 2, since a shift by 32 bits is none. */
function bucketBits(capacity: number): number {
  return Math.min(Math.max(Math.ceil(Math.log2(capacity)), 1), MAX_BUCKET_BITS);
}
