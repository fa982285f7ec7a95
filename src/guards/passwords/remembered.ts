/** Remembers for a minute which passwords were right, so that a client pays for its password once a minute. */

import { keyedDigestOf } from "../../digest.ts";

const FOR_MS = 60_000;
const MOST_ENTRIES = 10_000;

/**
 * Holds neither passwords nor hashes of them that could be tried elsewhere: the keys are made with a secret that exists
 * in this object alone. A key includes the hash of the user. With another hash, nothing of it is remembered.
 */
export class Remembered {
  readonly #secret = crypto.getRandomValues(new Uint8Array(32));
  readonly #now: () => number;
  readonly #mostEntries: number;
  /** When each ends, by its key, the oldest first. */
  readonly #endsAtMs = new Map<string, number>();

  /** @param now a clock in milliseconds that never goes back */
  constructor(now: () => number, mostEntries = MOST_ENTRIES) {
    this.#now = now;
    this.#mostEntries = mostEntries;
  }

  get size(): number {
    return this.#endsAtMs.size;
  }

  /**
   * The key of a password that is checked against a hash.
   *
   * @param hash as the configuration writes it, without control characters
   * @param credentials the user and the password
   */
  key(hash: string, credentials: string): string {
    return keyedDigestOf(this.#secret, `${hash}\0${credentials}`).toBase64();
  }

  has(key: string): boolean {
    const endsAtMs = this.#endsAtMs.get(key);
    return endsAtMs !== undefined && endsAtMs > this.#now();
  }

  /** Remembers a key from now on. The oldest leaves if there are too many. */
  add(key: string): void {
    this.#endsAtMs.delete(key);
    const nowMs = this.#now();
    for (const [oldest, endsAtMs] of this.#endsAtMs) {
      if (endsAtMs > nowMs && this.#endsAtMs.size < this.#mostEntries) break;
      this.#endsAtMs.delete(oldest);
    }
    this.#endsAtMs.set(key, nowMs + FOR_MS);
  }
}
