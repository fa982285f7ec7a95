/**
 * Sticky sessions by address: which backend each client is bound to, as all isolates see it. The table has a
 * `SharedArrayBuffer` of its own, because it comes and goes with the configuration. It holds the latest clients up to a
 * fixed number; beyond that, the one unused for longest leaves.
 *
 * It is a hash table whose entries are also in a list by last use. Every link is an entry's number, from 1; 0 is "none", so
 * zeroed memory is an empty table, and pages of entries never used are never touched. 100,000 entries take 5.3 MB: 48
 * bytes each, and 4 for each of 131,072 buckets. One lock guards all of it.
 */

import { KEY_CELLS, MULTIPLIERS, type SessionKey, SessionKeys } from "./session_key.ts";
import * as at from "./session_layout.ts";
import { entryCell, NONE } from "./session_layout.ts";
import { SessionLock } from "./session_lock.ts";
import type { SlotUse } from "./slots.ts";

/** What another isolate needs to `attach`. */
export interface SharedSessions {
  readonly buffer: SharedArrayBuffer;
  readonly timeoutMs: number;
}

/** One isolate's view of the sessions. */
export class SessionTable {
  readonly #buffer: SharedArrayBuffer;
  readonly #timeoutMs: number;
  readonly #words: Int32Array;
  readonly #floats: Float64Array;
  readonly #capacity: number;
  readonly #buckets: number;
  readonly #keys: SessionKeys;
  readonly #lock: SessionLock;

  /** Allocates an empty table of `capacity` (1 or more) entries; the caller is isolate 0. */
  static allocate(timeoutMs: number, capacity = 100_000): SessionTable {
    const buffer = new SharedArrayBuffer(at.tableCells(capacity) * Int32Array.BYTES_PER_ELEMENT);
    const words = new Int32Array(buffer);
    words[at.CAPACITY] = capacity;
    // By way of a buffer of its own: the Web Crypto standard has no random values for shared memory.
    words.set(crypto.getRandomValues(new Int32Array(MULTIPLIERS)), at.MULTIPLIERS_AT);
    return new SessionTable({ buffer, timeoutMs }, 0);
  }

  /** Joins a table allocated elsewhere as isolate number `isolate`, which no other that is alive has. */
  static attach(shared: SharedSessions, isolate: number): SessionTable {
    return new SessionTable(shared, isolate);
  }

  private constructor({ buffer, timeoutMs }: SharedSessions, isolate: number) {
    this.#buffer = buffer;
    this.#timeoutMs = timeoutMs;
    this.#words = new Int32Array(buffer);
    this.#floats = new Float64Array(buffer, 0, Math.floor(buffer.byteLength / Float64Array.BYTES_PER_ELEMENT));
    this.#capacity = this.#load(at.CAPACITY);
    this.#buckets = at.bucketsCell(this.#capacity);
    this.#keys = new SessionKeys(this.#words.slice(at.MULTIPLIERS_AT, at.MULTIPLIERS_AT + MULTIPLIERS), this.#capacity);
    this.#lock = new SessionLock(this.#words, at.LOCK, isolate);
  }

