/**
 * Sticky sessions by address: the backend that each client is bound to, shared by all isolates. The table has its own
 * `SharedArrayBuffer`, because a reload can create and remove it. It has a fixed capacity. When it is full, a new
 * client replaces the one that was unused for longest.
 *
 * It is a hash table. Its entries are also in a list, ordered by last use. Links are entry numbers from 1; 0 means
 * "none". So zeroed memory is an empty table, and the memory of unused entries is never touched. 100,000 entries take
 * 5.3 MB: 48 bytes each, and 4 bytes for each of the 131,072 buckets. One lock protects the whole table.
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
    // The values are copied, because `getRandomValues` does not accept shared memory.
    words.set(crypto.getRandomValues(new Int32Array(MULTIPLIERS)), at.MULTIPLIERS_AT);
    return new SessionTable({ buffer, timeoutMs }, 0);
  }

  /** Joins a table that was allocated elsewhere, as isolate `isolate`. No other living isolate may have this number. */
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
   * Returns the slot and generation that the client is bound to; `undefined`: it is not bound, or `timeoutMs` have
   * passed since the last use. Counts as a use. Slots are reused, so the caller must compare the generation with the
   * slot's.
   *
   * @param client an address, or any other text. An IPv4 address and the IPv4-mapped IPv6 address are the same client
   * @param nowMs milliseconds since the Unix epoch, the clock that all isolates share
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
   * Like `find`, but does not count as a use and changes nothing. Also returns `undefined` if it can't get the lock
   * within about 10 ms. So the supervisor, which frees the lock of a dead isolate, may call it.
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

  /**
   * Binds the client to a slot and generation, in place of an earlier binding. May replace the entry of the client that
   * was unused for longest.
   */
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
   * Frees the lock if a dead isolate held it. Returns whether that was so. The isolate may have died in the middle of a
   * change, so the table is emptied: lost sessions are better than links that form a circle.
   *
   * Call it when the isolate has certainly ended, and before another isolate gets its number. An isolate that waits for
   * the lock can't call this. So the supervisor must not call `find` or `bind`, but may call `peek`.
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

  /** Makes an entry for a client that has none, as the newest. Reuses the oldest entry if the table is full. */
  #insert({ cells, bucket }: SessionKey, nowMs: number): number {
    const oldest = this.#load(at.OLDEST);
    const size = this.#load(at.SIZE);
    // If the oldest entry has timed out, it is reused even if the table could grow.
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

  /** Reads a cell. `cell` is always in the buffer, so `?? 0` is for the compiler only. */
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