  /** What another isolate needs to `attach`. */
  get shared(): SharedSessions {
    return { buffer: this.#buffer, timeoutMs: this.#timeoutMs };
  }

  /**
   * The place that the client is bound to, unless `timeoutMs` have passed since its last use. Counts as a use. Slots are
   * reused: compare the generation with the slot's.
   *
   * @param client an address, or any other text; the IPv4 address in an IPv4-mapped IPv6 one is the same client
   * @param nowMs since the Unix epoch, which is the clock that isolates have in common
   */
  find(client: string, nowMs: number): SlotUse | undefined {
    const key = this.#keys.of(client);
    this.#lock.take();
    const entry = this.#search(key);
    if (entry === NONE || this.#timedOut(entry, nowMs)) {
      this.#lock.giveBack();
      return undefined;
    }
    this.#use(entry, nowMs);
    const cell = entryCell(entry);
    const slot = this.#load(cell + at.SLOT);
    const generation = this.#load(cell + at.GENERATION);
    this.#lock.giveBack();
    return { slot, generation };
  }

  /**
   * The place that the client is bound to. Does not count as a use, and changes nothing. `undefined` also if the lock
   * does not come free soon: whoever supervises the others, and gives back the lock of one that died, may call this.
   */
  peek(client: string, nowMs: number): SlotUse | undefined {
    const key = this.#keys.of(client);
    if (!this.#lock.tryTake()) return undefined;
    const entry = this.#search(key);
    const cell = entryCell(entry);
    const bound = entry !== NONE && !this.#timedOut(entry, nowMs);
    const place = bound
      ? { slot: this.#load(cell + at.SLOT), generation: this.#load(cell + at.GENERATION) }
      : undefined;
    this.#lock.giveBack();
    return place;
  }

  /** Binds the client to a place from now on, wherever it was bound before. May cost the oldest client its entry. */
  bind(client: string, slot: number, generation: number, nowMs: number): void {
    const key = this.#keys.of(client);
    this.#lock.take();
    let entry = this.#search(key);
    if (entry === NONE) entry = this.#insert(key, nowMs);
    else this.#use(entry, nowMs);
    const cell = entryCell(entry);
    this.#words[cell + at.SLOT] = slot;
    this.#words[cell + at.GENERATION] = generation;
    this.#lock.giveBack();
  }

  /**
   * Frees the lock if a dead isolate held it, and returns whether it did. The holder may have died between two halves
   * of a change, so the table is emptied: sessions are a convenience, links that lead in circles are not.
   *
   * Call it when the isolate has certainly ended, and before its number is given to another. An isolate that waits for
   * the lock can't call it: so whoever supervises the others must not `find` or `bind`, but may `peek`.
   */
  releaseLockOf(isolate: number): boolean {
    if (!this.#lock.takeFrom(isolate)) return false;
    this.#words.fill(0, at.SIZE, at.CAPACITY);
    this.#words.fill(0, this.#buckets);
    this.#lock.giveBack();
    return true;
  }

  #search({ cells, bucket }: SessionKey): number {
    let entry = this.#load(this.#buckets + bucket);
    while (entry !== NONE && !this.#hasKey(entry, cells)) entry = this.#load(entryCell(entry) + at.CHAIN);
    return entry;
  }

  #hasKey(entry: number, key: Int32Array): boolean {
    const cell = entryCell(entry) + at.KEY;
    for (let part = 0; part < KEY_CELLS; part++) {
      if (this.#words[cell + part] !== key[part]) return false;
    }
    return true;
  }

  #timedOut(entry: number, nowMs: number): boolean {
    return nowMs - this.#usedAt(entry) >= this.#timeoutMs;
  }

  /** Makes an entry the newest. */
  #use(entry: number, nowMs: number): void {
    this.#setUsedAt(entry, nowMs);
    if (entry === this.#load(at.NEWEST)) return;
    this.#unlink(entry);
    this.#linkAsNewest(entry);
  }

  /** Makes an entry for a client that has none, the newest, in place of the oldest if need be. */
  #insert({ cells, bucket }: SessionKey, nowMs: number): number {
    const oldest = this.#load(at.OLDEST);
    const size = this.#load(at.SIZE);
    // Where the oldest has timed out the table need not grow, even if it could.
    const reuses = size === this.#capacity || (oldest !== NONE && this.#timedOut(oldest, nowMs));
    const entry = reuses ? oldest : size + 1;
    if (reuses) {
      this.#unlink(entry);
      this.#unchain(entry);
    } else {
      this.#words[at.SIZE] = entry;
    }
    const cell = entryCell(entry);
    this.#words.set(cells, cell + at.KEY);
    this.#words[cell + at.BUCKET] = bucket;
    this.#words[cell + at.CHAIN] = this.#load(this.#buckets + bucket);
    this.#words[this.#buckets + bucket] = entry;
    this.#setUsedAt(entry, nowMs);
    this.#linkAsNewest(entry);
    return entry;
  }

  #linkAsNewest(entry: number): void {
    const second = this.#load(at.NEWEST);
    const cell = entryCell(entry);
    this.#words[cell + at.NEWER] = NONE;
    this.#words[cell + at.OLDER] = second;
    this.#words[second === NONE ? at.OLDEST : entryCell(second) + at.NEWER] = entry;
    this.#words[at.NEWEST] = entry;
  }

  #unlink(entry: number): void {
    const cell = entryCell(entry);
    const newer = this.#load(cell + at.NEWER);
    const older = this.#load(cell + at.OLDER);
    this.#words[newer === NONE ? at.NEWEST : entryCell(newer) + at.OLDER] = older;
    this.#words[older === NONE ? at.OLDEST : entryCell(older) + at.NEWER] = newer;
  }

  /** Takes an entry out of its bucket. */
  #unchain(entry: number): void {
    const cell = entryCell(entry);
    let link = this.#buckets + this.#load(cell + at.BUCKET);
    while (this.#load(link) !== entry) link = entryCell(this.#load(link)) + at.CHAIN;
    this.#words[link] = this.#load(cell + at.CHAIN);
  }

  /** Every index here is one of a cell in the buffer. */
  #load(cell: number): number {
    return this.#words[cell] ?? 0;
  }

  #usedAt(entry: number): number {
    return this.#floats[(entryCell(entry) + at.USED_AT) / 2] ?? 0;
  }

  #setUsedAt(entry: number, nowMs: number): void {
    this.#floats[(entryCell(entry) + at.USED_AT) / 2] = nowMs;
  }
}
